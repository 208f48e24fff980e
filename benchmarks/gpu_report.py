"""The results of a GPU as tables and as a picture, with the limit that bytes and FLOPs set."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import geometric_mean

from benchmarks.report import COLOURS, GRID, INK, README, markdown_table, write_between
from benchmarks.shapes import Shape

PAGE = README.parent / "docs" / "gpu.md"
OURS = "jlstm"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def write_report(path: Path) -> None:
    """Tables and picture beside the results; in the docs where the results are those we commit."""
    results = json.loads(path.read_text())
    tables = [heading(results), *times_tables(results), checks_table(results)]
    text = "\n\n".join(table for table in tables if table)
    path.with_suffix(".md").write_text(text + "\n")
    if path.parent == README.parent / "benchmarks" / "results":
        write_between(PAGE, text)
    if results.get("times"):
        _draw(results, path.with_suffix(".png"))


def limit(case: dict, what: str, ceilings: dict) -> float:
    """Milliseconds that no implementation can be under: products, or memory, as measured.

    Each input is read once and each output written once; the products are those of the layer.
    That the steps wait for each other is not in it.
    """
    shape = Shape(*case["shape"])
    batch, time, inputs, hidden = shape
    shapes = [shape]
    if case["kind"] == "two layers":
        shapes.append(shape._replace(input=hidden))
    if case["kind"] == "both directions":
        shapes.append(shape)
    valid = 0.5 if case["kind"] == "ragged" else 1.0
    flops = sum(s.forward_flops for s in shapes) * valid * (3 if what == "train" else 1)
    weights = sum(4 * s.hidden * (s.input + s.hidden + 1) for s in shapes)
    outputs = hidden * (2 if case["kind"] == "both directions" else 1)
    numbers = valid * batch * time * (inputs + outputs) + weights
    if what == "train":  # and the gradients of inputs and weights
        numbers += valid * batch * time * inputs + weights
    seconds = max(
        flops / (1e12 * ceilings[f"TFLOP/s, {case['dtype']}"]),
        BYTES[case["dtype"]] * numbers / (1e9 * ceilings["GB/s"]),
    )
    return 1e3 * seconds


def ours(times: dict[str, float]) -> float | None:
    """What `implementation=None` takes."""
    return times.get(OURS)


def others(times: dict[str, float]) -> dict[str, float]:
    """The other libraries."""
    return {name: ms for name, ms in times.items() if not name.startswith(OURS)}


def heading(results: dict) -> str:
    """The device, and what it reaches."""
    where = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    chip = ", ".join(f"{value:.0f} {name}" for name, value in results.get("ceilings", {}).items()
                     if isinstance(value, float))  # fmt: skip
    return (
        f"**{where['device']}**, {where['date']}, Python {where['python']}, {packages}. A large "
        f"copy and large products reach {chip}. Milliseconds of a call in a stream of calls, the "
        "best of all rounds. Training is the gradient of `mean(hs**2)` by inputs and all weights."
    )


def times_tables(results: dict) -> list[str]:
    """Training and forward, a line a case; microseconds a step are of jlstm."""
    tables = []
    for what, title in (("train", "Training step, ms"), ("forward", "Forward, ms")):
        rows = [case for case in results.get("times", []) if case[what]]
        names = list(dict.fromkeys(name for case in rows for name in case[what]))
        if not rows:
            continue
        lines = [[title, "limit", *names, "μs a step", "against the fastest other"]]
        ratios = []
        for case in rows:
            times = case[what]
            mine, rest = ours(times), others(times)
            cells = [f"{times[name]:.3g}" if name in times else "" for name in names]
            step = f"{1e3 * mine / case['shape'][1]:.2f}" if mine else ""
            ratio = min(rest.values()) / mine if mine and rest else None
            ratios += [ratio] if ratio else []
            sizes = "x".join(map(str, case["shape"]))
            lines.append([
                f"{case['name']} ({sizes}), {case['dtype']}",
                f"{limit(case, what, results['ceilings']):.2g}", *cells, step,
                f"{ratio:.2f}" if ratio else "",
            ])  # fmt: skip
        if ratios:
            mean = f"**{geometric_mean(ratios):.2f}**"
            lines.append(["geometric mean", *[""] * (len(names) + 2), mean])
        tables.append(markdown_table(lines))
    return tables


def checks_table(results: dict) -> str:
    """The largest error of each, in units of what rounding may make of it, or the refusal."""
    found = results.get("checks", {})
    checks = list(dict.fromkeys(name for each in found.values() for name in each))
    lines = [["error against float64, of what rounding may make of it", *found]]
    for check in checks:
        cells = []
        for each in found.values():
            value = each.get(check, {})
            if isinstance(value, str):  # of a process that failed as a whole
                cells.append(value)
            elif "error" in value:
                share = value["error"] / value["tolerance"]
                cells.append(f"{share:.2f}" if share <= 1 else f"**{share:.2f}**")
            else:
                cells.append("refused" if "refused" in value else "")
        lines.append([check, *cells])
    return markdown_table(lines) if checks else ""


def _draw(results: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = results["times"]
    figure, axes = plt.subplots(
        1, 2, figsize=(13, 1.6 + 0.34 * len(rows)), layout="constrained", sharey=True
    )
    names = list(dict.fromkeys(name for case in rows for name in (*case["train"],)))
    colours = (*COLOURS, "#56b4e9", "#d55e00", "#f0e442", "#999999", INK)
    markers = "os^DvP*Xh<>"
    for axis, (what, title) in zip(
        axes, (("forward", "forward"), ("train", "training step")), strict=True
    ):
        for k, name in enumerate(names):
            points = [(case[what].get(name), n) for n, case in enumerate(rows)]
            points = [(ms, n) for ms, n in points if ms]
            if points:
                axis.plot(
                    *zip(*points, strict=True), markers[k % len(markers)], label=name,
                    color=colours[k % len(colours)], markersize=6,
                    markeredgecolor="white", markeredgewidth=0.5,
                )  # fmt: skip
        floors = [limit(case, what, results["ceilings"]) for case in rows]
        axis.plot(floors, range(len(rows)), "|", color=INK, markersize=11, label="limit")
        axis.set(xscale="log", xlabel="milliseconds", title=title)
        axis.grid(axis="both", color=GRID, linewidth=0.5)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), [f"{c['name']}, {c['dtype']}" for c in rows], fontsize=8)
    axes[0].invert_yaxis()
    axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.suptitle(results["machine"]["device"], fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
