"""A process that checks and times one entrant on the GPU: `python -m benchmarks.gpu.worker NAME`.

Jobs are lines, as those of `benchmarks.worker`; JOBS has what they ask for.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from benchmarks.gpu.entrants import ENTRANTS, Case, Entrant
from benchmarks.gpu.timing import ceilings, prepare, stream_time
from benchmarks.shapes import Problem, Shape, make_problem
from benchmarks.worker import serve


def main() -> None:
    """Answer the jobs of one entrant."""
    entrant = ENTRANTS[sys.argv[1]]
    made: dict[str, Any] = {}
    serve(lambda job: JOBS[job.pop("what")](entrant, made, **job))


def _chip(entrant: Entrant, made: dict) -> dict:
    import jax

    device = jax.devices()[0]
    platform = " ".join(device.client.platform_version.split())
    return {"device": device.device_kind, "platform": platform}


def _ceilings(entrant: Entrant, made: dict, megabytes: int, size: int) -> dict:
    return ceilings(megabytes, size)


def _check(entrant: Entrant, made: dict, name: str, dtype: str) -> dict:
    from benchmarks.gpu.checks import check

    return check(name, entrant.options.get("implementation"), dtype)


def _agrees(entrant: Entrant, made: dict, shape: list, dtype: str, kind: str) -> dict:
    """Check that the timed calls compute the layer: `hs` and the gradient of `xs`."""
    import jax

    from benchmarks.gpu.checks import largest_error, tolerance

    module = importlib.import_module(f"benchmarks.peers.{entrant.module}")
    case = Case("", Shape(*shape), dtype, kind)
    jax.config.update("jax_default_matmul_precision", "highest")  # in all threads
    if hasattr(module, "without_tf32"):
        module.without_tf32()
    calls = prepare(entrant, case).named
    outputs, gradients = calls["forward"](), calls["train"]()
    gradient = gradients[module.XS if hasattr(module, "XS") else 1]
    outputs, gradient = (
        to_numpy(a, getattr(module, "BATCH_MAJOR", False)) for a in (outputs, gradient)
    )
    problem = make_problem(case.shape, dtype=jax.numpy.dtype(dtype), kind=kind)
    hs, d_xs = expected(problem)
    if problem.lengths is None:
        errors = [largest_error(outputs, hs), largest_error(gradient, d_xs, least=1e-30)]
    else:  # outputs past the lengths differ between libraries, and with them the loss
        valid = np.arange(case.shape.time)[:, None] < problem.lengths
        errors = [largest_error(outputs[valid], hs[valid])]
    return {"difference": max(errors), "tolerance": tolerance(dtype, "gradients")}


def expected(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """`hs` and the gradient of `mean(hs**2)` by `xs`, of the whole problem, in float64."""
    from tests.support.reference import lstm, lstm_vjp

    def run(weights: Any, xs: np.ndarray, reverse: bool = False) -> np.ndarray:
        return lstm(weights, None, xs, problem.lengths, reverse=reverse)[1]

    def gradient(
        weights: Any, xs: np.ndarray, d_hs: np.ndarray, reverse: bool = False
    ) -> np.ndarray:
        zeros = np.zeros(d_hs.shape[1:])
        cotangents = ((zeros, zeros), d_hs)
        return lstm_vjp(weights, None, xs, cotangents, problem.lengths, reverse=reverse)["xs"]

    first, xs, other = problem[:3], problem.xs, problem.other
    hs = run(first, xs)
    if other is None:
        return hs, gradient(first, xs, 2 * hs / hs.size)
    if problem.kind == "two layers":
        above = run(other, hs)
        return above, gradient(first, xs, gradient(other, hs, 2 * above / above.size))
    both = np.concatenate([hs, run(other, xs, reverse=True)], -1)
    d_forward, d_backward = np.split(2 * both / both.size, 2, -1)
    return both, gradient(first, xs, d_forward) + gradient(other, xs, d_backward, reverse=True)


def to_numpy(a: Any, batch_major: bool) -> np.ndarray:
    """A tensor of PyTorch or an array of JAX in float64, time first."""
    a = a.detach().double().cpu().numpy() if hasattr(a, "detach") else a
    a = np.asarray(a, np.float64)
    return a.swapaxes(0, 1) if batch_major else a


def _prepare(entrant: Entrant, made: dict, shape: list, dtype: str, kind: str) -> dict:
    made.clear()  # free the last case before this one takes memory
    made["calls"] = prepare(entrant, Case("", Shape(*shape), dtype, kind))
    return {}


def _time(entrant: Entrant, made: dict, call: str, seconds: float) -> dict:
    calls = made["calls"]
    return {"ms": stream_time(calls.named[call], calls.wait, seconds)}


def _device(entrant: Entrant, made: dict, call: str, count: int) -> dict:
    calls = made["calls"]
    return calls.device_times(calls.named[call], count)


JOBS = {
    "chip": _chip,  # the device
    "ceilings": _ceilings,  # its ceilings
    "check": _check,  # one check of `checks`
    "agrees": _agrees,  # the timed calls against float64
    "prepare": _prepare,  # make and compile the calls of a case
    "time": _time,  # time one of them in a stream
    "device": _device,  # time one of them by the device's clock
}

if __name__ == "__main__":
    main()
