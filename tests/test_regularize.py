"""Regularisers: rates of 0, expectations by statistics, equations of the papers, gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jlstm
from jlstm import regularize, variants
from tests.conftest import quick
from tests.support.problems import assert_close, tolerance
from tests.support.reference import sigmoid

KEY = jax.random.key(0)
PARAMS = jlstm.init_params(jax.random.key(1), 3, 5)
STATE = jlstm.LSTMState(*jax.random.normal(jax.random.key(2), (2, 4, 5)))
XS = jax.random.normal(jax.random.key(3), (6, 4, 3))
KEYS = jax.random.split(jax.random.key(4), 6)
RATES = jlstm.LSTMState(h=0.3, c=0.6)


def within(found, expected, std, count):
    """A mean of `count` draws within 5 standard deviations; the seeds are fixed."""
    assert abs(found - expected) < 5 * std / np.sqrt(count)


def program(function, *args):
    return str(jax.make_jaxpr(function)(*args))


# A rate of 0: the same values to the bit, no random number, no work.


def test_rates_of_zero_return_what_they_were_given():
    assert regularize.dropout(KEY, XS, 0.0) is XS
    assert regularize.sequence_dropout(KEY, XS, 0.0) is XS
    dropped = regularize.weight_drop(KEY, PARAMS, 0)
    assert all(a is b for a, b in zip(dropped, PARAMS, strict=True))
    assert regularize.hidden_dropout(jlstm.lstm_step, KEY, STATE, 0.0) is jlstm.lstm_step
    zero = jlstm.LSTMState(0.0, 0.0)
    assert regularize.expected_zoneout(jlstm.lstm_step, zero) is jlstm.lstm_step


@pytest.mark.parametrize("step", [
    regularize.zoneout(jlstm.lstm_step, jlstm.LSTMState(0.0, 0.0)),
    regularize.candidate_dropout(0.0),
])  # fmt: skip
def test_steps_at_a_rate_of_zero_draw_nothing(step):
    noisy = jlstm.scan_cell(step, PARAMS, STATE, (XS, KEYS))
    jax.tree.map(
        np.testing.assert_array_equal,
        noisy,
        jlstm.scan_cell(jlstm.lstm_step, PARAMS, STATE, XS),
    )
    assert "random_" not in program(step, PARAMS, STATE, (XS[0], KEYS[0]))
    assert "random_" in program(regularize.candidate_dropout(0.1), PARAMS, STATE, (XS[0], KEYS[0]))


# Dropped and kept values.


@pytest.mark.parametrize("rate", [0.2, 0.75])
def test_dropout_keeps_the_expectation(rate):
    ones = jnp.ones((100, 10, 10))
    out = regularize.dropout(KEY, ones, rate)
    np.testing.assert_allclose(np.unique(out), [0, 1 / (1 - rate)], rtol=1e-6)
    within(float(out.mean()), 1, np.sqrt(rate / (1 - rate)), out.size)


def test_sequence_dropout_keeps_one_mask():
    out = np.asarray(regularize.sequence_dropout(KEY, jnp.ones((7, 50, 40)), 0.25))
    assert (out == out[0]).all()
    within(out[0].mean(), 1, np.sqrt(0.25 / 0.75), out[0].size)
    assert (out[0, 0] != out[0, 1]).any()


@pytest.mark.full
def test_weight_drop_drops_recurrent_weights_alone():
    params = jlstm.init_params(KEY, 3, 50)
    dropped = regularize.weight_drop(jax.random.key(5), params, 0.5)
    np.testing.assert_array_equal(dropped.weight_ih, params.weight_ih)
    np.testing.assert_array_equal(dropped.bias, params.bias)
    there = np.asarray(dropped.weight_hh != 0)
    within(there.mean(), 0.5, 0.5, there.size)
    np.testing.assert_array_equal(dropped.weight_hh[there], 2 * params.weight_hh[there])
    many = jax.vmap(lambda key: regularize.weight_drop(key, params, 0.5).weight_hh)(
        jax.random.split(KEY, 2000)
    )
    error = np.asarray(many.mean(0) - params.weight_hh) / np.abs(params.weight_hh)
    assert np.abs(error).max() < 5.5 / np.sqrt(2000)  # 10,000 weights, standard deviation 1 each
    gru = variants.init_gru(KEY, 3, 5)
    assert (regularize.weight_drop(KEY, gru, 0.5).weight_hh == 0).any()


def test_hidden_dropout_is_one_mask_on_what_enters():
    """As the equations with `h` times the mask."""
    rate = 0.4
    step = regularize.hidden_dropout(jlstm.lstm_step, KEY, STATE, rate)
    found, hs = jlstm.scan_cell(step, PARAMS, STATE, XS)
    mask = np.asarray(regularize.dropout(KEY, jnp.ones((4, 5)), rate), np.float64)
    assert 0 < (mask == 0).sum() < mask.size
    params, xs = jax.tree.map(np.float64, (PARAMS, XS))
    h, c = jax.tree.map(np.float64, STATE)
    for t in range(6):
        z = xs[t] @ params.weight_ih + (h * mask) @ params.weight_hh + params.bias
        i, f, g, o = np.split(z, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        assert_close(hs[t], h, 1e-6)
    assert_close(found, (h, c), 1e-6)


def test_hidden_dropout_of_a_cell_without_c():
    gru = variants.init_gru(KEY, 3, 5)
    step = regularize.hidden_dropout(variants.gru_step, KEY, STATE.h, 0.4)
    mask = regularize.dropout(KEY, jnp.ones((4, 5)), 0.4)
    expected, _ = variants.gru_step(gru, STATE.h * mask, XS[0])
    assert_close(step(gru, STATE.h, XS[0])[0], expected, 1e-6)


def test_candidate_dropout_drops_what_would_be_stored():
    """Semeniuta et al. (2016), equation 14: with everything dropped, c' = f * c."""
    rate = 0.5
    step = regularize.candidate_dropout(rate)
    new, h = step(PARAMS, STATE, (XS[0], KEYS[0]))
    _, _, trace = jlstm.lstm_trace(PARAMS, STATE, XS[:1])
    i, f, g, o, _ = (a[0] for a in trace)
    stored = (new.c - f * STATE.c) / (i * g)
    np.testing.assert_allclose(np.unique(np.round(stored, 3)), [0, 2], atol=2e-3)
    assert_close(h, o * jnp.tanh(new.c), 1e-6)
    many = jax.vmap(lambda key: step(PARAMS, STATE, (XS[0], key))[0].c)(jax.random.split(KEY, 4000))
    std = np.abs(np.asarray(i * g)).max()
    assert np.abs(many.mean(0) - (f * STATE.c + i * g)).max() < 5 * std / np.sqrt(4000)
    projected = variants.init_projected(KEY, 3, 5, projection_size=2)
    state = jlstm.init_state(projected, (4,))
    plain = variants.projected_step(projected, state, XS[0])
    assert_close(regularize.candidate_dropout(0)(projected, state, (XS[0], KEYS[0])), plain, 1e-6)


