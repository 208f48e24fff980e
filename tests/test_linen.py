"""The modules of linen: the same numbers as Flax's own, and as a scan over rollouts by hand."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jlstm
import jlstm.linen
from jlstm import interop
from tests.support.problems import assert_close, tolerance

BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
RNG = np.random.default_rng(0)
XS = jnp.asarray(RNG.normal(size=(BATCH, TIME, FEATURES)), jnp.float32)
LENGTHS = jnp.array([7, 2, 5])
RESETS = jnp.asarray(RNG.random((TIME, BATCH)) < 0.3)
KEY = jax.random.key(0)
PAIRS = {
    "LSTM": (jlstm.linen.LSTM, jlstm.linen.ScannedLSTM, nn.OptimizedLSTMCell),
    "GRU": (jlstm.linen.GRU, jlstm.linen.ScannedGRU, nn.GRUCell),
}


def close(found, expected, times=1):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    bound = times * tolerance(jnp.float32)
    jax.tree.map(lambda a, b: assert_close(a, b, bound), found, expected)


def drawn(params):
    """Random numbers in place of the params, biases included."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape, scale=0.5), a.dtype), params)


REVERSED = {"reverse": True}
CASES = [("LSTM", {}), ("GRU", {}), ("LSTM", REVERSED), ("GRU", {**REVERSED, "keep_order": True})]
SLOW = [
    ("GRU", REVERSED),
    ("LSTM", {**REVERSED, "keep_order": True}),
    ("LSTM", {"time_major": True}),
]


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "options"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)],
    ids=str,
)
def test_in_the_place_of_an_rnn(kind, options):
    """Values, carries and gradients, with lengths and from a carry."""
    ours, _, cell = PAIRS[kind]
    theirs = nn.RNN(cell(UNITS), return_carry=True, **options)
    module = ours(UNITS, return_carry=True, **options)
    xs = jnp.moveaxis(XS, 1, 0) if options.get("time_major") else XS
    shapes = jax.eval_shape(theirs.init, KEY, xs)["params"]["cell"]
    assert shapes == jax.eval_shape(module.init, KEY, xs)["params"]
    params = drawn(shapes)
    start = drawn(cell(UNITS).initialize_carry(KEY, (BATCH, FEATURES)))
    mask = jnp.arange(TIME) < LENGTHS[:, None]
    mask = (mask.T if options.get("time_major") else mask)[..., None]
    arguments = {"initial_carry": start, "seq_lengths": LENGTHS}

    def loss(run):
        def of(params, xs):
            carry, outputs = run(params, xs)
            outputs = jnp.where(mask, outputs, 0)  # Flax continues through padding
            return sum((a**2).sum() for a in jax.tree.leaves((carry, outputs))), (carry, outputs)

        return jax.value_and_grad(of, argnums=(0, 1), has_aux=True)

    def run_theirs(params, xs):
        return theirs.apply({"params": {"cell": params}}, xs, **arguments)

    def run_ours(params, xs):
        return module.apply({"params": params}, xs, **arguments)

    ((_, found), gradients), ((_, expected), wanted) = (
        jax.jit(loss(run))(params, xs) for run in (run_ours, run_theirs)
    )
    close(found, expected)
    close(gradients, wanted, times=20)
    plain = module.apply({"params": params}, xs, return_carry=False)
    close(plain, theirs.apply({"params": {"cell": params}}, xs, return_carry=False))


def scanned_by_hand(cell):
    """The usual scan of JAX agents: the carry is replaced where an episode starts."""

    class ScannedRNN(nn.Module):
        @functools.partial(
            nn.scan, variable_broadcast="params", in_axes=0, out_axes=0,
            split_rngs={"params": False},
        )  # fmt: skip
        @nn.compact
        def __call__(self, carry, inputs):
            xs, resets = inputs
            zeros = cell(UNITS).initialize_carry(KEY, xs.shape)
            carry = jax.tree.map(lambda z, c: jnp.where(resets[:, None], z, c), zeros, carry)
            return cell(UNITS, name="cell")(carry, xs)

    return ScannedRNN()


