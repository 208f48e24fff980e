"""GPU results as tables and as a picture, with the limit set by bandwidth and FLOPs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import geometric_mean

from benchmarks.report import COLOURS, GRID, INK, README, markdown_table, write_between
from benchmarks.shapes import Shape

PAGE = README.parent / "docs" / "gpu.md"
OURS = "jlstm"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CALLS = {"train": "Training step", "forward": "Forward"}


def write_report(path: Path) -> str:
    """Write tables and picture beside the results, and into the docs for committed results."""
    results = json.loads(path.read_text(encoding="utf-8"))
    tables = [heading(results), *times_tables(results), device_table(results),
              checks_table(results), left_out(results)]  # fmt: skip
    text = "\n\n".join(table for table in tables if table)
    picture = path.with_suffix(".png")
    try:
        draw(results, picture)
        shown = f"![Times of every case beside the limit](../benchmarks/results/{picture.name})"
    except ImportError:
        shown = "There is no picture: matplotlib is not installed."
    path.with_suffix(".md").write_text(text + "\n")
    if path.parent == README.parent / "benchmarks" / "results":
        write_between(PAGE, f"{shown}\n\n{text}")
    return f"{text}\n\n{shown}"


def limit(case: dict, call: str, ceilings: dict) -> float:
    """The lower bound in milliseconds, from the measured products or memory bandwidth.

    Each input is read once and each output written once; the products are those of the layer.
    That the steps wait for each other is not in it. NaN where the chip's rates are not known.
    """
    shape = Shape(*case["shape"])
    batch, time, inputs, hidden = shape
    shapes = [shape]
    if case["kind"] == "two layers":
        shapes.append(shape._replace(input=hidden))
    if case["kind"] == "both directions":
        shapes.append(shape)
    valid = 0.5 if case["kind"] == "ragged" else 1.0
    flops = sum(s.forward_flops for s in shapes) * valid * (3 if call == "train" else 1)
    weights = sum(4 * s.hidden * (s.input + s.hidden + 1) for s in shapes)
    outputs = hidden * (2 if case["kind"] == "both directions" else 1)
    numbers = valid * batch * time * (inputs + outputs) + weights
    if call == "train":  # and the gradients of inputs and weights
        numbers += valid * batch * time * inputs + weights
    products, memory = (
        ceilings.get(name, math.nan) for name in (f"TFLOP/s, {case['dtype']}", "GB/s")
    )
    seconds = (flops / (1e12 * products), BYTES[case["dtype"]] * numbers / (1e9 * memory))
    return 1e3 * max(seconds)


def best(case: dict, call: str) -> dict[str, float]:
    """The shortest round of each entrant, in milliseconds."""
    return {name: min(ms) for name, ms in case.get(call, {}).items()}


def others(times: dict[str, float]) -> dict[str, float]:
    """The other libraries."""
    return {name: ms for name, ms in times.items() if not name.startswith(OURS)}


def verdict(name: str, answer: dict) -> str:
    """The verdict of a check: "ok", "wrong", "refused", "failed", or "left out"."""
    if "difference" in answer:
        return "ok" if answer["difference"] <= answer["tolerance"] else "wrong"  # NaN is wrong
    error = answer.get("error", "")
    if "refused" in answer or (name.startswith(OURS) and "implementation=" in error):
        return "refused"
    return "failed" if error else "left out"


def failed(results: dict) -> list[str]:
    """The failed checks: wrong results of any entrant, failed processes of jlstm."""
    return [
        f"{name}: {check}"
        for name, answers in results.get("checks", {}).items()
        for check, answer in answers.items()
        if verdict(name, answer) in ("wrong", "failed" if name.startswith(OURS) else "wrong")
    ]


def heading(results: dict) -> str:
    """The device and its ceilings."""
    where = results["machine"]
    packages = ", ".join(
        f"{name} {version}"
        for name, version in where["packages"].items()
        if "cudnn" in name or not name.startswith("nvidia-")  # the results have them all
    )
    ceilings = results["ceilings"].items()
    chip = ", ".join(f"{v:,.0f} {name}" if v >= 10 else f"{v:.2g} {name}" for name, v in ceilings)
    chip = f" A large copy and large products reach {chip}." if chip else ""
    driver = f"{where['driver']}; " if where.get("driver") else ""
    return (
        f"**{where['device']}** ({driver}{where['platform']}), {where['date']}, "
        f"Python {where['python']}, {packages}.{chip} "
        "Milliseconds of a call in a stream of calls, the best of all rounds. Training is the "
        "gradient of `mean(hs**2)` by inputs and all weights. Float32 is as each library has it "
        "by default, on a GPU with TensorFloat-32 in its products."
    )


def times_tables(results: dict) -> list[str]:
    """Training and forward, one line per case, with the microseconds per step of jlstm."""
    tables = []
    for call, title in CALLS.items():
        rows = [case for case in results.get("times", []) if case.get(call)]
        if not rows:
            continue
        names = list(dict.fromkeys(name for case in rows for name in case[call]))
        lines = [[f"{title}, ms", "limit", *names, "μs a step", "against the fastest other"]]
        ratios = []
        for case in rows:
            times = best(case, call)
            mine, rest = times.get(OURS), others(times)
            ratio = min(rest.values()) / mine if mine and rest else None
            ratios += [ratio] if ratio else []
            lines.append([
                f"{case['name']} ({'x'.join(map(str, case['shape']))}), {_kind(case)}",
                f"{limit(case, call, results['ceilings']):.2g}",
                *(f"{times[name]:.3g}" if name in times else "" for name in names),
                f"{1e3 * mine / case['shape'][1]:.2f}" if mine else "",
                f"{ratio:.2f}" if ratio else "",
            ])  # fmt: skip
        if ratios:
            mean = f"**{geometric_mean(ratios):.2f}**"
            lines.append(["geometric mean", *[""] * (len(names) + 2), mean])
        tables.append(markdown_table(lines))
    return tables


def device_table(results: dict) -> str:
    """Times by the device's clock and by the host's, and the occupancy of the device."""
    lines = [["by the device's clock, one call", "ms", "ms by the host's", "ms in kernels",
              "kernels"]]  # fmt: skip
    for case in results.get("times", []):
        for name, calls in case.get("device", {}).items():
            for call, result in calls.items():
                if "ms" in result:
                    host = best(case, call).get(name)
                    lines.append([
                        f"{name}, {call}: {case['name']}, {_kind(case)}", f"{result['ms']:.3g}",
                        f"{host:.3g}" if host else "",
                        f"{result['busy ms']:.3g}" if "busy ms" in result else "",
                        f"{result['kernels']:.0f}" if "kernels" in result else "",
                    ])  # fmt: skip
    return markdown_table(lines) if len(lines) > 1 else ""


def checks_table(results: dict) -> str:
    """The largest error of each check as a share of its tolerance."""
    by_entrant = results.get("checks", {})
    checks = list(dict.fromkeys(name for each in by_entrant.values() for name in each))
    lines = [["error against float64, share of what rounding may make of it", *by_entrant]]
    for check in checks:
        cells = []
        for name, each in by_entrant.items():
            answer = each.get(check, {})
            what = verdict(name, answer) if answer else ""
            if what in ("ok", "wrong"):
                share = f"{answer['difference'] / answer['tolerance']:.2g}"
                what = share if what == "ok" else f"**{share}**"
            cells.append(what)
        lines.append([check, *cells])
    return markdown_table(lines) if checks else ""


def left_out(results: dict) -> str:
    """The cases without times: one line per entrant and reason."""
    cases: dict[tuple[str, str], list[str]] = {}
    for case in results.get("times", []):
        for name, why in case.get("errors", {}).items():
            cases.setdefault((name, why), []).append(f"{case['name']} ({_kind(case)})")
    lines = [f"- {name}: {why}" for name, why in results.get("left out", {}).items()]
    lines += [f"- {name}, {'; '.join(of)}: {why}" for (name, why), of in cases.items()]
    return "\n".join(["Not measured:", "", *lines]) if lines else ""


def _kind(case: dict) -> str:
    return f"{case['kind']}, {case['dtype']}"


def draw(results: dict, path: Path) -> None:
    """Draw every time of every case, forward and training, with the limit as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [case for case in results.get("times", []) if case.get("forward") or case.get("train")]
    if not rows:
        return
    figure, axes = plt.subplots(
        1, 2, figsize=(13, 1.8 + 0.34 * len(rows)), layout="constrained", sharey=True
    )
    names = list(dict.fromkeys(n for case in rows for call in CALLS for n in case.get(call, {})))
    colours = (*COLOURS, "#56b4e9", "#d55e00", "#f0e442", "#999999", INK)
    markers = "os^DvP*Xh<>"
    for axis, call in zip(axes, ("forward", "train"), strict=True):
        for k, name in enumerate(names):
            times = [(best(case, call).get(name), n) for n, case in enumerate(rows)]
            points = [(ms, n) for ms, n in times if ms]
            if points:
                axis.plot(
                    *zip(*points, strict=True), markers[k % len(markers)], label=name,
                    color=colours[k % len(colours)], markersize=6, linestyle="",
                    markeredgecolor=INK, markeredgewidth=0.4,
                )  # fmt: skip
        floors = [limit(case, call, results["ceilings"]) for case in rows]
        axis.plot(floors, range(len(rows)), "|", color=INK, markersize=11, label="limit")
        axis.set(xscale="log", xlabel="milliseconds", title=CALLS[call].lower())
        axis.grid(axis="both", color=GRID, linewidth=0.5)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    labels = [f"{case['name']}, {_kind(case)}".replace(", one layer", "") for case in rows]
    axes[0].set_yticks(range(len(rows)), labels, fontsize=8)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.suptitle(results["machine"]["device"], fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
