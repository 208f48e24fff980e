"""Settings of the recurrent modules of Keras, Haiku and Equinox: each carried, refused, or idle."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import interop, variants
from tests.peers.conftest import library
from tests.support.problems import assert_close, tolerance

FEATURES, UNITS, BATCH, TIME = 3, 4, 2, 6
XS = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES)).astype(np.float32)

# Of each argument another value than the default, and what becomes of it: the weights or their
# type carry it, it is "refused" by its name, or it is "idle" in inference, which is shown.
TRAINING = dict.fromkeys(
    ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"), ("l2", "idle")
) | dict.fromkeys(
    ("kernel_constraint", "recurrent_constraint", "bias_constraint"), ("non_neg", "idle")
)
STARTS = {
    "kernel_initializer": ("ones", "carried"), "recurrent_initializer": ("zeros", "carried"),
    "bias_initializer": ("ones", "carried"),
}  # fmt: skip
CELL = {
    "units": (5, "carried"), "activation": ("relu", "refused"), "use_bias": (False, "carried"),
    "dropout": (0.5, "idle"), "recurrent_dropout": (0.5, "idle"), "seed": (3, "idle"),
    **STARTS, **TRAINING,
}  # fmt: skip
GATES = {"recurrent_activation": ("hard_sigmoid", "refused")}
SEQUENCE = {
    "return_sequences": (False, "idle"), "return_state": (True, "idle"),
    "go_backwards": (True, "refused"), "stateful": (True, "idle"), "unroll": (True, "idle"),
}  # fmt: skip
LAYER = {"activity_regularizer": ("l2", "idle"), **SEQUENCE}
FORGET, AFTER = {"unit_forget_bias": (False, "carried")}, {"reset_after": (False, "carried")}
CUDNN = {"use_cudnn": (False, "idle")}
KERAS = {
    "LSTM": {**CELL, **GATES, **LAYER, **FORGET, **CUDNN},
    "LSTMCell": {**CELL, **GATES, **FORGET},
    "GRU": {**CELL, **GATES, **LAYER, **AFTER, **CUDNN},
    "GRUCell": {**CELL, **GATES, **AFTER},
    "SimpleRNN": {**CELL, **LAYER},
    "SimpleRNNCell": CELL,
    "RNN": {"cell": ("its own", "carried"), **SEQUENCE, "zero_output_for_mask": (True, "idle")},
    "StackedRNNCells": {"cells": ("their own", "carried")},
    "Bidirectional": {
        "layer": ("its own", "carried"), "backward_layer": ("its own", "carried"),
        "merge_mode": ("sum", "refused"), "weights": ("given", "carried"),
    },
}  # fmt: skip


def close(found, expected):
    assert_close(found, expected, tolerance(jnp.float32))


def hs_of(layers, xs=XS):
    return np.asarray(jlstm.stack_scan(layers, None, xs)[1])


def keras_hs(keras, layer):
    """The outputs of a layer or a cell, time first."""
    if type(layer).__name__.endswith(("Cell", "Cells")):
        layer = keras.layers.RNN(layer, return_sequences=True)
    out = layer(XS.swapaxes(0, 1))
    out = out[0] if isinstance(out, (list, tuple)) else out
    out = np.asarray(out)
    return out.swapaxes(0, 1) if out.ndim == 3 else out[None]


def drawn(layer, seed=1):
    """A built layer with all weights drawn, biases too."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer


def built(layer):
    shape = (BATCH, FEATURES) if type(layer).__name__.endswith("Cell") else (BATCH, TIME, FEATURES)
    layer.build(shape)
    return drawn(layer)


def agrees(keras, layer):
    expected = keras_hs(keras, layer)
    close(hs_of(interop.from_keras(layer))[-len(expected) :], expected)


