"""Cells of Flax, linen and NNX: every setting, wrappers, and whole models."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jlstm
from jlstm import interop, variants
from tests.support.problems import assert_close, tolerance

FEATURES, UNITS, BATCH, TIME = 3, 5, 2, 7
XS = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES)), jnp.float32)
KEY = jax.random.key(0)
pytestmark = [
    pytest.mark.filterwarnings("ignore:carry_init is provided:UserWarning"),
    pytest.mark.filterwarnings("ignore:keep_rngs argument is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# What becomes of each argument: "carried" into the weights, "refused" by name of a module that has
# another than the default, or of "no effect" on what a layer computes.
LINEN = {
    "features": "carried", "kernel_init": "carried", "recurrent_kernel_init": "carried",
    "bias_init": "carried", "param_dtype": "carried", "dtype": "no effect",
    "gate_fn": "refused", "activation_fn": "refused", "carry_init": "refused",
    "parent": "no effect", "name": "no effect",
}  # fmt: skip
LINEN_SIMPLE = {k: v for k, v in LINEN.items() if k != "gate_fn"} | {"residual": "refused"}
NNX = {
    "in_features": "carried", "hidden_features": "carried", "kernel_init": "carried",
    "recurrent_kernel_init": "carried", "bias_init": "carried", "param_dtype": "carried",
    "dtype": "no effect", "gate_fn": "refused", "activation_fn": "refused", "carry_init": "refused",
    "promote_dtype": "no effect", "keep_rngs": "no effect", "rngs": "carried",
    "kernel_metadata": "no effect", "recurrent_kernel_metadata": "no effect",
    "bias_metadata": "no effect",
}  # fmt: skip
NNX_SIMPLE = {k: v for k, v in NNX.items() if k != "gate_fn"} | {"residual": "refused"}
ARGUMENTS = {
    nn.LSTMCell: LINEN,
    nn.OptimizedLSTMCell: LINEN,
    nn.GRUCell: LINEN,
    nn.SimpleCell: LINEN_SIMPLE,
    nn.RNN: {
        "cell": "carried", "time_major": "no effect", "return_carry": "no effect",
        "reverse": "refused", "keep_order": "no effect", "unroll": "no effect",
        # The collections that a cell here has are params, broadcast over time; a kernel a step has
        # an axis more, which is refused.
        "variable_axes": "no effect", "variable_broadcast": "no effect",
        "variable_carry": "no effect", "split_rngs": "no effect", "parent": "no effect",
        "name": "no effect",
    },
    nn.Bidirectional: {
        "forward_rnn": "carried", "backward_rnn": "carried", "merge_fn": "refused",
        "time_major": "no effect", "return_carry": "no effect", "parent": "no effect",
        "name": "no effect",
    },
    nnx.LSTMCell: NNX,
    nnx.OptimizedLSTMCell: NNX,
    nnx.GRUCell: NNX,
    nnx.SimpleCell: NNX_SIMPLE,
    nnx.RNN: {
        "cell": "carried", "time_major": "no effect", "return_carry": "no effect",
        "reverse": "refused", "keep_order": "no effect", "unroll": "no effect",
        "state_axes": "no effect", "broadcast_rngs": "no effect", "rngs": "no effect",
    },
    nnx.Bidirectional: {
        "forward_rnn": "carried", "backward_rnn": "carried", "merge_fn": "refused",
        "time_major": "no effect", "return_carry": "no effect", "rngs": "no effect",
    },
}  # fmt: skip
ones = nn.initializers.ones
REFUSED = {
    "gate_fn": nn.hard_sigmoid, "activation_fn": nn.relu, "carry_init": ones, "residual": True,
    "reverse": True, "merge_fn": jnp.add,
}  # fmt: skip
NO_EFFECT = {
    "dtype": jnp.bfloat16, "time_major": True, "return_carry": True, "keep_order": True,
    "unroll": 3, "keep_rngs": True, "rngs": nnx.Rngs(1), "kernel_metadata": {"about": 1},
    "recurrent_kernel_metadata": {"about": 1}, "bias_metadata": {"about": 1},
    "variable_axes": {"cache": 0}, "variable_carry": "cache",
    "split_rngs": {"params": False, "dropout": True},
    "variable_broadcast": ["params"], "broadcast_rngs": "dropout", "name": "layer",
}  # fmt: skip
IDS = {kind: f"{kind.__module__.split('.')[1]}.{kind.__name__}" for kind in ARGUMENTS}


def close(found, expected, bound=None):
    assert_close(found, expected, bound or tolerance(jnp.float32))


def drawn(params):
    """Random numbers in place of the params, biases included."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape, scale=0.5), a.dtype), params)


