"""Timing of calls on a GPU, in a stream and by the device's clock, and the chip's ceilings."""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.shapes import make_problem

if TYPE_CHECKING:
    from benchmarks.gpu.entrants import Case, Entrant


class Calls(NamedTuple):
    """The compiled calls of a case, which return before their results are computed."""

    named: dict[str, Callable[[], Any]]  # "forward" and "train"
    wait: Callable[[], Any]  # until the device has finished
    device_times: Callable[[Callable, int], dict]


def prepare(entrant: Entrant, case: Case) -> Calls:
    """Make and compile the calls of an entrant."""
    module = importlib.import_module(f"benchmarks.peers.{entrant.module}")
    if hasattr(module, "streams"):
        named, wait = module.streams(make_problem(case.shape, kind=case.kind), case.dtype)
        for call in named.values():
            call()
        wait()
        return Calls(named, wait, module.device_times)
    import jax
    import jax.numpy as jnp

    import jlstm.gpu
    from benchmarks.layer_calls import layer_functions

    problem = make_problem(case.shape, dtype=jnp.dtype(case.dtype), kind=case.kind)
    functions, args = layer_functions(module, problem, **entrant.options)
    kept: dict[str, Any] = {}

    def compiled(function: Callable) -> Callable:
        options = dict(jlstm.gpu.COMPILER_OPTIONS) if entrant.graphs else None
        run = jax.jit(function, compiler_options=options).lower(*args).compile()

        def call() -> Any:
            kept["last"] = run(*args)
            return kept["last"]

        return call

    with ThreadPoolExecutor(
        len(functions)
    ) as pool:  # most of the time is spent in XLA, outside of Python
        named = dict(zip(functions, pool.map(compiled, functions.values()), strict=True))
    wait = lambda: jax.block_until_ready(kept)  # noqa: E731
    return Calls(named, wait, lambda call, count: _profiled(call, wait, count))


def stream_time(call: Callable, wait: Callable, seconds: float) -> float:
    """Milliseconds per call, of many calls without a pause.

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


def ceilings(megabytes: int, size: int) -> dict:
    """The ceilings of the chip: a large copy, and a large matrix product in each dtype."""
    import jax
    import jax.numpy as jnp

    def seconds(function: Callable, *args: Any) -> float:
        run = jax.jit(function).lower(*args).compile()
        kept: dict[str, Any] = {}

        def call() -> None:
            kept["last"] = run(*args)

        times = [stream_time(call, lambda: jax.block_until_ready(kept), 0.2) for _ in range(3)]
        return min(times) / 1e3

    floats = megabytes * 2**18
    reached = {"GB/s": 8 * floats / seconds(lambda a: a + 1, jnp.zeros(floats)) / 1e9}
    for dtype in ("float32", "bfloat16", "float16"):
        a = jax.random.normal(jax.random.key(0), (size, size), dtype)
        reached[f"TFLOP/s, {dtype}"] = 2 * size**3 / seconds(jnp.matmul, a, a) / 1e12
    return reached


def _profiled(call: Callable, wait: Callable, count: int) -> dict:
    """Times of one call by JAX's profiler: from first to last kernel, and of all kernels."""
    import jax

    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(count):
                call()
            wait()
        (path,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(path)).planes
        kernels = [
            (event.start_ns, event.start_ns + event.duration_ns)
            for plane in planes
            if plane.name.startswith("/device:")
            for line in plane.lines
            if line.name.startswith("Stream")
            for event in line.events
        ]
    if not kernels:
        raise RuntimeError("the profiler saw no kernel of a GPU")
    return spans(kernels, count)


def spans(kernels: list[tuple[float, float]], count: int) -> dict:
    """Milliseconds of one of `count` calls, and its kernels, from their starts and ends in ns."""
    busy = 0.0
    until = float("-inf")
    for start, end in sorted(kernels):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    whole = until - min(start for start, _ in kernels)
    return {
        "ms": whole / count / 1e6, "busy ms": busy / count / 1e6, "kernels": len(kernels) / count
    }  # fmt: skip
