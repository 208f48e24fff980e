"""`python -m train.scaling CONFIG.toml [--devices 1 8 256] [--accelerator h100] [--any.key VALUE]`.

The cost of a training step on many devices: compute, memory and communication. The formulas are the
functions here; docs/scaling.md explains them and compares them with measurements.
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
    """A device, and its links to others of the same type."""

    flops: dict[str, float]  # per second, in large products, by the dtype of the computation
    memory: float  # bytes
    link: float  # bytes per second that a device sends while receiving as many, within a host
    network: float  # the same between hosts
    host: int  # devices per host
    loop: float  # the least seconds per step of a loop over time
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
    """The cost of a training step on a number of devices."""

    devices: int
    rows: int  # per device
    flops: float  # per device
    sent: float  # bytes sent by each device
    state: float  # bytes of weights, optimizer state and average on each device
    working: float  # bytes of the step itself on each device
    compute: float  # seconds
    exchange: float  # seconds; after the loop, so it is not overlapped

    @property
    def seconds(self) -> float:
        """The seconds of the step."""
        return self.compute + self.exchange


def estimate(
    config: Config, weights: Params, steps: int, devices: int, device: Accelerator
) -> Estimate:
    """An ideal training step: no device waits, and products run at the full rate.

    Args:
      config: the config of the run; the devices share its `data.rows`.
      weights: the shapes of all weights, from `jax.eval_shape`.
      steps: time steps per row.
      devices: the number of devices.
      device: the type of device.
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
    """Bytes that a device sends per step, in rings: an all-reduce of the gradients.

    Sharded weights are gathered first, and their gradients reduced and scattered: the same bytes.
    """
    return 2 * (devices - 1) / devices * FLOAT32 * count(weights) * config.trials


def state_bytes(config: Config, weights: Params, devices: int) -> float:
    """Bytes per device of weights, both moments of Adam, average and accumulated gradients."""
    from train.engine.devices import AXIS, shared_axis

    copies = 3 + bool(config.optimizer.average) + (config.optimizer.accumulate > 1)
    sharded = replicated = 0
    for leaf in _leaves(weights):
        if config.shard_weights and AXIS in shared_axis(leaf.shape, devices):
            sharded += leaf.size
        else:
            replicated += leaf.size
    return copies * FLOAT32 * (sharded / devices + replicated) * config.trials


def working_bytes(config: Config, weights: Params, rows: int, steps: int) -> float:
    """Bytes per device of a step beside the state: residuals, and the gradient.

    Per step and unit 6 numbers are saved (gates, c and h), or 2 with `model.save = "states"`. The
    layer in its backward pass adds the gradients of its 4 gates and of its output, and 4 recomputed
    gates. Outputs are stored with their gradient. Sharded weights are gathered during the step.
    """
    saved, backward = {"gates": (6, 5), "states": (2, 9)}.get(str(config.model.save), (2, 5))
    directions = 2 if config.model.bidirectional else 1
    units = [size * directions for size in config.model.hidden]
    size = 2 if config.model.dtype == "bfloat16" else FLOAT32
    layers = size * (saved * sum(units) + backward * max(units))
    outputs = 2 * FLOAT32 * weights.output_bias.size  # if there is one per step
    gradient = FLOAT32 * count(weights) * (2 if config.shard_weights else 1)
    return (rows * steps * (layers + outputs) + gradient) * config.trials


def count(weights: Params) -> int:
    """The number of weights."""
    return sum(leaf.size for leaf in _leaves(weights))


def _leaves(weights: Params) -> list[Any]:
    import jax

    return jax.tree.leaves(weights)


def measured_here() -> Accelerator:
    """The devices of this process, with their rate in products and their links, measured."""
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
    estimates = [estimate(config, weights, steps, n, device) for n in command.devices]
    for line in table(estimates, device):
        print(line)


def table(estimates: Sequence[Estimate], device: Accelerator) -> list[str]:
    """A table with a row per estimate; the speed-up is relative to the first."""
    lines = [
        "| devices | rows each | compute, ms | sent, MB | exchange, ms | step, ms | times as fast "
        "| memory each, GB |",
        "| ---: " * 8 + "|",
    ]
    for cost in estimates:
        memory = cost.state + cost.working
        full = " (too much)" if memory > device.memory else ""
        lines.append(
            f"| {cost.devices} | {cost.rows} | {1e3 * cost.compute:.3g} | {cost.sent / 1e6:.3g} "
            f"| {1e3 * cost.exchange:.3g} | {1e3 * cost.seconds:.3g} "
            f"| {estimates[0].seconds / cost.seconds:.3g} | {memory / 1e9:.3g}{full} |"
        )
    return lines


def _command(config: Config) -> Any:
    """The flags of a config's task, and those of the estimate."""
    devices = Annotated[
        tuple[int, ...], tyro.conf.arg(help="Numbers of devices that share the rows.")
    ]
    names = Literal["h100", "tpu-v5e", "here"]
    accelerator = Annotated[
        names, tyro.conf.arg(help="The type of device; `here` measures this machine.")
    ]
    config_type = type(config)
    config_flags = Annotated[config_type, tyro.conf.arg(name="")]
    command = dataclasses.make_dataclass(
        "Command",
        [
            ("devices", devices, (1, 8, 256)),
            ("accelerator", accelerator, "h100"),
            ("config", config_flags, dataclasses.field(default=config)),
        ],
        frozen=True,
    )
    command.__doc__ = "Estimate a training step of a config on many devices."
    return command()


def _best(function: Any, times: int = 5) -> float:
    function()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _memory_of_host() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


if __name__ == "__main__":
    run(main, "train.scaling", "interrupted")
