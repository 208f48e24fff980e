"""The pictures: their artists hold the values of the trace, and all text is legible.

Colours of text and its ground are measured in the rendered dots, not asked of the code.
"""

import itertools
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import jlstm
from jlstm.plot.numbers import MINUS, figures
from jlstm.plot.style import COLORS, color_map, luminance, text_on, visible
from tests.conftest import quick

TIME, BATCH, UNITS = 24, 3, 8
NAMES = "fcigoh"  # the panels of `gates`, row by row


@pytest.fixture(scope="module")
def run():
    """`(params, xs, hs, trace)` of a layer with strong weights, so that gates open and close."""
    params = jlstm.init_params(jax.random.key(0), 5, UNITS)
    params = jax.tree.map(lambda weight: 2 * weight, params)
    xs = jax.random.normal(jax.random.key(1), (TIME, BATCH, 5))
    _, hs, trace = jlstm.lstm_trace(params, None, xs)
    return params, xs, hs, trace


def panels(figure):
    """The axes that are no colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def dots(figure):
    """Red, green and blue of the page, from the bottom up."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3] / 255


def read(figure):
    """Every text that would be drawn with its box in dots, and the page without any."""
    found = []

    def record(text, renderer, *_):
        if text.get_visible() and text.get_text().strip():
            box = text.get_window_extent(renderer)
            if (key := text.get_bbox_patch()) is not None:
                text.update_bbox_position_size(renderer)
                key.draw(renderer)
                box = key.get_window_extent(renderer)
            found.append((text, box))

    with mock.patch.object(Text, "draw", record):
        return found, dots(figure)


