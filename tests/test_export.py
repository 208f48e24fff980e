"""Exported programs: the same numbers after a file, in any batch and time, with gradients."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from jlstm.interop import export

FEATURES, UNITS = 3, 5
RNG = np.random.default_rng(0)
ONE = jlstm.init_params(jax.random.key(0), FEATURES, UNITS)
STACK = (
    *jlstm.init_stack(jax.random.key(1), FEATURES, (UNITS, UNITS), bidirectional=True),
    variants.init_gru(jax.random.key(2), 2 * UNITS, 4),
)


def zeros(layers, batch_shape):
    make = jlstm.init_stack_state if type(layers) is tuple else jlstm.init_state
    return make(layers, batch_shape)


def expected(layers, *arguments, **options):
    scan = jlstm.stack_scan if type(layers) is tuple else jlstm.lstm_scan
    return scan(layers, *arguments, **options)


def close(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6), found, wanted)


def gradient(scan, layers, states, xs, **options):
    def loss(layers, states, xs):
        ends, hs = scan(layers, states, xs, **options)
        return (hs**2).sum() + sum(a.sum() for a in jax.tree.leaves(ends))

    return jax.grad(loss, argnums=(0, 1, 2))(layers, states, xs)


@pytest.mark.full
@pytest.mark.parametrize(
    "layers", [ONE, pytest.param(STACK, marks=pytest.mark.slow)], ids=["one layer", "stack"]
)
def test_scan(layers, tmp_path):
    """For three platforms; from the file it takes any time, batch, lengths and resets."""
    program = export.scan(layers, lengths=True, resets=True)
    assert program.platforms == ("cpu", "cuda", "tpu")
    export.save(tmp_path / "scan.jax", program, vjp_order=1)
    loaded = export.load(tmp_path / "scan.jax")
    for time, batch in ((7, 4), (1, 2)):
        xs = RNG.normal(size=(time, batch, FEATURES)).astype(np.float32)
        states = jax.tree.map(lambda a: a + 0.3, zeros(layers, (batch,)))
        options = {
            "lengths": RNG.integers(0, time + 1, batch).astype(np.int32),
            "resets": RNG.random((time, batch)) < 0.3,
        }
        wanted = expected(layers, states, xs, **options)
        close(loaded.call(layers, states, xs, **options), wanted)
        close(jax.jit(loaded.call)(layers, states, xs, **options), wanted)
        close(
            gradient(loaded.call, layers, states, xs, **options),
            gradient(lambda *a, **o: expected(*a, **o), layers, states, xs, **options),
        )


def test_without_gradient(tmp_path):
    export.save(tmp_path / "scan.jax", export.scan(ONE))
    loaded = export.load(tmp_path / "scan.jax")
    xs = jnp.ones((4, 2, FEATURES))
    close(loaded.call(ONE, zeros(ONE, (2,)), xs), jlstm.lstm_scan(ONE, None, xs))
    with pytest.raises(ValueError, match="No VJP is available"):
        gradient(loaded.call, ONE, zeros(ONE, (2,)), xs)


@pytest.mark.full
def test_a_streaming_step(tmp_path):
    layers = jlstm.init_stack(jax.random.key(0), FEATURES, (UNITS, UNITS))
    export.save(tmp_path / "step.jax", export.step(layers, residual=True, freeze=True))
    step = jax.jit(export.load(tmp_path / "step.jax").call)
    for batch in (3, 1):
        xs = RNG.normal(size=(6, batch, FEATURES)).astype(np.float32)
        states = zeros(layers, (batch,))
        wanted = jlstm.stack_scan(layers, None, xs, residual=True)
        found = []
        for x in xs:
            states, h = step(states, x)
            found.append(h)
        close((states, jnp.stack(found)), wanted)


@pytest.mark.full
def test_the_gradient_of_a_step(tmp_path):
    program = export.step(ONE, batch_shape=(), platforms=("cpu",))
    export.save(tmp_path / "step.jax", program, vjp_order=2)
    step, state = export.load(tmp_path / "step.jax").call, zeros(ONE, ())

    def slope(step):
        return lambda x: jax.grad(lambda x: (step(ONE, state, x)[1] ** 2).sum())(x)

    x = RNG.normal(size=FEATURES).astype(np.float32)
    close(slope(step)(x), slope(jlstm.lstm_step)(x))
    second = [jax.grad(lambda x, s=s: (slope(s)(x) ** 2).sum())(x) for s in (step, jlstm.lstm_step)]
    close(*second)


def test_weights_as_part_of_the_program_and_sizes_that_are_known():
    program = export.scan(STACK, time=5, batch_shape=(), freeze=True, platforms=("cpu",))
    xs = RNG.normal(size=(5, FEATURES)).astype(np.float32)
    close(program.call(zeros(STACK, ()), xs), jlstm.stack_scan(STACK, None, xs))
    with pytest.raises(ValueError, match="Shape mismatch"):
        program.call(zeros(STACK, ()), xs[:4])


def test_dtypes_and_several_batch_axes():
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), ONE)
    program = export.scan(params, batch_shape=("games", 2), dtype=jnp.float32, platforms=("cpu",))
    xs = RNG.normal(size=(4, 3, 2, FEATURES)).astype(np.float32)
    state = jlstm.init_state(params, (3, 2))
    wanted = jlstm.lstm_scan(params, state, xs)
    state = jax.tree.map(lambda a: a.astype(jnp.float32), state)
    found = program.call(params, state, xs)
    assert found[1].dtype == wanted[1].dtype == jnp.float32
    close(found, wanted)
    again = program.call(params, found[0], xs)  # returned states can be passed in
    close(again, jlstm.lstm_scan(params, wanted[0], xs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["projected", "peephole", "layer_norm", "cho_gru", "rnn"])
def test_variants_through_a_file(name, tmp_path):
    options = {"projection_size": 4} if name == "projected" else {}
    init = getattr(variants, f"init_{name}")
    params = init(jax.random.key(0), FEATURES, UNITS, **options)
    export.save(tmp_path / "a.jax", export.scan((params,), lengths=True), vjp_order=1)
    loaded = export.load(tmp_path / "a.jax").call
    xs = RNG.normal(size=(6, 3, FEATURES)).astype(np.float32)
    lengths = np.array([6, 0, 2], np.int32)
    arguments = (params,), zeros((params,), (3,)), xs
    close(loaded(*arguments, lengths=lengths), jlstm.stack_scan(*arguments, lengths=lengths))
    close(
        gradient(loaded, *arguments, lengths=lengths),
        gradient(jlstm.stack_scan, *arguments, lengths=lengths),
    )


@pytest.mark.full
def test_another_process_loads_it(tmp_path):
    export.save(tmp_path / "scan.jax", export.scan(STACK, freeze=True, platforms=("cpu",)))
    xs = RNG.normal(size=(6, 2, FEATURES)).astype(np.float32)
    np.save(tmp_path / "xs.npy", xs)
    code = """
