"""`implementation="cudnn"` without a GPU: cuDNN's two calls are played by JAX's own reference.

What is under test is all that stands around them: packing, lengths, direction, batch axes, `vmap`,
derivatives, refusals, and the program that is lowered for CUDA.
"""

from functools import partial

import jax
import jax.numpy as jnp
import jaxlib.gpu_rnn
import numpy as np
import pytest
from jax.experimental import rnn
from jax.interpreters import mlir

import jlstm
from jlstm.recurrence import cudnn
from tests.conftest import quick
from tests.support.problems import assert_close, make_problem, tolerance, vjp
from tests.support.reference import lstm, lstm_vjp

pytestmark = pytest.mark.full

scan = partial(jlstm.lstm_scan, implementation="cudnn")


def reference(x, h, c, weights, lengths, *, input_size, hidden_size, num_layers, dropout,
              bidirectional, **_):  # fmt: skip
    sizes = (input_size, hidden_size, num_layers)
    unpacked = rnn.unpack_lstm_weights(weights, *sizes, bidirectional)
    return rnn.lstm_ref(x, h, c, *unpacked, lengths, *sizes, dropout, bidirectional)


def forward(x, *args, **sizes):
    """Keep the input for the backward call, which nothing else gives it."""
    return (*reference(x, *args, **sizes), x.ravel())


def backward(dy, dh, dc, x, h, c, weights, y, kept, lengths, **sizes):
    def run(x, h, c, weights):
        return reference(x, h, c, weights, lengths, **sizes)

    return jax.vjp(run, kept.reshape(x.shape), h, c, weights)[1]((dy, dh, dc))


def sizes_of(input_size, hidden_size, num_layers, batch, time, *_):
    return 4, input_size * batch * time


@pytest.fixture
def plugin(monkeypatch):
    """A plugin that knows the sizes of what cuDNN keeps."""
    monkeypatch.setattr(
        jaxlib.gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", sizes_of, raising=False
    )
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.fixture
def played(plugin, monkeypatch):
    """This CPU takes the part of CUDA."""
    mlir.register_lowering(rnn.rnn_fwd_p, mlir.lower_fun(forward, True), platform="cpu")
    mlir.register_lowering(rnn.rnn_bwd_p, mlir.lower_fun(backward, True), platform="cpu")

    def on_cpu(function):
        lowerings = on_cuda(function)
        return lowerings._replace(cpu=function, cuda=None)

    on_cuda = cudnn._on_cuda
    monkeypatch.setattr(cudnn, "_on_cuda", on_cpu)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("reverse", quick([False, True], {True}))
@pytest.mark.parametrize("batch", quick([(3,), (), (2, 2)], {(2, 2)}))
def test_values_and_gradients_agree_with_the_oracle(played, lengths, reverse, batch):
    problem = make_problem(41, 6, batch, (3, 4), lengths=lengths, resets=False, reverse=reverse)
    wanted = lstm(*problem[:3], **problem.options)[:2]
    assert_close(problem.call(scan), wanted, tolerance(jnp.float32))
    wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    found = vjp(scan, problem)
    for name in ("params", "state", "xs"):
        assert_close(found[name], wanted[name], tolerance(jnp.float32, "gradients"))


def test_padding_and_states_of_no_steps_may_be_nan(played):
    params, state, xs, options = make_problem(42, 6, (3,), (3, 4), resets=False).arrays()
    lengths = jnp.asarray(options["lengths"])
    assert 0 in lengths
    padded = jnp.where((jnp.arange(6)[:, None] < lengths)[..., None], xs, jnp.nan)
    wild = jax.tree.map(lambda s: jnp.where((lengths == 0)[:, None], jnp.nan, s), state)

    def run(params, xs):
        return scan(params, wild, xs, lengths=lengths)

    (h, c), hs = run(params, padded)
    assert jnp.isnan(h[lengths == 0]).all()
    assert jnp.isnan(c[lengths == 0]).all()
    assert_close(hs, scan(params, state, xs, lengths=lengths)[1], 0)
    gradient = jax.grad(lambda *args: (run(*args)[1] ** 2).sum(), (0, 1))(params, padded)
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(gradient))