@pytest.mark.parametrize("kind", KERAS)
def test_keras_has_no_other_argument(keras, kind):
    """An argument of a new version fails here until it is classified."""
    named = set(inspect.signature(getattr(keras.layers, kind).__init__).parameters)
    assert named - {"self", "kwargs"} == set(KERAS[kind])


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k, names in KERAS.items() for n in names if k not in ("RNN", "StackedRNNCells")],
)
def test_every_argument_of_keras(keras, kind, name):
    value, verdict = KERAS[kind][name]
    if kind == "Bidirectional":
        inner = keras.layers.LSTM(UNITS, return_sequences=True)
        if name != "merge_mode":
            return  # shown by the tests of sub-layers
        layer = built(keras.layers.Bidirectional(inner, merge_mode=value))
    else:
        options = {"units": UNITS, name: value}
        if "return_sequences" in KERAS[kind]:
            options.setdefault("return_sequences", True)
        layer = built(getattr(keras.layers, kind)(**options))
        if name in STARTS or name in FORGET:  # as they were drawn by that initializer
            layer = getattr(keras.layers, kind)(**options)
            layer.build((BATCH, FEATURES) if kind.endswith("Cell") else (BATCH, TIME, FEATURES))
    if verdict == "refused":
        shown = value if isinstance(value, bool) else repr(value)
        with pytest.raises(ValueError, match=f"has {name}={shown}"):
            interop.from_keras(layer)
    else:
        agrees(keras, layer)


@pytest.mark.parametrize("inner", ["LSTM", "GRU", "SimpleRNN", "RNN"])
@pytest.mark.parametrize("which", ["forward", "backward"])
def test_settings_of_each_direction_are_looked_at(keras, inner, which):
    layers = keras.layers

    def made(backwards, **options):
        options |= {"return_sequences": True, "go_backwards": backwards}
        if inner == "RNN":
            activation = {k: options.pop(k) for k in ("activation",) if k in options}
            return layers.RNN(layers.GRUCell(UNITS, **activation), **options)
        return getattr(layers, inner)(UNITS, **options)

    both = [made(False), made(True)]
    agrees(keras, built(layers.Bidirectional(both[0], backward_layer=both[1])))
    odd = which == "backward"
    other = [made(k, **({"activation": "relu"} if k is odd else {})) for k in (False, True)]
    layer = built(layers.Bidirectional(other[0], backward_layer=other[1]))
    with pytest.raises(ValueError, match=f"{which}_layer.cell has activation='relu'"):
        interop.from_keras(layer)