def test_zoneout_keeps_units_or_moves_them():
    """Krueger et al. (2017), equation 5; haste's `zoneout` is the rate of h."""
    step = regularize.zoneout(jlstm.lstm_step, RATES)
    moved, _ = jlstm.lstm_step(PARAMS, STATE, XS[0])
    new, shown = step(PARAMS, STATE, (XS[0], KEYS[0]))
    np.testing.assert_array_equal(shown, new.h)
    for now, old, then in zip(new, STATE, moved, strict=True):
        assert ((now == old) | (now == then)).all()
        assert (now == old).any()
        assert (now == then).any()
    keys = jax.random.split(KEY, 2000)
    many, _ = jax.vmap(lambda key: step(PARAMS, STATE, (XS[0], key)))(keys)
    for now, old, rate in zip(many, STATE, RATES, strict=True):
        stays = np.asarray(now == old)
        within(stays.mean(), rate, np.sqrt(rate * (1 - rate)), stays.size)
    both = np.asarray((many.h == STATE.h) & (many.c == STATE.c)).mean()
    within(both, RATES.h * RATES.c, 0.5, many.h.size)  # drawn independently


def test_expected_zoneout_is_the_mean_of_zoneout():
    expected, shown = regularize.expected_zoneout(jlstm.lstm_step, RATES)(PARAMS, STATE, XS[0])
    step = regularize.zoneout(jlstm.lstm_step, RATES)
    keys = jax.random.split(KEY, 4000)
    many, _ = jax.vmap(lambda key: step(PARAMS, STATE, (XS[0], key)))(keys)
    for draws, mean in zip(many, expected, strict=True):
        deviation = np.asarray(draws.std(0)) + 1e-6
        assert (np.abs(draws.mean(0) - mean) < 5 * deviation / np.sqrt(4000)).all()
    moved, _ = jlstm.lstm_step(PARAMS, STATE, XS[0])
    assert_close(expected.h, 0.3 * STATE.h + 0.7 * moved.h, 1e-6)
    assert_close(expected.c, 0.6 * STATE.c + 0.4 * moved.c, 1e-6)
    np.testing.assert_array_equal(shown, expected.h)


