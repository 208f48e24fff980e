"""16, 32 and 64 bits: dtypes that never drift, and errors that stay within a dtype's rounding."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from jlstm.types import cell_dtype
from tests.conftest import quick
from tests.support.problems import make_problem, tolerance
from tests.support.reference import lstm

FLOATS = ["bfloat16", "float16", "float32", "float64"]


@pytest.mark.sampled
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


@pytest.mark.sampled
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


@pytest.mark.full
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


INITS = {
    "lstm": jlstm.init_params,
    "projected": functools.partial(variants.init_projected, projection_size=2),
    **{
        name: getattr(variants, f"init_{name}")
        for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
    },
}


def programs(name, weights, inputs, states):
    """Every use of a layer, as functions without arguments."""
    key = jax.random.key(0)
    init = INITS[name]
    params = init(key, 3, 4, dtype=weights)
    step = jlstm.LAYER_TYPES[type(params)].step
    xs = (4 * jax.random.normal(key, (6, 2, 3))).astype(inputs)
    state = jax.tree.map(lambda a: a.astype(states), jlstm.init_state(params, (2,)))
    lengths, resets = jnp.array([6, 4], jnp.int16), jnp.zeros((6, 2), bool).at[2, 0].set(True)
    masks = {"lengths": lengths, "resets": resets}
    more = masks | {"reset_state": state}
    keys = jax.random.split(key, 6)
    regularize = jlstm.regularize

    def stack(params, state, **options):
        return jlstm.stack_scan((params,), (state,), xs, reset_states=(state,), **masks, **options)

    def gradient(scan):
        def total(params, state):
            return sum(a.astype(jnp.float32).sum() for a in jax.tree.leaves(scan(params, state)))

        return jax.grad(total, argnums=(0, 1))

    yield lambda: step(params, state, xs[0], reset=resets[2], reset_state=state)
    yield lambda: jlstm.stack_step((params,), (state,), xs[0], reset=resets[2])
    yield lambda: jlstm.scan_cell(step, params, state, xs, reverse=True, **more)
    for save in ("gates", "states", 4):
        scan = functools.partial(stack, save=save)
        yield lambda scan=scan: scan(params, state)
        yield lambda scan=scan: gradient(scan)(params, state)
        yield lambda scan=scan: jax.jvp(scan, (params, state), (params, state))
    both = jlstm.BiLSTMParams(params, params)
    yield lambda: jlstm.stack_scan((both,), None, xs, lengths=lengths)
    layers = jlstm.init_stack(key, 3, (4, 4), init=init, dtype=weights)
    yield lambda: jlstm.stack_scan(layers, None, xs, dropout_rate=0.5, key=key, residual=True)
    yield lambda: jlstm.truncated(jlstm.stack_scan, 2)((params,), (state,), xs, **masks)
    yield lambda: jlstm.gradient_norms(params, state, xs, **more)
    yield lambda: jlstm.scan_cell(regularize.zoneout(step, 0.5), params, state, (xs, keys))
    yield lambda: regularize.expected_zoneout(step, 0.5)(params, state, xs[0])
    yield lambda: regularize.hidden_dropout(step, key, state, 0.5)(params, state, xs[0])
    yield lambda: regularize.weight_drop(key, params, 0.5)
    yield lambda: regularize.sequence_dropout(key, xs, 0.5)
    if name in ("lstm", "projected"):
        yield lambda: regularize.candidate_dropout(0.5)(params, state, (xs[0], key))
        yield lambda: jlstm.lstm_trace(params, state, xs, **more)
        plain = functools.partial(jlstm.lstm_scan, xs=xs, implementation="scan", **masks)
        yield lambda: gradient(plain)(params, state)
        yield lambda: jlstm.lstm_scan(params, state, xs, reverse=True, **more)


MIXES = [
    "float32 float32 float32", "bfloat16 bfloat16 float32", "float16 float16 float16",
    "float32 int32 float32", "bfloat16 float32 float32", "float32 bfloat16 float16",
    "bfloat16 uint8 float32",
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("dtypes", quick(MIXES, {MIXES[1], MIXES[3]}))
@pytest.mark.parametrize("name", quick(INITS, {"lstm", "cho_gru"}))
def test_programs_under_strict_promotion(name, dtypes):
    """The library's own promotions are explicit: the program is that of the standard rules."""
    made = {}
    for rules in ("standard", "strict"):
        with jax.numpy_dtype_promotion(rules), jax.numpy_rank_promotion("raise"):
            made[rules] = [
                re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(program)()))
                for program in programs(name, *dtypes.split())
            ]
    assert made["strict"] == made["standard"]


MODES = {
    "debug_nans": lambda: jax.debug_nans(True),
    "enable_checks": lambda: jax.enable_checks(True),
    "checking_leaks": jax.checking_leaks,
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "new keys alone": lambda: jax.legacy_prng_key("error"),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", quick(INITS, {"lstm"}))
@pytest.mark.parametrize("mode", quick(MODES, {"debug_nans", "rank promotion"}))
def test_modes_of_jax(mode, name):
    """Padding of NaN and no valid step at all set off no alarm."""
    params = INITS[name](jax.random.key(0), 3, 4)
    xs = jax.random.normal(jax.random.key(1), (6, 2, 3))
    lengths = jnp.array([6, 0])

    def scan(params):
        state, hs = jlstm.stack_scan((params,), None, xs, lengths=lengths)
        return hs.sum() + sum(a.sum() for a in jax.tree.leaves(state))

    expected = jax.grad(scan)(params)
    with MODES[mode]():
        found = jax.grad(scan)(params)
        if name == "lstm":
            trace = jlstm.lstm_trace(params, None, xs, lengths=lengths)[2]
            jlstm.memory_kept(trace, 2, lengths=lengths)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.full
def test_x64_off_keeps_float32():
    params, _, xs, _ = make_problem().arrays()
    state, hs = jlstm.lstm_scan(params, None, xs)
    assert state.h.dtype == state.c.dtype == hs.dtype == jnp.float32
