"""Stacks: layers of any size, kind and direction, against layers run one by one by the oracle."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jlstm
from jlstm import variants
from tests.conftest import quick
from tests.support.problems import assert_close, tolerance
from tests.support.reference import lstm

RAGGED = [5, 0, 8, 3]


def draw(sizes=(6, 4), bidirectional=False, seed=0, time=8, batch=(4,), features=3):
    """`(layers, states, reset_states, xs, resets)`: random, in float32."""
    keys = jax.random.split(jax.random.key(seed), 5)
    layers = jlstm.init_stack(keys[0], features, sizes, bidirectional=bidirectional)
    zeros = jlstm.init_stack_state(layers, batch)

    def random_like(key, tree):
        leaves, structure = jax.tree.flatten(tree)
        split = jax.random.split(key, len(leaves))
        drawn = [jax.random.normal(k, a.shape) for k, a in zip(split, leaves, strict=True)]
        return structure.unflatten(drawn)

    xs = jax.random.normal(keys[3], (time, *batch, features))
    resets = jax.random.bernoulli(keys[4], 0.3, (time, *batch))
    return layers, random_like(keys[1], zeros), random_like(keys[2], zeros), xs, resets


def oracle(layers, states, xs, lengths, resets, reset_states, residual):
    """Each layer by the textbook, in float64."""
    xs, ends = np.asarray(xs, np.float64), []
    for k, layer in enumerate(layers):
        masks = {"lengths": lengths, "resets": resets}
        if isinstance(layer, jlstm.BiLSTMParams):
            there = lstm(layer[0], states[k][0], xs, reset_state=reset_states[k][0], **masks)
            back = lstm(
                layer[1], states[k][1], xs, reset_state=reset_states[k][1], reverse=True, **masks
            )
            ends.append((there[0], back[0]))
            hs = np.concatenate([there[1], back[1]], axis=-1)
        else:
            end, hs, _ = lstm(layer, states[k], xs, reset_state=reset_states[k], **masks)
            ends.append(end)
        xs = hs + xs if residual and k and hs.shape == xs.shape else hs
    return ends, xs


@pytest.mark.sampled
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("sizes", [(5,), (6, 4), (4, 4, 4)])
def test_a_stack_is_its_layers_one_by_one(sizes, residual, bidirectional):
    layers, states, reset_states, xs, resets = draw(sizes, bidirectional)
    lengths = jnp.array(RAGGED)
    options = {"lengths": lengths, "resets": resets, "reset_states": reset_states}
    found = jlstm.stack_scan(layers, states, xs, residual=residual, **options)
    arrays = jax.tree.map(np.asarray, (layers, states, xs))
    options = jax.tree.map(np.asarray, options)
    assert_close(found, oracle(*arrays, **options, residual=residual), tolerance(jnp.float32))
    ends, hs, traces = jlstm.stack_trace(
        layers, states, xs, residual=residual, lengths=lengths, resets=resets,
        reset_states=reset_states,
    )  # fmt: skip
    assert_close((ends, hs), found, 1e-6)
    assert len(traces) == len(sizes)
    for layer, trace, end in zip(layers, traces, ends, strict=True):
        if isinstance(layer, jlstm.BiLSTMParams):
            assert_close(trace.forward.c[-1, 2], end.forward.c[2], 1e-6)  # the one of full length
            assert_close(trace.backward.c[0, 2], end.backward.c[2], 1e-6)
        else:
            assert_close(trace.c[-1, 2], end.c[2], 1e-6)


@pytest.mark.sampled
@pytest.mark.parametrize("save", ["gates", "states", 3])
@pytest.mark.parametrize("implementation", [None, "fused", "scan"])
def test_a_stack_of_one_layer_is_lstm_scan(implementation, save):
    layers, states, _, xs, resets = draw((5,))
    options = {
        "resets": resets, "lengths": jnp.array(RAGGED), "save": save,
        "implementation": implementation,
    }  # fmt: skip

    def alone(params):
        return jlstm.lstm_scan(params, states[0], xs, **options)

    def stacked(params):
        ends, hs = jlstm.stack_scan((params,), states, xs, **options)
        return ends[0], hs

    jax.tree.map(np.testing.assert_array_equal, stacked(layers[0]), alone(layers[0]))
    gradients = (jax.grad(lambda p, f=f: (f(p)[1] ** 2).sum())(layers[0]) for f in (stacked, alone))
    jax.tree.map(np.testing.assert_array_equal, *gradients)


def test_states_of_none_are_zeros():
    layers, _, _, xs, _ = draw((6, 4), bidirectional=True)
    zeros = jlstm.init_stack_state(layers, (4,))
    jax.tree.map(
        np.testing.assert_array_equal,
        jlstm.stack_scan(layers, None, xs),
        jlstm.stack_scan(layers, zeros, xs),
    )
    assert type(zeros[0]) is jlstm.BiLSTMState
    assert not any(leaf.any() for leaf in jax.tree.leaves(zeros))


@pytest.mark.parametrize("cut", [0, 3, 8])
def test_the_states_continue_the_sequence(cut):
    layers, states, reset_states, xs, resets = draw((6, 6))
    whole, hs = jlstm.stack_scan(
        layers, states, xs, resets=resets, reset_states=reset_states, residual=True
    )
    parts = []
    for part in (slice(None, cut), slice(cut, None)):
        states, shown = jlstm.stack_scan(
            layers, states, xs[part], resets=resets[part], reset_states=reset_states, residual=True
        )
        parts.append(shown)
    np.testing.assert_array_equal(np.concatenate(parts), hs)
    jax.tree.map(np.testing.assert_array_equal, states, whole)


def test_steps_are_the_scan():
    layers, states, _, xs, _ = draw((6, 6, 4))
    step = functools.partial(jlstm.stack_step, layers, residual=True)
    stepped = jax.lax.scan(step, states, xs)
    assert_close(stepped, jlstm.stack_scan(layers, states, xs, residual=True), 1e-6)


@pytest.mark.full
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_ragged_batches_in_both_directions(bad):
    """Each sequence alone, at its own length, gives what the padded batch gives; NaN or not."""
    layers, states, _, xs, _ = draw((5, 4), bidirectional=True)
    lengths = jnp.array(RAGGED)
    padded = jnp.arange(8)[:, None, None] >= lengths[:, None]
    dirty = jnp.where(padded, bad, xs)

    def loss(layers, xs):
        ends, hs = jlstm.stack_scan(layers, states, xs, lengths=lengths)
        return (hs**2).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(ends)), (ends, hs)

    gradient, (ends, hs) = jax.grad(loss, argnums=(0, 1), has_aux=True)(layers, dirty)
    clean = jax.grad(loss, argnums=(0, 1), has_aux=True)(layers, jnp.where(padded, 0, xs))
    jax.tree.map(np.testing.assert_array_equal, (gradient, (ends, hs)), clean)
    for b, length in enumerate(RAGGED):
        own = jax.tree.map(lambda a, b=b: a[b], states)
        alone, shown = jlstm.stack_scan(layers, own, xs[:length, b])
        assert_close(hs[:length, b], shown, 1e-6)
        assert_close(jax.tree.map(lambda a, b=b: a[b], ends), alone, 1e-6)
        assert not hs[length:, b].any()


KINDS = {
    "projected": functools.partial(variants.init_projected, projection_size=2),
    **{
        name: getattr(variants, f"init_{name}")
        for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
    },
}


@pytest.mark.sampled
@pytest.mark.parametrize("bidirectional", quick([False, True], {False}))
@pytest.mark.parametrize("kind", KINDS)
def test_variants_are_layers(kind, bidirectional):
    """Between two LSTM layers, and what one reads is as wide as what the other shows."""
    keys = jax.random.split(jax.random.key(3), 3)
    (first,) = jlstm.init_stack(keys[0], 3, (6,), bidirectional=bidirectional)
    width = 12 if bidirectional else 6
    (middle,) = jlstm.init_stack(
        keys[1], width, (5,), bidirectional=bidirectional, init=KINDS[kind]
    )
    shows = (2 if kind == "projected" else 5) * (2 if bidirectional else 1)
    last = jlstm.init_params(keys[2], shows, 4)
    xs = jax.random.normal(jax.random.key(4), (8, 4, 3))
    options = {"lengths": jnp.array(RAGGED), "save": "states"}
    states, hs = jlstm.stack_scan((first, middle, last), None, xs, **options)
    assert hs.shape == (8, 4, 4)

    between = jlstm.stack_scan((first,), None, xs, **options)[1]
    directions = middle if bidirectional else (middle,)
    step = jlstm.LAYER_TYPES[type(directions[0])].step
    shown = [
        jlstm.scan_cell(
            step, params, jlstm.init_state(params, (4,)), between, lengths=options["lengths"],
            reverse=bool(k),
        )[1]
        for k, params in enumerate(directions)
    ]  # fmt: skip
    end, expected = jlstm.lstm_scan(
        last, None, jnp.concatenate(shown, -1), lengths=options["lengths"]
    )
    assert_close((states[2], hs), (end, expected), 1e-6)
    if not bidirectional:
        zeros = jlstm.init_stack_state((first, middle, last), (4,))
        stepped = jlstm.stack_step((first, middle, last), zeros, xs[0])
        full = jlstm.stack_scan((first, middle, last), None, xs[:1])
        assert_close((stepped[0], stepped[1]), (full[0], full[1][0]), 1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sixteen_bits(dtype):
    """Dtypes as of one layer, through dropout and residual connections; values near float32's."""
    layers, _, _, xs, _ = draw((6, 6))
    low, low_xs = jax.tree.map(lambda a: a.astype(dtype), (layers, xs))
    options = {"dropout_rate": 0.3, "key": jax.random.key(1), "residual": True}
    states, hs = jlstm.stack_scan(low, None, low_xs, **options)
    assert hs.dtype == dtype
    assert {(s.h.dtype, s.c.dtype) for s in states} == {(jnp.dtype(dtype), jnp.dtype("float32"))}
    high, high_xs = jax.tree.map(lambda a: a.astype(jnp.float32), (low, low_xs))
    expected = jlstm.stack_scan(high, None, high_xs, **options)[1]
    assert_close(hs, expected, 20 * float(jnp.finfo(dtype).eps))


