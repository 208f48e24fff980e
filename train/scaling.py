"""`python -m train.scaling CONFIG.toml [--devices 1 8 256] [--accelerator h100] [--any.key VALUE]`.

What a training step costs on so many devices: compute, memory, and what crosses between them. The
formulas are the functions here; docs/scaling.md explains them and holds them against measurements.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import tyro

from train.config.command import parse, run
from train.config.load import check_config, read_config, to_values
from train.config.settings import Config
from train.errors import InputError

if TYPE_CHECKING:
    from train.model import Params

PROG = "python -m train.scaling CONFIG.toml"
FLOAT32 = 4  # bytes


class Accelerator(NamedTuple):
    """A device among its like."""

    flops: dict[str, float]  # a second, in large products, by the dtype of the computation
    memory: float  # bytes
    link: float  # bytes a second that a device sends while it receives as many, inside a host
    network: float  # the same between hosts
    host: int  # devices of a host
    loop: float  # seconds that a step of a loop over time takes at least
    latency: float  # seconds until the first byte arrives


# NVIDIA's data sheet of the H100 SXM: dense products, TF32 for float32; NVLink 900 GB/s of both
# directions together; a DGX has 400 Gbit/s of network for each. A step of `lax.scan` takes 8 to 10
# microseconds on a GPU. Google's page of the TPU v5e: 197 TFLOP/s, 16 GB, 1,600 Gbit/s of links.
ACCELERATORS = {
    "h100": Accelerator({"bfloat16": 989e12, "float32": 494e12}, 80e9, 450e9, 50e9, 8, 9e-6, 10e-6),
    "tpu-v5e": Accelerator(
        {"bfloat16": 197e12, "float32": 197e12}, 16e9, 100e9, 100e9, 256, 1e-6, 5e-6
    ),
}


class Estimate(NamedTuple):
    """Of one training step on so many devices."""

    devices: int
    rows: int  # of each device
    flops: float  # of each device
    sent: float  # bytes that each device sends
    state: float  # bytes of weights, optimizer state and average on each device
    working: float  # bytes of the step itself on each device
    compute: float  # seconds
    exchange: float  # seconds; it comes after the loop, so nothing hides it

    @property
    def seconds(self) -> float:
        """Of the step."""
        return self.compute + self.exchange


def estimate(
    config: Config, weights: Params, steps: int, devices: int, device: Accelerator
) -> Estimate:
    """A training step at its best: no device waits, and products run at the full rate.

    Args:
      config: of the run; its `data.rows` are shared by the devices.
      weights: shapes of all weights, as of `jax.eval_shape`.
      steps: steps of time of a row.
      devices: how many share the rows.
      device: what each of them can do.
    """
    from train.model import flops_per_step

    rows = math.ceil(config.data.rows / devices)
    flops = float(flops_per_step(weights)) * rows * steps * config.trials
    sent = bytes_sent(config, weights, devices)
    loops = 2 * len(weights.layers) * steps * device.loop  # forward and back, layer after layer
    speed = device.link if devices <= device.host else device.network
    return Estimate(
        devices, rows, flops, sent,
        state_bytes(config, weights, devices),
        working_bytes(config, weights, rows, steps),
        max(flops / device.flops[config.model.dtype], loops),
        sent / speed + 2 * math.log2(devices) * device.latency,
    )  # fmt: skip


def bytes_sent(config: Config, weights: Params, devices: int) -> float:
    """What a device sends a step, in rings: the gradients are added up and handed round.

    Sharded weights are gathered first, and their gradients only added up: as many bytes.
    """
    return 2 * (devices - 1) / devices * FLOAT32 * count(weights) * config.trials


def state_bytes(config: Config, weights: Params, devices: int) -> float:
    """Weights, both moments of Adam, the average and gradients that add up, on each device."""
    from train.engine.devices import AXIS, shared_axis

    copies = 3 + bool(config.optimizer.average) + (config.optimizer.accumulate > 1)
    shared = whole = 0
    for leaf in _leaves(weights):
        if config.shard_weights and AXIS in shared_axis(leaf.shape, devices):
            shared += leaf.size
        else:
            whole += leaf.size
    return copies * FLOAT32 * (shared / devices + whole) * config.trials


def working_bytes(config: Config, weights: Params, rows: int, steps: int) -> float:
    """What a step holds beside the state: what the backward pass reads, and the gradient.

    A step and unit keeps 6 numbers (gates, c and h), or 2 with `model.save = "states"`. The layer
    that is on its way back adds the gradients of its 4 gates and of what it shows, and 4 gates that
    are computed again. The outputs are there with their gradient. Weights that are sharded are
    whole while the step runs.
    """
    kept, back = {"gates": (6, 5), "states": (2, 9)}.get(str(config.model.save), (2, 5))
    ways = 2 if config.model.bidirectional else 1
    units = [size * ways for size in config.model.hidden]
    size = 2 if config.model.dtype == "bfloat16" else FLOAT32
    layers = size * (kept * sum(units) + back * max(units))
    outputs = 2 * FLOAT32 * weights.output_bias.size  # where there is one at every step
    gradient = FLOAT32 * count(weights) * (2 if config.shard_weights else 1)
    return (rows * steps * (layers + outputs) + gradient) * config.trials


def count(weights: Params) -> int:
    """How many weights there are."""
    return sum(leaf.size for leaf in _leaves(weights))


def _leaves(weights: Params) -> list[Any]:
    import jax

    return jax.tree.leaves(weights)


def measured_here() -> Accelerator:
    """The devices of this process: their rate in products and their links, measured."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    from train.engine.devices import AXIS, flops_limit, make_mesh

    devices = jax.local_device_count()
    mesh = make_mesh(devices)
    rate = flops_limit(devices) / devices

    def exchange(size: int) -> float:
        add = jax.jit(jax.shard_map(lambda a: jax.lax.psum(a, AXIS), mesh=mesh,
                                    in_specs=P(AXIS), out_specs=P()))  # fmt: skip
        numbers = jnp.ones((devices, size))
        return _best(lambda: add(numbers).block_until_ready())

    small, large = exchange(8), exchange(2**20)
    sent = 2 * (devices - 1) / devices * FLOAT32 * 2**20
    loop = jax.jit(lambda c: jax.lax.fori_loop(0, 1000, lambda k, c: jnp.tanh(c), c))
    step = _best(lambda: loop(jnp.ones((8, 8))).block_until_ready()) / 1000
    link = sent / max(large - small, 1e-9) if devices > 1 else math.inf
    memory = float(_memory_of_host() / devices)
    hops = max(1.0, 2 * math.log2(devices))
    return Accelerator(
        dict.fromkeys(("float32", "bfloat16"), rate), memory, link, link, devices, step,
        small / hops,
    )  # fmt: skip


