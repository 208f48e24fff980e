"""`python -m benchmarks`: jlstm against its peers on this machine's CPU, into results/.

Every implementation runs in a process of its own. They take turns, several rounds, and the best
time of each counts, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.report import write_report
from benchmarks.shapes import SHAPES, Shape
from benchmarks.workers import Bench

RESULTS = Path(__file__).parent / "results"
JAX_PEERS = ("haiku", "linen", "nnx", "equinox", "keras")
ALONE = ("torch", "onnxruntime")  # these use all cores
KINDS = (
    "LSTM", "LSTM, by JAX", "LSTM, both directions", "LSTM, both directions, by JAX",
    "LSTM, both directions in one loop, by JAX", "projected to half",
    "projected to half, by JAX", "peephole", "coupled", "layer norm", "no forget", "gru", "cho gru",
    "rnn",
)  # fmt: skip
PARTS = ("table", "sweeps", "stream", "vmap", "kinds", "modules", "costs")
PACKAGES = ("jax", "torch", "onnxruntime", "dm-haiku", "flax", "equinox", "keras", "numpy")


def table(bench: Bench, shapes: dict[str, Shape], cores: int) -> dict:
    """The forward pass and the training step of every implementation at every shape."""
    several = [f"{name}:{cores}" for name in ("jlstm", "products", *JAX_PEERS)]
    names = ["jlstm", "scan", "products", *JAX_PEERS, *ALONE, *several]
    results = {}
    for letter, shape in shapes.items():
        print(f"shape {letter} {shape}", flush=True)
        fitting = [name for name in names if ":" not in name or shape.batch % cores == 0]
        results[letter] = {what: bench.best(fitting, shape, what) for what in ("forward", "train")}
    return results


def sweeps(bench: Bench, cores: int) -> dict:
    """The training step over time, units and batch, by implementation and number of devices."""
    names = ["jlstm", f"jlstm:{cores}", "haiku", "torch"]
    axes = {
        "time": [Shape(16, time, 64, 128) for time in (64, 128, 256, 512, 1024, 2048)],
        "hidden": [Shape(16, 128, hidden, hidden) for hidden in (16, 32, 64, 128, 256, 512)],
        "batch": [Shape(batch, 128, 64, 128) for batch in (2, 8, 32, 128)],
    }
    results = {}
    for axis, shapes in axes.items():
        print(f"sweep over {axis}", flush=True)
        results[axis] = [
            {"shape": list(shape), "train": bench.best(names, shape, "train")} for shape in shapes
        ]
    return results


def streams(bench: Bench) -> list:
    """One time step at batch 1, with the state kept: the latency of a live stream."""
    print("stream", flush=True)
    names = ["jlstm", "torch", "onnxruntime"]
    return [
        {"hidden": hidden, "step": bench.best(names, Shape(1, 1, hidden, hidden), "step")}
        for hidden in (64, 256, 512)
    ]


def transformed(bench: Bench, shapes: dict[str, Shape]) -> dict:
    """The cost of `vmap`: over data against the batched call, over 8 weights against 8 calls."""
    kinds = [f"{kind}_{what}" for what in ("forward", "train") for kind in ("data", "weights")]
    results = {}
    for letter, shape in shapes.items():
        print(f"vmap at {letter}", flush=True)
        times = {}
        for kind in ("forward", "train", *kinds):
            times |= {kind: bench.best(["jlstm"], shape, kind)["jlstm"]}
        results[letter] = times
    return results


def kinds(bench: Bench) -> dict[str, float]:
    """The training step of every layer type at shape A, in milliseconds."""
    print("kinds of layers", flush=True)
    times: dict[str, float] = {}
    for _ in range(bench.rounds):
        for name in KINDS:
            job = {"shape": SHAPES["A"], "what": name, "seconds": bench.seconds}
            ms = bench.worker("kinds").ask(**job)["ms"]
            times[name] = min(times.get(name, ms), ms)
    print(json.dumps(times, indent=1), flush=True)
    return times


def modules(bench: Bench, shapes: dict[str, Shape]) -> dict:
    """Flax NNX modules, trained with the transformations and optimiser of NNX, batch first."""
    print("modules of Flax NNX", flush=True)
    names, both = ["nnx_lstm", "nnx_rnn"], ("train", "forward")
    return {
        letter: {what: bench.best(names, shape, what) for what in both}
        for letter, shape in shapes.items()
    }


def costs(bench: Bench) -> dict:
    """Compilation time and memory of the training step, and errors against float64."""
    a = SHAPES["A"]

    def ask(name: str, shape: Shape, what: str) -> dict:
        return bench.worker(name).ask(shape=shape, what=what, seconds=0)

    costs_at_a = {
        "compile": {
            name: {t: ask(name, a._replace(time=t), "compile")["seconds"] for t in (64, 512, 4096)}
            for name in ("jlstm", "haiku")
        },
        "memory": {
            "haiku": ask("haiku", a, "memory")["units"],
            **{
                save: ask("jlstm", a, f"memory {save}")["units"] for save in ("gates", "states", 16)
            },
        },
        "long": ask("jlstm", Shape(1, 100_000, 128, 128), "memory 316"),
        "error": {
            letter: {
                name: ask(name, SHAPES[letter], "error")
                for name in ("jlstm", "scan", *JAX_PEERS, *ALONE)
            }
            for letter in "AEF"
        },
    }
    print(json.dumps(costs_at_a, indent=1), flush=True)
    return costs_at_a


def main() -> None:
    """Run all parts, or the named ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--shapes", default="ABCDEF", help="letters of benchmarks/shapes.py")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each implementation")
    parser.add_argument("--seconds", type=float, default=0.4, help="duration of a round")
    parser.add_argument("--only", choices=PARTS, help="run one part only")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "cpu.json", help="results, which are updated"
    )
    options = parser.parse_args()
    shapes = {letter: SHAPES[letter] for letter in options.shapes}
    cores = len(os.sched_getaffinity(0))
    bench = Bench(options.rounds, options.seconds)
    parts = {
        "table": lambda: table(bench, shapes, cores),
        "sweeps": lambda: sweeps(bench, cores),
        "stream": lambda: streams(bench),
        "vmap": lambda: transformed(bench, {k: SHAPES[k] for k in "AE"}),
        "kinds": lambda: kinds(bench),
        "modules": lambda: modules(bench, shapes),
        "costs": lambda: costs(bench),
    }
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in [options.only] if options.only else parts:
        results |= {"machine": machine(cores, PACKAGES), name: parts[name]()}
        bench.stop()
        options.out.parent.mkdir(exist_ok=True)
        part = options.out.with_suffix(".part")
        part.write_text(json.dumps(results, indent=1) + "\n")
        part.replace(options.out)
    write_report(options.out)


if __name__ == "__main__":
    main()
