"""Sequences against the float64 oracle: values, states, gradients, for every kind of call."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import jlstm
from tests.conftest import quick
from tests.support.problems import Problem, assert_close, make_problem, tolerance, vjp
from tests.support.reference import lstm, lstm_vjp
from tests.support.strategies import problems

SAVES = ["gates", "states", 1, 3, 5, 100, np.int64(4)]


def check_values(problem: Problem, function=jlstm.lstm_scan, dtype=jnp.float32, **more):
    state, hs = problem.call(function, dtype, **more)[:2]
    (h, c), hs_ref, _ = lstm(*problem[:3], **problem.options)
    assert_close((state.h, state.c, hs), (h, c, hs_ref), tolerance(dtype))


def check_gradients(problem: Problem, function=jlstm.lstm_scan, dtype=jnp.float32, **more):
    gradients = vjp(function, problem, dtype, **more)
    expected = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    for name, given_ in gradients.items():
        if given_ is not None:
            assert_close(given_, expected[name], tolerance(dtype, "gradients"))


@pytest.mark.sampled
@given(problems())
def test_values(problem):
    check_values(problem)


@given(problems())
def test_gradients(problem):
    check_gradients(problem)


@pytest.mark.slow
@settings(settings.get_profile("slow"))
@given(problems())
def test_values_and_gradients_of_many(problem):
    check_values(problem)
    check_gradients(problem)


@pytest.mark.sampled
@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("reverse", quick([False, True], {True}))
def test_what_is_saved_changes_nothing(save, reverse):
    problem = make_problem(5, time=10, reverse=reverse)
    check_values(problem, save=save)
    check_gradients(problem, save=save)


@pytest.mark.parametrize("implementation", [None, "scan"])
def test_implementations(implementation):
    problem = make_problem(6, time=10)
    check_values(problem, implementation=implementation)
    check_gradients(problem, implementation=implementation)


@pytest.mark.sampled
@pytest.mark.parametrize("reverse", [False, True])
def test_float64_is_exact_to_rounding(reverse, x64):
    problem = make_problem(7, time=20, reverse=reverse)
    check_values(problem, dtype=jnp.float64)
    check_gradients(problem, dtype=jnp.float64)


@pytest.mark.full
@given(problems())
def test_trace(problem):
    state, hs, trace = problem.call(jlstm.lstm_trace)
    (h, c), hs_ref, trace_ref = lstm(*problem[:3], **problem.options)
    expected = tuple(trace_ref[name] for name in trace._fields)
    assert_close((state.h, state.c, hs, *trace), (h, c, hs_ref, *expected), tolerance(jnp.float32))


def test_trace_has_gradients():
    check_gradients(make_problem(8), function=jlstm.lstm_trace)


def test_lengths_at_a_real_size():
    problem = make_problem(9, time=200, batch=(16,), sizes=(32, 64))
    state, hs = problem.call(jlstm.lstm_scan)
    (h, c), hs_ref, _ = lstm(*problem[:3], **problem.options)
    # 200 steps of 64 units: the cell forgets errors as it forgets inputs.
    assert_close((state.h, state.c, hs), (h, c, hs_ref), 2e-5)


def test_steps_equal_the_scan():
    params, state, xs, _ = make_problem(10).arrays()
    last, hs = jlstm.lstm_scan(params, state, xs)
    for x, h in zip(xs, hs, strict=True):
        state, shown = jlstm.lstm_step(params, state, x)
        assert_close(shown, h, 1e-6)
    assert_close(state, last, 1e-6)


def leaky_sum(decay, state, x):
    """A cell of our own: a pytree in, a pytree out."""
    level, count = state["level"], state["count"]
    level = decay * level + x["a"] * x["b"][..., None]
    return {"level": level, "count": count + 1}, (level, count)


def test_scan_cell_takes_any_cell_and_pytrees():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 3, 4)), rng.normal(size=(6, 3))
    lengths = np.array([6, 0, 4])
    resets = np.zeros((6, 3), bool)
    resets[2, 0] = resets[5, 2] = resets[3, 2] = True
    start = {"level": np.ones((3, 4)), "count": np.zeros(3, int)}
    again = {"level": np.full((3, 4), 7.0), "count": np.full(3, 100)}
    state, (levels, counts) = jlstm.scan_cell(
        leaky_sum, jnp.float32(0.5), jax.tree.map(jnp.asarray, start),
        {"a": jnp.asarray(a), "b": jnp.asarray(b)}, lengths=jnp.asarray(lengths),
        resets=jnp.asarray(resets), reset_state=jax.tree.map(jnp.asarray, again),
    )  # fmt: skip
    for n in range(3):
        level, count = start["level"][n], start["count"][n]
        for t in range(lengths[n]):
            if resets[t, n]:
                level, count = again["level"][n], again["count"][n]
            level = 0.5 * level + a[t, n] * b[t, n]
            np.testing.assert_allclose(levels[t, n], level, rtol=1e-5)
            assert counts[t, n] == count
            count += 1
        np.testing.assert_allclose(state["level"][n], level, rtol=1e-5)
        assert state["count"][n] == count
        assert not levels[lengths[n] :, n].any()


def test_scan_cell_takes_a_random_key_a_step():
    def noisy(scale, h, x):
        x, key = x
        h = h + x + scale * jax.random.normal(key, h.shape)
        return h, h

    keys = jax.random.split(jax.random.key(0), 5)
    xs = jnp.ones((5, 2, 3))
    _, hs = jlstm.scan_cell(
        noisy, jnp.float32(0.1), jnp.zeros((2, 3)), (xs, keys), lengths=jnp.array([5, 2])
    )
    noise = jnp.stack([jax.random.normal(key, (2, 3)) for key in keys])
    expected = jnp.cumsum(1 + 0.1 * noise, axis=0)
    assert_close(hs[:, 0], expected[:, 0], 1e-6)
    assert_close(hs[2:, 1], jnp.zeros((3, 3)), 0)


def test_scan_cell_takes_random_keys_in_the_state():
    def noisy(params, state, x):
        keys, h = state
        keys, now = jax.vmap(jax.random.split, out_axes=1)(keys)
        h = h + x + jax.vmap(jax.random.normal)(now)
        return (keys, h), h

    keys = jax.random.split(jax.random.key(0), 2)
    resets = jnp.zeros((4, 2), bool).at[2].set(True)
    start = (keys, jnp.zeros(2))
    _, hs = jlstm.scan_cell(noisy, None, start, jnp.ones((4, 2)), resets=resets, reset_state=start)
    np.testing.assert_array_equal(hs[:2], hs[2:])


def test_scan_cell_takes_params_that_are_not_arrays():
    def step(options, h, x):
        h = h + x if options["add"] else h - x
        return h, h

    for add, total in ((True, 3.0), (False, -3.0)):
        state, _ = jlstm.scan_cell(step, {"add": add}, jnp.zeros(()), jnp.ones(3))
        assert state == total