def main(args: list[str]) -> None:
    """Print the table."""
    if not args or args[0].startswith("-"):
        print(f"usage: {PROG[:-11]}CONFIG.toml [--devices N ...] [--accelerator NAME]")
        if not args:
            raise InputError(f"name a config, as in: {PROG}")
        return
    path = Path(args[0])
    command: Any = parse(
        _command(read_config(path)), args[1:], f"python -m train.scaling {path}", "--devices 1 8"
    )
    config = check_config(to_values(command.config), "command line")
    if min(command.devices) < 1:
        raise InputError(f"--devices must be 1 or more, got {min(command.devices)}")
    import jax  # after the checks: it takes seconds to start

    from train.engine.devices import use_every_core
    from train.model import check_fits, init_model
    from train.tasks import ALL_ROWS, find_task

    use_every_core()
    task = find_task(config.task)
    check_fits(config, task.per_step)
    data = task.load(config)
    weights = jax.eval_shape(lambda: init_model(jax.random.key(0), config.model, data.shape))
    batch: Any = task.batches(config, data, ALL_ROWS)[0]
    steps = batch.inputs.shape[1]
    device = measured_here() if command.accelerator == "here" else ACCELERATORS[command.accelerator]
    print(
        f"{count(weights):,} weights; {config.data.rows} rows of {steps} steps; "
        f"{config.model.dtype}; {command.accelerator}\n"
    )
    found = [estimate(config, weights, steps, n, device) for n in command.devices]
    for line in table(found, device):
        print(line)


def table(found: Sequence[Estimate], device: Accelerator) -> list[str]:
    """A line an estimate, under a head; the speed-up is over the first one."""
    lines = [
        "| devices | rows each | compute, ms | sent, MB | exchange, ms | step, ms | times as fast "
        "| memory each, GB |",
        "| ---: " * 8 + "|",
    ]
    for one in found:
        memory = one.state + one.working
        full = " (too much)" if memory > device.memory else ""
        lines.append(
            f"| {one.devices} | {one.rows} | {1e3 * one.compute:.3g} | {one.sent / 1e6:.3g} "
            f"| {1e3 * one.exchange:.3g} | {1e3 * one.seconds:.3g} "
            f"| {found[0].seconds / one.seconds:.3g} | {memory / 1e9:.3g}{full} |"
        )
    return lines


def _command(config: Config) -> Any:
    """The flags of a config's task, beside those of the estimate."""
    devices = Annotated[tuple[int, ...], tyro.conf.arg(help="How many share the rows.")]
    names = Literal["h100", "tpu-v5e", "here"]
    which = Annotated[names, tyro.conf.arg(help="Of what kind; `here` measures this machine.")]
    kind = type(config)
    own = Annotated[kind, tyro.conf.arg(name="")]
    command = dataclasses.make_dataclass(
        "Command",
        [
            ("devices", devices, (1, 8, 256)),
            ("accelerator", which, "h100"),
            ("config", own, dataclasses.field(default=config)),
        ],
        frozen=True,
    )
    command.__doc__ = "Estimate a training step of a config on many devices."
    return command()


def _best(function: Any, times: int = 5) -> float:
    function()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def _memory_of_host() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


if __name__ == "__main__":
    run(main, "train.scaling", "interrupted")
