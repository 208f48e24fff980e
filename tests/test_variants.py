"""Every variant against its own float64 oracle, in values and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from jlstm.types import cell_dtype
from tests.conftest import quick
from tests.support import reference_cells
from tests.support.problems import assert_close, tolerance

STEPS = {
    "projected": variants.projected_step,
    "peephole": variants.peephole_step,
    "coupled": variants.coupled_step,
    "layer_norm": variants.layer_norm_step,
    "no_forget": variants.no_forget_step,
    "gru": variants.gru_step,
    "cho_gru": variants.cho_gru_step,
    "rnn": variants.rnn_step,
}
INITS = {
    **{name: getattr(variants, f"init_{name}") for name in STEPS},
    "projected": functools.partial(variants.init_projected, projection_size=2),
}
SCANS = {
    **{name: functools.partial(jlstm.scan_cell, step) for name, step in STEPS.items()},
    "projected, fused": jlstm.lstm_scan,
    "projected, recomputed": functools.partial(jlstm.lstm_scan, save="states"),
    "projected, in chunks": functools.partial(jlstm.lstm_scan, save=3),
    "projected, by JAX": functools.partial(jlstm.lstm_scan, implementation="scan"),
}
MASKS = {
    "plain": {},
    "lengths": {"lengths": True},
    "resets": {"resets": True},
    "all": {"lengths": True, "resets": True},
    "all, reversed": {"lengths": True, "resets": True, "reverse": True},
}


def draw(
    name, seed=0, time=7, batch=(3,), sizes=(4, 5), lengths=False, resets=False, reverse=False
):
    """`(params, state, reset_state, xs, masks)`, in float64 NumPy, with large biases and scales."""
    rng = np.random.default_rng(seed)

    def normal(like):
        return rng.normal(size=like.shape) * like.shape[0] ** -0.5 if like.ndim else rng.normal()

    params = jax.eval_shape(lambda key: INITS[name](key, *sizes), jax.random.key(0))
    params = jax.tree.map(normal, params)
    zeros = jax.tree.map(np.asarray, jlstm.init_state(params, batch))
    state, reset_state = (jax.tree.map(lambda a: rng.normal(size=a.shape), zeros) for _ in range(2))
    masks = {"reverse": reverse}
    if lengths:
        masks["lengths"] = rng.integers(0, time + 1, batch)
        masks["lengths"].flat[:2] = 0, time
    if resets:
        masks["resets"] = rng.random((time, *batch)) < 0.3
    return params, state, reset_state, rng.normal(size=(time, *batch, sizes[0])), masks


def layer_types():
    """Each layer type of the library, with weights of 4 inputs and 5 units."""
    inits = {"lstm": jlstm.init_params, **INITS}
    drawn = {name: init(jax.random.key(3), 4, 5) for name, init in inits.items()}
    return {name: (jlstm.LAYER_TYPES[type(params)], params) for name, params in drawn.items()}


def test_every_layer_type_is_collected():
    drawn = layer_types()
    assert set(jlstm.LAYER_TYPES) == {type(params) for _, params in drawn.values()}
    assert all(key is layer_type.params for key, layer_type in jlstm.LAYER_TYPES.items())
    steps = {name: layer_type.step for name, (layer_type, _) in drawn.items()}
    assert steps == {"lstm": jlstm.lstm_step, **STEPS}


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["lstm", *STEPS])
def test_a_layer_type_describes_its_weights_and_its_step(name):
    layer_type, params = layer_types()[name]
    assert isinstance(layer_type, jlstm.LayerType)
    assert set(layer_type.shapes) == set(params._fields)
    assert params.bias.shape == (5 * max(1, len(layer_type.gates)),)
    state = jlstm.init_state(params)
    assert isinstance(state, jlstm.LSTMState) == layer_type.has_cell
    state_after, output = layer_type.step(params, state, jnp.ones(4))
    assert jax.tree.structure(state_after) == jax.tree.structure(state)
    assert output.shape == (jlstm.output_size(params),)


def test_the_output_size_of_two_directions_is_their_sum():
    forward, backward = (layer_types()[name][1] for name in ("projected", "gru"))
    assert jlstm.output_size(jlstm.BiLSTMParams(forward, backward)) == 2 + 5
    assert jlstm.output_size(jlstm.BiLSTMParams(None, backward)) == 5


@pytest.mark.parametrize("name", ["lstm", *STEPS])
def test_weights_are_drawn_gate_by_gate(name):
    """One key each for inputs, `h` and bias, each split into one per gate."""
    layer_type, params = layer_types()[name]
    key = jax.random.key(3)
    if name == "projected":
        key, key_hr = jax.random.split(key)
        drawn = jax.nn.initializers.glorot_uniform()(key_hr, (5, 2))
        np.testing.assert_array_equal(params.weight_hr, drawn)
    key_ih, key_hh, _ = jax.random.split(key, 3)
    for weight, key, init in (
        (params.weight_ih, key_ih, jax.nn.initializers.glorot_uniform()),
        (params.weight_hh, key_hh, jax.nn.initializers.orthogonal()),
    ):
        keys = jax.random.split(key, max(1, len(layer_type.gates)))
        drawn = [init(k, (weight.shape[0], 5)) for k in keys]
        np.testing.assert_array_equal(weight, np.concatenate(drawn, axis=-1))


def leaves(tree):
    return tuple(jax.tree.leaves(tree))


def oracle(name, params, state, reset_state, xs, masks):
    step = reference_cells.CELLS[name]
    reset_state = leaves(reset_state) if "resets" in masks else None
    return reference_cells.scan(
        step, leaves(params), leaves(state), xs, reset_state=reset_state, **masks
    )


def call(scan, params, state, reset_state, xs, masks):
    reset_state = reset_state if "resets" in masks else None
    return scan(params, state, xs, reset_state=reset_state, **masks)


@pytest.mark.parametrize("masks", quick(MASKS, {"plain", "all, reversed"}))
@pytest.mark.parametrize("name", SCANS)
def test_values_are_the_oracles(name, masks):
    kind = name.partition(",")[0]
    *arrays, options = draw(kind, **MASKS[masks])
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), arrays)
    expected = oracle(kind, *arrays, options)
    found = call(SCANS[name], *single, options)
    assert_close(leaves(found), leaves(expected), tolerance(jnp.float32))


@pytest.mark.full
@pytest.mark.parametrize("masks", quick(["plain", "all", "all, reversed"], {"all"}))
@pytest.mark.parametrize("name", SCANS)
def test_gradients_are_the_oracles(name, masks, x64):
    """In float64: every array moved in two random directions, by the complex step."""
    kind = name.partition(",")[0]
    *arrays, options = draw(kind, seed=1, **MASKS[masks])
    rng = np.random.default_rng(2)
    weights = jax.tree.map(
        lambda a: rng.normal(size=a.shape), leaves(oracle(kind, *arrays, options))
    )

    def loss(arrays):
        out = leaves(call(SCANS[name], *arrays, options))
        return sum((a * w).sum() for a, w in zip(out, weights, strict=True))

    def expected_slope(moved):
        out = leaves(oracle(kind, *moved, options))
        return sum((a * w).sum() for a, w in zip(out, weights, strict=True)).imag / 1e-30

    gradient = leaves(jax.grad(loss)(jax.tree.map(jnp.asarray, arrays)))
    flat, structure = jax.tree.flatten(arrays)
    assert len(gradient) == len(flat)
    for k, array in enumerate(flat):
        for _ in range(2):
            direction = rng.normal(size=array.shape)
            moved = [a + 1e-30j * direction if j == k else a for j, a in enumerate(flat)]
            slope = expected_slope(structure.unflatten(moved))
            assert_close((gradient[k] * direction).sum(), slope, 1e-12)


@pytest.mark.parametrize("name", STEPS)
def test_gradients_in_float32(name):
    """Against those in float64, which agree with the oracle, to the tolerance of the LSTM."""
    *arrays, options = draw(name, seed=3, lengths=True, resets=True)

    def gradient(dtype):
        def loss(arrays):
            out = leaves(call(SCANS[name], *arrays, options))
            return sum((a * jnp.cos(jnp.arange(a.size).reshape(a.shape))).sum() for a in out)

        return jax.grad(loss)(jax.tree.map(lambda a: jnp.asarray(a, dtype), arrays))

    with jax.enable_x64(True):
        exact = jax.tree.map(np.asarray, gradient(jnp.float64))
    assert_close(gradient(jnp.float32), exact, tolerance(jnp.float32, "gradients"))


@pytest.mark.sampled
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("name", STEPS)
def test_any_batch_axes(name, batch):
    params, state, _, xs, _ = draw(name, batch=batch)
    params, state, xs = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, state, xs))
    with jax.numpy_rank_promotion("raise"):
        found = SCANS[name](params, state, xs)
    assert_close(leaves(found), leaves(oracle(name, *draw(name, batch=batch))), 1e-5)


@pytest.mark.full
@pytest.mark.parametrize(
    "dtype", quick(["bfloat16", "float16", "float32", "float64"], {"bfloat16"})
)
@pytest.mark.parametrize("name", STEPS)
def test_dtypes(name, dtype, x64):
    """`h` in the compute dtype, `c` in float32 or wider; neither drifts."""
    params = INITS[name](jax.random.key(0), 4, 5, dtype=dtype)
    assert {leaf.dtype for leaf in params} == {jnp.dtype(dtype)}
    state = jlstm.init_state(params, (3,))
    for inputs in (dtype, "int32"):
        x = jnp.ones((3, 4), inputs)
        compute = jnp.result_type(x, *params)
        new, shown = STEPS[name](params, state, x)
        assert shown.dtype == compute
        if isinstance(new, jlstm.LSTMState):
            assert new.h.dtype == compute
            assert new.c.dtype == cell_dtype(compute)
        else:
            assert new.dtype == compute
    last, hs = SCANS[name](params, state, jnp.ones((6, 3, 4), dtype))
    assert jax.tree.map(lambda a: a.dtype, last) == jax.tree.map(lambda a: a.dtype, state)
    assert hs.dtype == dtype


@pytest.mark.sampled
@pytest.mark.parametrize("dtype", quick([jnp.bfloat16, jnp.float16], {jnp.bfloat16}))
@pytest.mark.parametrize("name", STEPS)
def test_sixteen_bits_stay_near_float32(name, dtype):
    params, state, _, xs, _ = draw(name, time=20)
    low = jax.tree.map(lambda a: jnp.asarray(a, dtype), (params, state, xs))
    high = jax.tree.map(lambda a: a.astype(jnp.float32), low)
    assert_close(SCANS[name](*low)[1], SCANS[name](*high)[1], 20 * float(jnp.finfo(dtype).eps))


@pytest.mark.full
def test_identities_between_variants():
    """A variant whose additional weights do nothing is the LSTM."""
    plain = jlstm.init_params(jax.random.key(0), 4, 5)
    xs = jax.random.normal(jax.random.key(1), (7, 3, 4))
    state, hs = jlstm.lstm_scan(plain, None, xs)
    zero = jlstm.init_state(plain, (3,))
    peephole = variants.PeepholeParams(*plain, jnp.zeros(15))
    assert_close(jlstm.scan_cell(variants.peephole_step, peephole, zero, xs), (state, hs), 1e-6)
    projected = variants.ProjectedParams(*plain, jnp.eye(5))
    assert_close(jlstm.lstm_scan(projected, None, xs), (state, hs), 1e-6)
    # A forget gate at 1 - i, and one that is always open.
    i, f, g, o = (slice(5 * k, 5 * k + 5) for k in range(4))
    coupled = jax.tree.map(lambda w: jnp.concatenate([w[..., s] for s in (i, g, o)], -1), plain)
    tied = jax.tree.map(lambda w: w.at[..., f].set(-w[..., i]), plain)
    found = jlstm.scan_cell(variants.coupled_step, variants.CoupledParams(*coupled), zero, xs)
    assert_close(found, jlstm.lstm_scan(tied, None, xs), 1e-6)
    open_gate = tied._replace(
        weight_ih=tied.weight_ih.at[..., f].set(0), weight_hh=tied.weight_hh.at[..., f].set(0),
        bias=tied.bias.at[f].set(50),
    )  # fmt: skip
    found = jlstm.scan_cell(variants.no_forget_step, variants.NoForgetParams(*coupled), zero, xs)
    assert_close(found, jlstm.lstm_scan(open_gate, None, xs), 1e-6)


def test_the_projected_trace():
    params = INITS["projected"](jax.random.key(0), 4, 5)
    xs = jax.random.normal(jax.random.key(1), (7, 3, 4))
    state, hs, trace = jlstm.lstm_trace(params, None, xs)
    assert_close((state, hs), jlstm.lstm_scan(params, None, xs), 1e-6)
    shown = (trace.o * jnp.tanh(trace.c)) @ params.weight_hr
    assert_close(shown, hs, 1e-6)


@pytest.mark.full
@pytest.mark.parametrize("name", quick(STEPS, {"projected", "gru"}))
def test_init(name):
    key = jax.random.key(0)
    params = INITS[name](key, 4, 6)
    assert type(params).__name__.lower().startswith(name.replace("_", ""))
    again = jax.jit(lambda key: INITS[name](key, 4, 6))(key)
    assert_close(params, again, 1e-6)
    many = jax.vmap(lambda key: INITS[name](key, 4, 6))(jax.random.split(key, 3))
    assert many.weight_hh.shape == (3, *params.weight_hh.shape)
    assert (many.weight_hh[0] != many.weight_hh[1]).all()
    half = INITS[name](key, 4, 6, dtype=jnp.bfloat16)
    assert_close(half, jax.tree.map(lambda a: a.astype(jnp.bfloat16), params), 1e-6)
    for gate in np.split(np.asarray(params.weight_hh), params.weight_hh.shape[1] // 6, axis=1):
        rows = gate @ gate.T
        np.testing.assert_allclose(rows, np.eye(len(rows)), atol=1e-5)


def test_forget_biases():
    assert (INITS["projected"](jax.random.key(0), 3, 4).bias[4:8] == 1).all()
    assert (INITS["peephole"](jax.random.key(0), 3, 4, forget_bias=2.0).bias[4:8] == 2).all()
    coupled = INITS["coupled"](jax.random.key(0), 3, 4, forget_bias=2.0)
    _, _, trace = jlstm.lstm_trace(
        jlstm.init_params(jax.random.key(0), 3, 4, forget_bias=2.0), None, jnp.zeros((1, 3))
    )
    new, _ = variants.coupled_step(
        coupled, jlstm.LSTMState(jnp.zeros(4), jnp.ones(4)), jnp.zeros(3)
    )
    assert_close(new.c, trace.f[0], 1e-6)  # i * g is 0 at zero input


BAD_STEPS = [
    ("gru", lambda p: p._replace(bias_hn=p.bias_hn[:-1]),
     r"params.bias_hn must be \(hidden,\) with hidden=5, got shape \(4,\)"),
    ("peephole", lambda p: p._replace(peephole=jnp.zeros((3, 5))),
     r"params.peephole must be \(3\*hidden,\) with hidden=5, got shape \(3, 5\)"),
    ("projected", lambda p: p._replace(weight_hr=jnp.zeros((5, 3))),
     r"params.weight_hh must be \(output, 4\*hidden\) with hidden=5 and output=3, "
     r"got shape \(2, 20\)"),
    ("rnn", lambda p: p._replace(weight_hh=jnp.zeros((5, 6))),
     r"params.weight_hh must be \(hidden, hidden\), got shape \(5, 6\)"),
    ("layer_norm", lambda p: p._replace(scale_c=jnp.zeros(4)),
     r"params.scale_c must be \(hidden,\) with hidden=5"),
    ("coupled", lambda p: p._replace(bias=jnp.zeros(20)),
     r"params.bias must be \(3\*hidden,\) with hidden=5, got shape \(20,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "message"), BAD_STEPS)
def test_weights_that_do_not_fit(name, spoil, message):
    params = INITS[name](jax.random.key(0), 4, 5)
    state = jlstm.init_state(params, (3,))
    with pytest.raises(ValueError, match=message):
        STEPS[name](spoil(params), state, jnp.ones((3, 4)))


@pytest.mark.parametrize("name", STEPS)
def test_bad_arguments(name):
    step, params = STEPS[name], INITS[name](jax.random.key(0), 4, 5)
    state = jlstm.init_state(params, (3,))
    x = jnp.ones((3, 4))
    with pytest.raises(ValueError, match="x has 3 features, the weights take 4"):
        step(params, state, x[:, :3])
    with pytest.raises(ValueError, match=r"has batch axes \(3,\), x has \(2,\)"):
        step(params, state, x[:2])
    wrong = jax.tree.map(lambda a: jnp.ones((3, 9)), state)
    with pytest.raises(ValueError, match=r"has 9 units, the weights have [25]"):
        step(params, wrong, x)
    with pytest.raises(TypeError, match=rf"params must be {type(params).__name__}\(weight_ih, "):
        step(tuple(params), state, x)
    with pytest.raises(TypeError, match="state"):
        step(params, "state", x)
    for sizes in ((0, 5), (4, 0)):
        with pytest.raises(ValueError, match="must be 1 or more, got 0"):
            INITS[name](jax.random.key(0), *sizes)


@pytest.mark.full
def test_a_projection_larger_than_the_layer():
    with pytest.raises(ValueError, match="projection_size must be at most hidden_size=4, got 5"):
        variants.init_projected(jax.random.key(0), 3, 4, projection_size=5)


@pytest.mark.full
def test_lstm_scan_takes_no_other_cell():
    params = INITS["gru"](jax.random.key(0), 4, 5)
    with pytest.raises(TypeError, match="or ProjectedParams, got GRUParams; scan_cell and"):
        jlstm.lstm_scan(params, None, jnp.ones((7, 3, 4)))
