"""A process that times one implementation: `python -m benchmarks.worker NAME DEVICES`.

It reads a job a line from stdin, `{"shape": [B, T, I, H], "what": "train", "seconds": 0.5}`, and
answers each with a line: the best time of a call in milliseconds, or why there is none.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from functools import cache

from benchmarks.shapes import Shape, make_problem


def best_time(call, seconds: float) -> float:
    """The shortest of the calls made in that time, at least two, in milliseconds."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


@cache
def load(name: str, shape: Shape) -> dict:
    """The calls of an implementation, compiled and called once."""
    module = importlib.import_module(f"benchmarks.peers.{name}")
    problem = make_problem(shape)
    if hasattr(module, "layer"):
        from benchmarks.layer_calls import make_calls

        calls = make_calls(module, problem)
    else:
        calls = module.calls(problem)
    if hasattr(module, "step") and shape.batch == 1:
        calls["step"] = module.step(problem)
    for call in calls.values():
        call()
    return calls


def main() -> None:
    """Answer jobs until stdin ends."""
    name, devices = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    if devices > 1:
        import jax

        jax.config.update("jax_num_cpu_devices", devices)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            calls = load(name, Shape(*job["shape"]))
            answer = {"ms": best_time(calls[job["what"]], job["seconds"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
