"""The output of a finished run: weights, pictures, figures, and a page with all of them."""

import json
import platform
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from train.config.settings import Config
from train.engine import trials
from train.engine.devices import make_mesh, to_host
from train.engine.measure import evaluate, run
from train.engine.processes import on_first_process
from train.model import Params
from train.output import metrics
from train.output.files import write_bytes, write_text
from train.output.page import Pictures, make_page
from train.output.pictures import draw_curves, in_both
from train.output.weights import load_weights, save_weights
from train.tasks import Data, Task


def write_report(
    out: Path,
    config: Config,
    task: Task,
    data: Data,
    params: list[Params],
    step: int,
    progress: dict[str, Any],
) -> dict[str, Any]:
    """Evaluate on the test split and write the results, `result.json` last.

    All processes of a run evaluate, and the first one writes.

    Args:
      out: the run's folder.
      config: its config.
      task: its task.
      data: its data.
      params: its final weights, of each trial.
      step: the step of these weights, below `config.steps` if the run stopped early.
      progress: seconds and the best validation, over all starts of the run.

    Returns:
      The figures of `result.json`.
    """
    tests, best_tests, host = [], [], []
    for k, weights in enumerate(params):
        tests.append(evaluate(config, task, weights, data.test))
        best = load_weights(out / trials.file_name("best", k)).params
        best_tests.append(evaluate(config, task, best, data.test))
        host.append(to_host(weights))
    return on_first_process(
        lambda: _write(out, config, task, data, host, step, progress, tests, best_tests)
    )


def _write(
    out: Path,
    config: Config,
    task: Task,
    data: Data,
    params: list[Params],
    step: int,
    progress: dict[str, Any],
    tests: list[dict[str, float]],
    best_tests: list[dict[str, float]],
) -> dict[str, Any]:
    lines = metrics.read(out, config.steps)
    for k, (weights, trial) in enumerate(zip(params, trials.trial_configs(config), strict=True)):
        save_weights(out / trials.file_name("params", k), trial, data.shape, data.about, weights)
    test, std = trials.mean_and_std(tests)
    pictures: Pictures = {
        "Training curves": (
            in_both(lambda figure: draw_curves(figure, lines, task, data), 9, 4),
            "The loss in training and the headline on the validation split, over the steps.",
        ),
        "The test split": (
            in_both(
                lambda figure: task.draw(
                    figure, config, data, lambda batches: run(config, task, params[0], batches)
                ),
                9, 6,
            ),
            task.picture,
        ),
    }  # fmt: skip
    for file, (images, _) in zip(("curves.png", "test.png"), pictures.values(), strict=True):
        write_bytes(out / file, images["light"])
    samples = [(line["step"], line["sample"]) for line in lines if "sample" in line]
    if samples:
        text = "".join(f"=== step {step} ===\n{sample}\n\n" for step, sample in samples)
        write_text(out / "samples.txt", text)
    result = {
        "task": config.task,
        "test": test,
        "best": {
            "step": progress["best_step"],
            "validation": progress["best"],
            "test": trials.mean_and_std(best_tests)[0],
        },
        **({"spread": std, "trials": tests} if std else {}),
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
    page = make_page(config, task, data, result, pictures, samples)
    write_text(out / "report.html", page)
    write_text(out / "result.json", json.dumps(result, indent=2) + "\n")
    return result