def test_a_layer_that_reads_backward_alone():
    layers, states, _, xs, _ = draw((5, 4), bidirectional=True)
    lengths = jnp.array(RAGGED)
    backward = [tree[0]._replace(forward=None) for tree in (layers, states)]
    last = jlstm.init_params(jax.random.key(1), 5, 4)
    ends, hs = jlstm.stack_scan((backward[0], last), None, xs, lengths=lengths)
    end, between = jlstm.lstm_scan(layers[0].backward, None, xs, lengths=lengths, reverse=True)
    assert_close(ends[0], jlstm.BiLSTMState(None, end), 1e-6)
    assert_close((ends[1], hs), jlstm.lstm_scan(last, None, between, lengths=lengths), 1e-6)
    given, _ = jlstm.stack_scan(backward[:1], (backward[1],), xs)
    expected, _ = jlstm.lstm_scan(layers[0].backward, states[0].backward, xs, reverse=True)
    assert_close(given[0].backward, expected, 1e-6)
    traces = jlstm.stack_trace(backward[:1], None, xs)[2]
    assert traces[0].forward is None
    assert traces[0].backward.f.shape == (8, 4, 5)
    zeros = jlstm.init_stack_state(backward[:1], (4,))
    assert zeros[0].forward is None
    assert zeros[0].backward.h.shape == (4, 5)
    with pytest.raises(ValueError, match=r"layers\[0\]: a bidirectional layer has neither"):
        jlstm.stack_scan((jlstm.BiLSTMParams(None, None),), None, xs)


