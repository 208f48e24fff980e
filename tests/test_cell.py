"""One step, the weights and the zero state."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm.types import cell_dtype
from tests.support.problems import assert_close, make_problem, tolerance
from tests.support.reference import lstm

FLOATS = ["bfloat16", "float16", "float32", "float64"]


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_step_is_the_textbook_step(batch):
    problem = make_problem(time=1, batch=batch, lengths=False, resets=False)
    params, state, xs, _ = problem.arrays()
    (h, c), shown = jlstm.lstm_step(params, state, xs[0])
    (h_ref, c_ref), hs_ref, _ = lstm(*problem[:3])
    assert_close((h, c, shown), (h_ref, c_ref, hs_ref[0]), tolerance(jnp.float32))


def test_step_is_a_scan_body():
    problem = make_problem(time=6, lengths=False, resets=False)
    params, state, xs, _ = problem.arrays()
    (h, c), hs = jax.lax.scan(functools.partial(jlstm.lstm_step, params), state, xs)
    (h_ref, c_ref), hs_ref, _ = lstm(*problem[:3])
    assert_close((h, c, hs), (h_ref, c_ref, hs_ref), tolerance(jnp.float32))


def test_h_comes_first_and_is_the_output():
    assert jlstm.LSTMState._fields == ("h", "c")
    params, state, xs, _ = make_problem(time=1).arrays()
    new, shown = jlstm.lstm_step(params, state, xs[0])
    assert (new.h == shown).all()
    assert (new.h != new.c).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_zero_state(dtype, x64):
    params = jlstm.init_params(jax.random.key(0), 3, 5, dtype=dtype)
    state = jlstm.init_state(params, (2, 4))
    assert state.h.dtype == dtype
    assert state.c.dtype == cell_dtype(dtype)
    assert state.h.shape == state.c.shape == (2, 4, 5)
    assert not state.h.any()
    assert not state.c.any()


@pytest.mark.sampled
@pytest.mark.parametrize("weights", FLOATS)
@pytest.mark.parametrize("inputs", [*FLOATS, "int32"])
def test_step_keeps_its_dtypes(weights, inputs, x64):
    params = jlstm.init_params(jax.random.key(0), 3, 5, dtype=weights)
    state = jlstm.init_state(params, (2,))
    x = jnp.ones((2, 3), inputs)
    compute = jnp.result_type(x, params.bias)
    for _ in range(2):
        state, h = jlstm.lstm_step(params, state, x)
        assert h.dtype == state.h.dtype == compute
        assert state.c.dtype == cell_dtype(compute)


def test_init_params_shapes_and_forget_bias():
    params = jlstm.init_params(jax.random.key(0), 3, 5, forget_bias=1.5)
    assert [p.shape for p in params] == [(3, 20), (5, 20), (20,)]
    np.testing.assert_array_equal(
        np.split(np.asarray(params.bias), 4), [[0] * 5, [1.5] * 5] + [[0] * 5] * 2
    )


@pytest.mark.parametrize("dtype", FLOATS)
def test_one_key_gives_the_same_weights_in_every_dtype(dtype, x64):
    drawn = jlstm.init_params(jax.random.key(3), 4, 6)
    cast = jlstm.init_params(jax.random.key(3), 4, 6, dtype=dtype)
    for a, b in zip(drawn, cast, strict=True):
        assert b.dtype == dtype
        np.testing.assert_array_equal(np.asarray(a.astype(dtype)), np.asarray(b))


@pytest.mark.full
def test_init_params_under_transformations():
    def init(key):
        return jlstm.init_params(key, 3, 5)

    key = jax.random.key(0)
    eager = init(key)
    assert_close(jax.jit(init)(key), eager, 1e-6)
    keys = jax.random.split(key, 4)
    many = jax.vmap(init)(keys)
    assert_close(jax.tree.map(lambda p: p[2], many), init(keys[2]), 1e-6)
    abstract = jax.eval_shape(init, key)
    assert jax.tree.map(lambda p: (p.shape, p.dtype), abstract) == jax.tree.map(
        lambda p: (p.shape, p.dtype), eager
    )


def test_different_keys_and_gates_differ():
    a, b = (jlstm.init_params(jax.random.key(k), 4, 6) for k in (0, 1))
    assert (a.weight_ih != b.weight_ih).all()
    gates = np.split(np.asarray(a.weight_hh), 4, axis=-1)
    for j in range(4):
        for k in range(j):
            assert np.abs(gates[j] - gates[k]).max() > 0.1
