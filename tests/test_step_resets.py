"""Resets of single steps: a scan over steps with `reset` is the sequence call with `resets`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from tests.conftest import quick
from tests.support.problems import assert_close, tolerance

TIME, BATCH = 6, 3
XS = jax.random.normal(jax.random.key(1), (TIME, BATCH, 2))
RESETS = jnp.zeros((TIME, BATCH), bool).at[0, 1].set(True).at[3, 0].set(True).at[4, 1].set(True)
INITS = {
    "lstm": jlstm.init_params,
    "projected": functools.partial(variants.init_projected, projection_size=2),
    **{
        name: getattr(variants, f"init_{name}")
        for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
    },
}


def random_like(key, tree):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)]
    return structure.unflatten(drawn)


def by_steps(step, params, state, reset_state, xs=XS):
    def body(state, inputs):
        x, reset = inputs
        return step(params, state, x, reset=reset, reset_state=reset_state)

    return jax.lax.scan(body, state, (xs, RESETS))


@pytest.mark.sampled
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", quick(INITS, {"lstm", "peephole", "cho_gru"}))
def test_steps_are_the_sequence(name, learned):
    params = INITS[name](jax.random.key(0), 2, 4)
    step = jlstm.LAYER_TYPES[type(params)].step
    state = random_like(jax.random.key(2), jlstm.init_state(params, (BATCH,)))
    reset_state = random_like(jax.random.key(3), state) if learned else None

    def sequence(params, state, reset_state):
        return jlstm.scan_cell(step, params, state, XS, resets=RESETS, reset_state=reset_state)

    def total(run):
        return lambda *args: sum((a**2).sum() for a in jax.tree.leaves(run(*args)))

    args = (params, state, reset_state)
    steps = functools.partial(by_steps, step)
    assert_close(steps(*args), sequence(*args), tolerance(jnp.float32))
    found, expected = (jax.grad(total(run), argnums=(0, 1, 2))(*args) for run in (steps, sequence))
    assert_close(found, expected, tolerance(jnp.float32, "gradients"))


def test_steps_of_a_stack_are_its_sequence():
    """With a step of one's own, which knows no resets, in the middle."""
    layers = jlstm.init_stack(jax.random.key(0), 2, (4, 4, 4))
    steps = (None, lambda params, state, x: jlstm.lstm_step(params, state, 2 * x), None)
    states = random_like(jax.random.key(2), jlstm.init_stack_state(layers, (BATCH,)))
    for reset_states in (None, random_like(jax.random.key(3), states)):
        expected = jlstm.stack_scan(
            layers, states, XS, resets=RESETS, reset_states=reset_states, steps=steps
        )

        def body(states, inputs, reset_states=reset_states):
            x, reset = inputs
            return jlstm.stack_step(
                layers, states, x, reset=reset, reset_states=reset_states, steps=steps
            )

        found = jax.lax.scan(body, states, (XS, RESETS))
        assert_close(found, expected, tolerance(jnp.float32))


@pytest.mark.sampled
@pytest.mark.parametrize("name", quick(INITS, {"lstm", "gru"}))
def test_nan_does_not_survive_a_reset(name):
    params = INITS[name](jax.random.key(0), 2, 4)
    step = jlstm.LAYER_TYPES[type(params)].step
    reset = jnp.array([True, False, True])
    state = jlstm.init_state(params, (BATCH,))
    bad = jax.tree.map(lambda a: jnp.where(reset[:, None], jnp.nan, a), state)

    def total(params, state):
        return step(params, state, XS[0], reset=reset)[1].sum()

    assert_close(step(params, bad, XS[0], reset=reset), step(params, state, XS[0]), 1e-6)
    found, by_state = jax.grad(total, argnums=(0, 1))(params, bad)
    assert_close(found, jax.grad(total)(params, state), 1e-6)
    for gradient in jax.tree.leaves(by_state):
        assert (gradient[reset] == 0).all()
        assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_states_of_other_dtypes(dtype):
    """A reset state in float32 beside weights of 16 bits is rounded as in the sequence call."""
    params = jlstm.init_params(jax.random.key(0), 2, 4, dtype=dtype)
    state = jlstm.init_state(params, (BATCH,))
    reset_state = jlstm.LSTMState(*jax.random.normal(jax.random.key(3), (2, BATCH, 4)))
    xs = XS.astype(dtype)
    with jax.numpy_dtype_promotion("strict"):
        found = by_steps(jlstm.lstm_step, params, state, reset_state, xs)
        expected = jlstm.lstm_scan(
            params, state, xs, resets=RESETS, reset_state=reset_state, implementation="scan"
        )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_one_environment():
    params = jlstm.init_params(jax.random.key(0), 2, 4)
    state = jlstm.LSTMState(*jax.random.normal(jax.random.key(3), (2, 4)))
    x = XS[0, 0]
    fresh = jlstm.lstm_step(params, jlstm.init_state(params), x)
    for done in (True, np.bool(True), jnp.array(True)):
        assert_close(jlstm.lstm_step(params, state, x, reset=done), fresh, 1e-6)
    assert_close(
        jlstm.lstm_step(params, state, x, reset=False), jlstm.lstm_step(params, state, x), 1e-6
    )