def test_zoneout_of_a_cell_without_c():
    gru = variants.init_gru(KEY, 3, 5)
    step = regularize.zoneout(variants.gru_step, 0.5)
    moved, _ = variants.gru_step(gru, STATE.h, XS[0])
    new, shown = step(gru, STATE.h, (XS[0], KEYS[0]))
    assert ((new == STATE.h) | (new == moved)).all()
    np.testing.assert_array_equal(new, shown)


@pytest.mark.full
def test_zoneout_with_lengths_and_resets():
    """Padding and resets come before and after it, as for any step."""
    step = regularize.zoneout(jlstm.lstm_step, RATES)
    lengths = jnp.array([6, 0, 3, 5])
    resets = jnp.zeros((6, 4), bool).at[2].set(True)
    dirty = jnp.where(jnp.arange(6)[:, None, None] >= lengths[:, None], jnp.nan, XS)

    def run(xs, state):
        masks = {"lengths": lengths, "resets": resets}
        return jlstm.scan_cell(step, PARAMS, state, (xs, KEYS), **masks)

    last, hs = run(dirty, STATE)
    assert not hs[3:, 2].any()
    np.testing.assert_array_equal(last.c[1], STATE.c[1])
    other = jax.tree.map(lambda a: a + 1, STATE)
    np.testing.assert_array_equal(hs[2:], run(dirty, other)[1][2:])
    gradient = jax.grad(lambda xs: run(xs, STATE)[1].sum())(dirty)
    assert jnp.isfinite(gradient).all()


def test_penalties():
    hs = np.random.default_rng(0).normal(size=(7, 2, 3))
    assert_close(regularize.activation_penalty(jnp.asarray(hs)), (hs**2).mean(), 1e-6)
    steps = [(hs[t] - hs[t - 1]) ** 2 for t in range(1, 7)]
    assert_close(regularize.temporal_penalty(jnp.asarray(hs)), np.mean(steps), 1e-6)
    assert regularize.temporal_penalty(jnp.ones((1, 2, 3))) == 0


# Gradients, with the same draws at every evaluation.

