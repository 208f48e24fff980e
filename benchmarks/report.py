"""Results as tables in results/, in the docs and in the README, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

from benchmarks.shapes import Shape

README = Path(__file__).parents[1] / "README.md"
PERFORMANCE = README.parent / "docs" / "performance.md"
LAYERS = README.parent / "docs" / "layers.md"
COMING_FROM = README.parent / "docs" / "coming-from.md"
BEGIN, END = "<!-- benchmark: written by python -m benchmarks -->", "<!-- end of benchmark -->"
JAX_PEERS = ("haiku", "linen", "nnx", "equinox", "keras")
LABELS = {
    "haiku": "Haiku", "linen": "Flax linen", "nnx": "Flax nnx", "equinox": "Equinox",
    "keras": "Keras", "torch": "PyTorch", "onnxruntime": "ONNX Runtime", "jlstm": "jlstm",
    "scan": "jlstm, plain scan",
}  # fmt: skip
MODULES = {"nnx_lstm": "jlstm.nnx.LSTM", "nnx_rnn": "nnx.RNN"}
INK, GRID, COLOURS = "#3b4252", "#c9ced8", ("#0072b2", "#e69f00", "#009e73", "#cc79a7")


def write_report(path: Path) -> None:
    """Write tables beside the results, into the docs and the README, and draw the picture."""
    results = json.loads(path.read_text(encoding="utf-8"))
    short = "\n\n".join(_short_tables(results))
    whole = "\n\n".join([_heading(results), short, *_other_tables(results)])
    path.with_suffix(".md").write_text(whole + "\n")
    if path.parent == Path(__file__).parent / "results":
        if "table" in results:
            for page in (README, PERFORMANCE):
                write_between(page, summary(results))
        if "kinds" in results:
            write_between(LAYERS, _layer_types_table(results))
        if "modules" in results:
            write_between(COMING_FROM, _modules_table(results))
    if "table" in results:
        _draw(results, path.with_suffix(".png"))


def write_between(page: Path, text: str) -> None:
    """Replace the text between the markers of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def summary(results: dict) -> str:
    """The training step at every shape as one table, and the means with those of forward passes."""
    groups = {"one device": one_device, "all cores": all_cores}
    columns = ("jlstm", "other", "ratio")
    lines = [["training step, ms", *(f"{g}: {column}" for g in groups for column in columns)]]
    for letter, calls in results["table"].items():
        cells = []
        for group in groups.values():
            times = group(calls["train"])
            other = min(times.keys() - {"jlstm"}, key=lambda name: times[name])
            cells += [f"{times['jlstm']:.1f}", f"{times[other]:.1f}, {LABELS[other]}"]
            cells += [f"{ratio(times):.2f}"]
        lines.append([_sizes(letter), *cells])

    def mean(call: str, group: Callable[[dict[str, float]], dict[str, float]]) -> str:
        return f"{geometric_mean(ratio(group(c[call])) for c in results['table'].values()):.2f}"

    train, forward = ([mean(call, g) for g in groups.values()] for call in ("train", "forward"))
    return (
        f"{markdown_table(lines)}\n\n"
        "A ratio above 1 means that jlstm is faster. Geometric means over the shapes: training "
        f"{train[0]} on one\ndevice and {train[1]} with all cores, a forward pass {forward[0]} and "
        f"{forward[1]}."
    )


def _layer_types_table(results: dict) -> str:
    lines = [["training step at A", "ms"]]
    return markdown_table(lines + [[name, f"{ms:.1f}"] for name, ms in results["kinds"].items()])


def _modules_table(results: dict) -> str:
    names = MODULES.values()
    lines = [["ms", *(f"{what}, `{name}`" for what in ("training", "forward") for name in names)]]
    for letter, times in results["modules"].items():
        cells = [f"{times[call][name]:.1f}" for call in ("train", "forward") for name in MODULES]
        lines.append([_sizes(letter), *cells])
    return markdown_table(lines)


def one_device(times: dict[str, float]) -> dict[str, float]:
    """The JAX libraries on one device."""
    return {name: times[name] for name in ("jlstm", *JAX_PEERS) if name in times}