@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2)])
def test_no_steps_and_no_sequences(played, shape):
    params = jlstm.init_params(jax.random.key(0), 2, 5)
    state = jlstm.LSTMState(*jnp.ones((2, shape[1], 5)))
    (h, c), hs = scan(params, state, jnp.ones(shape))
    assert_close((h, c), state, 0)
    assert hs.shape == (*shape[:2], 5)


def test_vmap_over_data_is_one_call_and_agrees(played):
    params, state, xs, options = make_problem(43, 6, (3,), (2, 4), resets=False).arrays()
    many, lengths = jnp.stack([xs, -xs]), jnp.asarray(options["lengths"])

    def run(xs, lengths):
        return scan(params, state, xs, lengths=lengths)

    each = jnp.stack([lengths, lengths[::-1]])
    mapped = jax.vmap(run)(many, each)
    alone = [jlstm.lstm_scan(params, state, many[k], lengths=each[k]) for k in range(2)]
    assert_close(mapped, jax.tree.map(lambda *a: jnp.stack(a), *alone), tolerance(jnp.float32))
    jaxpr = str(jax.make_jaxpr(jax.vmap(run))(many, each))
    assert jaxpr.count("over_time[") == 1
    assert "mapped=()" in jaxpr

    def loss(params, many, run=scan):
        return (jax.vmap(lambda xs: run(params, state, xs, lengths=lengths)[1])(many) ** 2).sum()

    close = tolerance(jnp.float32, "gradients")
    wanted = jax.grad(loss, (0, 1))(params, many, jlstm.lstm_scan)
    assert_close(jax.grad(loss, (0, 1))(params, many), wanted, close)
    per_example = jax.vmap(jax.grad(lambda xs: (run(xs, lengths)[1] ** 2).sum()))(many)
    assert_close(per_example, wanted[1], close)
    again = jax.grad(jax.checkpoint(loss), (0, 1))(params, many)
    assert_close(again, wanted, close)


def test_stacks_in_both_directions(played):
    layers = jlstm.init_stack(jax.random.key(0), 3, (4, 4), bidirectional=True)
    xs = jax.random.normal(jax.random.key(1), (7, 3, 3))
    lengths = jnp.array([7, 2, 0])
    found = jlstm.stack_scan(layers, None, xs, lengths=lengths, implementation="cudnn")
    wanted = jlstm.stack_scan(layers, None, xs, lengths=lengths)
    assert_close(found, wanted, tolerance(jnp.float32))


def test_packed_weights_are_those_of_the_equations():
    """Unpacked as cuDNN's documentation says and run by hand, they give one step of the layer."""
    params, state, xs, _ = make_problem(44, 1, (3,), (2, 4), resets=False).arrays()
    unpacked = rnn.unpack_lstm_weights(cudnn.pack_weights([params]), 2, 4, 1, False)
    w_x, w_h, b_x, b_h = (np.asarray(part[0]) for part in unpacked)
    z = np.asarray(xs[0]) @ w_x.T + np.asarray(state.h) @ w_h.T + b_x + b_h
    i, f, g, o = np.split(z, 4, -1)
    c = np.asarray(state.c) / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    h = np.tanh(c) / (1 + np.exp(-o))
    assert_close(jlstm.LSTMState(h, c), jlstm.lstm_step(params, state, xs[0])[0], 1e-6)


def test_lowered_for_cuda_it_is_cudnn_and_for_others_it_is_refused(plugin):
    class Library:
        @staticmethod
        def build_rnn_descriptor(*sizes):
            return b"descriptor"

    for primitive, rule in (
        (rnn.rnn_fwd_p, jaxlib.gpu_rnn._rnn_fwd_lowering),
        (rnn.rnn_bwd_p, jaxlib.gpu_rnn._rnn_bwd_lowering),
    ):
        mlir.register_lowering(primitive, partial(rule, Library, "cu"), platform="cuda")
    params = jlstm.init_params(jax.random.key(0), 2, 4)
    xs, lengths = jnp.ones((6, 3, 2)), jnp.array([6, 0, 2])

    def loss(params, xs):
        return (scan(params, None, xs, lengths=lengths)[1] ** 2).sum()

    traced = jax.jit(jax.grad(loss)).trace(params, xs)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("@cudnn_rnn_ffi") == text.count("@cudnn_rnn_bwd_ffi") == 1
    assert "stablehlo.while" not in text
    for platform in ("cpu", "tpu", "rocm"):
        with pytest.raises(ValueError, match="implementation='cudnn' is available on CUDA only"):
            traced.lower(lowering_platforms=(platform,))
    with pytest.raises(ValueError, match="implementation='cudnn' is available on CUDA only"):
        loss(params, xs)


