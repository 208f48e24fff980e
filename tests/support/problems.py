"""Random problems for the tests, and how far a result may lie from the oracle."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jlstm


class Problem(NamedTuple):
    """One call of `lstm_scan`, with cotangents for its results; arrays are float64 NumPy."""

    params: tuple
    state: tuple | None
    xs: np.ndarray
    options: dict
    cotangents: tuple

    def call(self, function, dtype=jnp.float32, **more):
        """`function(params, state, xs, **options)` on JAX arrays of that dtype."""
        params, state, xs, options = self.arrays(dtype)
        return function(params, state, xs, **options, **more)

    def arrays(self, dtype=jnp.float32):
        def cast(tree):
            return jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)

        options = dict(self.options)
        if options.get("reset_state") is not None:
            options["reset_state"] = jlstm.LSTMState(*cast(options["reset_state"]))
        state = None if self.state is None else jlstm.LSTMState(*cast(self.state))
        return jlstm.LSTMParams(*cast(self.params)), state, cast(self.xs), options


def make_problem(
    seed=0, time=7, batch=(3,), sizes=(4, 5), *, state=True, lengths=True, resets=True,
    reset_state=True, reverse=False,
):  # fmt: skip
    """A problem with what is asked for; ragged lengths always hold a 0 and a full length."""
    rng = np.random.default_rng(seed)
    inputs, hidden = sizes

    def normal(*shape, scale=1.0):
        return rng.normal(size=shape) * scale

    options = {"reverse": reverse}
    if lengths:
        drawn = rng.integers(0, time + 1, batch)
        if drawn.size > 1:
            drawn.flat[0], drawn.flat[1] = 0, time
        options["lengths"] = drawn
    if resets:
        options["resets"] = rng.random((time, *batch)) < 0.3
        if reset_state:
            options["reset_state"] = (normal(*batch, hidden), normal(*batch, hidden))
    return Problem(
        params=(
            normal(inputs, 4 * hidden, scale=inputs**-0.5),
            normal(hidden, 4 * hidden, scale=hidden**-0.5),
            normal(4 * hidden),
        ),
        state=(normal(*batch, hidden), normal(*batch, hidden)) if state else None,
        xs=normal(time, *batch, inputs),
        options=options,
        cotangents=(
            (normal(*batch, hidden), normal(*batch, hidden)),
            normal(time, *batch, hidden),
        ),
    )


def vjp(function, problem, dtype=jnp.float32, **more):
    """JAX's gradients of a call under the problem's cotangents, named as the oracle's."""
    params, state, xs, options = problem.arrays(dtype)
    reset_state = options.pop("reset_state", None)

    def call(params, state, xs, reset_state):
        return function(params, state, xs, reset_state=reset_state, **options, **more)[:2]

    out, pullback = jax.vjp(call, params, state, xs, reset_state)
    (d_h, d_c), d_hs = problem.cotangents
    cotangents = (jlstm.LSTMState(d_h, d_c), d_hs)
    cotangents = jax.tree.map(lambda ct, like: jnp.asarray(ct, like.dtype), cotangents, out)
    names = ("params", "state", "xs", "reset_state")
    return dict(zip(names, pullback(cotangents), strict=True))


def assert_close(actual, expected, tolerance):
    """Every array of the trees agrees to `tolerance`, relative to the largest value expected."""
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected) > 0
    for got, wanted in zip(actual, expected, strict=True):
        got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
        assert got.shape == wanted.shape
        scale = max(1.0, np.abs(wanted).max(initial=0.0))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * scale)


# How far a result may lie from the float64 oracle, in units of the dtype's rounding. Over 1,080
# random problems of 7 steps, 4 features and 5 units in float32 the largest errors seen were 4.9
# (values) and 23 (gradients); these leave a factor of three.
ROUNDINGS = {"values": 16, "gradients": 80}


def tolerance(dtype, kind="values"):
    return ROUNDINGS[kind] * float(jnp.finfo(dtype).eps) / 2