def test_directions_that_differ(keras):
    """Sizes and biases may differ; the type and the backward one may not."""
    layers = keras.layers

    def both(first, second):
        return built(layers.Bidirectional(first, backward_layer=second))

    def lstm(units=UNITS, **options):
        return layers.LSTM(units, return_sequences=True, **options)

    agrees(keras, both(lstm(use_bias=False), lstm(go_backwards=True)))
    agrees(keras, both(lstm(), lstm(7, go_backwards=True)))
    gru = layers.GRU(UNITS, return_sequences=True, go_backwards=True)
    with pytest.raises(ValueError, match="directions are LSTMParams and GRUParams"):
        interop.from_keras(both(lstm(), gru))
    with pytest.raises(ValueError, match="forward_layer has go_backwards=True; jlstm has False"):
        interop.from_keras(both(lstm(go_backwards=True), lstm()))
    two = layers.RNN([layers.LSTMCell(UNITS) for _ in range(2)], return_sequences=True)
    with pytest.raises(ValueError, match="stacks 2 cells in each direction"):
        interop.from_keras(built(layers.Bidirectional(two)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    ("kind", "options", "wanted"),
    [
        ("GRU", {}, variants.GRUParams),
        ("GRU", {"reset_after": False}, variants.ChoGRUParams),
        ("SimpleRNN", {}, variants.RNNParams),
        ("LSTM", {}, jlstm.LSTMParams),
    ],
)
def test_keras_there_and_back(keras, kind, options, wanted, both, bias):
    def made(seed):
        layer = getattr(keras.layers, kind)(UNITS, return_sequences=True, use_bias=bias, **options)
        layer = keras.layers.Bidirectional(layer) if both else layer
        layer.build((BATCH, TIME, FEATURES))
        return drawn(layer, seed)

    layer = made(1)
    (found,) = interop.from_keras(layer)
    assert {type(p) for p in (found if both else (found,))} == {wanted}
    agrees(keras, layer)
    other = made(2)
    other.set_weights(interop.to_keras((found,), bias=bias)[0])
    close(keras_hs(keras, other), keras_hs(keras, layer))
    (again,) = interop.from_keras(other)
    jax.tree.map(np.testing.assert_array_equal, again, found)
    if bias or kind != "GRU":
        same = interop.from_keras(layer.get_weights())
        jax.tree.map(np.testing.assert_array_equal, same, (found,))
    elif not bias:
        with pytest.raises(ValueError, match="do not include reset_after: pass the layer itself"):
            interop.from_keras(layer.get_weights())


def test_stacked_cells(keras):
    layers = keras.layers
    cells = [layers.GRUCell(UNITS), layers.LSTMCell(5), layers.SimpleRNNCell(2)]
    layer = built(layers.RNN(cells, return_sequences=True))
    found = interop.from_keras(layer)
    kinds = [type(params).__name__ for params in found]
    assert kinds == ["GRUParams", "LSTMParams", "RNNParams"]
    agrees(keras, layer)
    odd = layers.RNN([layers.GRUCell(UNITS), layers.GRUCell(UNITS, activation="relu")])
    with pytest.raises(ValueError, match=r"weights.0..cell.cells.1. has activation='relu'"):
        interop.from_keras(built(odd))


def test_models_of_keras(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((TIME, FEATURES)),
            layers.LSTM(UNITS, return_sequences=True),
            layers.Dropout(0.5),
            layers.Bidirectional(layers.GRU(5, return_sequences=True)),
        ]
    )
    agrees(keras, drawn(model))
    model.add(layers.Dense(2))
    assert len(interop.from_keras(model)) == 2
    model.add(layers.LSTM(UNITS, name="last"))
    with pytest.raises(ValueError, match=r"has dense\w* \(Dense\) between its recurrent layers"):
        interop.from_keras(model)
    (last,) = interop.from_keras(model.get_layer("last"))
    assert last.weight_ih.shape == (2, 4 * UNITS)
    x = layers.Input((TIME, FEATURES))
    one = keras.Model(x, layers.Dense(2)(layers.LSTM(UNITS, name="a")(x)))
    assert len(interop.from_keras(one)) == 1
    two = keras.Model(x, [layers.LSTM(UNITS, name="b")(x), layers.LSTM(UNITS, name="c")(x)])
    with pytest.raises(
        ValueError, match=r"holds 2 recurrent layers, b, c; pass those of the stack"
    ):
        interop.from_keras(two)
    with pytest.raises(ValueError, match="holds no recurrent layer of Keras, but InputLayer"):
        interop.from_keras(keras.Model(x, layers.Dense(2)(x)))


