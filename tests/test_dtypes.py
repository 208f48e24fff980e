"""16, 32 and 64 bits: dtypes that never drift, and errors that stay within a dtype's rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm.types import cell_dtype
from tests.problems import make_problem, tolerance
from tests.reference import lstm

FLOATS = ["bfloat16", "float16", "float32", "float64"]


@pytest.mark.parametrize("inputs", FLOATS)
@pytest.mark.parametrize("weights", FLOATS)
@pytest.mark.parametrize("states", [None, *FLOATS])
def test_dtypes_of_a_sequence(weights, inputs, states, x64):
    params, state, xs, options = make_problem(time=3).arrays(weights)
    xs = xs.astype(inputs)
    if states is None:
        state = options["reset_state"] = None
    else:
        state, options["reset_state"] = jax.tree.map(
            lambda s: s.astype(states), (state, options["reset_state"])
        )
    compute = jnp.result_type(inputs, weights)
    last, hs, trace = jlstm.lstm_trace(params, state, xs, **options)
    scanned, scanned_hs = jlstm.lstm_scan(params, state, xs, **options)
    assert last.h.dtype == hs.dtype == scanned.h.dtype == scanned_hs.dtype == compute
    assert last.c.dtype == scanned.c.dtype == cell_dtype(compute)
    assert all(a.dtype == cell_dtype(compute) for a in trace)
    again, _ = jlstm.lstm_scan(params, scanned, xs, **options)
    assert [a.dtype for a in again] == [a.dtype for a in scanned]


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_have_the_dtype_of_their_argument(dtype, x64):
    params, state, xs, options = make_problem().arrays(dtype)

    def loss(params, state, xs):
        last, hs = jlstm.lstm_scan(params, state, xs, **options)
        return hs.astype(jnp.float64).sum() + last.c.sum()

    gradients = jax.grad(loss, argnums=(0, 1, 2))(params, state, xs)
    for gradient, argument in zip(
        jax.tree.leaves(gradients), jax.tree.leaves((params, state, xs)), strict=True
    ):
        assert gradient.dtype == argument.dtype
        assert jnp.isfinite(gradient).all()
        assert gradient.any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_values_lie_within_rounding(dtype, x64):
    """Against the oracle on the same, already rounded, numbers."""
    problem = make_problem(1, time=20, batch=(4,), sizes=(8, 16))
    params, state, xs, options = problem.arrays(dtype)
    exact = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, state, xs))
    masks = {
        k: jax.tree.map(lambda a: np.asarray(a, np.float64), v) if k == "reset_state" else v
        for k, v in options.items()
    }
    (h, c), hs_ref, _ = lstm(*exact, **masks)
    last, hs = jlstm.lstm_scan(params, state, xs, **options)
    for got, wanted in ((last.h, h), (last.c, c), (hs, hs_ref)):
        error = np.abs(np.asarray(got, np.float64) - wanted).max()
        assert error <= tolerance(dtype) * max(1, np.abs(wanted).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("function", [jlstm.lstm_scan, jlstm.lstm_trace])
def test_weight_gradients_are_summed_in_float32(dtype, function):
    """Over 1,000 steps, a sum in bfloat16 would lose 40% of the bias' gradient.

    Compared with the sum of the gradients of weights that each step has to itself.
    """
    problem = make_problem(2, time=1000, batch=(2,), lengths=False, resets=False)
    params, state, xs, _ = problem.arrays(dtype)

    def shared(params):
        return function(params, state, xs)[1].astype(jnp.float32).sum()

    def one_each(many):
        def step(state, inputs):
            params, x = inputs
            return jlstm.lstm_step(params, state, x)

        start = jlstm.LSTMState(state.h, state.c.astype(jnp.float32))
        return jax.lax.scan(step, start, (many, xs))[1].astype(jnp.float32).sum()

    many = jax.tree.map(lambda p: jnp.broadcast_to(p, (1000, *p.shape)), params)
    expected = jax.tree.map(
        lambda g: np.asarray(g, np.float64).sum(0), jax.jit(jax.grad(one_each))(many)
    )
    for got, wanted in zip(jax.grad(shared)(params), expected, strict=True):
        assert got.dtype == dtype
        error = np.abs(np.asarray(got, np.float64) - wanted).max() / np.abs(wanted).max()
        assert error < 4 * float(jnp.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_cell_counts_where_16_bits_could_not(dtype):
    """A counter: c grows by 2^-9 a step, which bfloat16 loses beyond 1 and float16 beyond 4."""
    bias = jnp.array([-np.log(511.0), 30.0, 30.0, 30.0], dtype)  # i is 2^-9, f, g and o are 1
    params = jlstm.LSTMParams(jnp.zeros((1, 4), dtype), jnp.zeros((1, 4), dtype), bias)
    rate = float(jax.nn.sigmoid(bias[0].astype(jnp.float32)))
    state, _ = jlstm.lstm_scan(params, None, jnp.zeros((4096, 1), dtype))
    np.testing.assert_allclose(state.c, 4096 * rate, rtol=1e-3)


def test_numpy_inputs_and_weak_types():
    params, state, xs, _ = make_problem().arrays()
    expected = jlstm.lstm_scan(params, state, xs)
    on_host = jax.tree.map(np.asarray, (params, state, xs))
    jax.tree.map(np.testing.assert_array_equal, jlstm.lstm_scan(*on_host), expected)
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    weak = jnp.full(xs.shape, 1.0)  # a weak float32 does not widen the weights
    assert jlstm.lstm_scan(half, None, weak)[1].dtype == jnp.bfloat16


def test_strict_promotion_rules():
    """Under JAX's strictest settings a call of one dtype promotes nothing."""
    params, state, xs, options = make_problem().arrays()
    expected = jlstm.lstm_scan(params, state, xs, **options)
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        jax.tree.map(np.testing.assert_array_equal, jlstm.lstm_scan(params, state, xs, **options),
                     expected)  # fmt: skip
        jlstm.lstm_step(params, state, xs[0])


def test_x64_off_keeps_float32():
    params, _, xs, _ = make_problem().arrays()
    state, hs = jlstm.lstm_scan(params, None, xs)
    assert state.h.dtype == state.c.dtype == hs.dtype == jnp.float32
