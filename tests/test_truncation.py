"""Truncated backpropagation: the values of the full scan, gradients that stop at every window."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from tests.conftest import quick
from tests.support.problems import assert_close, tolerance

KEY = jax.random.key(5)
SCANS = {
    "lstm": (jlstm.lstm_scan, jlstm.init_params(jax.random.key(0), 3, 5)),
    "stack": (jlstm.stack_scan, jlstm.init_stack(jax.random.key(0), 3, (5, 4))),
    "gru": (
        functools.partial(jlstm.scan_cell, variants.gru_step),
        variants.init_gru(jax.random.key(0), 3, 5),
    ),
}


def zero_state(params, batch):
    if type(params) is tuple:
        return jlstm.init_stack_state(params, batch)
    return jlstm.init_state(params, batch)


@pytest.mark.full
@pytest.mark.parametrize("steps", quick([1, 4, 5, 11, 12, 100], {5}))
@pytest.mark.parametrize("name", quick(SCANS, {"stack"}))
def test_truncated_values_are_the_whole_sequences(name, steps):
    scan, params = SCANS[name]
    xs = jax.random.normal(jax.random.key(1), (12, 4, 3))
    state = jax.tree.map(lambda a: a + 0.5, zero_state(params, (4,)))
    ragged = {
        "lengths": jnp.array([12, 0, 5, 7]),
        "resets": jax.random.bernoulli(jax.random.key(2), 0.2, (12, 4)),
    }
    for masks in ({}, ragged):
        found = jlstm.truncated(scan, steps)(params, state, xs, **masks)
        assert_close(found, scan(params, state, xs, **masks), 1e-6)
        assert_close(jax.jit(jlstm.truncated(scan, steps))(params, state, xs, **masks), found, 1e-6)


@pytest.mark.parametrize("steps", quick([3, 4, 5, 7], {5}))
@pytest.mark.parametrize("name", quick(SCANS, {"lstm"}))
def test_the_gradient_stops_at_every_window(name, steps):
    """It is the gradient of windows run one by one with the states between them held fixed."""
    scan, params = SCANS[name]
    xs = jax.random.normal(jax.random.key(1), (12, 2, 3))
    state = jax.tree.map(lambda a: a + 0.5, zero_state(params, (2,)))

    def by_hand(params, state, xs):
        loss = 0.0
        for start in range(0, 12, steps):
            fixed = state if start == 0 else jax.tree.map(jax.lax.stop_gradient, state)
            state, hs = scan(params, fixed, xs[start : start + steps])
            loss += (hs**2).sum()
        return loss + sum((leaf**2).sum() for leaf in jax.tree.leaves(state))

    def truncated(params, state, xs):
        state, hs = jlstm.truncated(scan, steps)(params, state, xs)
        return (hs**2).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(state))

    found = jax.grad(truncated, argnums=(0, 1, 2))(params, state, xs)
    expected = jax.grad(by_hand, argnums=(0, 1, 2))(params, state, xs)
    assert_close(found, expected, tolerance(jnp.float32, "gradients"))
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(found[1]))  # a learned initial state


@pytest.mark.full
def test_truncated_from_no_state_and_with_dropout():
    layers = jlstm.init_stack(jax.random.key(0), 3, (5, 40))
    xs = jax.random.normal(jax.random.key(1), (12, 2, 3))
    scan = jlstm.truncated(jlstm.stack_scan, 4)
    assert_close(scan(layers, None, xs), jlstm.stack_scan(layers, None, xs), 1e-6)
    xs = jnp.broadcast_to(xs[:1], xs.shape)
    states = jlstm.init_stack_state(layers, (2,))
    _, hs = scan(layers, states, xs, dropout_rate=0.5, key=jax.random.key(2))
    again = jlstm.truncated(jlstm.stack_scan, 4)(
        layers, states, xs, dropout_rate=0.5, key=jax.random.key(2)
    )[1]
    np.testing.assert_array_equal(hs, again)
    steps = jnp.abs(hs[0] - hs[4]).max(), jnp.abs(hs[4] - hs[8]).max()
    assert min(steps) > 1e-3  # windows draw masks of their own


@pytest.mark.sampled
@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.uint32, jnp.int32])
def test_truncated_lengths_of_any_integer(dtype):
    params = SCANS["lstm"][1]
    xs = jax.random.normal(jax.random.key(1), (230, 2, 3))
    lengths = jnp.array([100, 4], dtype)
    for steps in (3, 50):
        found = jlstm.truncated(jlstm.lstm_scan, steps)(params, None, xs, lengths=lengths)
        assert_close(found, jlstm.lstm_scan(params, None, xs, lengths=lengths), 1e-6)
        assert not found[1][100:].any()


def test_truncated_takes_states_as_its_scan_does():
    layers = SCANS["stack"][1]
    xs = jax.random.normal(jax.random.key(1), (12, 2, 3))
    expected = jlstm.stack_scan(layers, None, xs)
    zeros = jlstm.init_stack_state(layers, (2,))
    for states in ((None, None), (None, zeros[1]), list(zeros)):
        assert_close(jlstm.truncated(jlstm.stack_scan, 3)(layers, states, xs), expected, 1e-6)
    summed = functools.partial(jlstm.scan_cell, lambda params, state, x: (state + x, state))
    total, _ = jlstm.truncated(summed, 3)(None, 0.0, jnp.ones(10))
    assert total == 10


@pytest.mark.sampled
@pytest.mark.parametrize("steps", [4, 5, 20])
def test_truncated_cuts_extras(steps):
    """Zoneout in a stack: the keys of the steps go with them."""
    layers = jlstm.init_stack(jax.random.key(0), 3, (5, 4))
    xs, keys = jax.random.normal(jax.random.key(1), (12, 2, 3)), jax.random.split(KEY, 12)
    zoned = jlstm.regularize.zoneout(jlstm.lstm_step, 0.3)
    options = {"steps": (zoned, None), "extras": (keys, None)}
    found = jlstm.truncated(jlstm.stack_scan, steps)(layers, None, xs, **options)
    assert_close(found, jlstm.stack_scan(layers, None, xs, **options), 1e-6)


@pytest.mark.slow
def test_truncated_sums_sixteen_bits_in_float32():
    params = jlstm.init_params(jax.random.key(0), 3, 8, dtype=jnp.bfloat16)
    xs = jax.random.normal(jax.random.key(1), (2048, 3), jnp.bfloat16)

    def gradient(scan, params, xs):
        return jax.grad(lambda p: scan(p, None, xs)[1].astype(jnp.float32).sum())(params)

    low = gradient(jlstm.truncated(jlstm.lstm_scan, 8), params, xs)
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), (params, xs))
    high = gradient(jlstm.truncated(jlstm.lstm_scan, 8), *wide)
    for a, b in zip(low, high, strict=True):
        scale = float(jnp.abs(b).max())
        np.testing.assert_allclose(a.astype(jnp.float32), b, atol=0.03 * scale)


def test_bad_truncation():
    with pytest.raises(ValueError, match="steps must be 1 or more, got 0"):
        jlstm.truncated(jlstm.lstm_scan, 0)
    with pytest.raises(TypeError, match=r"steps must be an integer, got 2\.5"):
        jlstm.truncated(jlstm.lstm_scan, 2.5)
    scan, params = jlstm.truncated(jlstm.lstm_scan, 2), SCANS["lstm"][1]
    xs = jnp.ones((6, 2, 3))
    with pytest.raises(ValueError, match="truncated runs forward in time, got reverse=True"):
        scan(params, None, xs, reverse=True)
    with pytest.raises(ValueError, match=r"lengths must lie in \[0, 6\].*got 7"):
        scan(params, None, xs, lengths=jnp.array([7, 0]))
    both = jlstm.init_stack(jax.random.key(0), 3, (5,), bidirectional=True)
    with pytest.raises(ValueError, match="supports one direction only, got a bidirectional"):
        jlstm.truncated(jlstm.stack_scan, 2)(both, None, xs)

    def add(params, state, x):
        return state, x[0] + x[1]

    with pytest.raises(ValueError, match="xs holds arrays of 10 and of 12 steps"):
        jlstm.truncated(functools.partial(jlstm.scan_cell, add), 5)(
            None, jnp.zeros(()), (jnp.ones(10), jnp.ones(12))
        )
    with pytest.raises(TypeError, match=r"scan must return \(state, ys\), got 3 results"):
        jlstm.truncated(jlstm.lstm_trace, 2)(params, None, xs)
    symbolic = jax.ShapeDtypeStruct(jax.export.symbolic_shape("time, batch, 3"), jnp.float32)
    with pytest.raises(ValueError, match="truncated needs a time that is known while tracing"):
        jax.eval_shape(lambda xs: scan(params, None, xs), symbolic)
    with pytest.raises(ValueError, match="xs has 4 features, the weights take 3"):
        scan(params, None, jnp.ones((6, 2, 4)))