def all_cores(times: dict[str, float]) -> dict[str, float]:
    """The best of each library: JAX on one device or on one per core, others by default."""
    best: dict[str, float] = {}
    for name, time in times.items():
        name = name.partition(":")[0]
        if name not in ("scan", "products"):
            best[name] = min(time, best.get(name, float("inf")))
    return best


def limit(times: dict[str, float]) -> float:
    """The products alone, on one device or on several."""
    return min(time for name, time in times.items() if name.startswith("products"))


def ratio(times: dict[str, float]) -> float:
    """The speed of jlstm relative to the fastest other library."""
    return min(time for name, time in times.items() if name != "jlstm") / times["jlstm"]


def _heading(results: dict) -> str:
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"# CPU: {machine['cores']} cores of {machine['cpu']}\n\n"
        f"{machine['date']}, Python {machine['python']}, {packages}. Float32, best of all rounds, "
        "milliseconds. Training is the gradient of `mean(hs**2)` by inputs and all weights."
    )


def _short_tables(results: dict) -> list[str]:
    tables = []
    for what, title in (("train", "Training step"), ("forward", "Forward")):
        shapes = results.get("table", {})
        if not shapes:
            continue
        times = {letter: calls[what] for letter, calls in shapes.items()}
        for group, heading in (
            (one_device, f"{title}, one device, ms"),
            (all_cores, f"{title}, all cores, each at its best, ms"),
        ):
            rows = {letter: group(row) for letter, row in times.items()}
            names = list(dict.fromkeys(name for row in rows.values() for name in row))
            ratios = {letter: ratio(row) for letter, row in rows.items()}
            lines = [[heading, *map(LABELS.get, names), "jlstm against the fastest other"]]
            for letter, row in rows.items():
                cells = [f"{row[n]:.1f}" if n in row else "" for n in names]
                lines.append([_sizes(letter), *cells, f"{ratios[letter]:.2f}"])
            mean = f"**{geometric_mean(ratios.values()):.2f}**"
            lines.append(["geometric mean", *[""] * len(names), mean])
            tables.append(markdown_table(lines))
    if "costs" in results:
        errors = results["costs"]["error"]
        lines = [["error against float64", *(f"{k}: `hs`" for k in errors),
                  *(f"{k}: gradient of `xs`" for k in errors)]]  # fmt: skip
        for name in next(iter(errors.values())):
            cells = [
                f"{shape[name][part]:.1e}" if part in shape[name] else ""
                for part in ("hs", "d_xs")
                for shape in errors.values()
            ]
            lines.append([LABELS[name], *cells])
        tables.append(markdown_table(lines))
    return tables