@pytest.mark.full
@pytest.mark.parametrize("kind", PAIRS)
def test_in_the_place_of_a_scan_over_rollouts(kind):
    _, ours, cell = PAIRS[kind]
    module, theirs = ours(UNITS), scanned_by_hand(cell)
    inputs = (jnp.moveaxis(XS, 1, 0), RESETS)
    zeros = module.initialize_carry(KEY, (BATCH, FEATURES))
    assert jax.tree.map(jnp.shape, zeros) == jax.tree.map(
        jnp.shape, cell(UNITS).initialize_carry(KEY, (BATCH, FEATURES))
    )
    params = drawn(jax.eval_shape(module.init, KEY, zeros, inputs)["params"])
    start = drawn(zeros)

    def run_theirs(params, carry, xs):
        return theirs.apply({"params": {"cell": params}}, carry, (xs, RESETS))

    def run_ours(params, carry, xs):
        return module.apply({"params": params}, carry, (xs, RESETS))

    def loss(run):
        return lambda *a: sum((leaf**2).sum() for leaf in jax.tree.leaves(run(*a)))

    arguments = (params, start, inputs[0])
    close(run_ours(*arguments), run_theirs(*arguments))
    close(
        jax.jit(jax.grad(loss(run_ours), argnums=(0, 1, 2)))(*arguments),
        jax.jit(jax.grad(loss(run_theirs), argnums=(0, 1, 2)))(*arguments),
        times=20,
    )
    # A rollout in two parts, as an agent acts, one step at a time at first.
    carry, first = run_ours(params, start, inputs[0])
    half = {"params": params}
    middle, left = module.apply(half, start, (inputs[0][:1], RESETS[:1]))
    end, right = module.apply(half, middle, (inputs[0][1:], RESETS[1:]))
    close((end, jnp.concatenate([left, right])), (carry, first))


def test_resets_in_batch_first():
    lstm = jlstm.linen.LSTM(UNITS, return_carry=True)
    variables = lstm.init(KEY, XS)
    inputs = (jnp.moveaxis(XS, 1, 0), RESETS)
    scanned = jlstm.linen.ScannedLSTM(UNITS).apply(variables, None, inputs)
    carry, outputs = lstm.apply(variables, XS, resets=RESETS.T)
    close((carry, jnp.moveaxis(outputs, 1, 0)), scanned)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", PAIRS)
def test_inside_bidirectional_and_through_the_converters(kind):
    ours, _, cell = PAIRS[kind]
    module = nn.Bidirectional(ours(UNITS), ours(UNITS))
    theirs = nn.Bidirectional(nn.RNN(cell(UNITS)), nn.RNN(cell(UNITS)))
    params = drawn(jax.eval_shape(module.init, KEY, XS)["params"])
    found = module.apply({"params": params}, XS)
    within = {way: {"cell": part} for way, part in params.items()}
    close(found, theirs.apply({"params": within}, XS))
    layers = interop.from_flax(module.bind({"params": params}))
    hs = jlstm.stack_scan(layers, None, jnp.moveaxis(XS, 1, 0))[1]
    close(found, jnp.moveaxis(hs, 0, 1))
    layers = (layers[0].forward,)
    (back,) = interop.to_flax(layers)
    jax.tree.map(np.testing.assert_array_equal, back, params["forward_rnn"])
    np.testing.assert_array_equal(ours(UNITS).apply({"params": back}, XS), found[..., :UNITS])


class Model(nn.Module):
    """Layers over depth, each computed again in the backward pass."""

    remat: bool

    @nn.compact
    def __call__(self, xs):
        layer = nn.remat(jlstm.linen.LSTM) if self.remat else jlstm.linen.LSTM

        def body(module, xs, _):
            return layer(FEATURES, name="lstm")(xs), None

        over_depth = nn.scan(
            body, variable_axes={"params": 0}, split_rngs={"params": True}, length=3
        )
        return over_depth(self, xs, None)[0]


@pytest.mark.full
def test_transformations():
    plain, again = Model(remat=False), Model(remat=True)
    variables = plain.init(KEY, XS)
    kernels = {a.shape for a in jax.tree.leaves(variables) if a.ndim == 3}
    assert kernels == {(3, FEATURES, FEATURES)}
    expected = XS
    for k in range(3):
        params = jax.tree.map(lambda a, k=k: a[k], variables["params"]["lstm"])
        expected = jlstm.linen.LSTM(FEATURES).apply({"params": params}, expected)
    close(jax.jit(plain.apply)(variables, XS), expected)

    def loss(model):
        return lambda variables: (model.apply(variables, XS) ** 2).sum()

    close(jax.grad(loss(again))(variables), jax.grad(loss(plain))(variables), times=20)
    lstm = jlstm.linen.LSTM(UNITS)
    variables = lstm.init(KEY, XS)
    each = jax.vmap(lstm.apply, (None, 0))(variables, XS)
    close(each, lstm.apply(variables, XS))
    ensemble = jax.vmap(lstm.init, (0, None))(jax.random.split(KEY, 2), XS)
    both = jax.vmap(lstm.apply, (0, None))(ensemble, XS)
    close(both[1], lstm.apply(jax.tree.map(lambda a: a[1], ensemble), XS))
    with pytest.raises(ValueError, match=r"\(3, 4, 4\), with 1 more axes .* nn.scan or nn.vmap"):
        interop.from_flax(plain.init(KEY, XS))


