"""A process that times one implementation: `python -m benchmarks.worker NAME DEVICES`.

It reads a job a line from stdin, `{"shape": [B, T, I, H], "what": "train", "seconds": 0.5}`, and
answers each with a line: figures by name, such as `{"ms": 1.5}`, or `{"error": "why not"}`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache

import numpy as np

from benchmarks.shapes import Shape, make_problem


def best_time(call, seconds: float) -> float:
    """The shortest of the calls in that time, at least two, in milliseconds."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


@cache
def load(name: str, shape: Shape) -> dict:
    """The calls of an implementation at a shape."""
    module = importlib.import_module(f"benchmarks.peers.{name}")
    problem = make_problem(shape)
    if hasattr(module, "layer"):
        from benchmarks.layer_calls import make_calls

        calls = make_calls(module, problem)
    else:
        calls = module.calls(problem)
    if hasattr(module, "step") and shape.batch == 1:
        calls["step"] = module.step(problem)
    return calls


@cache
def first_call(name: str, shape: Shape, what: str) -> None:
    """Make the first call, which compiles and is not timed."""
    load(name, shape)[what]()


def error(name: str, shape: Shape) -> dict:
    """Largest differences of `hs` and of the gradient of `xs` from the oracle in float64."""
    from tests.support.reference import lstm, lstm_vjp

    problem = make_problem(shape)
    params = problem[:3]
    _, hs, _ = lstm(params, None, problem.xs)
    zeros = np.zeros(hs.shape[1:])
    d_xs = lstm_vjp(params, None, problem.xs, ((zeros, zeros), 2 * hs / hs.size))["xs"]
    calls = load(name, shape)
    batch_major = getattr(importlib.import_module(f"benchmarks.peers.{name}"), "BATCH_MAJOR", False)

    def difference(actual, wanted) -> float:
        actual = np.asarray(actual, np.float64)
        actual = actual.swapaxes(0, 1) if batch_major else actual
        return float(np.abs(actual - wanted).max() / np.abs(wanted).max())

    values = calls["forward"]()
    errors = {"hs": difference(values["hs"] if isinstance(values, dict) else values, hs)}
    if "train" in calls:
        gradients = calls["train"]()
        errors["d_xs"] = difference(
            gradients["xs"] if isinstance(gradients, dict) else gradients[1], d_xs
        )
    return errors


def answer(name: str, shape: Shape, what: str, seconds: float) -> dict:
    """Answer a job."""
    module = importlib.import_module(f"benchmarks.peers.{name}")
    if what == "error":
        return error(name, shape)
    if what == "compile" or what.startswith("memory"):
        from benchmarks import layer_calls  # imports JAX, which other libraries do without
    if what == "compile":
        return {"seconds": layer_calls.compile_seconds(module, make_problem(shape))}
    if what.startswith("memory"):
        save = what.removeprefix("memory").removeprefix(" ")
        options = [int(save) if save.isdigit() else save] if save else []
        problem = make_problem(shape)
        return {"units": layer_calls.temporary_floats(module, problem, *options)}
    first_call(name, shape, what)
    return {"ms": best_time(load(name, shape)[what], seconds)}


def serve(answer: Callable[[dict], dict]) -> None:
    """Answer jobs until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to stderr
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as problem:
            reply = {"error": f"{type(problem).__name__}: {problem}".splitlines()[0]}
        print(json.dumps(reply), file=answers, flush=True)


def main() -> None:
    """Answer jobs about one implementation on a number of devices."""
    name, devices = sys.argv[1], int(sys.argv[2])
    if devices > 1:
        import jax

        jax.config.update("jax_num_cpu_devices", devices)
    serve(lambda job: answer(name, Shape(*job["shape"]), job["what"], job["seconds"]))


if __name__ == "__main__":
    main()