def _other_tables(results: dict) -> list[str]:
    tables = []
    if "table" in results:
        lines = [["shape", "limit, training: the products alone, ms", "share, training",
                  "limit, forward", "share, forward"]]  # fmt: skip
        for letter, calls in results["table"].items():
            cells = [letter]
            for what in ("train", "forward"):
                bound = limit(calls[what])
                share = bound / all_cores(calls[what])["jlstm"]
                cells += [f"{bound:.1f}", f"{share:.2f}"]
            lines.append(cells)
        tables += ["## The limit", markdown_table(lines)]
    if "costs" in results:
        costs = results["costs"]
        lines = [["temporary memory of training at A", "units of batch * time * hidden floats"]]
        lines += [[str(name), f"{units:.2f}"] for name, units in costs["memory"].items()]
        tables += ["## Memory and compilation", markdown_table(lines)]
        long = costs["long"]["units"] * 100_000 * 128 * 4 / 2**20
        tables.append(f"100,000 steps of batch 1 and 128 units with `save=316`: {long:.0f} MiB.")
        lines = [["seconds to compile training at A with time", *costs["compile"]["jlstm"]]]
        for name, times in costs["compile"].items():
            lines.append([LABELS[name], *(f"{seconds:.2f}" for seconds in times.values())])
        tables.append(markdown_table(lines))
    if "stream" in results:
        names = list(results["stream"][0]["step"])
        lines = [["one step at batch 1, microseconds", *map(LABELS.get, names)]]
        for row in results["stream"]:
            cells = [f"{1000 * row['step'][name]:.1f}" for name in names]
            lines.append([f"{row['hidden']} units", *cells])
        tables += ["## A stream", markdown_table(lines)]
    if "kinds" in results:
        tables += ["## Layer types", _layer_types_table(results)]
    if "modules" in results:
        tables += ["## Modules of Flax NNX", _modules_table(results)]
    if "vmap" in results:
        lines = [["vmap", "data, forward", "data, training", "8 sets, forward", "8 sets, training"]]
        for letter, times in results["vmap"].items():
            cells = [f"{times[f'data_{w}'] / times[w]:.2f}" for w in ("forward", "train")]
            cells += [f"{times[f'weights_{w}'] / times[w] / 8:.2f}" for w in ("forward", "train")]
            lines.append([letter, *cells])
        tables += [
            "## vmap\n\nRatios of times: data to the batched call, 8 sets of weights to 8 calls.",
            markdown_table(lines),
        ]
    for axis, rows in results.get("sweeps", {}).items():
        names = list(rows[0]["train"])
        lines = [[f"training over {axis}, ms", *names]]
        for row in rows:
            cells = [f"{row['train'][n]:.2f}" for n in names]
            lines.append(["x".join(map(str, row["shape"])), *cells])
        tables.append(markdown_table(lines))
    return tables


def _sizes(letter: str) -> str:
    return f"{letter} ({'x'.join(map(str, _shape(letter)))})"


def _shape(letter: str) -> Shape:
    from benchmarks.shapes import SHAPES

    return SHAPES[letter]


def markdown_table(lines: list[list]) -> str:
    """A Markdown table, whose first line is the header."""
    header, *rows = [[str(cell) for cell in line] for line in lines]
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


def _draw(results: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    table, sweeps = results["table"], results.get("sweeps", {})
    panels = 2 + len(sweeps)
    figure, axes = plt.subplots(1, panels, figsize=(4.2 * panels, 4), layout="constrained")
    letters = list(table)
    places = range(len(letters))
    for k, (what, group, label) in enumerate(
        (
            ("train", one_device, "training, one device"),
            ("train", all_cores, "training, all cores"),
            ("forward", all_cores, "forward, all cores"),
        )
    ):
        values = [ratio(group(table[letter][what])) for letter in letters]
        axes[0].bar(
            [p + 0.27 * (k - 1) for p in places], values, 0.25, label=label, color=COLOURS[k]
        )
    axes[0].axhline(1, color=INK, linewidth=1)
    axes[0].set(
        ylabel="times as fast as the fastest other", title="jlstm against the fastest other"
    )
    for k, what in enumerate(("train", "forward")):
        values = [limit(table[n][what]) / all_cores(table[n][what])["jlstm"] for n in letters]
        axes[1].bar([p + 0.4 * k - 0.2 for p in places], values, 0.38, label=what, color=COLOURS[k])
    axes[1].axhline(1, color=INK, linewidth=1)
    axes[1].set(ylabel="time of the products alone / time", title="share of the limit")
    for axis in axes[:2]:
        axis.set_xticks(places, letters)
        axis.set_xlabel("shape")
        axis.legend(fontsize=8)
    order = {"batch": 0, "time": 1, "hidden": 3}
    for axis, (name, rows) in zip(axes[2:], sweeps.items(), strict=True):
        for colour, peer in zip(COLOURS, rows[0]["train"], strict=False):
            xs = [row["shape"][order[name]] for row in rows]
            axis.plot(xs, [row["train"][peer] for row in rows], "o-", color=colour, label=peer)
        axis.set(xscale="log", yscale="log", xlabel=name, ylabel="training step, ms")
        axis.set_xticks(xs, map(str, xs), fontsize=8)
        axis.minorticks_off()
        axis.set_title(f"over {name}")
        axis.legend(fontsize=8)
    for axis in axes:
        axis.grid(axis="y", color=GRID, linewidth=0.5)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