LOSSES = {
    "dropout": lambda p, s, xs: jlstm.lstm_scan(p, s, regularize.dropout(KEY, xs, 0.3))[1],
    "sequence_dropout": lambda p, s, xs: jlstm.lstm_scan(
        p, s, regularize.sequence_dropout(KEY, xs, 0.3)
    )[1],
    "weight_drop": lambda p, s, xs: jlstm.lstm_scan(regularize.weight_drop(KEY, p, 0.3), s, xs)[1],
    "hidden_dropout": lambda p, s, xs: jlstm.scan_cell(
        regularize.hidden_dropout(jlstm.lstm_step, KEY, s, 0.3), p, s, xs
    )[1],
    "candidate_dropout": lambda p, s, xs: jlstm.scan_cell(
        regularize.candidate_dropout(0.3), p, s, (xs, KEYS)
    )[1],
    "zoneout": lambda p, s, xs: jlstm.scan_cell(
        regularize.zoneout(jlstm.lstm_step, RATES), p, s, (xs, KEYS)
    )[1],
    "expected_zoneout": lambda p, s, xs: jlstm.scan_cell(
        regularize.expected_zoneout(jlstm.lstm_step, RATES), p, s, xs
    )[1],
    "penalties": lambda p, s, xs: sum(
        penalty(jlstm.lstm_scan(p, s, xs)[1])
        for penalty in (regularize.activation_penalty, regularize.temporal_penalty)
    ),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", quick(LOSSES, {"hidden_dropout", "candidate_dropout", "zoneout"}))
def test_gradients(name, x64):
    arrays = jax.tree.map(lambda a: a.astype(jnp.float64), (PARAMS, STATE, XS))

    def loss(params, state, xs):
        return (LOSSES[name](params, state, xs) ** 2).sum()

    check_grads(loss, arrays, order=1, modes=["fwd", "rev"], atol=1e-6, rtol=1e-6)
    assert_close(jax.jit(jax.grad(loss))(*arrays), jax.grad(jax.checkpoint(loss))(*arrays), 1e-12)


@pytest.mark.sampled
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sixteen_bits_stay_sixteen(dtype):
    params, state, xs = jax.tree.map(lambda a: a.astype(dtype), (PARAMS, STATE, XS))
    assert regularize.dropout(KEY, xs, np.float64(0.5)).dtype == dtype
    for step in (regularize.zoneout(jlstm.lstm_step, RATES), regularize.candidate_dropout(0.5)):
        last, hs = jlstm.scan_cell(step, params, state, (xs, KEYS))
        assert hs.dtype == last.h.dtype == dtype
        assert last.c.dtype == jnp.float32
    for step in (
        regularize.hidden_dropout(jlstm.lstm_step, KEY, state, np.float32(0.5)),
        regularize.expected_zoneout(jlstm.lstm_step, RATES),
    ):
        assert jlstm.scan_cell(step, params, state, xs)[1].dtype == dtype


def test_one_rate_for_the_whole_state():
    both = jlstm.LSTMState(0.3, 0.3)
    for make, x in (
        (regularize.zoneout, (XS[0], KEYS[0])),
        (regularize.expected_zoneout, XS[0]),
    ):
        jax.tree.map(
            np.testing.assert_array_equal,
            make(jlstm.lstm_step, 0.3)(PARAMS, STATE, x),
            make(jlstm.lstm_step, both)(PARAMS, STATE, x),
        )


def test_zoneout_over_sharded_sequences():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    step = regularize.zoneout(jlstm.lstm_step, RATES)

    def run(xs):
        return jlstm.stack_scan((PARAMS,), None, xs, steps=(step,), extras=(KEYS,))[1]

    expected = run(XS)
    with jax.set_mesh(mesh):
        xs = jax.device_put(XS, jax.NamedSharding(mesh, jax.P(None, "data")))
        assert_close(jax.jit(run)(xs), expected, 1e-6)


def test_a_state_of_ones_own_with_h():
    class State(NamedTuple):
        h: jax.Array
        count: jax.Array

    def step(params, state, x):
        return State(state.h + x, state.count + 1), state.h + x

    state = State(jnp.zeros((4, 3)), jnp.zeros(4))
    zoned = regularize.zoneout(step, State(0.5, 0.0))
    last, hs = jlstm.scan_cell(zoned, None, state, (XS, KEYS))
    np.testing.assert_array_equal(hs[-1], last.h)
    assert (last.count == 6).all()
    masked = regularize.hidden_dropout(step, KEY, state, 0.5)
    mask = regularize.dropout(KEY, jnp.ones((4, 3)), 0.5)
    shown = masked(None, state._replace(h=XS[0]), XS[1])[1]
    assert_close(shown, XS[0] * mask + XS[1], 1e-6)


def test_nothing_broadcasts():
    for other in (jlstm.init_state(PARAMS), jlstm.init_state(PARAMS, (1,))):
        step = regularize.hidden_dropout(jlstm.lstm_step, KEY, other, 0.5)
        with pytest.raises(
            ValueError, match=r"state has h of shape \(4, 5\), the mask was drawn for"
        ):
            step(PARAMS, STATE, XS[0])
    step = regularize.candidate_dropout(0.3)
    with pytest.raises(ValueError, match=r"state.h must be .* with the batch axes \(\) of x"):
        step(PARAMS, STATE, (XS[0, 0], KEY))
    with pytest.raises(ValueError, match="x has 2 features, the weights take 3"):
        step(PARAMS, STATE, (XS[0, :, :2], KEY))
    with pytest.raises(TypeError, match=r"state must be LSTMState\(h, c\), got tuple"):
        step(PARAMS, tuple(STATE), (XS[0], KEY))


def test_bad_keys_and_structures():
    with pytest.raises(
        TypeError, match=r"key must be a random key.*got an array of shape \(6, 4, 3"
    ):
        regularize.dropout(XS, KEY, 0.5)
    with pytest.raises(TypeError, match=r"key must be a random key, .*got int"):
        regularize.weight_drop(0, PARAMS, 0.5)
    assert regularize.dropout(jax.random.PRNGKey(0), XS, 0.5).shape == XS.shape
    for step in (regularize.zoneout(jlstm.lstm_step, 0.1), regularize.candidate_dropout(0.1)):
        with pytest.raises(TypeError, match=r"x must be \(x, key\), with a key for each time step"):
            step(PARAMS, STATE, XS[0])
    with pytest.raises(ValueError, match=r"rates has the structure .*, the state has .*LSTMState"):
        regularize.zoneout(jlstm.lstm_step, (0.1, 0.1))(PARAMS, STATE, (XS[0], KEYS[0]))
    for nothing in (None, {}):
        with pytest.raises(TypeError, match="rates must be a number, or one for each array"):
            regularize.zoneout(jlstm.lstm_step, nothing)
    with pytest.raises(TypeError, match="xs must be an array, got list"):
        regularize.dropout(KEY, [1.0, 2.0], 0.5)
    with pytest.raises(TypeError, match="rate must be a number"):
        regularize.dropout(KEY, XS, np.complex64(0.5))


CALLS = {
    "dropout": lambda rate: regularize.dropout(KEY, XS, rate),
    "sequence_dropout": lambda rate: regularize.sequence_dropout(KEY, XS, rate),
    "weight_drop": lambda rate: regularize.weight_drop(KEY, PARAMS, rate),
    "hidden_dropout": lambda rate: regularize.hidden_dropout(jlstm.lstm_step, KEY, STATE, rate),
    "candidate_dropout": regularize.candidate_dropout,
    "zoneout": lambda rate: regularize.zoneout(jlstm.lstm_step, jlstm.LSTMState(0.1, rate)),
    "expected_zoneout": lambda rate: regularize.expected_zoneout(
        jlstm.lstm_step, jlstm.LSTMState(rate, 0.1)
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_rates(name):
    for rate in (1.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match=rf"rates? must lie in \[0, 1\), got {rate}"):
            CALLS[name](rate)
    for rate in (True, "0.5", None if "zoneout" not in name else "x", jnp.ones(())):
        with pytest.raises(TypeError, match="must be a number, known while tracing"):
            CALLS[name](rate)


@pytest.mark.parametrize("implementation", [None, "scan"])
def test_keys_of_steps_with_checkpoints_every_few_steps(implementation):
    """Random keys per step are cut into chunks too, of which the last is not full."""
    layers = jlstm.init_stack(jax.random.key(0), 3, (5,))
    xs = jax.random.normal(jax.random.key(1), (7, 2, 3))
    options = {
        "steps": (regularize.zoneout(jlstm.lstm_step, 0.3),),
        "extras": (jax.random.split(jax.random.key(2), 7),),
        "implementation": implementation,
    }

    def loss(layers, save):
        return (jlstm.stack_scan(layers, None, xs, save=save, **options)[1] ** 2).sum()

    found, wanted = (jax.value_and_grad(loss)(layers, save) for save in (3, "gates"))
    assert_close(found, wanted, tolerance(jnp.float32, "gradients"))