def test_init_stack_passes_options_on():
    layers = jlstm.init_stack(
        jax.random.key(0), 3, [6, 4], bidirectional=True, forget_bias=2.0, dtype=jnp.bfloat16
    )
    assert layers[0].backward.bias[6:12].tolist() == [2.0] * 6
    assert layers[1].forward.weight_ih.shape == (12, 16)
    assert layers[1].forward.weight_ih.dtype == jnp.bfloat16
    assert (layers[0].forward.weight_ih != layers[0].backward.weight_ih).any()
    projected = jlstm.init_stack(jax.random.key(0), 3, (6, 4), init=KINDS["projected"])
    assert projected[1].weight_ih.shape == (2, 16)
    abstract = jax.eval_shape(lambda key: jlstm.init_stack(key, 3, (6, 4)), jax.random.key(0))
    assert abstract[1].weight_ih.shape == (6, 16)


# Dropout between layers.


def linear_stack(layers_count, width):
    """Layers that show what they read, so that what was dropped can be seen."""

    def show(params, state, x):
        return state, x + 0 * params

    layers = (jnp.zeros(()),) * layers_count
    states = (jnp.zeros((2, width)),) * layers_count
    return functools.partial(jlstm.stack_scan, layers, states, steps=(show,) * layers_count)


def test_dropout_is_drawn_for_every_number_and_layer():
    rate, xs = 0.4, jnp.ones((300, 2, 20))
    two = linear_stack(2, 20)(xs, dropout_rate=rate, key=jax.random.key(0))[1]
    np.testing.assert_allclose(np.unique(two), [0, 1 / (1 - rate)], rtol=1e-6)
    dropped = np.asarray(two == 0)
    # Binomial: 12,000 numbers, so within 5 standard deviations of 0.0045 of the rate.
    assert abs(dropped.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / dropped.size)
    for axis in range(3):  # no axis shares a mask
        part = dropped.take(0, axis)
        agree = (dropped.take(1, axis) == part).mean()
        assert abs(agree - (rate**2 + (1 - rate) ** 2)) < 5 * np.sqrt(0.25 / part.size)
    # Three layers: what is left has passed two masks, independent of each other.
    three = np.asarray(linear_stack(3, 20)(xs, dropout_rate=rate, key=jax.random.key(0))[1])
    np.testing.assert_allclose(np.unique(three), [0, (1 - rate) ** -2], rtol=1e-6)
    assert abs((three != 0).mean() - (1 - rate) ** 2) < 0.03
    # After the last layer, and before the first, nothing is dropped.
    one = linear_stack(1, 20)(xs, dropout_rate=rate, key=jax.random.key(0))[1]
    np.testing.assert_array_equal(one, xs)


