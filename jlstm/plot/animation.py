"""`animate`: the values of a cell, step by step, as a GIF."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.checks.calls import check_state
from jlstm.checks.options import check_index
from jlstm.files import write_bytes
from jlstm.plot.diagram import cell_limit, draw_cell, write_label
from jlstm.plot.numbers import MINUS, fill
from jlstm.plot.selection import choose_sequence, choose_window, select
from jlstm.plot.step_values import StepValues, of_trace
from jlstm.plot.style import COLORS, FONT, Theme, dress, find_theme, new_figure, visible
from jlstm.plot.ticks import label_steps
from jlstm.plot.wiring import INPUT, PAGE, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from jlstm.types import LSTMState, LSTMTrace

# The panels below the diagram, from the top down: values on the same scale.
SERIES = (("fio", "gates"), ("gh", "g and h"), ("c", "cell"))
HEIGHT = 13.4  # of the frame, on the scale on which the diagram is 16 by 9


def animate(
    trace: LSTMTrace,
    path: str | os.PathLike,
    *,
    unit: int = 0,
    sequence: int | tuple[int, ...] | None = None,
    window: tuple[int, int] | None = None,
    labels: Sequence[Any] | None = None,
    state: LSTMState | None = None,
    seconds: float = 0.5,
    theme: str | Theme = "light",
    width: float = 9.6,
    progress: Callable[[int, int], object] | None = None,
) -> Figure:
    """Write a GIF of the values of one unit as they flow through the cell, one frame per step.

    The upper part is the diagram of `step`, the lower part plots the gates and values so far. `h`
    is `o * tanh(c)`. At the default width a frame has 960 by 804 pixels, takes about 40 kB in the
    file and a third of a second to draw.

    Args:
      trace: a trace of `lstm_trace`, or of one layer and direction of `stack_trace`.
      path: the path of the file, which is written atomically and replaced if it exists.
      unit: the number of the unit.
      sequence: the index of one sequence of the batch, a tuple for several batch axes; None is
        the first.
      window: `(start, stop)`, the steps of the animation; None is all.
      labels: one per step, such as the characters of a string.
      state: the state before the first of these steps, each array `(*batch, hidden)`; None is that
        of the trace, and zeros before step 0.
      seconds: the duration of a step.
      theme: "light", "dark", or a `Theme`.
      width: the width of the frames, in inches of 100 pixels.
      progress: called as `progress(done, frames)` after every frame.

    Returns:
      The figure, in the state of the last frame.

    Raises:
      ValueError: no steps, a path that does not end in `.gif`, an index out of range, steps
        that do not follow from the step before, as after a reset. TypeError: no trace of an LSTM, a
        wrong type. OSError: the file cannot be written. ModuleNotFoundError: matplotlib is not
        installed.

    Example:
      >>> import jax, jlstm, os, tempfile
      >>> params = jlstm.init_params(jax.random.key(0), 3, 8)
      >>> _, _, trace = jlstm.lstm_trace(params, None, jax.numpy.ones((4, 3)))
      >>> path = os.path.join(tempfile.mkdtemp(), "cell.gif")
      >>> figure = jlstm.plot.animate(trace, path, unit=5, labels="abcd", width=4.8)
      >>> os.path.getsize(path) > 0
      True
    """
    theme = find_theme(theme)
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"path must end in .gif, the only format supported; got {path.name!r}")
    chosen = select(trace, None, sequence, None, None, labels)
    batch, (time, hidden) = np.shape(trace.f)[1:-1], chosen.c.shape
    check_index("unit", unit, hidden, "the units of the layer")
    start, stop = choose_window(window, time)
    if not 0.02 <= seconds <= 60:
        raise ValueError(f"seconds must lie in [0.02, 60], got {seconds}")
    if state is not None:
        check_state({"hidden": hidden}, state, tuple(batch), name="state", beside="trace")
    chosen = chosen._replace(**{name: getattr(chosen, name)[:stop] for name in "ifgoch"})
    steps = of_trace(chosen, start, state, choose_sequence(sequence, tuple(batch)))
    labels = None if chosen.labels is None else chosen.labels[start:stop]

    figure = new_figure(width, width * HEIGHT / PAGE[0], theme)
    figure.set_layout_engine("none")
    draw = _prepare(figure, steps, unit, start, labels, chosen.note, theme)
    _write_gif(figure, path, draw, len(steps), 1 / seconds, progress)
    return figure


def _prepare(
    figure: Figure, steps: list[StepValues], unit: int, start: int, labels: list[str] | None,
    note: str, theme: Theme,
) -> Callable[[int], None]:  # fmt: skip
    """Draw the static parts and return the function that draws a step."""
    width = float(figure.get_size_inches()[0])
    points = width * 72 / PAGE[0]
    share = PAGE[1] / HEIGHT
    axes = figure.add_axes((0, 1 - share, 1, share))
    units = np.array([unit])
    limit = cell_limit([(values.c_old[unit], values.c[unit]) for values in steps])
    numbers = draw_cell(axes, theme, width, steps[0], units, limit)
    key = write_label(axes, "", theme, points, INPUT[1] - 0.5)
    clock = write(axes, 15.7, 8.5, "", 0.26, theme.quiet, points, ha="right")
    lines, cursors = _series(figure, steps, unit, start, limit, labels, theme)
    note = f"{note}, " if note else ""

    def draw(k: int) -> None:
        fill(numbers, steps[k])
        clock.set_text(f"{note}step {start + k:,}")
        label = "" if labels is None else visible(labels[k])
        key.set(text=label, visible=bool(label))
        for name, line in lines.items():
            so_far = [float(getattr(values, name)[unit]) for values in steps[: k + 1]]
            line.set_data(np.arange(start, start + k + 1), so_far)
        for cursor in cursors:
            cursor.set_xdata([start + k, start + k])

    return draw


def _series(
    figure: Figure, steps: list[StepValues], unit: int, start: int, limit: float,
    labels: list[str] | None, theme: Theme,
) -> tuple[dict[str, Line2D], list[Line2D]]:  # fmt: skip
    """Draw three panels over the same steps; return their empty lines and cursors."""
    size = float(figure.get_size_inches()[0]) / 9.6
    lines, cursors = {}, []
    for k, (names, title) in enumerate(SERIES):
        axes = figure.add_axes((0.085, 0.258 - k * 0.088, 0.84, 0.072))
        dress(axes, theme, y=title)
        low, high = {"fio": (0.0, 1.0), "gh": (-1.0, 1.0), "c": (-limit, limit)}[names]
        margin = 0.06 * (high - low)
        ends = [f"{end:.3g}".replace("-", MINUS) for end in (low, high)]
        axes.set(xlim=(start - 0.5, start + len(steps) - 0.5), ylim=(low - margin, high + margin))
        axes.set_yticks((low, high), ends)
        axes.tick_params(labelsize=7.5 * size, labelbottom=k == 2)
        cursors.append(axes.axvline(start, color=theme.quiet, linewidth=size, zorder=1))
        for name in names:
            style = {"color": COLORS[name], "marker": "o", "markevery": [-1], "label": name}
            (lines[name],) = axes.plot([], [], linewidth=1.8 * size, markersize=3 * size, **style)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=1.4,
                    labelcolor=theme.text, labelspacing=0.2,
                    prop={"family": FONT, "size": 8.5 * size})  # fmt: skip
        if k == 2:
            label_steps(axes, start, start + len(steps), labels, theme)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_fontsize(8.5 * size)
    return lines, cursors


def _write_gif(
    figure: Figure, path: Path, draw: Callable[[int], None], frames: int, rate: float,
    progress: Callable[[int, int], object] | None,
) -> None:  # fmt: skip
    from matplotlib.animation import PillowWriter

    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "frames.gif"
        writer = PillowWriter(fps=rate)  # pyrefly: ignore  its stub wants an int
        with writer.saving(figure, str(temporary), dpi=100):
            for k in range(frames):
                draw(k)
                writer.grab_frame(facecolor=figure.get_facecolor())
                if progress is not None:
                    progress(k + 1, frames)
        write_bytes(path, temporary.read_bytes())
