"""The pictures of the page, drawn from what was measured."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jlstm.interop.files import write_bytes
from jlstm.plot.style import LIGHT, dress, key, line_colors, new_figure

GRADIENTS = {
    "gradient-rnn": "simple RNN", "gradient-no-forget": "no forget gate",
    "gradient-forget-0": "forget bias 0", "gradient-forget-1": "forget bias 1",
    "gradient-chrono": "chrono biases",
}  # fmt: skip
COPYING = {"copy-500-chrono": "chrono biases", "copy-500-constant": "forget bias 1"}


def draw(folder: Path, found: Mapping[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Draw what there are figures for; the file and the alternative text of each, by its rows."""
    drawn = {}
    if all(name in found for name in GRADIENTS):
        _write(folder / "vanishing-gradients.png", gradients(found))
        drawn["gradient-rnn"] = (
            "vanishing-gradients.png",
            "Norm of the gradient against the lag for five layers, before and after training",
        )
    if all(name in found for name in COPYING):
        _write(folder / "copying.png", copying(found))
        drawn["copy-500-chrono"] = (
            "copying.png", "Loss of the copy task against sequences, beside the memoryless answer",
        )  # fmt: skip
    return drawn


def gradients(found: Mapping[str, dict[str, Any]]) -> Figure:
    """Norms by the cell (of the simple network by h) against the lag, before and after."""
    figure = new_figure(11, 4.6, LIGHT)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, when, title in zip(
        panels, ("before", "after"), ("as drawn", "after training to add"), strict=True
    ):
        dress(axes, LIGHT, title=title, x="lag (steps)")
        for (name, label), color in zip(GRADIENTS.items(), line_colors(LIGHT), strict=False):
            norms = found[name]["figures"][when]
            by = "c" if "c" in norms else "h"
            lags = np.arange(1, len(norms[by]))
            axes.semilogy(lags, norms[by][1:], color=color, linewidth=2, label=label)
        axes.set_xlim(1, 100)
        axes.set_ylim(1e-16, 1e3)
    panels[0].set_ylabel("norm of d h_T / d c_t (simple RNN: d h_T / d h_t) / sqrt(units)")
    key(panels[0], LIGHT, loc="lower left")
    return figure


def copying(found: Mapping[str, dict[str, Any]]) -> Figure:
    """Loss on the way, and what the best answer without memory costs."""
    from papers.problems.copying import without_memory

    figure = new_figure(8, 4.2, LIGHT)
    axes = figure.subplots()
    dress(axes, LIGHT, x="sequences", y="loss (nats a step)")
    for (name, label), color in zip(COPYING.items(), line_colors(LIGHT), strict=False):
        figures = found[name]["figures"]
        curve = np.array(figures["curve"]).mean(1)
        axes.semilogy(
            figures["every"] * np.arange(1, len(curve) + 1), curve, color=color, linewidth=1.5,
            label=label,
        )  # fmt: skip
    baseline = without_memory(500)
    axes.axhline(baseline, color=LIGHT.quiet, linestyle=":", label="without memory")
    key(axes, LIGHT, loc="upper right")
    return figure


def _write(path: Path, figure: Figure) -> None:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, image.getvalue())