@pytest.mark.full
def test_dtypes_and_the_carry_of_an_outer_loop():
    for ours, *_ in PAIRS.values():
        module = ours(UNITS, dtype=jnp.bfloat16, return_carry=True)
        variables = module.init(KEY, XS)
        assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}

        def body(carry, xs, module=module, variables=variables):
            return module.apply(variables, xs, initial_carry=carry)

        carry = module.initialize_carry(KEY, (BATCH, FEATURES))
        carry, outputs = jax.lax.scan(body, carry, jnp.stack([XS, XS]))
        assert outputs.dtype == jnp.bfloat16
        h = carry[1] if isinstance(carry, tuple) else carry
        np.testing.assert_array_equal(h, outputs[-1, :, -1])
    narrow = jlstm.linen.LSTM(UNITS, param_dtype=jnp.bfloat16)
    variables = narrow.init(KEY, XS)
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype(jnp.bfloat16)}


def test_initialisation():
    """As Flax draws, and 1 on the forget gate's bias; in a box where the init makes one."""
    zeros, lecun = nn.initializers.zeros, nn.initializers.lecun_normal()
    lstm = jlstm.linen.LSTM(
        UNITS, kernel_init=nn.with_partitioning(lecun, (None, "units")),
        bias_init=nn.with_partitioning(zeros, ("units",)),
    )  # fmt: skip
    params = lstm.init(KEY, XS)["params"]
    assert params["if"]["kernel"].names == (None, "units")
    assert params["hf"]["bias"].names == ("units",)
    np.testing.assert_array_equal(params["hf"]["bias"].value, np.ones(UNITS))
    np.testing.assert_array_equal(params["hi"]["bias"].value, np.zeros(UNITS))
    unboxed = nn.meta.unbox(params)
    jax.tree.map(
        np.testing.assert_array_equal, interop.from_flax(params), interop.from_flax(unboxed)
    )
    np.testing.assert_array_equal(
        lstm.apply({"params": params}, XS), lstm.apply({"params": unboxed}, XS)
    )
    for gate in "ifgo":
        kernel = unboxed["h" + gate]["kernel"]
        assert_close(kernel @ kernel.T, np.eye(UNITS), 1e-5)
    plain = jlstm.linen.LSTM(UNITS, forget_bias=0.0).init(KEY, XS)["params"]
    np.testing.assert_array_equal(plain["hf"]["bias"], np.zeros(UNITS))


def test_refused():
    lstm, gru = jlstm.linen.LSTM(UNITS), jlstm.linen.GRU(UNITS)
    scanned = jlstm.linen.ScannedLSTM(UNITS)
    variables = lstm.init(KEY, XS)
    h = c = jnp.zeros((BATCH, UNITS))
    for call, error, message in (
        (lambda: lstm.apply(variables, XS, initial_carry=jlstm.LSTMState(h, c)), TypeError,
         r"the carry must be Flax's \(c, h\), got .*\(state.c, state.h\)"),
        (lambda: lstm.apply(variables, XS, initial_carry=h), TypeError, r"must be Flax's \(c, h\)"),
        (lambda: gru.init(KEY, XS, initial_carry=(c, h)), TypeError,
         "the carry of a GRU must be one array h"),
        (lambda: scanned.apply(variables, (c, h), XS), TypeError,
         r"inputs must be \(xs, resets\), got "),
        (lambda: scanned.apply(variables, (c, h), (jnp.moveaxis(XS, 1, 0), RESETS.T)), ValueError,
         r"resets must have the shape \(7, 3\) for inputs \(7, 3, 4\) with time_major=True"),
        (lambda: scanned.apply(variables, (c, h), (jnp.moveaxis(XS, 1, 0), 1.0 * RESETS)),
         TypeError, "resets"),
        (lambda: lstm.apply(variables, XS[..., :3]), Exception, "3"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()


@pytest.mark.full
def test_without_flax():
    code = """
import importlib, sys
sys.modules["flax"] = None
for name in ("linen", "nnx"):
    try:
        importlib.import_module("jlstm." + name)
    except ModuleNotFoundError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    for line, name in zip(lines, ("linen", "nnx"), strict=True):
        assert line.startswith(f"jlstm.{name} needs flax: pip install '.[flax]' in the clone")