def test_derivatives_that_it_does_not_have(played):
    params, state, xs, _ = make_problem(45, 4, (2,), (2, 3), resets=False, lengths=False).arrays()

    def loss(xs):
        return (scan(params, state, xs)[1] ** 2).sum()

    with pytest.raises(ValueError, match="'cudnn' has no forward mode: jvp"):
        jax.jvp(loss, (xs,), (xs,))
    with pytest.raises(ValueError, match="'cudnn' has no forward mode: jvp"):
        jax.jit(jax.jacfwd(loss))(xs)
    with pytest.raises(ValueError, match="'cudnn' has first derivatives alone"):
        jax.grad(lambda xs: (jax.grad(loss)(xs) ** 2).sum())(xs)
    sets = jax.tree.map(lambda p: jnp.stack([p, p]), params)
    with pytest.raises(ValueError, match="'cudnn' takes one set of weights"):
        jax.vmap(lambda p: scan(p, state, xs))(sets)
    with pytest.raises(ValueError, match="'cudnn' takes one set of weights"):
        jax.vmap(jax.grad(lambda p, xs: scan(p, state, xs)[1].sum()), (None, 0))(
            params, jnp.stack([xs, xs])
        )


def test_precisions_that_it_does_not_have(plugin):
    params = jlstm.init_params(jax.random.key(0), 2, 4)
    with (
        jax.default_matmul_precision("bfloat16"),
        pytest.raises(ValueError, match="implementation='cudnn': bfloat16 support not implemented"),
    ):
        scan(params, None, jnp.ones((6, 3, 2)))


def test_calls_that_it_does_not_take():
    params = jlstm.init_params(jax.random.key(0), 2, 4)
    xs = jnp.ones((6, 3, 2))
    with pytest.raises(ValueError, match=r"'cudnn' does not support resets, got .* \(6, 3\)"):
        scan(params, None, xs, resets=jnp.zeros((6, 3), bool))
    with pytest.raises(ValueError, match="'cudnn' computes in float32, xs and params give bfloat1"):
        scan(jax.tree.map(lambda p: p.astype(jnp.bfloat16), params), None, xs.astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="save must be 'gates' or a number, got 'states'"):
        scan(params, None, xs, save="states")
    projected = jlstm.variants.init_projected(jax.random.key(0), 2, 4, projection_size=3)
    with pytest.raises(ValueError, match="'cudnn' takes LSTMParams, got ProjectedParams"):
        scan(projected, None, xs)
    (time,) = jax.export.symbolic_shape("time")
    with pytest.raises(ValueError, match="needs sizes that are known while tracing"):
        jax.eval_shape(
            lambda xs: scan(params, None, xs), jax.ShapeDtypeStruct((time, 3, 2), jnp.float32)
        )
    gru = jlstm.variants.init_gru(jax.random.key(0), 2, 4)
    with pytest.raises(ValueError, match="'cudnn' supports LSTM layers only, got GRU"):
        jlstm.stack_scan((gru,), None, xs, implementation="cudnn")


@pytest.mark.skipif(
    hasattr(jaxlib.gpu_rnn, "compute_rnn_workspace_reserve_space_sizes"), reason="there is CUDA"
)
def test_without_the_plugin_it_says_what_is_missing():
    params = jlstm.init_params(jax.random.key(0), 2, 4)
    with pytest.raises(ValueError, match=r"'cudnn' needs a CUDA GPU and the plugin .*jlstm\[cuda"):
        scan(params, None, jnp.ones((6, 3, 2)))
