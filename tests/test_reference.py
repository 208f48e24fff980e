"""The oracle against itself: its written-out gradients are the slopes of its values."""

import numpy as np
import pytest

from tests.support.problems import make_problem
from tests.support.reference import lstm, lstm_vjp


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_slopes(seed, reverse):
    problem = make_problem(seed, time=5, batch=(3,), reverse=reverse)
    rng = np.random.default_rng(seed)

    def value(params, state, xs, reset_state):
        options = problem.options | {"reset_state": reset_state}
        (h, c), hs, _ = lstm(params, state, xs, **options)
        (d_h, d_c), d_hs = problem.cotangents
        return (h * d_h).sum() + (c * d_c).sum() + (hs * d_hs).sum()

    point = [problem.params, problem.state, problem.xs, problem.options["reset_state"]]
    gradients = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    for k, name in enumerate(["params", "state", "xs", "reset_state"]):
        flat = point[k] if isinstance(point[k], tuple) else (point[k],)
        given = gradients[name] if isinstance(gradients[name], list) else [gradients[name]]
        direction = [rng.normal(size=a.shape) for a in flat]

        def moved(step, k=k, flat=flat, direction=direction):
            there = tuple(a + step * d for a, d in zip(flat, direction, strict=True))
            return value(*point[:k], there if k != 2 else there[0], *point[k + 1 :])

        slope = (moved(1e-6) - moved(-1e-6)) / 2e-6
        expected = sum((g * d).sum() for g, d in zip(given, direction, strict=True))
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-7)
