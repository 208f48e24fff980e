"""Figures of the page of results, drawn from the measurements."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from jlstm.plot import LIGHT
from train.output.files import write_bytes

Rows = Mapping[str, dict[str, Any]]  # the results of each row, by name

GRADIENTS = {
    "gradient-rnn": "simple RNN", "gradient-no-forget": "no forget gate",
    "gradient-forget-0": "forget bias 0", "gradient-forget-1": "forget bias 1",
    "gradient-chrono": "chrono biases",
}  # fmt: skip
COPYING = {"copy-500-chrono": "chrono biases", "copy-500-constant": "forget bias 1"}
# Okabe and Ito (2008): distinct under every common form of colour blindness.
COLORS = ("#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", LIGHT.text)
STYLE = {
    "font.family": "DejaVu Sans", "figure.facecolor": LIGHT.page, "savefig.facecolor": LIGHT.page,
    "figure.constrained_layout.use": True, "axes.facecolor": LIGHT.panel,
    "axes.edgecolor": LIGHT.edge, "axes.titlelocation": "left", "axes.titlecolor": LIGHT.text,
    "axes.titlesize": 10, "axes.labelcolor": LIGHT.quiet, "axes.labelsize": 9,
    "axes.prop_cycle": cycler(color=COLORS),
    "xtick.color": LIGHT.edge, "xtick.labelcolor": LIGHT.text, "xtick.labelsize": 8.5,
    "ytick.color": LIGHT.edge, "ytick.labelcolor": LIGHT.text, "ytick.labelsize": 8.5,
    "legend.facecolor": LIGHT.panel, "legend.edgecolor": LIGHT.edge, "legend.fontsize": 8.5,
    "legend.labelcolor": LIGHT.text, "legend.framealpha": 1, "legend.borderpad": 0.5,
}  # fmt: skip


def draw(folder: Path, rows: Rows) -> dict[str, tuple[str, str]]:
    """Draw the figures whose rows are measured; the file and alternative text of each, by row."""
    drawn = {}
    if all(name in rows for name in GRADIENTS):
        _write(folder / "vanishing-gradients.png", draw_gradients, rows)
        drawn["gradient-rnn"] = (
            "vanishing-gradients.png",
            "Norm of the gradient against the lag for five layers, before and after training",
        )
    if all(name in rows for name in COPYING):
        _write(folder / "copying.png", draw_copying, rows)
        drawn["copy-500-chrono"] = (
            "copying.png", "Loss of the copy task against sequences, with the memoryless answer",
        )  # fmt: skip
    return drawn


def draw_gradients(rows: Rows) -> Figure:
    """Norms of gradients by `c` (by `h` in a simple RNN) against the lag, around training."""
    figure = Figure(figsize=(11, 4.6))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, when, title in zip(
        panels, ("before", "after"), ("before training", "after training to add"), strict=True
    ):
        axes.set(title=title, xlabel="lag (steps)")
        for name, label in GRADIENTS.items():
            norms = rows[name]["figures"][when]
            by = "c" if "c" in norms else "h"
            lags = np.arange(1, len(norms[by]))
            axes.semilogy(lags, norms[by][1:], linewidth=2, label=label)
        axes.set_xlim(1, 100)
        axes.set_ylim(1e-16, 1e3)
    panels[0].set_ylabel("norm of d h_T / d c_t (simple RNN: d h_T / d h_t) / sqrt(units)")
    panels[0].legend(loc="lower left")
    return figure


def draw_copying(rows: Rows) -> Figure:
    """The loss during training, with the loss of the best answer without memory."""
    from papers.problems.copying import without_memory

    figure = Figure(figsize=(8, 4.2))
    axes = figure.subplots()
    axes.set(xlabel="sequences", ylabel="loss (nats per step)")
    for name, label in COPYING.items():
        figures = rows[name]["figures"]
        curve = np.array(figures["curve"]).mean(1)
        axes.semilogy(
            figures["every"] * np.arange(1, len(curve) + 1), curve, linewidth=1.5, label=label,
        )  # fmt: skip
    baseline = without_memory(500)
    axes.axhline(baseline, color=LIGHT.quiet, linestyle=":", label="without memory")
    axes.legend(loc="upper right")
    return figure


def _write(path: Path, draw: Callable[[Rows], Figure], rows: Rows) -> None:
    image = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        draw(rows).savefig(image, format="png", dpi=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, image.getvalue())
