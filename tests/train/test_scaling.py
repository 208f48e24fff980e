"""The estimates of `train.scaling`, held against what XLA compiles and what takes place."""

import math
import re
import time
from dataclasses import replace

import jax
import numpy as np
import pytest

from jlstm.recurrence.native import library, loops
from tests.conftest import quick
from tests.support.runs import ROOT, run_command, tiny, write_text_file
from train import scaling
from train.config.load import to_toml
from train.config.settings import Model
from train.config.tasks import CharLM, Text
from train.engine.state import init_train_state
from train.engine.step import train_step
from train.model import init_model
from train.tasks import Shape
from train.tasks.char_lm import TASK, batch_at

SHAPE = Shape(50, 0, 50)
TOKENS = np.random.default_rng(0).integers(0, 50, 300_000)
H100 = scaling.ACCELERATORS["h100"]


def config_of(hidden=(64,), rows=32, chunk=64, **changes):
    model = Model(embedding=32, hidden=hidden, save=changes.pop("save", "gates"))
    return CharLM(data=Text(rows=rows, chunk=chunk), model=model, **changes)


def estimated(config, devices=4, device=H100):
    weights = jax.eval_shape(lambda: init_model(jax.random.key(0), config.model, SHAPE))
    return weights, scaling.estimate(config, weights, config.data.chunk, devices, device)


def compiled(config):
    state = init_train_state(config, TASK, SHAPE)
    batch = batch_at(TOKENS, config.data, 0, 0)
    return state, train_step.lower(config, TASK, state, batch).compile()


def held(state):
    """Bytes on the first device, of all but the memory of the rows."""
    leaves = jax.tree.leaves(state._replace(memory=(), step=()))
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in leaves)


def exchanged(program):
    """Elements of what the collectives of a compiled program give, by kind; scalars left out."""
    found = {}
    for types, kind in re.findall(
        r"= (.*?) (all-reduce|all-gather|reduce-scatter)\(", program.as_text()
    ):
        sizes = [
            math.prod(map(int, dims.split(","))) for dims in re.findall(r"f32\[([\d,]+)\]", types)
        ]
        found[kind] = found.get(kind, 0) + sum(sizes)
    return found


@pytest.mark.full
@pytest.mark.parametrize("shard", quick([False, True], {True}))
def test_state_and_exchange_are_exact(shard):
    config = config_of((64, 64), shard_weights=shard)
    config = replace(config, optimizer=replace(config.optimizer, average=0.9))
    weights, found = estimated(config)
    state, program = compiled(config)
    assert held(state) == pytest.approx(found.state, abs=16)  # the optimizer's counters
    parts = exchanged(program)
    total = scaling.count(weights)
    ring = 3 / 4 * 4  # of four devices each sends three quarters of the float32 numbers
    if shard:
        vectors = sum(w.size for w in jax.tree.leaves(weights) if w.ndim == 1)
        assert parts["all-gather"] == total - vectors
        assert parts["reduce-scatter"] * 4 == total - vectors
        assert parts["all-reduce"] >= vectors
        sent = ring * (2 * vectors + parts["all-gather"] + 4 * parts["reduce-scatter"])
    else:
        assert parts == {"all-reduce": total}
        sent = ring * 2 * parts["all-reduce"]
    assert found.sent == pytest.approx(sent)


@pytest.mark.full
@pytest.mark.parametrize(("hidden", "changes"), [
    ((64,), {}),
    pytest.param((256, 256), {"rows": 128}, marks=pytest.mark.slow),
    pytest.param((256, 256), {"rows": 128, "shard_weights": True}, marks=pytest.mark.slow),
    pytest.param((256, 256), {"rows": 128, "save": "states"}, marks=pytest.mark.slow),
    pytest.param((256, 256), {"rows": 128, "save": 16}, marks=pytest.mark.slow),
])  # fmt: skip
def test_the_working_memory_is_about_what_xla_takes(hidden, changes, monkeypatch):
    """In its own loops, as on accelerators: the kernels for CPU hold less of it, and elsewhere."""
    monkeypatch.setattr(loops, "status", lambda: library.Status(None, "left out by a test"))
    jax.clear_caches()
    config = config_of(hidden, **changes)
    taken = compiled(config)[1].memory_analysis().temp_size_in_bytes
    assert 0.8 < taken / estimated(config)[1].working < 1.35


@pytest.mark.slow
def test_the_products_are_those_that_xla_counts():
    """XLA counts a loop's body once, so one time step; its first step has no backward product."""
    config = config_of((256,), rows=1024, chunk=1)
    weights, found = estimated(config)
    counted = compiled(config)[1].cost_analysis()["flops"]
    back = 2 * weights.layers[0].weight_hh.size * found.rows
    assert counted == pytest.approx(found.flops - back, rel=0.1)


def test_two_devices_share_the_work_and_meet():
    config = config_of((64,))
    slow = H100._replace(flops={"float32": 1e9}, loop=0.0)
    (_, one), (_, two) = (estimated(config, n, slow) for n in (1, 2))
    assert one.exchange == one.sent == 0
    assert two.compute == one.compute / 2
    assert two.exchange == pytest.approx(two.sent / 450e9 + 2 * 10e-6)
    many = estimated(config, 16, slow)[1]
    assert many.exchange == pytest.approx(many.sent / 50e9 + 8 * 10e-6)  # over the network
    waits = H100._replace(loop=1e-3)
    assert estimated(config, 8, waits)[1].compute == 2 * 64 * 1e-3  # the loop, not the products


@pytest.mark.slow
def test_a_step_here_takes_no_less_and_not_much_more():
    config = config_of((256,), rows=32)
    device = scaling.measured_here()
    config = replace(config, data=replace(config.data, rows=8 * jax.device_count()))
    found = estimated(config, jax.device_count(), device)[1]
    state, times = init_train_state(config, TASK, SHAPE), []
    for k in range(30):
        batch = batch_at(TOKENS, config.data, 0, k)
        start = time.perf_counter()
        state, metrics = train_step(config, TASK, state, batch)
        metrics.loss.block_until_ready()
        times.append(time.perf_counter() - start)
    assert 0.25 < found.seconds / min(times) < 1.3


@pytest.mark.full
def test_the_command(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(to_toml(tiny(write_text_file(tmp_path))))
    process = run_command(str(path), "--devices", "1", "8", module="train.scaling")
    assert process.returncode == 0, process.stderr
    head, *lines = process.stdout.splitlines()
    assert "4 rows of 16 steps" in head
    assert [line.split("|")[1].strip() for line in lines[3:]] == ["1", "8"]
    process = run_command(str(path), "--devices", "0", module="train.scaling")
    assert process.returncode == 2
    assert process.stderr == "train.scaling: --devices must be 1 or more, got 0\n"


@pytest.mark.slow
def test_the_page_shows_what_the_functions_say():
    page = (ROOT / "docs" / "scaling.md").read_text()
    commands = re.findall(r"`python -m train.scaling (configs/\S+ [^`]*)`", page)
    assert len(commands) == 3
    for command in commands:
        process = run_command(*command.split(), module="train.scaling")
        assert process.returncode == 0, process.stderr
        assert process.stdout.strip() in page