def test_dropout_keeps_what_it_feeds_residuals():
    xs = jnp.ones((50, 2, 20))
    hs = linear_stack(2, 20)(xs, dropout_rate=0.5, key=jax.random.key(0), residual=True)[1]
    np.testing.assert_array_equal(np.unique(hs), [1, 3])  # 1 + 0 and 1 + 2


@pytest.mark.full
def test_dropout_is_the_same_under_jit_and_checkpoint():
    layers, states, _, xs, _ = draw((6, 5, 4))

    def eager(layers, key):
        return (jlstm.stack_scan(layers, states, xs, dropout_rate=0.5, key=key)[1] ** 2).sum()

    key, loss = jax.random.key(5), jax.jit(eager)
    gradient = jax.jit(jax.grad(eager))(layers, key)
    again = jax.jit(jax.grad(jax.checkpoint(eager)))(layers, key)
    assert_close(again, gradient, 1e-6)
    assert_close(eager(layers, key), loss(layers, key), 1e-6)
    assert abs(loss(layers, key) - loss(layers, jax.random.key(6))) > 1e-3
    many = jax.vmap(loss, (None, 0))(layers, jax.random.split(key, 3))
    assert_close(many[1], loss(layers, jax.random.split(key, 3)[1]), 1e-6)


def test_a_rate_of_zero_costs_nothing():
    layers, states, _, xs, _ = draw((6, 4))

    def program(**more):
        return str(jax.make_jaxpr(lambda xs: jlstm.stack_scan(layers, states, xs, **more))(xs))

    def bare(text):  # addresses of functions differ
        return [word for word in text.split() if "0x" not in word]

    assert bare(program(dropout_rate=0.0, key=jax.random.key(0))) == bare(program())


# Cells of one's own.


