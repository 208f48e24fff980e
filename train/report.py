"""What a finished run leaves: weights, pictures, figures, and a page with all of it."""

import base64
import html
import io
import json
import platform
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jlstm.interop.files import write_bytes
from train import metrics, trials
from train.config import to_toml
from train.devices import make_mesh, whole
from train.files import write_text
from train.measure import evaluate, run
from train.model import Params
from train.processes import first_does
from train.settings import Config
from train.tasks import Data, Task
from train.weights import load_weights, save_weights

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1f2933; }
table { border-collapse: collapse; }
td, th { padding: .2rem .8rem; border-bottom: 1px solid #d9e0e8; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; }
"""


def write_report(
    out: Path,
    config: Config,
    task: Task,
    data: Data,
    params: list[Params],
    step: int,
    progress: dict[str, Any],
) -> dict[str, Any]:
    """Measure the test split and write the results, `result.json` last.

    All processes of a run measure, and the first one writes.

    Args:
      out: the run's folder.
      config: its config.
      task: its task.
      data: its data.
      params: its final weights, of each trial.
      step: the step they are of, below `config.steps` where the run stopped early.
      progress: seconds and the best validation, over all starts of the run.

    Returns:
      The figures of `result.json`.
    """
    each, best, last = [], [], []
    for k, one in enumerate(params):
        each.append(evaluate(config, task, one, data.test))
        kept = load_weights(out / trials.file_name("best", k)).params
        best.append(evaluate(config, task, kept, data.test))
        last.append(whole(one))
    return first_does(lambda: _write(out, config, task, data, last, step, progress, each, best))


def _write(
    out: Path,
    config: Config,
    task: Task,
    data: Data,
    params: list[Params],
    step: int,
    progress: dict[str, Any],
    each: list[dict[str, float]],
    best: list[dict[str, float]],
) -> dict[str, Any]:
    lines = metrics.read(out, config.steps)
    for k, (one, alone) in enumerate(zip(params, trials.configs_of(config), strict=True)):
        save_weights(out / trials.file_name("params", k), alone, data.shape, data.about, one)
    test, between = trials.mean_and_spread(each)
    curves = _png(_curves(lines, task, data))
    figure = Figure(figsize=(9, 6), layout="constrained")
    task.draw(figure, config, data, lambda batches: run(config, task, params[0], batches))
    picture = _png(figure)
    write_bytes(out / "curves.png", curves)
    write_bytes(out / "test.png", picture)
    samples = "".join(
        f"=== step {line['step']} ===\n{line['sample']}\n\n" for line in lines if "sample" in line
    )
    if samples:
        write_text(out / "samples.txt", samples)
    result = {
        "task": config.task,
        "test": test,
        "best": {
            "step": progress["best_step"],
            "validation": progress["best"],
            "test": trials.mean_and_spread(best)[0],
        },
        **({"spread": between, "trials": each} if between else {}),
        **data.facts,
        "steps": step,
        "of_steps": config.steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params[0])),
        "seconds": round(progress["seconds"], 2),
        "steps_per_second": round(step / progress["seconds_in_steps"], 3),
        "data": data.source,
        "data_sha256": data.sha256,
        "versions": {
            "python": platform.python_version(), "jax": jax.__version__,
            "numpy": np.__version__, "optax": optax.__version__,
        },
        "device": jax.devices()[0].device_kind,
        "devices": make_mesh(config.data.rows).size,
        "processes": jax.process_count(),
    }  # fmt: skip
    page = _page(config, task, result, {"Curves": curves, "The test split": picture}, samples)
    write_text(out / "report.html", page)
    write_text(out / "result.json", json.dumps(result, indent=2) + "\n")
    return result


def _png(figure: Figure) -> bytes:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()


def _curves(lines: list[dict[str, Any]], task: Task, data: Data) -> Figure:
    """The training loss, and the headline on the validation split beside its baseline."""
    same = task.headline == task.unit
    figure = Figure(figsize=(7 if same else 11, 4), layout="constrained")
    axes = [figure.subplots()] * 2 if same else list(figure.subplots(1, 2))
    for axis, name, label, color, marker in (
        (axes[0], f"train_{task.unit}", "training", "#9ab5d9", ""),
        (axes[1], f"validation_{task.headline}", "validation", "#c2410c", "."),
    ):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            label = f"{label}, {points[-1][1]:.3g} at the end"
            axis.plot(*zip(*points, strict=True), label=label, color=color, marker=marker)
    value = data.facts[task.baseline]
    label = f"{task.baseline.replace('_', ' ')}, {value:.3g}"
    axes[1].axhline(value, color="gray", linestyle=":", label=label)
    for axis, name in zip(axes, (task.unit, task.headline), strict=True):
        drawn = [np.asarray(line.get_ydata(), float) for line in axis.get_lines()]
        heights = [y for ys in drawn for y in ys[len(ys) // 10 :]]
        top = 1.1 * max(heights)  # the first steps would press the rest flat
        axis.set(xlabel="step", ylabel=name.replace("_", " "), ylim=(0, top))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _page(
    config: Config, task: Task, result: dict[str, Any], pictures: dict[str, bytes], samples: str
) -> str:
    """The report as one file that needs no other."""
    headline = task.headline
    rows = [
        ("test, last weights", *result["test"].values()),
        (f"test, best weights (step {result['best']['step']})", *result["best"]["test"].values()),
    ]
    if "spread" in result:
        rows.append((f"spread of {config.trials} trials, last weights", *result["spread"].values()))
    figures = "".join(
        f"<tr><td>{html.escape(str(name))}</td>"
        + "".join(f'<td class="n">{value:.4g}</td>' for value in values)
        + "</tr>"
        for name, *values in rows
    )
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *result["test"]))
    parts = [
        f"<p><b>{html.escape(headline)} {result['test'][headline]:.4g}</b> on the test split; "
        f"{html.escape(task.baseline)} is {result[task.baseline]:.4g}.</p>",
        f"<table><tr>{heads}</tr>{figures}</table>",
    ]
    for name, data in pictures.items():
        code = base64.b64encode(data).decode()
        parts.append(
            f'<h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" '
            f'src="data:image/png;base64,{code}">'
        )
    if samples:
        parts.append(f"<h2>Samples</h2><pre>{html.escape(samples)}</pre>")
    facts = json.dumps(result, indent=2, ensure_ascii=False)
    parts += [
        f"<h2>Figures</h2><pre>{html.escape(facts)}</pre>",
        f"<h2>Config</h2><pre>{html.escape(to_toml(config))}</pre>",
    ]
    title = f"{config.task.replace('_', ' ')}: {Path(result['data']).name}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        + "".join(parts)
        + "</body></html>\n"
    )