def hs_of(layers):
    hs = jlstm.stack_scan(layers, None, jnp.moveaxis(XS, 1, 0))[1]
    return jnp.moveaxis(hs, 0, 1)


def made(kind, **options):
    """A module with an RNN around a cell, or within a Bidirectional."""
    of_nnx = kind.__module__.startswith("flax.nnx")
    library = nnx if of_nnx else nn
    if kind in (library.RNN, library.Bidirectional):
        inner = library.GRUCell if kind is library.RNN else library.SimpleCell
        parts = [made(inner) for _ in range(2)]
        return (
            library.RNN(parts[0].cell, **options)
            if kind is library.RNN
            else kind(*parts, **options)
        )
    if of_nnx:
        cell = kind(FEATURES, UNITS, rngs=nnx.Rngs(0), **options)
        return nnx.RNN(cell)
    return nn.RNN(kind(UNITS, **options))


def weights_and_outputs(module):
    """`(params, module)` as `from_flax` takes them, what they compute, batch first."""
    time_major = module.time_major
    xs = jnp.moveaxis(XS, 1, 0) if time_major else XS
    if isinstance(module, nnx.Module):
        nnx.update(module, drawn(nnx.state(module, nnx.Param)))
        arguments, outputs = (module,), module(xs)
    else:
        params = drawn(jax.eval_shape(module.init, KEY, xs)["params"])
        arguments, outputs = (params, module), module.apply({"params": params}, xs)
    outputs = outputs[1] if module.return_carry else outputs
    return arguments, jnp.moveaxis(outputs, 1, 0) if time_major else outputs


@pytest.mark.parametrize("kind", ARGUMENTS, ids=IDS.get)
def test_every_argument_is_classified(kind):
    """An argument of a new version fails here until it is classified."""
    signature = inspect.signature(kind.__init__)
    assert set(signature.parameters) - {"self"} == set(ARGUMENTS[kind])


@pytest.mark.parametrize("kind", ARGUMENTS, ids=IDS.get)
def test_weights_are_carried(kind):
    arguments, outputs = weights_and_outputs(made(kind))
    layers = interop.from_flax(*arguments)
    close(hs_of(layers), outputs)
    if len(arguments) == 2:  # a bound module, and params alone
        also = [interop.from_flax(arguments[0])]
        also.append(interop.from_flax(arguments[1].bind({"params": arguments[0]})))
    else:
        also = [interop.from_flax(nnx.state(arguments[0]))]
    for other in also:
        jax.tree.map(np.testing.assert_array_equal, other, layers)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in ARGUMENTS.items() for name in names if name in REFUSED],
    ids=lambda value: IDS.get(value, value) if isinstance(value, type) else value,
)
def test_settings_that_are_refused(kind, name):
    (*arguments,), outputs = weights_and_outputs(made(kind, **{name: REFUSED[name]}))
    with pytest.raises(ValueError, match=rf", a \w+, has {name}="):
        interop.from_flax(*arguments)
    alone = arguments[0] if len(arguments) == 2 else nnx.state(arguments[0])
    assert np.shape(outputs) != np.shape(hs_of(interop.from_flax(alone))) or (
        np.abs(outputs - hs_of(interop.from_flax(alone))).max() > 0.01
    )  # it computes something else indeed, which params alone do not tell


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, names in ARGUMENTS.items()
        for name, becomes in names.items()
        if becomes == "no effect" and name in NO_EFFECT
    ],
    ids=lambda value: IDS.get(value, value) if isinstance(value, type) else value,
)
def test_settings_of_no_effect(kind, name):
    options = {name: NO_EFFECT[name]}
    if name == "dtype" and kind.__name__ == "SimpleCell":  # whose carry starts in the params' dtype
        options |= {"param_dtype": jnp.bfloat16, "recurrent_kernel_init": nn.initializers.zeros}
    arguments, outputs = weights_and_outputs(made(kind, **options))
    bound = 0.05 if name == "dtype" else None  # 8 bits of mantissa, over 7 steps
    close(hs_of(interop.from_flax(*arguments)), jnp.asarray(outputs, jnp.float32), bound)


