"""`report.html`: the results of a run as one self-contained page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from train.config.load import to_toml
from train.config.settings import Config
from train.output import words
from train.tasks import Data, Task

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")

Pictures = dict[str, tuple[dict[str, bytes], str]]  # by heading: for light and dark, and in words


def make_page(
    config: Config,
    task: Task,
    data: Data,
    result: dict[str, Any],
    pictures: Pictures,
    samples: Sequence[tuple[int, str]],
) -> str:
    """The page.

    Args:
      config: the run's config.
      task: its task.
      data: its data.
      result: the content of `result.json`.
      pictures: PNG files by heading.
      samples: `(step, text)` of the samples during training.
    """
    title = f"{task.title}: {Path(data.source).name}"
    parts = [f"<h1>{_text(title)}</h1>", _summary(task, data, result), "<h2>Results</h2>"]
    parts.append(_results(config, task, result))
    for name, (images, alt) in pictures.items():
        parts += [f"<h2>{_text(name)}</h2>", _picture(images, alt)]
    if samples:
        parts.append("<h2>Samples</h2><p>Text that the model generated during training.</p>")
        parts += [
            f"<h3>After {step:,} steps</h3><pre tabindex='0'>{_text(text)}</pre>"
            for step, text in samples
        ]
    parts += [
        "<h2>Data</h2>", _pairs(_about_data(data, result)), *_columns(data),
        "<h2>Training</h2>", _pairs(_about_training(result)),
        "<h2>Settings</h2><details><summary>The whole config, as TOML</summary>"
        f"<pre tabindex='0'>{_text(to_toml(config))}</pre></details>",
        "<p>All figures, in full precision, are in <code>result.json</code> next to this page.</p>",
    ]  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _summary(task: Task, data: Data, result: dict[str, Any]) -> str:
    name, explained = words.FIGURES.get(task.headline, (words.spelled(task.headline), ""))
    value, baseline = result["test"][task.headline], result[task.baseline]
    better = value != baseline and task.best(value, baseline) == value
    deviation = data.about.get("spread", ())
    unit = ""
    if task.headline == "mae" and len(deviation) == 1:
        column = _text(data.about["columns"][0])
        unit = f" Here it is {value * deviation[0]:.4g} in the units of {column}."
    verdict = "better than" if better else "no better than"
    return (
        f"<p><strong>{_text(name)} {value:.4g}</strong> on the test split, which was not used in "
        f"training: {verdict} the baseline, {baseline:.4g}, which is "
        f"{_text(words.baseline_words(task.baseline))}.</p><p>{_text(explained)}{unit}</p>"
    )


def _results(config: Config, task: Task, result: dict[str, Any]) -> str:
    """A row for each figure, a column for each set of weights and for the baseline."""
    best = result["best"]
    std = result.get("spread")
    heads = ["Figure", "Last weights", "Best weights", *(["Std"] if std else []),
             "Baseline"]  # fmt: skip
    rows = []
    for name, last in result["test"].items():
        figures = [last, best["test"][name], *([std[name]] if std else [])]
        baseline = f"{result[task.baseline]:.4g}" if name == task.headline else ""
        long, explained = words.FIGURES.get(name, (words.spelled(name), ""))
        rows.append(
            f'<tr><th scope="row">{_text(long)}<small>{_text(explained)}</small></th>'
            + "".join(f"<td>{value:.4g}</td>" for value in figures)
            + f"<td>{baseline}</td></tr>"
        )
    value = "" if best["validation"] is None else f" ({best['validation']:.4g})"
    note = (
        f"The last weights are those of step {result['steps']:,}; the best ones, of step "
        f"{best['step']:,}, have the best "
        f"{_text(words.figure_name(task.headline).lower())} on the validation split{value}. "
        f"The baseline is {_text(words.baseline_words(task.baseline))}."
    )
    if std:
        note += (
            f" Figures are means over {config.trials} trials, which differ in their seed; Std is "
            "their standard deviation, of the last weights."
        )
    return _table("Results on the test split", heads, rows, "numbers") + f"<p>{note}</p>"


def _about_data(data: Data, result: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "Source", data.source
    for name, value in data.facts.items():
        if name == "missing_spellings":
            value = {spelling or "empty": count for spelling, count in value.items()}
        if name not in words.BASELINES:
            yield words.fact_name(name), value
    yield "SHA-256", result["data_sha256"]


def _columns(data: Data) -> Iterable[str]:
    """The mean and standard deviation of each column, if figures are in these units."""
    about = data.about
    if not ("mean" in about and len(about.get("columns", ())) == len(about["mean"])):
        return  # .ts and .npz files have no column names
    rows = [
        f'<tr><th scope="row">{_text(name)}</th><td>{mean:.4g}</td><td>{deviation:.4g}</td></tr>'
        for name, mean, deviation in zip(
            *(about[key] for key in ("columns", "mean", "spread")), strict=True
        )
    ]
    heads = ["Column", "Mean", "Standard deviation"]
    yield _table("Columns over the training part", heads, rows, "numbers")


def _about_training(result: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "Steps", f"{result['steps']:,} of {result['of_steps']:,}"
    yield "Parameters of the model", result["parameters"]
    yield "Time", f"{result['seconds']:,.0f} s"
    yield "Speed", f"{result['steps_per_second']:.4g} steps per second"
    devices, processes = result["devices"], result["processes"]
    yield "Device", f"{result['device']}, {devices} of them" if devices > 1 else result["device"]
    if processes > 1:
        yield "Processes", processes
    yield "Versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())


def _pairs(pairs: Iterable[tuple[str, Any]]) -> str:
    rows = [
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(words.value_text(value))}</td></tr>'
        for name, value in pairs
    ]
    return _table("", (), rows, "facts")


def _table(caption: str, heads: Sequence[str], rows: Sequence[str], kind: str) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}">'
        + (f"<caption>{_text(caption)}</caption>" if caption else "")
        + (f"<thead><tr>{head}</tr></thead>" if heads else "")
        + f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _picture(images: dict[str, bytes], alt: str) -> str:
    """A picture in a light and a dark version; it scrolls on narrow screens, and prints light."""
    with Image.open(io.BytesIO(images["light"])) as image:
        width, height = (size * 2 // 3 for size in image.size)  # 100 pixels per inch
    sources = {
        name: f"data:image/png;base64,{base64.b64encode(data).decode()}"
        for name, data in images.items()
    }
    return (
        '<figure tabindex="0"><picture><source media="screen and (prefers-color-scheme: dark)" '
        f'srcset="{sources["dark"]}"><img width="{width}" height="{height}" alt="{_text(alt)}" '
        f'src="{sources["light"]}"></picture></figure>'
    )


def _text(text: Any) -> str:
    return html.escape(str(text))
