"""Round trips of weights, and the outputs of the other library with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import interop
from tests.peers.conftest import library
from tests.support.problems import assert_close, tolerance

FEATURES, UNITS, BATCH, TIME = 4, 6, 5, 9
LENGTHS = np.array([9, 1, 4, 7, 2])
XS = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES)).astype(np.float32)
MASK = (np.arange(TIME)[:, None] < LENGTHS)[..., None]
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning"),
]


def draw(layers=2, bidirectional=False, dtype=jnp.float32, **options):
    """A stack of random weights, biases included."""
    stack = jlstm.init_stack(
        jax.random.key(0), FEATURES, (UNITS,) * layers, bidirectional=bidirectional, **options
    )
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape, scale=0.5), dtype), stack)


def same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert jax.tree.map(lambda a: a.dtype, found) == jax.tree.map(lambda a: a.dtype, expected)


def close(found, expected):
    assert_close(found, expected, tolerance(jnp.float32))


def hs_of(stack, lengths=None):
    return jlstm.stack_scan(stack, None, XS, lengths=lengths)[1]


# PyTorch.


def tensors(torch, state_dict):
    return {name: torch.tensor(a) for name, a in state_dict.items()}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("projection", [0, 3])
def test_torch(torch, projection, layers, bidirectional, bias):
    torch.manual_seed(0)
    module = torch.nn.LSTM(
        FEATURES, UNITS, layers, bias=bias, bidirectional=bidirectional, proj_size=projection
    )
    model = torch.nn.ModuleDict({"encoder": module, "other": torch.nn.Linear(2, 2)})
    for state_dict, prefix in ((module.state_dict(), ""), (model.state_dict(), "encoder.")):
        stack = interop.from_torch(state_dict, prefix)
        arrays = {name: a.numpy() for name, a in state_dict.items()}
        same_bits(interop.from_torch(arrays, prefix), stack)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(XS), LENGTHS, enforce_sorted=False
    )
    out, ends = module(packed)
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out)
    states, hs = jlstm.stack_scan(stack, None, XS, lengths=LENGTHS)
    close(hs, out.detach().numpy())
    flat = jax.tree.leaves(states, is_leaf=lambda s: isinstance(s, jlstm.LSTMState))
    for k, end in enumerate(ends):
        close(jnp.stack([s[k] for s in flat]), end.detach().numpy())

    # And back: what this library wrote, PyTorch reads, and computes the same.
    other = torch.nn.LSTM(
        FEATURES, UNITS, layers, bias=bias, bidirectional=bidirectional, proj_size=projection
    )
    other.load_state_dict(tensors(torch, interop.to_torch(stack, bias=bias)))
    close(other(torch.tensor(XS))[0].detach().numpy(), hs_of(stack))
    same_bits(interop.from_torch(interop.to_torch(stack, bias=bias)), stack)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_torch_gru(torch, bidirectional):
    torch.manual_seed(0)
    module = torch.nn.GRU(FEATURES, UNITS, 2, bidirectional=bidirectional)
    stack = interop.from_torch(module.state_dict())
    close(hs_of(stack), module(torch.tensor(XS))[0].detach().numpy())
    other = torch.nn.GRU(FEATURES, UNITS, 2, bidirectional=bidirectional)
    other.load_state_dict(tensors(torch, interop.to_torch(stack)))
    close(other(torch.tensor(XS))[0].detach().numpy(), hs_of(stack))
    same_bits(interop.from_torch(interop.to_torch(stack)), stack)


def test_torch_tensors_of_sixteen_bits_with_gradients(torch):
    module = torch.nn.LSTM(FEATURES, UNITS).to(torch.bfloat16)
    stack = interop.from_torch(dict(module.named_parameters()))
    assert stack[0].weight_ih.dtype == jnp.bfloat16
    wide = module.weight_hh_l0.detach().float().numpy().T
    np.testing.assert_array_equal(stack[0].weight_hh.astype(jnp.float32), wide)


def test_torch_float64(torch, x64):
    module = torch.nn.LSTM(FEATURES, UNITS, dtype=torch.float64)
    stack = interop.from_torch(module.state_dict())
    np.testing.assert_array_equal(stack[0].weight_hh, module.weight_hh_l0.detach().numpy().T)
    with (
        jax.enable_x64(False),
        pytest.raises(TypeError, match="weight_ih_l0 is float64, but jax_enable_x64 is off"),
    ):
        interop.from_torch(module.state_dict())


# Flax.


@pytest.mark.parametrize("cell", ["LSTMCell", "OptimizedLSTMCell"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_linen(cell, bidirectional):
    linen = library("flax.linen")
    stack = draw(2, bidirectional)
    params = interop.to_flax(stack)
    same_bits(interop.from_flax(params), stack)

    def rnn():
        return linen.RNN(getattr(linen, cell)(UNITS), time_major=True)

    xs = jnp.asarray(XS)
    for weights in params:
        if bidirectional:
            module = linen.Bidirectional(rnn(), rnn(), time_major=True)
        else:
            module, weights = rnn(), {"cell": weights}
        shapes = jax.eval_shape(module.init, jax.random.key(0), xs)["params"]
        assert jax.tree.map(jnp.shape, weights) == jax.tree.map(lambda a: a.shape, dict(shapes))
        xs = module.apply({"params": weights}, xs, seq_lengths=jnp.asarray(LENGTHS))
        xs = jnp.where(MASK, xs, 0)  # Flax continues through padding
    close(hs_of(stack, LENGTHS), xs)
    (single,) = interop.from_flax(weights)
    same_bits(single, stack[1])


@pytest.mark.parametrize("cell", ["LSTMCell", "OptimizedLSTMCell"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_nnx(cell, bidirectional):
    nnx = library("flax.nnx")
    xs, modules, width = jnp.asarray(XS), [], FEATURES
    for seed in range(2):
        rngs = nnx.Rngs(seed)

        def rnn(width=width, rngs=rngs):
            return nnx.RNN(getattr(nnx, cell)(width, UNITS, rngs=rngs), time_major=True, rngs=rngs)

        module = nnx.Bidirectional(rnn(), rnn(), time_major=True) if bidirectional else rnn()
        modules.append(module)
        xs = jnp.where(MASK, module(xs, seq_lengths=jnp.asarray(LENGTHS)), 0)
        width = UNITS * (2 if bidirectional else 1)
    states = [nnx.state(module, nnx.Param) for module in modules]
    stack = interop.from_flax([nnx.to_pure_dict(state) for state in states])
    same_bits(interop.from_flax(states), stack)
    close(hs_of(stack, LENGTHS), xs)
    same_bits(interop.from_flax(interop.to_nnx(stack)), stack)
    if cell == "OptimizedLSTMCell":
        new = interop.to_nnx(jax.tree.map(lambda a: 2 * a, stack))
        for module, weights in zip(modules, new, strict=True):
            nnx.update(module, weights if bidirectional else {"cell": weights})
        xs = jnp.asarray(XS)
        for module in modules:
            xs = module(xs)
        close(hs_of(jax.tree.map(lambda a: 2 * a, stack)), xs)


# Haiku and Equinox do not support lengths: each sequence runs alone.


def each_alone(run):
    """`run(xs)` of a batch of one, for each sequence of the batch, padded with zeros."""
    hs = [run(jnp.asarray(XS[:n, b : b + 1])) for b, n in enumerate(LENGTHS)]
    return jnp.concatenate([jnp.pad(h, ((0, TIME - len(h)), (0, 0), (0, 0))) for h in hs], axis=1)


def test_haiku_both_directions_and_ragged():
    hk = library("haiku")

    def network(xs):
        for _ in range(2):
            ways = [hk.LSTM(UNITS), hk.LSTM(UNITS)]
            xs = jnp.concatenate(
                [
                    hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]), reverse=way)[0]
                    for core, way in zip(ways, (False, True), strict=True)
                ],
                axis=-1,
            )
        return xs

    run = hk.without_apply_rng(hk.transform(network))
    params = run.init(jax.random.key(0), XS)
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), params)
    cells = [interop.from_haiku({name: params[name]})[0] for name in params]
    stack = (jlstm.BiLSTMParams(*cells[:2]), jlstm.BiLSTMParams(*cells[2:]))
    close(hs_of(stack, LENGTHS), each_alone(lambda xs: run.apply(params, xs)))


# Haiku.


def test_haiku():
    hk = library("haiku")

    def network(xs):
        core = hk.DeepRNN([hk.LSTM(UNITS), hk.LSTM(UNITS)])
        return hk.dynamic_unroll(core, xs, core.initial_state(BATCH))[0]

    run = hk.without_apply_rng(hk.transform(network))
    params = run.init(jax.random.key(0), XS)
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), params)
    stack = interop.from_haiku(params)
    assert len(stack) == 2
    close(hs_of(stack), run.apply(params, XS))
    back = interop.to_haiku(stack, next(iter(params)).removesuffix("/linear"))
    assert list(back) == list(params)
    close(run.apply(back, XS), hs_of(stack))
    # All but the forget gate's bias to the bit; that to one rounding each way.
    for name in params:
        np.testing.assert_array_equal(back[name]["w"], params[name]["w"])
        i_g_f_o = np.split(np.asarray(back[name]["b"] - params[name]["b"]), 4)
        assert not np.concatenate([i_g_f_o[k] for k in (0, 1, 3)]).any()
        assert np.abs(i_g_f_o[2]).max() <= 4 * np.finfo(np.float32).eps


# Equinox.


def test_equinox_both_directions_and_ragged():
    equinox = library("equinox")
    sizes = (FEATURES, FEATURES, 2 * UNITS, 2 * UNITS)
    keys = jax.random.split(jax.random.key(0), 4)
    cells = [equinox.nn.LSTMCell(n, UNITS, key=k) for n, k in zip(sizes, keys, strict=True)]

    def run(xs):
        def over(cell, xs, reverse):
            def step(state, x):
                state = cell(x, state)
                return state, state[0]

            zeros = (jnp.zeros(UNITS), jnp.zeros(UNITS))
            return jax.lax.scan(step, zeros, xs, reverse=reverse)[1]

        xs = xs[:, 0]
        for forward, backward in (cells[:2], cells[2:]):
            xs = jnp.concatenate([over(forward, xs, False), over(backward, xs, True)], axis=-1)
        return xs[:, None]

    layers = interop.from_equinox(cells)
    stack = (jlstm.BiLSTMParams(*layers[:2]), jlstm.BiLSTMParams(*layers[2:]))
    close(hs_of(stack, LENGTHS), each_alone(run))


@pytest.mark.parametrize("bias", [True, False])
def test_equinox(bias):
    equinox = library("equinox")
    keys = jax.random.split(jax.random.key(0), 2)
    cells = [
        equinox.nn.LSTMCell(size, UNITS, use_bias=bias, key=key)
        for size, key in zip((FEATURES, UNITS), keys, strict=True)
    ]
    stack = interop.from_equinox(cells)

    def run(cells):
        def one(xs):
            for cell in cells:

                def step(state, x, cell=cell):
                    state = cell(x, state)
                    return state, state[0]

                zeros = (jnp.zeros(UNITS), jnp.zeros(UNITS))
                xs = jax.lax.scan(step, zeros, xs)[1]
            return xs

        return jax.vmap(one, 1, 1)(jnp.asarray(XS))

    close(hs_of(stack), run(cells))
    double = jax.tree.map(lambda a: 2 * a, stack)
    filled = interop.to_equinox(double, cells)
    close(run(filled), hs_of(double))
    same_bits(interop.from_equinox(filled), double)
    same_bits(interop.from_equinox(cells[0]), stack[:1])
    with pytest.raises(ValueError, match="cells has 1 entries, layers has 2"):
        interop.to_equinox(stack, cells[0])
    with pytest.raises(ValueError, match=r"cells\[0\].weight_ih is \(24, 6\), that of layers\[0\]"):
        interop.to_equinox(stack, cells[::-1])


# Keras.


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_keras(keras, bidirectional, bias):
    def build(width):
        layer = keras.layers.LSTM(
            UNITS, return_sequences=True, use_bias=bias, zero_output_for_mask=True
        )
        if bidirectional:
            layer = keras.layers.Bidirectional(layer)
        layer.build((BATCH, TIME, width))
        return layer

    layers = [build(FEATURES), build(UNITS * (2 if bidirectional else 1))]
    stack = interop.from_keras(layers)
    same_bits(interop.from_keras([layer.get_weights() for layer in layers]), stack)
    same_bits(interop.from_keras(layers[0]), stack[:1])
    same_bits(interop.from_keras(layers[0].get_weights()), stack[:1])

    def run(layers):
        xs = jnp.moveaxis(jnp.asarray(XS), 0, 1)
        for layer in layers:
            xs = layer(xs, mask=jnp.asarray(MASK[..., 0].T))
        return jnp.where(MASK, jnp.moveaxis(xs, 1, 0), 0)

    close(hs_of(stack, LENGTHS), run(layers))
    rng = np.random.default_rng(3)
    drawn = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), stack)
    if not bias:
        drawn = jax.tree.map(lambda a: a if a.ndim == 2 else 0 * a, drawn)
    for layer, weights in zip(layers, interop.to_keras(drawn, bias=bias), strict=True):
        layer.set_weights(weights)
    close(run(layers), hs_of(drawn, LENGTHS))
    same_bits(interop.from_keras(interop.to_keras(drawn, bias=bias)), drawn)
