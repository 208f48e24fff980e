"""The benchmarks time the same computation: every peer returns what jlstm returns."""

import importlib

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.layer_calls import layer_functions
from benchmarks.shapes import KINDS, TOY, make_problem

for needed in ("torch", "haiku", "flax"):
    pytest.importorskip(needed, exc_type=ImportError)
TORCH = importlib.import_module("benchmarks.peers.torch")


def hs_of(name, problem):
    module = importlib.import_module(f"benchmarks.peers.{name}")
    functions, args = layer_functions(module, problem)
    return np.asarray(functions["forward"](*args), np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-6), ("bfloat16", 0.06)])
def test_every_peer_computes_the_same(kind, dtype, close):
    problem = make_problem(TOY, dtype=jnp.dtype(dtype), kind=kind)
    wanted = hs_of("jlstm", problem)
    valid = np.ones(wanted.shape[:2], bool)
    if problem.lengths is not None:
        valid = np.arange(TOY.time)[:, None] < problem.lengths
    for name in ("linen", "haiku"):
        if (name, kind) != ("haiku", "ragged"):
            found = hs_of(name, problem)
            np.testing.assert_allclose(found[valid], wanted[valid], rtol=0, atol=close)
    calls, wait = TORCH.streams(make_problem(TOY, kind=kind), dtype)
    found = calls["forward"]().float().numpy()
    wait()
    np.testing.assert_allclose(found[valid], wanted[valid], rtol=0, atol=close)


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_same(kind):
    problem = make_problem(TOY, kind=kind)
    functions, args = layer_functions(importlib.import_module("benchmarks.peers.jlstm"), problem)
    d_xs = functions["train"](*args)[1]
    found = TORCH.streams(problem, "float32")[0]["train"]()[0].numpy()
    np.testing.assert_allclose(found, d_xs, rtol=0, atol=1e-6)
