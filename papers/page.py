"""Writes `docs/results.md`: measured figures next to the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from papers.pictures import draw
from papers.row import Row
from train.output.files import write_text

HEAD = """# Results: the tables of the papers, reproduced

The claims of the LSTM papers, measured again. `make papers` measures the missing rows and writes
this page, `make papers-quick` a smaller set in four minutes; `python -m papers ROW --again` repeats
one row. Rows of "the net of 1997" and of 2000 use those papers' own architectures (blocks of cells
with shared gates, the truncated gradient, one sequence at a time, see `papers/nets/`); rows of
`jlstm.lstm_step` use this library's plain LSTM with Adam. Trials differ in their seeds, and run
together under one `vmap`. A ± is the standard deviation over trials; the mean number of sequences
is over the trials that solved the task. The limit is the most that a trial may see: sequences,
streams or their symbols, steps of the training program, or passes over a series. Rows without a
published figure have no counterpart in the papers.
"""


def write_page(
    path: Path,
    rows: Iterable[Row],
    results: Mapping[str, dict[str, Any]],
    *,
    quick: bool = False,
) -> None:
    """Write the page: a table per section, its pictures, and notes on results that fall short."""
    sections: dict[str, list[Row]] = {}
    for row in rows:
        if row.name in results or not quick:
            sections.setdefault(row.section, []).append(row)
    parts = [HEAD, "The quick set.\n"] if quick else [HEAD]
    pictures = draw(path.parent / "images", results)
    for section, members in sections.items():
        parts += [f"## {section}\n", _table(members, results)]
        for name, text in (pictures[row.name] for row in members if row.name in pictures):
            parts.append(f"![{text}](images/{name})\n")
        parts.append(_notes(members, results))
    parts.append(_machines(results))
    write_text(path, "\n".join(part for part in parts if part))


def _table(rows: list[Row], results: Mapping[str, dict[str, Any]]) -> str:
    lines = [
        "| | published | ours | row, limit per trial, time on one core |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        result = results.get(row.name)
        ours = "not measured" if result is None else result["line"]
        took = ""
        if result is not None:
            took = f", {result['budget']:,}, {_time(result['core_seconds'])}"
        lines.append(f"| {row.setting} | {row.published} | {ours} | `{row.name}`{took} |")
    return "\n".join(lines) + "\n"


def _notes(rows: list[Row], results: Mapping[str, dict[str, Any]]) -> str:
    """Deviations from the papers, once for all rows that share them, and notes."""
    shared: dict[str, list[str]] = {}
    for row in rows:
        if row.deviations:
            shared.setdefault(row.deviations, []).append(f"`{row.name}`")
    lines = [f"- {', '.join(names)}: {text}." for text, names in shared.items()]
    parts = ["Deviations from the paper:\n\n" + "\n".join(lines) + "\n"] if lines else []
    notes = [f"- `{row.name}`: {row.note}" for row in rows if row.note and row.name in results]
    if notes:
        parts.append("Where ours falls short, and what was tried:\n\n" + "\n".join(notes) + "\n")
    return "\n".join(parts)


def _machines(results: Mapping[str, dict[str, Any]]) -> str:
    if not results:
        return ""
    dates = sorted({result["machine"]["date"] for result in results.values()})
    machines = {_machine(result["machine"]) for result in results.values()}
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    hours = sum(result["core_seconds"] for result in results.values()) / 3600
    return (
        f"Measured {when}, each row on one core, {hours:.1f} hours in total: "
        f"{'; '.join(sorted(machines))}. All figures of each trial are in `papers/results/`.\n"
    )


def _machine(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return f"{machine['cpu']}, Python {machine['python']}, {packages}"


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"