def assert_read(figure):
    """Texts do not overlap, lie on the page, and have a contrast of 4.5:1 (WCAG)."""
    found, ground = read(figure)
    height, width = ground.shape[:2]
    for text, box in found:
        edges = (box.x0, box.y0, width - box.x1, height - box.y1)
        assert min(edges) >= 0, text.get_text()
        rows, columns = slice(int(box.y0), int(box.y1) + 1), slice(int(box.x0), int(box.x1) + 1)
        under = np.median(ground[rows, columns].reshape(-1, 3), axis=0)
        low, high = sorted((luminance(under), luminance(to_rgb(text.get_color()))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, text.get_text()
    for (one, box), (other, near) in itertools.combinations(found, 2):
        apart = box.x1 < near.x0 or near.x1 < box.x0 or box.y1 < near.y0 or near.y1 < box.y0
        assert apart, f"{one.get_text()!r} and {other.get_text()!r}"
    assert len(found) > 10


def test_gates_hold_the_trace(run):
    _, _, hs, trace = run
    figure = jlstm.plot.gates(trace, hs, sequence=2)
    values = {**trace._asdict(), "h": hs}
    for axes, name in zip(panels(figure), NAMES, strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), np.asarray(values[name])[:, 2].T)
        low, high = image.get_clim()
        assert (low, high) == {"c": (-high, high)}.get(name, (-1, 1) if name in "gh" else (0, 1))
        np.testing.assert_array_equal(image.get_extent(), (-0.5, TIME - 0.5, UNITS - 0.5, -0.5))
    size = np.abs(np.asarray(trace.c)[:, 2])
    assert panels(figure)[1].images[0].get_clim()[1] == pytest.approx(np.quantile(size, 0.999))
    assert isinstance(figure, Figure)
    assert "sequence 2, one of 3" in [text.get_text() for text in figure.texts]


def test_gates_of_a_window_of_chosen_units_with_labels(run):
    _, _, _, trace = run
    order = jlstm.plot.order_by_memory(trace)
    mean = np.log(np.asarray(trace.f)).mean((0, 1))
    assert (np.diff(mean[order]) <= 0).all()
    text = "the cat sat\non the mat $"
    figure = jlstm.plot.gates(trace, units=order[:5], window=(10, 20), labels=text)
    axes = panels(figure)[0]
    np.testing.assert_array_equal(
        axes.images[0].get_array(), np.asarray(trace.f)[10:20, 0][:, order[:5]].T
    )
    assert [t.get_text() for t in axes.get_yticklabels()] == [str(unit) for unit in order[:5]]
    written = [t.get_text() for t in panels(figure)[4].get_xticklabels()]
    assert "".join(written) == "t⏎on␣the␣m"
    np.testing.assert_array_equal(panels(figure)[4].get_xticks(), np.arange(10, 20))
    h = panels(figure)[5].images[0].get_array()
    shown = np.asarray(trace.o * jnp.tanh(trace.c))[10:20, 0][:, order[:5]]
    np.testing.assert_allclose(h, shown.T, rtol=1e-6)


@pytest.mark.full
def test_gates_of_a_projected_layer_and_of_one_that_diverged():
    params = jlstm.variants.init_projected(jax.random.key(0), 5, 6, projection_size=2)
    xs = jax.random.normal(jax.random.key(1), (7, 5)).at[5].set(jnp.nan)
    _, hs, trace = jlstm.lstm_trace(params, None, xs)
    axes = panels(jlstm.plot.gates(trace, hs))
    counts = [len(a.get_yticklabels()) for a in axes]
    assert counts == [6, 6, 6, 6, 6, 2]
    np.testing.assert_array_equal(axes[5].images[0].get_array().filled(np.nan), hs.T)
    finite = np.abs(np.asarray(trace.c[:5]))
    assert axes[1].images[0].get_clim()[1] == pytest.approx(np.quantile(finite, 0.999))
    jlstm.plot.gates(trace, hs, window=(5, 7))  # no finite value to scale the colours by
    with pytest.raises(ValueError, match=r"hs has shape \(7, 2\), trace has \(7, 6\)"):
        jlstm.plot.gates(trace, hs, units=[0])


@pytest.mark.full
def test_gates_of_many_steps_and_units_show_numbers_in_place_of_labels():
    rng = np.random.default_rng(0)
    trace = jlstm.LSTMTrace(*rng.uniform(size=(5, 500, 64)).astype(np.float32))
    figure = jlstm.plot.gates(trace, labels="a" * 500)
    axes = panels(figure)[4]
    assert [t.get_text() for t in axes.get_xticklabels()][1:3] == ["0", "100"]
    assert axes.get_ylabel() == "unit"
    assert_read(figure)


PAGES = [("light", "#ffffff", 12.0), ("dark", "#11161c", 5.0)]


@pytest.mark.full
@pytest.mark.parametrize(("theme", "page", "width"), PAGES)
def test_all_text_of_the_pictures_is_read(run, theme, page, width, tmp_path):
    params, xs, hs, trace = run
    layers = {"LSTM": params, "LSTM, half the weights": jax.tree.map(lambda a: a / 2, params)}
    options = {"theme": theme, "width": width}
    letters = {"labels": "a" * TIME, **options}
    for figure in (
        jlstm.plot.gates(trace, hs, **letters),
        jlstm.plot.memory(trace, **letters),
        jlstm.plot.gradient_flow(layers, xs, **options),
        jlstm.plot.animate(trace, tmp_path / "x.gif", window=(0, 2), **letters),
    ):
        assert_read(figure)
        assert to_rgb(figure.get_facecolor()) == to_rgb(page)


STEPS = itertools.product(("light", "dark"), (4.0, 12.0, 20.0), (1, 30, 4e4))
QUICK = {("light", 4.0, 30), ("dark", 12.0, 4e4), ("light", 20.0, 1)}


@pytest.mark.sampled
@pytest.mark.parametrize("page", quick(STEPS, QUICK), ids=str)
def test_all_text_of_a_step_is_read(run, page):
    """Also where numbers are long: the cell and the biases are blown up."""
    theme, width, scale = page
    params, xs, hs, trace = run
    params = params._replace(bias=params.bias * scale)
    state = jlstm.LSTMState(hs[3], -scale * jnp.abs(trace.c[3]))
    wide = params._replace(weight_ih=jnp.ones((4096, 4 * UNITS)))
    assert_read(jlstm.plot.step(wide, state, jnp.full((BATCH, 4096), -1e3), label="a", width=width))
    for options in (
        {"units": 3, "label": "a"},
        {"units": 5, "label": "a word that is longer than its key", "sequence": 1},
        {"units": range(8), "label": "a"},
    ):
        assert_read(jlstm.plot.step(params, state, xs[4], width=width, theme=theme, **options))


def test_a_step_bears_the_numbers_of_lstm_step(run):
    params, xs, hs, trace = run
    old = jlstm.LSTMState(hs[6], trace.c[6])
    figure = jlstm.plot.step(params, old, xs[7], units=4, sequence=1, label="q")
    i, f, g, o, c = (float(np.asarray(a)[7, 1, 4]) for a in trace)
    c_old = float(trace.c[6, 1, 4])
    z = np.asarray(xs[7, 1] @ params.weight_ih + hs[6, 1] @ params.weight_hh + params.bias)
    wanted = [
        i, f, g, o, c, c_old, f * c_old, i * g, np.tanh(c), o * np.tanh(c),
        *z.reshape(4, UNITS)[:, 4],
    ]  # fmt: skip
    written = [text.get_text() for text in figure.axes[0].texts]
    for number in wanted:
        assert figures(number) in written, number
    equations = [text for text in written if text.startswith("$c_t = f") or text[:6] == "$h_t ="]
    assert figures(c) in equations[0]
    assert figures(o * np.tanh(c)) in equations[1]
    assert "q" in written
    assert "One step of unit 4, one of 8" in written
    read = {tuple(np.ravel(image.get_array())) for image in figure.axes[0].images}
    assert {tuple(np.asarray(a, np.float64)) for a in (hs[6, 1], xs[7, 1])} == read


def test_a_step_of_several_units_has_a_strip_of_each_wire(run):
    params, xs, hs, trace = run
    old = jlstm.LSTMState(hs[6], trace.c[6])
    units = [7, 0, 3]
    figure = jlstm.plot.step(params, old, xs[7], units=units)
    read = [np.ravel(image.get_array()) for image in figure.axes[0].images]
    read = np.array([row for row in read if row.size == 3])
    i, f, g, o, c = (np.asarray(a)[7, 0] for a in trace)
    c_old = np.asarray(trace.c)[6, 0]
    wires = (i, f, g, o, c, c_old, f * c_old, i * g, np.tanh(c), o * np.tanh(c))
    for wire in wires:
        assert np.isclose(read, wire[units], rtol=1e-5, atol=1e-6).all(axis=1).any()
    assert len(read) == len(wires)


def test_one_number_without_a_batch_is_its_own_label(run):
    params = jlstm.init_params(jax.random.key(0), 1, 2)
    figure = jlstm.plot.step(params, jlstm.init_state(params), jnp.array([0.25]), units=1)
    assert "0.250" in [text.get_text() for text in figure.axes[0].texts]


def test_figures_are_short_and_right():
    rng = np.random.default_rng(0)
    for value in (*rng.normal(size=200) * 10.0 ** rng.uniform(-6, 12, 200), 0.0, -1e-9, 99.9999):
        text = figures(value)
        assert len(text) <= 7
        assert float(text.replace(MINUS, "-")) == pytest.approx(value, rel=0.06, abs=6e-4)
    assert figures(-1e-9) == "0.000"
    assert figures(-12.345) == f"{MINUS}12.35"


def test_memory_is_that_of_memory_kept(run):
    _, _, _, trace = run
    kept = np.stack([jlstm.memory_kept(trace, step)[:, 1] for step in range(TIME)])
    figure = jlstm.plot.memory(trace, sequence=1)
    left, right = panels(figure)
    pairs = left.images[0].get_array()
    earlier = np.tri(TIME, k=-1, dtype=bool)
    assert (np.ma.getmaskarray(pairs) == earlier).all()
    np.testing.assert_allclose(pairs[~earlier], kept.mean(-1)[~earlier], atol=1e-6)
    by_lag = np.stack(
        [np.mean([kept[s, s + lag] for s in range(TIME - lag)], axis=0) for lag in range(TIME)]
    )
    (lines,) = right.collections[:1]
    for unit, path in enumerate(lines.get_paths()):
        lags = path.vertices[:, 0].astype(int)
        assert lags[0] == 1
        assert lags[-1] == TIME - 1
        np.testing.assert_allclose(path.vertices[:, 1], by_lag[lags, unit], atol=1e-6)
    median = np.median(by_lag, axis=1)
    np.testing.assert_allclose(right.lines[0].get_ydata(), median[lags], atol=1e-6)
    half = np.flatnonzero(median <= 0.5)[0]
    assert right.get_title(loc="left") == f"Half or less is left after {half} steps (median unit)"


@pytest.mark.full
def test_memory_follows_some_steps_of_many_and_knows_resets_and_direction():
    rng = np.random.default_rng(0)
    f = rng.uniform(0.9, 1.0, (400, 4)).astype(np.float32)
    trace = jlstm.LSTMTrace(f, f, f, f, f)
    resets = np.arange(400) == 200
    for reverse in (False, True):
        figure = jlstm.plot.memory(trace, resets=resets, reverse=reverse)
        pairs = panels(figure)[0].images[0].get_array()
        starts = np.linspace(0, 399, 256).round().astype(int)
        starts = 399 - starts[::-1] if reverse else starts
        for row in (3, 200):
            kept = jlstm.memory_kept(trace, int(starts[row]), resets=resets, reverse=reverse)
            there = ~np.ma.getmaskarray(pairs)[row]
            np.testing.assert_allclose(pairs[row][there], kept.mean(-1)[there], atol=1e-6)
            assert there.sum() == (starts[row] + 1 if reverse else 400 - starts[row])


def test_gradient_flow_draws_gradient_norms(run):
    _, xs, _, _ = run
    layers = {
        "projected": jlstm.variants.init_projected(jax.random.key(2), 5, 6, projection_size=3),
        "GRU": jlstm.variants.init_gru(jax.random.key(2), 5, 7),
    }
    units = {("projected", "h"): 3, ("projected", "c"): 6, ("GRU", "h"): 7}
    figure = jlstm.plot.gradient_flow(layers, xs, last=19)
    drawn = {}
    for axes, by in zip(panels(figure), "hc", strict=True):
        assert axes.get_yscale() == "log"
        drawn |= {(line.get_label(), by): line for line in axes.lines}
    assert drawn.keys() == units.keys()
    for (name, by), line in drawn.items():
        norms = jlstm.gradient_norms(layers[name], None, xs, last=19)
        wanted = np.asarray(getattr(norms, by))[::-1] / units[name, by] ** 0.5
        lags = line.get_xdata()
        np.testing.assert_array_equal(lags, np.arange(0 if by == "h" else 1, 20))
        np.testing.assert_allclose(line.get_ydata(), np.median(wanted, 1)[lags], rtol=1e-5)
        assert by == "c" or line.get_ydata()[0] == pytest.approx(1)
    alone = jlstm.plot.gradient_flow(layers["GRU"], xs, last=19)
    assert len(panels(alone)) == 1
    assert panels(alone)[0].get_legend() is None


@pytest.mark.full
def test_animate_writes_a_frame_a_step(run, tmp_path):
    _, _, _, trace = run
    seen = []
    path = tmp_path / "cell.gif"
    path.write_bytes(b"an older file")
    figure = jlstm.plot.animate(
        trace, path, unit=2, sequence=1, window=(5, 12), labels="a" * TIME, seconds=0.2, width=4,
        progress=lambda *done: seen.append(done),
    )  # fmt: skip
    assert seen == [(k, 7) for k in range(1, 8)]
    assert [p.name for p in tmp_path.iterdir()] == ["cell.gif"]
    with Image.open(path) as image:
        assert image.n_frames == 7
        assert image.info["duration"] == 200
        assert image.size == (400, 335)
        frames = []
        for k in range(7):
            image.seek(k)
            frames.append(np.asarray(image.convert("RGB"), int))
    for one, other in itertools.pairwise(frames):
        assert (one != other).any(axis=-1).mean() > 1e-3
    values = {**trace._asdict(), "h": trace.o * jnp.tanh(trace.c)}
    lines = {line.get_label(): line for axes in figure.axes[1:] for line in axes.lines}
    for name, value in values.items():
        np.testing.assert_array_equal(lines[name].get_xdata(), np.arange(5, 12))
        np.testing.assert_allclose(lines[name].get_ydata(), value[5:12, 1, 2], rtol=1e-6)
        assert figures(float(value[11, 1, 2])) in [t.get_text() for t in figure.axes[0].texts]
    assert figures(float(trace.c[10, 1, 2])) in [t.get_text() for t in figure.axes[0].texts]


@pytest.mark.full
def test_animate_refuses_steps_that_do_not_follow(run, tmp_path):
    params, xs, _, _ = run
    resets = jnp.zeros((TIME, BATCH), bool).at[9].set(True)
    _, _, trace = jlstm.lstm_trace(params, None, xs, resets=resets)
    path = tmp_path / "x.gif"
    with pytest.raises(ValueError, match="the cell at step 9 does not follow"):
        jlstm.plot.animate(trace, path, window=(8, 11))
    assert not path.exists()
    zeros = jlstm.init_state(params, (BATCH,))
    jlstm.plot.animate(trace, path, window=(9, 11), state=zeros, width=4)
    before = jlstm.LSTMState(*(jnp.ones_like(a) for a in zeros))
    _, _, trace = jlstm.lstm_trace(params, before, xs)
    with pytest.raises(ValueError, match="the cell at step 0 does not follow"):
        jlstm.plot.animate(trace, path, window=(0, 2))
    jlstm.plot.animate(trace, path, window=(0, 2), state=before, width=4)


def test_a_failed_animation_leaves_the_old_file(run, tmp_path):
    path = tmp_path / "cell.gif"
    path.write_bytes(b"an older file")

    def stop(done, frames):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jlstm.plot.animate(run[3], path, width=4, progress=stop)
    assert path.read_bytes() == b"an older file"
    assert [p.name for p in tmp_path.iterdir()] == ["cell.gif"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        jlstm.plot.animate(run[3], tmp_path / "nowhere" / "x.gif", window=(0, 1), width=4)


# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: of linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colors, blindness):
    """CIELAB of sRGB colours as they are seen with that blindness."""
    colors = np.asarray(colors)[..., :3]
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(BLINDNESS[blindness]), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.maximum(linear @ np.transpose(to_xyz) / (0.9505, 1, 1.089), 0.0089)).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("theme", [jlstm.plot.LIGHT, jlstm.plot.DARK])
def test_colours_are_told_apart_by_everyone(theme, blindness):
    scale = lab(color_map(theme, diverging=True)(np.linspace(0, 1, 101)), blindness)
    difference = np.linalg.norm(scale[:50] - scale[:50:-1], axis=-1)
    assert difference[:45].min() > 8  # -x from x
    lightness = scale[:, 0]
    away = -1 if lightness[50] > 50 else 1
    assert (np.diff(away * lightness[50:]) > 0).all()  # the sign, then how far from 0
    assert (np.diff(away * lightness[:51]) < 0).all()
    gates = lab(color_map(theme, diverging=False)(np.linspace(0, 1, 101)), blindness)
    assert (np.diff(gates[:, 0]) > 0).all()
    named = lab([to_rgb(color) for color in COLORS.values()], blindness)
    for one, other in itertools.combinations(named, 2):
        assert np.linalg.norm(one - other) > 10


def test_text_is_read_on_any_colour():
    for color in np.random.default_rng(0).uniform(size=(500, 3)):
        low, high = sorted((luminance(color), luminance(text_on(color))))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_labels_show_what_cannot_be_seen():
    assert visible("a b\n\t\x00") == "a␣b⏎⇥·"
    assert visible("漢") == "·"


@pytest.mark.full
def test_global_settings_do_not_reach_the_pictures(run):
    _, _, _, trace = run
    plain = dots(jlstm.plot.memory(trace, width=4))
    settings = {"axes.facecolor": "red", "font.size": 20, "axes.grid": True, "xtick.color": "red",
                "text.color": "red", "axes.labelcolor": "red", "image.cmap": "jet"}  # fmt: skip
    with rc_context(settings):
        styled = dots(jlstm.plot.memory(trace, width=4))
    assert np.abs(plain - styled).mean() < 0.01
    assert not (styled == (1, 0, 0)).all(-1).any()


@pytest.mark.sampled
def test_errors_name_the_argument_and_both_values(run):
    params, xs, hs, trace = run
    plot, state = jlstm.plot, jlstm.init_state(params, (BATCH,))
    gru = jlstm.variants.init_gru(jax.random.key(0), 5, 8)
    traces = (jlstm.BiLSTMTrace(trace, trace),)
    empty = jax.tree.map(lambda a: a[:0], trace)
    for error, message, call in (
        (ValueError, "trace has 0 steps", lambda: plot.gates(empty)),
        (ValueError, "trace has 0 steps", lambda: plot.memory(empty)),
        (ValueError, "trace has 0 steps", lambda: plot.animate(empty, "x.gif")),
        (ValueError, "must end in .gif, .*; got 'x.mp4'", lambda: plot.animate(trace, "x.mp4")),
        (TypeError, "got a tuple: choose the one of a layer", lambda: plot.gates(traces)),
        (TypeError, "choose trace.forward or trace.backward", lambda: plot.memory(traces[0])),
        (TypeError, "trace must be LSTMTrace.* got an array", lambda: plot.gates(hs)),
        (ValueError, r"hs has shape \(24, 2, 8\), trace has \(24, 3, 8\)",
         lambda: plot.gates(trace, hs[:, :2])),
        (ValueError, r"sequence must lie in \[0, 3\), for batch axes \(3,\); got 3",
         lambda: plot.gates(trace, sequence=3)),
        (ValueError, "names 2 batch axes, there are 1", lambda: plot.gates(trace, sequence=(0, 1))),
        (ValueError, r"units must lie in \[0, 8\), the units of the layer; got 8",
         lambda: plot.gates(trace, units=[1, 8])),
        (TypeError, "units must be a sequence of 1 unit or more, got 3",
         lambda: plot.gates(trace, units=3)),
        (ValueError, "labels has 2 entries, there are 24 steps",
         lambda: plot.gates(trace, labels="ab")),
        (ValueError, r"window\[1\] must lie in \[0, 25\), for 24 steps; got 25",
         lambda: plot.gates(trace, window=(0, 25))),
        (ValueError, r"window must hold 1 step or more, got \(5, 5\)",
         lambda: plot.gates(trace, window=(5, 5))),
        (ValueError, "theme must be \"light\", \"dark\" or a Theme, got 'blue'",
         lambda: plot.gates(trace, theme="blue")),
        (ValueError, "params must hold 1 layer or more", lambda: plot.gradient_flow({}, xs)),
        (ValueError, r"units must lie in \[0, 8\), the units of the layer; got 9",
         lambda: plot.step(params, state, xs[0], units=9)),
        (TypeError, "params must be LSTMParams", lambda: plot.step(gru, state, xs[0])),
        (ValueError, "x has 4 features, the weights take 5",
         lambda: plot.step(params, state, xs[0, :, :4])),
        (ValueError, r"unit must lie in \[0, 8\), the units of the layer; got 8",
         lambda: plot.animate(trace, "x.gif", unit=8)),
        (ValueError, r"seconds must lie in \[0.02, 60\], got 0",
         lambda: plot.animate(trace, "x.gif", seconds=0)),
        (ValueError, r"width must lie in \[4, 100\] inches, got 0.5",
         lambda: plot.gates(trace, width=0.5)),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()


def test_without_matplotlib_the_error_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install '.\[plot\]'"):
        jlstm.plot.gates(run[3])
