"""A process that times one entrant on the GPU: `python -m benchmarks.gpu_worker ENTRANT`.

Jobs are lines, as those of `benchmarks.worker`. "prepare" makes and compiles the calls of a case,
"forward" and "train" time them, "check" compares jlstm with float64, "ceilings" measures the chip.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.shapes import Shape, make_problem
from benchmarks.worker import serve


class Entrant(NamedTuple):
    """Who is timed: a module of `benchmarks.peers`, and how it is asked."""

    module: str
    options: Mapping[str, Any] = MappingProxyType({})
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    graphs: bool = False  # loops as CUDA graphs


ENTRANTS = {
    "jlstm": Entrant("jlstm"),
    "jlstm, CUDA graphs": Entrant("jlstm", graphs=True),
    "jlstm, scan": Entrant("jlstm", {"implementation": "scan"}),
    "jlstm, cudnn": Entrant("jlstm", {"implementation": "cudnn"}, ("float32",)),
    "PyTorch": Entrant("torch", dtypes=("float32", "bfloat16", "float16")),
    "jax.experimental.rnn": Entrant("experimental_rnn", dtypes=("float32",)),
    "Flax linen": Entrant("linen"),
    "Haiku": Entrant("haiku"),
}


def main() -> None:
    """Answer jobs about one entrant."""
    entrant = ENTRANTS[sys.argv[1]]
    made: dict[str, Any] = {}

    def answer(job: dict) -> dict:
        what = job["what"]
        if what == "check":
            from benchmarks.gpu_checks import checks

            implementation = entrant.options.get("implementation")
            return checks(implementation, job["dtype"], job["matrix"])
        if what == "ceilings":
            return ceilings(job["megabytes"])
        if what == "prepare":
            made.clear()  # the last case, before this one takes its memory
            made["calls"], made["wait"] = _calls(
                entrant, Shape(*job["shape"]), job["dtype"], job["kind"]
            )
            return {}
        return {"ms": stream_time(made["calls"][what], made["wait"], job["seconds"])}

    serve(answer)


def stream_time(call: Callable, wait: Callable, seconds: float) -> float:
    """Milliseconds of one call among many that the device is given without a pause.

    The host waits once, at the end: what it does between calls is in the time only where the
    device is faster than it.
    """
    call()
    wait()
    start = time.perf_counter()
    call()
    wait()
    once = time.perf_counter() - start
    count = max(2, min(200, int(seconds / max(once, 1e-6))))
    start = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    return 1e3 * (time.perf_counter() - start) / count


def ceilings(megabytes: int) -> dict:
    """What the chip itself reaches: a large copy, and a large matrix product of each dtype."""
    import jax
    import jax.numpy as jnp

    def seconds(function: Callable, *args: Any) -> float:
        run = jax.jit(function).lower(*args).compile()
        kept: list = []

        def call() -> None:
            kept[:] = [run(*args)]

        times = [stream_time(call, lambda: jax.block_until_ready(kept), 0.2) for _ in range(3)]
        return min(times) / 1e3

    floats = megabytes * 2**18
    found: dict[str, Any] = {"device": jax.devices()[0].device_kind}
    found |= {"GB/s": 8 * floats / seconds(lambda a: a + 1, jnp.zeros(floats)) / 1e9}
    size = 8192 if megabytes > 64 else 256
    for dtype in ("float32", "bfloat16", "float16"):
        a = jax.random.normal(jax.random.key(0), (size, size), dtype)
        found[f"TFLOP/s, {dtype}"] = 2 * size**3 / seconds(jnp.matmul, a, a) / 1e12
    return found


def _calls(entrant: Entrant, shape: Shape, dtype: str, kind: str) -> tuple[dict, Callable]:
    """Calls by name, compiled, which return at once; and what waits for the last of them."""
    if dtype not in entrant.dtypes:
        raise TypeError(f"it does not compute in {dtype}")
    module = importlib.import_module(f"benchmarks.peers.{entrant.module}")
    if hasattr(module, "streams"):
        calls, wait = module.streams(make_problem(shape, kind=kind), dtype)
        for call in calls.values():
            call()
        wait()
        return calls, wait
    import jax
    import jax.numpy as jnp

    import jlstm.gpu
    from benchmarks.layer_calls import layer_functions

    problem = make_problem(shape, dtype=jnp.dtype(dtype), kind=kind)
    functions, args = layer_functions(module, problem, **entrant.options)
    kept: dict[str, Any] = {}

    def compiled(function: Callable) -> Callable:
        options = dict(jlstm.gpu.COMPILER_OPTIONS) if entrant.graphs else None
        run = jax.jit(function, compiler_options=options).lower(*args).compile()

        def call() -> None:
            kept["last"] = run(*args)

        return call

    calls = {name: compiled(function) for name, function in functions.items()}
    return calls, lambda: jax.block_until_ready(kept)


if __name__ == "__main__":
    main()
