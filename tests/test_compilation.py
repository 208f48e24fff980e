"""The number of traces and compilations."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring

import jlstm
from tests.support.problems import make_problem


@contextlib.contextmanager
def compilations():
    """Counts the programs that XLA compiles inside the block."""
    events = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(duration)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        monitoring.unregister_event_duration_listener(listen)


TRACES = []


@jax.jit
def counted_step(params, state, x):
    TRACES.append(jnp.shape(x))
    return jlstm.lstm_step(params, state, x)


def eager_calls():
    params, state, xs, options = make_problem(1, time=9).arrays()

    def with_values(k):
        lengths = (options["lengths"] + k) % 10
        return {"lengths": lengths, "resets": np.roll(options["resets"], k, axis=0)}

    def scan(k):
        return jlstm.lstm_scan(params, state, k * xs, **with_values(k))

    def trace(k):
        return jlstm.lstm_trace(params, state, k * xs, **with_values(k))

    def cell(k):
        return jlstm.scan_cell(counted_step, params, state, k * xs, **with_values(k))

    def gradient(k):
        def loss(params):
            return jlstm.lstm_scan(params, state, k * xs, **with_values(k))[1].sum()

        return jax.grad(loss)(params)

    return {"scan": scan, "trace": trace, "cell": cell, "gradient": gradient}


@pytest.mark.parametrize("name", ["scan", "trace", "cell", "gradient"])
def test_repeated_eager_calls_compile_once(name):
    call = eager_calls()[name]
    with compilations() as first:
        call(1)
    assert first  # the listener hears something
    call(2)
    TRACES.clear()
    with compilations() as later:
        for k in range(3, 7):
            call(k)
    assert not later
    assert not TRACES


def test_another_shape_compiles_again():
    params, state, xs, _ = make_problem(2, time=9).arrays()
    jlstm.lstm_scan(params, state, xs)
    with compilations() as events:
        jlstm.lstm_scan(params, state, xs[:5])
    assert events


def test_one_trace_per_shape():
    params, state, xs, options = make_problem(3, time=9).arrays()
    traces = []

    @jax.jit
    def run(state, xs, lengths, resets):
        traces.append(xs.shape)
        return jlstm.lstm_scan(params, state, xs, lengths=lengths, resets=resets)

    for k in range(4):
        run(jax.tree.map(lambda s, k=k: k * s, state), k * xs, options["lengths"] * 0 + k,
            np.roll(options["resets"], k, axis=0))  # fmt: skip
    assert traces == [xs.shape]
    run(state, xs[:5], options["lengths"] * 0, options["resets"][:5])
    assert traces == [xs.shape, xs[:5].shape]


SCALE = {"value": 1.0}


def scaled_step(params, state, x):
    return state + SCALE["value"] * x, x


def test_a_step_that_depends_on_more_than_its_arguments_is_not_kept():
    xs = jnp.ones((3, 2))

    def run(step):
        return jlstm.scan_cell(step, jnp.zeros(1), jnp.zeros(2), xs)[0]

    class Cell:
        scale = 1.0

        def step(self, params, state, x):
            return state + self.scale * x, x

    cell = Cell()
    for scale in (1.0, 2.0):
        SCALE["value"] = cell.scale = scale
        assert run(scaled_step).tolist() == [3 * scale] * 2
        assert run(cell.step).tolist() == [3 * scale] * 2
        # As a tracer, twice: one kept from the first trace would have leaked into the second.
        for _ in range(2):

            def loss(traced):
                SCALE["value"] = traced
                return run(scaled_step).sum()

            assert jax.grad(loss)(scale) == 6


def temporary_floats(xs, hidden, save="gates"):
    """Of the training step, in units of `time * batch * hidden` floats."""
    params = jlstm.init_params(jax.random.key(0), xs.shape[-1], hidden)

    def loss(params, xs):
        return (jlstm.lstm_scan(params, None, xs, save=save)[1] ** 2).mean()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    analysis = gradient.lower(params, xs).compile().memory_analysis()
    return analysis.temp_size_in_bytes / (4 * xs.shape[0] * xs.shape[1] * hidden)


@pytest.mark.full
@pytest.mark.parametrize(
    ("save", "kept"), [("gates", 6), ("states", 2), (16, 2 / 16 + 6 * 16 / 512)]
)
def test_what_the_dial_keeps(save, kept):
    """As `lstm_scan` says; beside it there are `hs`, its cotangent, and a block of steps."""
    units = temporary_floats(jnp.zeros((512, 16, 64)), 128, save)
    assert kept + 1 < units < kept + 2.5


@pytest.mark.full
def test_a_very_long_sequence_fits():
    steps = 100_000
    units = temporary_floats(jax.ShapeDtypeStruct((steps, 1, 128), jnp.float32), 128, save=316)
    assert 4 * 128 * steps * units < 256 * 2**20


@pytest.mark.full
def test_the_program_does_not_grow_with_time():
    def size(time):
        xs = jax.ShapeDtypeStruct((time, 4, 128), jnp.float32)
        params = jlstm.init_params(jax.random.key(0), 128, 128)

        def loss(params, xs):
            return jlstm.lstm_scan(params, None, xs)[1].sum()

        return len(jax.jit(jax.grad(loss)).lower(params, xs).as_text())

    assert size(4096) < 1.1 * size(64)
