"""`implementation="pallas"` without a GPU: its kernels interpreted on CPU, and lowered for an H100.

The interpreter looks for races. It multiplies at once where a GPU does so behind the kernel's back,
and it has no semaphores: here blocks wait on the barrier of a cluster instead.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh

import jlstm
from jlstm.cells.layer_types import LAYER_TYPES
from jlstm.recurrence.call import prepare
from jlstm.recurrence.pallas import loops as pallas
from jlstm.types import LSTMGates, LSTMState
from tests.support.problems import assert_close, make_problem, vjp
from tests.support.reference import lstm, lstm_vjp

if jax.__version_info__ < pallas.OLDEST_JAX:
    pytest.skip("Pallas interprets kernels for GPUs from jax 0.11.2 on", allow_module_level=True)

from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.sharding import AbstractDevice, use_abstract_mesh

from jlstm.recurrence.fused import Loops
from jlstm.recurrence.pallas import backward_sm90, forward_sm90
from jlstm.recurrence.pallas.barrier import AXES, Barrier, Synchronization
from jlstm.recurrence.pallas.tiling import SHARED_MEMORY, Tiling, shared_memory, tile

pytestmark = pytest.mark.full

H100 = AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", platform="gpu", num_cores=132)
CALLS = [
    {"lengths": False, "resets": False, "reverse": False},
    {"lengths": False, "resets": False, "reverse": True},
    {"lengths": True, "resets": False, "reverse": True},
    {"lengths": True, "resets": True, "reverse": False},
    {"lengths": True, "resets": True, "reverse": True},
]


def on_cluster(grid, barrier):
    return Barrier(lambda: plgpu.barrier_arrive(barrier), lambda times: plgpu.barrier_wait(barrier))


# The interpreter has no semaphores, and runs the blocks of a cluster at once: a cluster as large as
# the grid, which no GPU has, and its barrier.
ACROSS_CLUSTER = Synchronization(
    lambda grid: {"cluster": grid, "cluster_names": AXES},
    (plgpu.ClusterBarrier(collective_axes=("block",)),),
    on_cluster,
)
NO_BARRIER = ACROSS_CLUSTER._replace(
    start=lambda grid, barrier: Barrier(lambda: None, lambda times: None)
)


# Races are logged, where the interpreter can be told to; before jax 0.12 it prints them.
WARN = {"on_race": "warn"} if hasattr(plgpu.InterpretGPUParams, "on_race") else {}
INTERPRETER = plgpu.InterpretGPUParams(detect_races=True, **WARN)


def problem_of(call, time=4, batch=(5,)):
    """Rounded to bfloat16, so that the oracle and the kernels are given the same numbers."""
    problem = make_problem(61, time, batch, (3, 64), **call)

    def rounded(tree):
        return jax.tree.map(lambda a: np.asarray(jnp.asarray(a, jnp.bfloat16), np.float64), tree)

    options = dict(problem.options)
    if "reset_state" in options:
        options["reset_state"] = rounded(options["reset_state"])
    params, state, xs = rounded(problem[:3])
    return problem._replace(
        params=params, state=state, xs=xs, options=options, cotangents=rounded(problem.cotangents)
    )


def scan(params, state, xs, lengths=None, resets=None, reset_state=None, reverse=False):
    """As `lstm_scan`, without its `jit`, which the callbacks of the interpreter do not take."""
    lengths, resets = (a if a is None else jnp.asarray(a) for a in (lengths, resets))
    step = LAYER_TYPES[type(params)].step
    inputs, masks = prepare(step, params, state, xs, lengths, resets, reset_state, reverse)
    return pallas.pallas_scan(inputs, masks, reverse, keep="gates")


@pytest.fixture
def races(caplog, capsys):
    """Return whether there have been any races so far."""
    return lambda: "RACE DETECTED" in caplog.text + capsys.readouterr().out


@pytest.fixture
def interpreted(monkeypatch):
    """Two blocks that this CPU runs in the place of a GPU."""
    forward, back = pallas.kernel_loops()
    loops = Loops(forward._replace(cpu=forward.cuda), back._replace(cpu=back.cuda))
    options = {"synchronization": ACROSS_CLUSTER, "interpret": INTERPRETER}
    monkeypatch.setattr(pallas, "kernel_loops", lambda: loops)
    monkeypatch.setattr(pallas, "kernel_options", lambda: options)
    monkeypatch.setattr(pallas, "_multiprocessors", lambda: 2)


# In roundings of bfloat16, 2**-9, the largest errors of these calls are 1.1 for values, as of the
# plain loop, and 2.3 for gradients, where the plain loop, which keeps `d_z` in float32, has 1.5.
@pytest.mark.parametrize(
    "call", [pytest.param(c, marks=pytest.mark.slow) for c in CALLS[:-1]] + CALLS[-1:]
)
def test_interpreted_values_agree_with_the_oracle(interpreted, call, races):
    problem = problem_of(call)
    wanted = lstm(*problem[:3], **problem.options)[:2]
    assert_close(problem.call(scan, jnp.bfloat16), wanted, 3 * 2**-9)
    assert not races()


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_interpreted_gradients_agree_with_the_oracle(interpreted, call, races):
    problem = problem_of(call)
    wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    found = vjp(scan, problem, jnp.bfloat16)
    for name in ("params", "state", "xs", *(["reset_state"] if call["resets"] else [])):
        assert_close(found[name], wanted[name], 7 * 2**-9)
    assert not races()


def kernels(time=3):
    """The two kernels alone, on zeros, for two blocks."""
    tiling = Tiling(hidden=64, units=32, groups=1, rows=8)
    of_step = jnp.zeros((time, 8, 64))
    state = LSTMState(*jnp.zeros((2, 1, 64, 64)))
    weight = jnp.zeros((64, 256), jnp.bfloat16)
    known = (LSTMGates(*[of_step] * 4), of_step, of_step.astype(jnp.bfloat16))
    forward = forward_sm90.Operands(weight, jnp.zeros((time, 8, 256)), state, None, None)
    backward = backward_sm90.Operands(weight, *known, state, None)
    return {
        "forward": partial(forward_sm90.run, forward, tiling, False, None),
        "backward": partial(backward_sm90.run, backward, tiling, False),
    }


@pytest.mark.parametrize("name", ["forward", "backward"])
@pytest.mark.parametrize("synchronization", [ACROSS_CLUSTER, NO_BARRIER])
def test_without_its_barrier_a_kernel_has_races(name, synchronization, races):
    jax.block_until_ready(kernels()[name](synchronization, INTERPRETER))
    assert races() == (synchronization is NO_BARRIER)


def lowered(function, *args, platform="cuda"):
    with use_abstract_mesh(AbstractMesh((), (), abstract_device=H100)):
        return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def layer(hidden, batch=16, time=30, inputs=32, dtype=jnp.bfloat16):
    """Types of `(params, xs)`."""
    init = partial(jlstm.init_params, input_size=inputs, hidden_size=hidden, dtype=dtype)
    params = jax.eval_shape(init, jax.random.key(0))
    return params, jax.ShapeDtypeStruct((time, batch, inputs), dtype)


def loss(params, xs, **options):
    _, hs = jlstm.lstm_scan(params, None, xs, implementation="pallas", **options)
    return (hs.astype(jnp.float32) ** 2).sum()


def count(text):
    return text.count("custom_call @mosaic_gpu")


SHAPES = [(64, 1), (128, 16), (256, 256), (320, 24), (512, 128), (768, 16), (1024, 64)]


@pytest.mark.parametrize(
    ("hidden", "batch"),
    [
        shape if shape[0] in (64, 768) else pytest.param(*shape, marks=pytest.mark.slow)
        for shape in SHAPES
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_training_is_two_kernels_on_an_h100(hidden, batch, masked):
    options = {}
    if masked:
        options = {
            "lengths": np.full(batch, 29),
            "resets": np.zeros((30, batch), bool),
            "reverse": True,
        }
    text = lowered(jax.grad(partial(loss, **options)), *layer(hidden, batch))
    assert count(text) == 2


def test_values_are_one_kernel_and_no_loop():
    text = lowered(loss, *layer(128))
    assert count(text) == 1
    assert "stablehlo.while" not in text


def test_vmap_over_data_is_one_batch_and_over_weights_one_kernel_after_another():
    params, xs = layer(64, batch=8)
    many = jax.ShapeDtypeStruct((30, 3, 8, 32), jnp.bfloat16)
    text = lowered(jax.vmap(loss, (None, 1)), params, many)
    assert count(text) == 1
    assert "stablehlo.while" not in text
    sets = jax.tree.map(lambda p: jax.ShapeDtypeStruct((3, *p.shape), p.dtype), params)
    for function, kernels in ((loss, 1), (jax.grad(loss), 2)):
        text = lowered(jax.vmap(function, (0, None)), sets, xs)
        assert count(text) == kernels
        assert text.count("stablehlo.while") >= kernels


@pytest.mark.slow
def test_further_derivatives_and_the_memory_dial_are_lowered():
    params, xs = layer(64, batch=8)
    assert count(lowered(lambda p, x: jax.jvp(loss, (p, x), (p, x)), params, xs)) == 1
    assert count(lowered(jax.grad(lambda p, x: loss(jax.grad(loss)(p, x), x)), params, xs)) >= 2
    for save, forward in (("states", 1), (10, 2)):
        assert count(lowered(jax.grad(partial(loss, save=save)), params, xs)) == forward + 1


def test_elsewhere_it_is_refused():
    for platform in ("cpu", "tpu"):
        with pytest.raises(ValueError, match="implementation='pallas' is available on CUDA only"):
            lowered(loss, *layer(64), platform=platform)


def test_calls_that_it_does_not_take():
    with pytest.raises(
        ValueError, match="'pallas' computes in bfloat16, xs and params give float32"
    ):
        jax.eval_shape(loss, *layer(64, dtype=jnp.float32))
    with pytest.raises(ValueError, match="'pallas' takes a multiple of 64 hidden units, got 100"):
        jax.eval_shape(loss, *layer(100))
    with pytest.raises(
        ValueError, match="keeps weights and h in shared memory: 16 sequences of 1536"
    ):
        jax.eval_shape(loss, *layer(1536))
    with pytest.raises(
        ValueError, match="runs all blocks at once: 2048 sequences of 512 hidden unit"
    ):
        jax.eval_shape(loss, *layer(512, batch=2048))
    many = jax.ShapeDtypeStruct((30, 256, 8, 32), jnp.bfloat16)
    with pytest.raises(
        ValueError, match="runs all blocks at once: 2048 sequences of 512 hidden unit"
    ):
        lowered(jax.vmap(loss, (None, 1)), layer(512)[0], many)
    projected = jlstm.variants.init_projected(jax.random.key(0), 32, 64, projection_size=8)
    with pytest.raises(ValueError, match="'pallas' takes LSTMParams, got ProjectedParams"):
        jax.eval_shape(loss, projected, layer(64)[1])
    (time,) = jax.export.symbolic_shape("time")
    with pytest.raises(ValueError, match="needs sizes that are known while tracing"):
        jax.eval_shape(loss, *layer(64, time=time))


def test_no_steps_and_no_sequences():
    assert count(lowered(loss, *layer(64, time=0))) == 0
    assert count(lowered(jax.grad(loss), *layer(64, batch=0))) == 0


def test_a_gpu_of_another_generation_is_refused(monkeypatch):
    class Device:
        compute_capability, device_kind, core_count = "10.0", "NVIDIA B200", 148

    monkeypatch.setattr(jax, "local_devices", lambda backend: [Device])
    with pytest.raises(ValueError, match=r"'pallas' is for Hopper GPUs, .* NVIDIA B200 of 10\.0"):
        jax.eval_shape(loss, *layer(64))
    monkeypatch.setattr(Device, "compute_capability", "9.0")
    monkeypatch.setattr(Device, "core_count", 7)
    with pytest.raises(ValueError, match="8 blocks at least, the GPU has 7 multiprocessors"):
        jax.eval_shape(loss, *layer(512))


@pytest.mark.parametrize("batch", [1, 8, 16, 65, 130])
def test_a_tiling_covers_the_layer_with_what_is_there(batch):
    scratch = partial(forward_sm90.scratch, masked=True, keep="gates")
    tiling = tile(batch, 256, 132, scratch)
    assert tiling.units * tiling.blocks == 256
    assert batch <= tiling.batch < batch + 8 * tiling.groups
    assert tiling.rows <= 64
    assert tiling.groups * tiling.blocks <= 132
    assert shared_memory(scratch(tiling)) <= SHARED_MEMORY