def test_functions_are_told_by_what_they_compute():
    cell = nn.LSTMCell(UNITS, activation_fn=lambda x: jnp.tanh(x), gate_fn=jax.lax.logistic)
    arguments, outputs = weights_and_outputs(nn.RNN(cell))
    close(hs_of(interop.from_flax(*arguments)), outputs)


def test_a_direction_of_a_bidirectional_module_has_its_own():
    """`Bidirectional` sets the direction of its RNNs, whatever their settings."""
    for module in (
        nn.Bidirectional(nn.RNN(nn.GRUCell(UNITS), reverse=True), nn.RNN(nn.GRUCell(UNITS))),
        nnx.Bidirectional(
            *(
                nnx.RNN(nnx.LSTMCell(FEATURES, UNITS, rngs=nnx.Rngs(k)), reverse=k == 0)
                for k in range(2)
            )
        ),
    ):
        arguments, outputs = weights_and_outputs(module)
        close(hs_of(interop.from_flax(*arguments)), outputs)
    with pytest.raises(ValueError, match=r"use the layer as jlstm.BiLSTMParams\(None, layer\)"):
        interop.from_flax(nnx.RNN(nnx.GRUCell(FEATURES, UNITS, rngs=nnx.Rngs(0)), reverse=True))
    module = nn.RNN(nn.LSTMCell(UNITS), reverse=True, keep_order=True)
    (params, _), outputs = weights_and_outputs(module)
    close(hs_of((jlstm.BiLSTMParams(None, *interop.from_flax(params)),)), outputs)


@pytest.mark.sampled
@pytest.mark.parametrize("init", [jlstm.init_params, variants.init_gru, variants.init_rnn])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_there_and_back(init, bidirectional):
    layers = drawn(
        jlstm.init_stack(KEY, FEATURES, (UNITS, 4), bidirectional=bidirectional, init=init)
    )
    back = interop.from_flax(interop.to_flax(layers))
    jax.tree.map(np.testing.assert_array_equal, back, layers)
    if init is variants.init_gru:
        with pytest.raises(ValueError, match=r"bias_hn is not zero, which nnx.GRUCell cannot"):
            interop.to_nnx(layers)
        layers = jax.tree.map(lambda a: a if a.ndim == 2 or a.size % 3 == 0 else 0 * a, layers)
    for optimized in (True, False):
        back = interop.from_flax(interop.to_nnx(layers, optimized=optimized))
        jax.tree.map(np.testing.assert_array_equal, back, layers)


class Tagger(nn.Module):
    """A model of linen, with the names that Flax gives."""

    cells: int = 1
    kernel_init: object = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, xs):
        xs = nn.Dense(FEATURES)(xs)
        for _ in range(self.cells):
            xs = nn.RNN(nn.OptimizedLSTMCell(UNITS, kernel_init=self.kernel_init))(xs)
        return nn.Dense(2)(xs)


@pytest.mark.full
def test_the_only_layer_of_a_model_is_found():
    variables = Tagger().init(KEY, XS)
    cell = variables["params"]["OptimizedLSTMCell_0"]
    expected = interop.from_flax(cell)
    for given in (variables, variables["params"], [variables], {"model": [variables]}):
        jax.tree.map(np.testing.assert_array_equal, interop.from_flax(given), expected)
    two = Tagger(cells=2).init(KEY, XS)
    with pytest.raises(
        ValueError,
        match=r"params holds 2 layers: pass one, or a list in their order, of "
        r"params\['params'\]\['OptimizedLSTMCell_0'\], params\['params'\]\['OptimizedLSTMCell_1'\]",
    ):
        interop.from_flax(two)
    with pytest.raises(ValueError, match=r"layers\[1\] takes 3 features, layers\[0\] outputs 5"):
        interop.from_flax([cell, cell])
    with pytest.raises(ValueError, match="holds no known cell of Flax, but Dense_0"):
        interop.from_flax({"Dense_0": variables["params"]["Dense_0"]})

    class OfNNX(nnx.Module):
        def __init__(self, cells):
            rngs = nnx.Rngs(0)
            self.embed = nnx.Embed(11, FEATURES, rngs=rngs)
            self.rnns = nnx.List(
                [nnx.RNN(nnx.GRUCell(FEATURES, UNITS, rngs=rngs)) for _ in range(cells)]
            )

    whole = OfNNX(1)
    expected = interop.from_flax(whole.rnns[0])
    for given in (whole, nnx.state(whole), nnx.to_pure_dict(nnx.state(whole, nnx.Param))):
        jax.tree.map(np.testing.assert_array_equal, interop.from_flax(given), expected)
    with pytest.raises(ValueError, match=r"2 layers: .*\['rnns'\]\[0\]\['cell'\], .*\[1\]"):
        interop.from_flax(OfNNX(2))