def test_cells_of_ones_own():
    def decaying(params, state, x):
        state = params * state + x
        return state, state

    layers, _, _, xs, _ = draw((6, 4))
    layers = (layers[0], jnp.float32(0.5), layers[1])
    states = (None, jnp.zeros((4, 6)), None)
    steps = (None, decaying, None)
    lengths = jnp.array(RAGGED)
    ends, hs = jlstm.stack_scan(layers, states, xs, steps=steps, lengths=lengths)
    between = jlstm.lstm_scan(layers[0], None, xs, lengths=lengths)[1]
    end, between = jlstm.scan_cell(decaying, 0.5, states[1], between, lengths=lengths)
    assert_close(ends[1], end, 1e-6)
    expected = jlstm.lstm_scan(layers[2], None, between, lengths=lengths)
    assert_close((ends[2], hs), expected, 1e-6)
    given = (jlstm.init_state(layers[0], (4,)), states[1], jlstm.init_state(layers[2], (4,)))
    _, h = jlstm.stack_step(layers, given, xs[0], steps=steps)
    assert_close(h, jlstm.stack_scan(layers, given, xs[:1], steps=steps)[1][0], 1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_extras_reach_the_step(bidirectional):
    """Zoneout in the second layer, from a key for each step, and for each direction."""
    layers, states, _, xs, _ = draw((6, 4), bidirectional)
    step = jlstm.regularize.zoneout(jlstm.lstm_step, jlstm.LSTMState(0.5, 0.5))
    keys = jax.random.split(jax.random.key(0), 8), jax.random.split(jax.random.key(1), 8)
    extra = keys if bidirectional else keys[0]
    _, hs = jlstm.stack_scan(layers, states, xs, steps=(None, step), extras=(None, extra))
    if not bidirectional:
        _, h = jlstm.stack_step(
            layers, states, xs[0], steps=(None, step), extras=(None, keys[0][0])
        )
        assert_close(h, hs[0], 1e-6)
    between = jlstm.stack_scan(layers[:1], states[:1], xs)[1]
    directions = range(2 if bidirectional else 1)
    expected = [
        jlstm.scan_cell(
            step,
            layers[1][d] if bidirectional else layers[1],
            states[1][d] if bidirectional else states[1],
            (between, keys[d]),
            reverse=bool(d),
        )[1]
        for d in directions
    ]
    assert_close(hs, jnp.concatenate(expected, -1), 1e-6)


@pytest.mark.full
def test_learned_initial_and_reset_states(x64):
    """One vector for all sequences: its gradient is the sum over the batch, by differences too."""
    layers, _, _, xs, resets = draw((6, 4))
    alone = jax.tree.map(lambda a: a + 0.1, jlstm.init_stack_state(layers))
    layers, alone, xs = jax.tree.map(lambda a: a.astype(jnp.float64), (layers, alone, xs))

    def loss(initial, reset):
        states, hs = jlstm.stack_scan(
            layers, jlstm.broadcast_state(initial, (4,)), xs, resets=resets,
            reset_states=jlstm.broadcast_state(reset, (4,)),
        )  # fmt: skip
        return (hs**2).sum() + sum((s.c**2).sum() for s in states)

    check_grads(loss, (alone, alone), order=1, modes=["fwd", "rev"], atol=1e-6, rtol=1e-6)
    gradients = jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(alone, alone))
    assert all(jnp.abs(g).max() > 1e-3 for g in gradients)


# Errors.