def test_keras_classes_that_may_compute_otherwise_are_refused(keras):
    layers = keras.layers

    class Doubled(layers.LSTM):
        def call(self, *args, **options):
            return 2 * super().call(*args, **options)

    for layer, message in (
        (Doubled(UNITS), "is a Doubled, a class that is not of Keras"),
        (layers.Dense(UNITS), "is a Dense, not an LSTM, GRU, SimpleRNN"),
        (layers.LSTM(UNITS, activation=lambda x: x), "has activation='<lambda>'"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.from_keras(built(layer))
    with pytest.raises(ValueError, match="is not built and has no weights yet"):
        interop.from_keras(layers.LSTM(UNITS))
    changed = built(layers.LSTM(UNITS))
    changed.cell.activation = jax.nn.relu  # after it was made: not in its config
    with pytest.raises(ValueError, match="has activation='relu'"):
        interop.from_keras(changed)


def test_mixed_precision_of_keras(keras):
    """The weights are float32 and are carried; only Keras computes in lower precision."""
    layer = built(keras.layers.LSTM(UNITS, return_sequences=True, dtype="mixed_bfloat16"))
    found = interop.from_keras(layer)
    assert found[0].weight_hh.dtype == jnp.float32
    assert_close(hs_of(found), keras_hs(keras, layer).astype(np.float32), 0.05)


HAIKU = {
    "LSTM": {"hidden_size", "name"},
    "GRU": {"hidden_size", "w_i_init", "w_h_init", "b_init", "name"},
    "VanillaRNN": {"hidden_size", "double_bias", "name"},
    "DeepRNN": {"layers", "name"},
    "ResetCore": {"core", "name"},
    "IdentityCore": {"name"},
}


@pytest.mark.parametrize("kind", HAIKU)
def test_haiku_has_no_other_argument(kind):
    hk = library("haiku")
    named = set(inspect.signature(getattr(hk, kind).__init__).parameters)
    assert named - {"self"} == HAIKU[kind]


def haiku_run(hk, make, seed=0, xs=XS):
    """Params, all drawn, and outputs of a core."""

    def network(xs):
        core = make()
        return hk.dynamic_unroll(core, xs, core.initial_state(BATCH))[0]

    run = hk.without_apply_rng(hk.transform(network))
    params = run.init(jax.random.key(0), xs)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda a: rng.normal(size=a.shape, scale=0.5).astype("f4"), params)
    return params, run.apply(params, xs)


@pytest.mark.parametrize("sizes", [(UNITS,), (UNITS, 5)])
@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_haiku_there_and_back(kind, sizes):
    hk = library("haiku")
    make = lambda: hk.DeepRNN([getattr(hk, kind)(n) for n in sizes])  # noqa: E731
    params, hs = haiku_run(hk, make)
    layers = interop.from_haiku(params)
    close(hs_of(layers), hs)
    back = interop.to_haiku(layers)
    jax.tree.map(np.testing.assert_array_equal, interop.from_haiku(back), layers)
    for mine, name in zip(back.values(), sorted(params), strict=True):
        assert set(mine) == set(params[name])
        for part, array in mine.items():
            close(array, params[name][part])


def test_haiku_modules_with_names_of_their_own():
    hk = library("haiku")
    make = lambda: hk.DeepRNN([hk.LSTM(UNITS, name="enc"), hk.GRU(5, name="dec")])  # noqa: E731
    params, hs = haiku_run(hk, make)
    close(hs_of(interop.from_haiku(params, prefix=("enc", "dec"))), hs)
    (first,) = interop.from_haiku(params, prefix="enc")
    assert first.weight_hh.shape == (UNITS, 4 * UNITS)
    with pytest.raises(ValueError, match="if 'dec' is an LSTM or a GRU, name it: prefix='dec'"):
        interop.from_haiku(params)
    (alone,) = interop.from_haiku({"dec": params["dec"], "head": params["enc/linear"]})
    assert alone.weight_hh.shape == (5, 15)
    mixed, hs = haiku_run(hk, lambda: hk.DeepRNN([hk.GRU(UNITS), hk.LSTM(5)]))
    with pytest.raises(ValueError, match=r"LSTMs and GRUs, .*: pass their names in order"):
        interop.from_haiku(mixed)
    close(hs_of(interop.from_haiku(mixed, prefix=("gru", "lstm"))), hs)


def test_haiku_cores_that_compute_otherwise():
    hk = library("haiku")
    for double in (True, False):
        params, _ = haiku_run(hk, lambda double=double: hk.VanillaRNN(UNITS, double))
        for prefix in ("", "vanilla_rnn"):
            with pytest.raises(ValueError, match=r"an hk.VanillaRNN has relu"):
                interop.from_haiku(params, prefix)
    skip = lambda: hk.deep_rnn_with_skip_connections([hk.LSTM(UNITS), hk.LSTM(5)])  # noqa: E731
    params, _ = haiku_run(hk, skip)
    with pytest.raises(ValueError, match=r"layers\[1\] takes 7 features, layers\[0\]"):
        interop.from_haiku(params)
    params, hs = haiku_run(hk, lambda: hk.DeepRNN([hk.IdentityCore(), hk.GRU(UNITS)]))
    close(hs_of(interop.from_haiku(params)), hs)


def test_haiku_reset_core_is_resets():
    hk = library("haiku")
    resets = np.random.default_rng(3).random((TIME, BATCH)) < 0.4

    def network(xs):
        core = hk.ResetCore(hk.GRU(UNITS))
        return hk.dynamic_unroll(core, (xs, resets), core.initial_state(BATCH))[0]

    run = hk.without_apply_rng(hk.transform(network))
    params = run.init(jax.random.key(0), XS)
    layers = interop.from_haiku(params)
    close(jlstm.stack_scan(layers, None, XS, resets=resets)[1], run.apply(params, XS))


EQUINOX = {"input_size", "hidden_size", "use_bias", "dtype", "key"}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell"])
def test_equinox_there_and_back(kind, bias):
    eqx = library("equinox")
    cell_type = getattr(eqx.nn, kind)
    assert set(inspect.signature(cell_type.__init__).parameters) - {"self"} == EQUINOX
    cell = cell_type(FEATURES, UNITS, use_bias=bias, key=jax.random.key(0))
    (params,) = interop.from_equinox(cell)

    def step(state, x):
        state = jax.vmap(cell)(x, state)
        return state, state[0] if kind == "LSTMCell" else state

    zeros = jnp.zeros((BATCH, UNITS))
    state = (zeros, zeros) if kind == "LSTMCell" else zeros
    close(hs_of((params,)), jax.lax.scan(step, state, XS)[1])
    (back,) = interop.to_equinox((params,), cell)
    jax.tree.map(np.testing.assert_array_equal, back, cell)
    wide = cell_type(FEATURES, UNITS, dtype=jnp.bfloat16, key=jax.random.key(0))
    assert {a.dtype for a in interop.from_equinox(wide)[0]} == {jnp.dtype(jnp.bfloat16)}


def test_modules_of_equinox():
    eqx = library("equinox")

    class Model(eqx.Module):
        cells: list
        head: eqx.nn.Linear

    class Odd(eqx.nn.GRUCell):
        def __call__(self, x, h, *, key=None):
            return -super().__call__(x, h)

    cells = [eqx.nn.GRUCell(FEATURES, UNITS, key=jax.random.key(k)) for k in range(2)]
    head = eqx.nn.Linear(UNITS, 2, key=jax.random.key(0))
    (found,) = interop.from_equinox(Model(cells[:1], head))
    jax.tree.map(np.testing.assert_array_equal, found, interop.from_equinox(cells[0])[0])
    with pytest.raises(ValueError, match=r"holds 2 cells: .* cells.0..cells.0., cells.0..cells.1."):
        interop.from_equinox(Model(cells, head))
    with pytest.raises(TypeError, match="is a Odd, a class derived from GRUCell"):
        interop.from_equinox(Odd(FEATURES, UNITS, key=jax.random.key(0)))
    with pytest.raises(TypeError, match=r"cells\[0\] is a GRUCell, layers\[0\] LSTMParams"):
        interop.to_equinox((jlstm.init_params(jax.random.key(0), 3, 4),), cells[0])


def test_a_layer_of_keras_that_is_applied_twice(keras):
    layers = keras.layers
    x = layers.Input((TIME, UNITS))
    shared = layers.LSTM(UNITS, return_sequences=True, name="shared")
    with pytest.raises(ValueError, match="applies shared 2 times: pass a list of the layers"):
        interop.from_keras(keras.Model(x, shared(shared(x))))
    inner = keras.Sequential([layers.Input((TIME, UNITS)), shared], name="inner")
    with pytest.raises(ValueError, match="applies inner 2 times"):
        interop.from_keras(keras.Model(x, inner(inner(x))))
