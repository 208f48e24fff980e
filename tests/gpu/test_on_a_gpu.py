"""On a GPU, if there is one: the checks of the benchmark, of every implementation."""

import jax
import pytest

from benchmarks.gpu.checks import CHECKS, check
from jlstm.recurrence import IMPLEMENTATIONS

pytestmark = pytest.mark.full


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("implementation", [None, *IMPLEMENTATIONS])
def test_every_call_and_transformation(implementation, dtype):
    if jax.default_backend() == "cpu":
        pytest.skip("there is no GPU")
    for name in CHECKS:
        answer = check(name, implementation, dtype)
        if "refused" in answer:
            assert implementation not in (None, "fused", "scan"), name
        else:
            assert answer["difference"] <= answer["tolerance"], name