LAYERS, STATES, RESET_STATES, XS, RESETS = draw((6, 4))
BAD = [
    ({"layers": LAYERS[0]}, TypeError, "layers must be a tuple of layers, got LSTMParams"),
    ({"layers": ()}, ValueError, "layers must hold 1 layer or more, got none"),
    ({"layers": (LAYERS[0], tuple(LAYERS[1]))}, TypeError,
     r"layers\[1\]: params must be one of LSTMParams, ProjectedParams, .*; got tuple"),
    ({"layers": LAYERS[::-1]}, ValueError, r"layers\[0\]: xs has 3 features, the weights take 6"),
    ({"states": STATES[0]}, TypeError, "states must be a tuple of one entry per layer, got LSTM"),
    ({"states": STATES[:1]}, ValueError, "states must hold 2 entries, one per layer; got 1"),
    ({"states": jax.tree.map(jnp.asarray, tuple(map(tuple, STATES)))}, TypeError,
     r"layers\[0\]: state must be LSTMState\(h, c\), got tuple"),
    ({"key": 0}, TypeError, r"key must be a random key, as jax.random.key\(0\); got int"),
    ({"layers": jlstm.init_stack(jax.random.key(0), 3, (6, 4), bidirectional=True)}, TypeError,
     r"layers\[0\]: state of a bidirectional layer must be BiLSTMState\(forward, backward\), "),
    ({"steps": (jlstm.regularize.zoneout(jlstm.lstm_step, 0.1), None)}, TypeError,
     r"layers\[0\]: x must be \(x, key\), with a key for each time step, got an array of shape"),
    ({"steps": (jlstm.regularize.zoneout(jlstm.lstm_step, 0.1), None),
      "extras": (jax.random.split(jax.random.key(0), 7), None)}, ValueError,
     r"layers\[0\]: extras hold an array of shape \(7,\), which must lead with the 8 steps of xs"),
    ({"steps": (jlstm.regularize.zoneout(jlstm.lstm_step, 0.1), None),
      "extras": (jax.random.key(0), None)}, ValueError,
     r"layers\[0\]: extras hold an array of shape \(\), which must lead with the 8 steps of xs"),
    ({"layers": jlstm.init_stack(jax.random.key(0), 3, (6, 4), bidirectional=True), "states": None,
      "steps": (jlstm.regularize.zoneout(jlstm.lstm_step, 0.1), None),
      "extras": (jax.random.split(jax.random.key(0), 8), None)}, TypeError,
     r"layers\[0\]: extras of a bidirectional layer must be a pair, one per direction, got an"),
    ({"states": STATES[::-1]}, ValueError,
     r"layers\[0\]: state.h has 4 units, the weights have 6"),
    ({"reset_states": RESET_STATES[:1], "resets": RESETS}, ValueError,
     "reset_states must hold 2 entries, one per layer; got 1"),
    ({"dropout_rate": 0.5}, ValueError, "dropout_rate=0.5 needs a key"),
    ({"dropout_rate": 1.0}, ValueError, r"dropout_rate must lie in \[0, 1\), got 1.0"),
    ({"dropout_rate": -0.1}, ValueError, r"dropout_rate must lie in \[0, 1\), got -0.1"),
    ({"dropout_rate": True}, TypeError, "dropout_rate must be a number, known while tracing"),
    ({"dropout_rate": jnp.ones(())}, TypeError, "dropout_rate must be a number, known"),
    ({"implementation": "fast"}, ValueError, "implementation must be None or one of"),
    ({"save": 0}, ValueError, "save must be 1 step between checkpoints or more, got 0"),
    ({"steps": (None,)}, ValueError, "steps must hold 2 entries, one per layer; got 1"),
    ({"extras": (None, jnp.ones(8))}, ValueError,
     r"layers\[1\]: an entry of extras needs a custom step, and steps has None here"),
    ({"layers": (LAYERS[0], jnp.ones(4)), "steps": (None, jlstm.lstm_step), "states": None},
     ValueError, r"layers\[1\]: a custom cell needs an entry in states, got None"),
    ({"layers": (variants.init_gru(jax.random.key(0), 3, 4),), "states": None,
      "implementation": "fused"}, ValueError,
     r"layers\[0\]: implementation='fused' supports LSTM layers only, got GRUParams"),
    ({"steps": (jlstm.lstm_step, None), "implementation": "fused"}, ValueError,
     r"layers\[0\]: implementation='fused' supports LSTM layers only, got a custom step"),
    ({"lengths": jnp.array([9, 0, 0, 0])}, ValueError, r"lengths must lie in \[0, 8\].*got 9"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        jlstm.stack_scan(**({"layers": LAYERS, "states": STATES, "xs": XS} | arguments))


def test_other_bad_arguments():
    both = jlstm.init_stack(jax.random.key(0), 3, (6,), bidirectional=True)
    with pytest.raises(ValueError, match="layers hold a bidirectional one, which has no single"):
        jlstm.stack_step(both, jlstm.init_stack_state(both), jnp.ones(3))
    with pytest.raises(
        TypeError, match=r"layers\[0\]: state must be LSTMState\(h, c\), got None; jlstm.init_state"
    ):
        jlstm.stack_step(LAYERS, None, XS[0])
    gru = jlstm.init_stack(jax.random.key(0), 3, (6,), init=variants.init_gru)
    for state, got in ((None, "None; jlstm.init_state makes zeros"), (STATES[0], "LSTMState")):
        with pytest.raises(TypeError, match=rf"layers\[0\]: state must be one array, got {got}"):
            jlstm.stack_step(gru, (state,), XS[0])
    with pytest.raises(
        TypeError, match=r"state must be that of the cell, got None; jlstm.init_state"
    ):
        jlstm.scan_cell(variants.gru_step, gru[0], None, XS)
    with pytest.raises(
        TypeError, match=r"params must be one of LSTMParams.*got tuple; for a custom cell"
    ):
        jlstm.init_stack(jax.random.key(0), 3, (6,), init=lambda *_: (jnp.ones(3),))
    with pytest.raises(TypeError, match="batch_shape must be a tuple of sizes, got 4"):
        jlstm.broadcast_state(STATES[0], 4)
    assert len(jlstm.init_stack(jax.random.key(0), 3, np.array([6, 4]))) == 2
    with pytest.raises(TypeError, match="hidden_sizes must be a sequence of sizes, one per layer"):
        jlstm.init_stack(jax.random.key(0), 3, 6)
    with pytest.raises(ValueError, match="hidden_sizes must name 1 layer or more, got none"):
        jlstm.init_stack(jax.random.key(0), 3, ())
    with pytest.raises(TypeError, match=r"layers\[0\]: params must be one of LSTMParams.*got int"):
        jlstm.init_stack_state((3,))
    with pytest.raises(
        TypeError, match=r"layers\[0\]: params must be LSTMParams or ProjectedParams, got GRUParams"
    ):
        jlstm.stack_trace(gru, None, XS)