import sys
import jax, numpy as np
import jlstm
from jlstm.interop import export
program = export.load(sys.argv[1] + "/scan.jax")
args, _ = jax.tree.unflatten(program.in_tree, program.in_avals)
states = jax.tree.map(lambda a: np.zeros((2, a.shape[1]), a.dtype), args[0])
ends, hs = program.call(states, np.load(sys.argv[1] + "/xs.npy"))
assert isinstance(ends[0].forward, jlstm.LSTMState)
np.save(sys.argv[1] + "/hs.npy", hs)
"""
    subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=Path(__file__).parents[1], check=True
    )
    close(np.load(tmp_path / "hs.npy"), np.asarray(jlstm.stack_scan(STACK, None, xs)[1]))
    data = (tmp_path / "scan.jax").read_bytes()
    plain = jax.export.deserialize(bytearray(data))  # JAX reads the file as it is, too
    close(plain.call(zeros(STACK, (2,)), xs), jlstm.stack_scan(STACK, None, xs))


def test_a_spoilt_file_is_refused(tmp_path):
    path = tmp_path / "step.jax"
    export.save(path, export.step(ONE, platforms=("cpu",)))
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for spoilt in (b"", b"junk", data[:-1], data[: len(data) // 2], data + b"x", bytes(flipped)):
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=r"step.jax is not what .* wrote, or not all of it"):
            export.load(path)
    other = data[:4] + b"x" * 60
    path.write_bytes(other + export._seal(other))
    with pytest.raises(ValueError, match=r"step.jax cannot be read by JAX \d"):
        export.load(path)
    with pytest.raises(OSError, match="nowhere"):
        export.load(tmp_path / "nowhere")
    with pytest.raises(TypeError, match=r"exported must be a jax.export.Exported, got "):
        export.save(path, ONE)


@pytest.mark.parametrize(("options", "message"), [
    ({"platforms": "cpu"}, "platforms must be a sequence of cpu, cuda, tpu, rocm; got 'cpu'"),
    ({"platforms": ("gpu",)}, r"platforms must be .*; got \('gpu',\)"),
    ({"batch_shape": "batch"}, "batch_shape must be a tuple of sizes and names, got 'batch'"),
    ({"batch_shape": 4}, "batch_shape must be a tuple of sizes and names, got 4"),
    ({"time": None}, "a size must be a name, or a number of 1 or more; got None"),
    ({"time": 0}, "a size must be a name, or a number of 1 or more; got 0"),
    ({"dtype": np.float64}, "float64, but jax_enable_x64 is off"),
])  # fmt: skip
def test_options_that_make_no_program(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        export.scan(ONE, **options)


@pytest.mark.sampled
def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="vjp_order must be an integer of 0 or more, got -1"):
        export.save(tmp_path / "a", export.step(ONE, platforms=("cpu",)), vjp_order=-1)
    with pytest.raises(
        ValueError, match=r"layers\[0\]: a bidirectional layer has neither direction"
    ):
        export.scan((jlstm.BiLSTMParams(None, None),))
    wide = jlstm.LSTMParams(*(np.asarray(a, np.float64) for a in ONE))
    with pytest.raises(TypeError, match="float64, but jax_enable_x64 is off"):
        export.scan(wide, freeze=True)
    with pytest.raises(ValueError, match="bidirectional one, which has no single step"):
        export.step(STACK)
    with pytest.raises(TypeError, match="params must be one of LSTMParams"):
        export.scan((jnp.ones(3),))
    with pytest.raises(ValueError, match="layers must hold 1 layer or more"):
        export.scan(())