@pytest.mark.full
def test_partitioned_params():
    names = (None, "units")
    for box in (nn.with_partitioning, nn.with_logical_partitioning):
        boxed = Tagger(kernel_init=box(nn.initializers.lecun_normal(), names)).init(KEY, XS)
        jax.tree.map(
            np.testing.assert_array_equal,
            interop.from_flax(boxed), interop.from_flax(nn.meta.unbox(boxed)),
        )  # fmt: skip


def test_shapes_without_numbers():
    shapes = jax.eval_shape(Tagger().init, KEY, XS)
    with pytest.raises(ValueError, match=r"\['kernel'\] is a shape without numbers, as eval_shape"):
        interop.from_flax(shapes)


@pytest.mark.full
def test_scanned_and_mapped_params():
    variables = Tagger().init(KEY, XS)
    stacked = jax.tree.map(lambda a: jnp.stack([a, a]), variables)
    with pytest.raises(ValueError, match=r"\(2, 3, 5\), with 1 more axes than that of a cell, as"):
        interop.from_flax(stacked)

    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, xs):
            scan = nn.scan(
                nn.GRUCell, variable_broadcast="params", in_axes=1, out_axes=1,
                split_rngs={"params": False},
            )  # fmt: skip
            return scan(UNITS)(jnp.zeros((BATCH, UNITS)), xs)[1]

    variables = drawn(Scanned().init(KEY, XS))
    assert list(variables["params"]) == ["ScanGRUCell_0"]
    close(hs_of(interop.from_flax(variables)), Scanned().apply(variables, XS))


def params_of(module, *inputs):
    return module.init(KEY, *inputs)["params"]


@pytest.mark.full
def test_cells_that_are_refused():
    h = jnp.zeros((BATCH, UNITS))
    x = XS[:, 0]
    plain = params_of(nn.LSTMCell(UNITS), (h, h), x)

    class Normed(nn.Module):
        @nn.compact
        def __call__(self, carry, x):
            return nn.WeightNorm(nn.LSTMCell(UNITS))(carry, x)

    class OwnCell(nnx.GRUCell):
        def __call__(self, carry, inputs):
            return super().__call__(2 * carry, inputs)

    for call, error, message in (
        (lambda: interop.from_flax(params_of(nn.MGUCell(UNITS), h, x)), ValueError,
         "params is a MGUCell, which is not supported"),
        (lambda: interop.from_flax(params_of(
            nn.ConvLSTMCell(4, kernel_size=(2, 2)), (jnp.zeros((3, 5, 5, 4)),) * 2,
            jnp.zeros((3, 5, 5, 4)))), ValueError, "params is a ConvLSTMCell, which is not"),
        (lambda: interop.from_flax(params_of(Normed(), (h, h), x)), ValueError,
         r"params\['WeightNorm_0'\] holds 'LSTMCell_0/h\w/kernel/scale', a scale of nn.WeightNorm"),
        (lambda: interop.from_flax({**plain, "norm": {"scale": h}}), ValueError,
         "params holds norm beside the params of a cell of Flax"),
        (lambda: interop.from_flax({**plain, "ii": {**plain["ii"], "lora_a": h}}), ValueError,
         r"params\['ii'\] holds kernel, lora_a, but a cell of Flax has kernel only"),
        (lambda: interop.from_flax(OwnCell(FEATURES, UNITS, rngs=nnx.Rngs(0))), ValueError,
         "params is a OwnCell, not a cell of Flax"),
        (lambda: interop.from_flax(nn.LSTMCell(UNITS)), TypeError,
         "got LSTMCell, which is not bound: pass its params, and the module as"),
        (lambda: interop.from_flax(plain, Tagger()), TypeError,
         "module must be a cell, an RNN or a Bidirectional of Flax, got Tagger"),
        (lambda: interop.from_flax([plain, plain], [nn.LSTMCell(UNITS)]), ValueError,
         "module holds 1 modules, params 2 layers"),
        (lambda: interop.from_flax({"forward_rnn": plain}), ValueError, "has no 'backward_rnn'"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()
