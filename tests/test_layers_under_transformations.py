"""Every transformation over every kind of layer, stack and regulariser.

Their values and gradients are checked against oracles elsewhere; here each transformation must
agree with the plain call, each derivative with the others. The quick run takes most cases under two
transformations, the slow run all under all.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jlstm
from jlstm import regularize, variants
from tests.support.problems import assert_close, tolerance

TIME, BATCH, FEATURES = 5, 4, 2
KEYS = jax.random.split(jax.random.key(9), TIME)


def over_cell(step, init, noisy=False):
    def make(key):
        params = init(key, FEATURES, 3)

        def call(params, state, xs, **masks):
            read = (xs, KEYS[: xs.shape[0]]) if noisy else xs
            return jlstm.scan_cell(step, params, state, read, **masks)

        return call, params, jlstm.init_state(params, (BATCH,))

    return make


def over_stack(function=jlstm.stack_scan, sizes=(3, 3), bidirectional=False, init=None, **options):
    def make(key):
        init_one = init or jlstm.init_params
        layers = jlstm.init_stack(key, FEATURES, sizes, bidirectional=bidirectional, init=init_one)

        def call(layers, states, xs, reset_state=None, **masks):
            more = {} if reset_state is None else {"reset_states": reset_state}
            return function(layers, states, xs, **masks, **more, **options)

        return call, layers, jlstm.init_stack_state(layers, (BATCH,))

    return make


def over_projected(**options):
    def make(key):
        params = variants.init_projected(key, FEATURES, 3, projection_size=2)
        scan = functools.partial(jlstm.lstm_scan, **options)
        return scan, params, jlstm.init_state(params, (BATCH,))

    return make


INITS = {
    "projected": functools.partial(variants.init_projected, projection_size=2),
    **{
        name: getattr(variants, f"init_{name}")
        for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
    },
}
RATES = jlstm.LSTMState(0.3, 0.3)
CASES = {
    **{name: over_cell(getattr(variants, f"{name}_step"), init) for name, init in INITS.items()},
    "projected, fused": over_projected(),
    "stack": over_stack(residual=True),
    "stack, dropout": over_stack(dropout_rate=0.5, key=jax.random.key(8)),
    "stack, bidirectional": over_stack(bidirectional=True, save="states"),
    "stack trace": over_stack(jlstm.stack_trace),
    "truncated": over_stack(jlstm.truncated(jlstm.stack_scan, 2)),
    "zoneout": over_cell(regularize.zoneout(jlstm.lstm_step, RATES), jlstm.init_params, True),
}


class Case:
    """A call `(w, xs) -> arrays` with lengths and resets, and a loss of it."""

    def __init__(self, name, dtype=jnp.float32):
        scan, params, state = CASES[name](jax.random.key(0))
        leaves, structure = jax.tree.flatten((params, state, state))
        draws = jax.random.split(jax.random.key(1), len(leaves))
        noise = [0.3 * jax.random.normal(k, a.shape) for k, a in zip(draws, leaves, strict=True)]
        w = structure.unflatten([a + n for a, n in zip(leaves, noise, strict=True)])
        xs = jax.random.normal(jax.random.key(2), (TIME, BATCH, FEATURES))
        self.w, self.xs = jax.tree.map(lambda a: a.astype(dtype), (w, xs))
        self.masks = {
            "lengths": jnp.array([5, 0, 3, 4]),
            "resets": jax.random.bernoulli(jax.random.key(3), 0.3, (TIME, BATCH)),
        }
        self.scan = scan

    def call(self, w, xs, **masks):
        params, state, reset_state = w
        masks = masks or self.masks
        out = self.scan(params, state, xs, reset_state=reset_state, **masks)
        return jax.tree.leaves(out)

    def loss(self, w, xs, **masks):
        out = self.call(w, xs, **masks)
        return sum(
            (a * jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape)).sum() for a in out
        )


def close(actual, expected, kind="gradients"):
    assert_close(actual, expected, tolerance(jnp.float32, kind))


def compiled(*functions):
    """Each in one program, which takes less time to make than many small ones."""
    return [jax.jit(function) for function in functions]


def jit(case):
    close(jax.jit(case.call)(case.w, case.xs), case.call(case.w, case.xs))
    gradient = jax.grad(case.loss, argnums=(0, 1))
    close(jax.jit(gradient)(case.w, case.xs), gradient(case.w, case.xs))


def vmap_data(case):
    many = jnp.stack([case.xs, -case.xs])
    for function in compiled(case.call, jax.grad(case.loss, argnums=(0, 1))):
        found = jax.vmap(function, (None, 0))(case.w, many)
        for k in range(2):
            close(jax.tree.map(lambda a, k=k: a[k], found), function(case.w, many[k]))


def vmap_weights(case):
    many = jax.tree.map(lambda a: jnp.stack([a, 0.5 * a]), case.w)
    for function in compiled(case.call, jax.grad(case.loss, argnums=(0, 1))):
        found = jax.vmap(function, (0, None))(many, case.xs)
        for k in range(2):
            alone = function(jax.tree.map(lambda a, k=k: a[k], many), case.xs)
            close(jax.tree.map(lambda a, k=k: a[k], found), alone)


def vmap_both(case):
    many = jax.tree.map(lambda a: jnp.stack([a, 0.5 * a]), (case.w, case.xs))
    (gradient,) = compiled(jax.grad(case.loss, argnums=(0, 1)))
    found = jax.vmap(gradient)(*many)
    for k in range(2):
        alone = gradient(*jax.tree.map(lambda a, k=k: a[k], many))
        close(jax.tree.map(lambda a, k=k: a[k], found), alone)


def grad_of_vmap(case):
    many = jnp.stack([case.xs, -case.xs])
    total, gradient = compiled(
        jax.grad(lambda w: jax.vmap(case.loss, (None, 0))(w, many).sum()), jax.grad(case.loss)
    )
    total, each = total(case.w), [gradient(case.w, xs) for xs in many]
    close(total, jax.tree.map(jnp.add, *each))


def value_and_grad_with_aux(case):
    def with_aux(w, xs):
        return case.loss(w, xs), case.call(w, xs)

    both, plain, grad = compiled(
        jax.value_and_grad(with_aux, has_aux=True), with_aux, jax.grad(case.loss)
    )
    (value, aux), gradient = both(case.w, case.xs)
    close((value, aux), plain(case.w, case.xs))
    close(gradient, grad(case.w, case.xs))


def jvp_and_linearize(case):
    tangents = jax.tree.map(
        lambda a: jnp.sin(jnp.arange(a.size)).reshape(a.shape), (case.w, case.xs)
    )
    loss, grad = compiled(case.loss, jax.grad(case.loss, argnums=(0, 1)))
    gradient = grad(case.w, case.xs)
    expected = sum(jax.tree.leaves(jax.tree.map(lambda g, t: (g * t).sum(), gradient, tangents)))
    close(jax.jvp(loss, (case.w, case.xs), tangents)[1], expected)
    value, pushforward = jax.linearize(loss, case.w, case.xs)
    close(pushforward(*tangents), expected)
    back = jax.linear_transpose(pushforward, case.w, case.xs)(jnp.ones_like(value))
    close(back, gradient)


def jacobians(case):
    forward, back = compiled(jax.jacfwd(case.call, argnums=1), jax.jacrev(case.call, argnums=1))
    close(back(case.w, case.xs), forward(case.w, case.xs))


def hessians(case):
    ways = [
        outer(inner(case.loss, argnums=1), argnums=1)
        for outer, inner in (
            (jax.jacfwd, jax.jacrev), (jax.jacrev, jax.jacfwd), (jax.jacrev, jax.jacrev),
            (jax.jacfwd, jax.jacfwd),
        )
    ]  # fmt: skip
    first, *others = (hessian(case.w, case.xs) for hessian in compiled(*ways))
    for other in others:
        close(other, first)
    matrix = np.asarray(first).reshape(case.xs.size, -1)
    assert np.abs(matrix).max() > 0.01
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5 * max(1, np.abs(matrix).max()))


def checkpoint(case):
    again, once = compiled(
        jax.grad(jax.checkpoint(case.loss), argnums=(0, 1)), jax.grad(case.loss, argnums=(0, 1))
    )
    close(again(case.w, case.xs), once(case.w, case.xs))


def control_flow(case):
    call, grad = compiled(case.call, jax.grad(case.loss))
    expected = call(case.w, case.xs)

    def branch(flag):
        here = functools.partial(case.call, case.w)
        return jax.lax.cond(flag, here, lambda xs: here(-xs), case.xs)

    close(jax.jit(branch)(True), expected)

    def again(carry):
        return carry[0] + 1, call(case.w, case.xs)

    close(jax.lax.while_loop(lambda carry: carry[0] < 2, again, (0, expected))[1], expected)

    def body(total, scale):
        value, gradient = jax.value_and_grad(case.loss)(case.w, scale * case.xs)
        return total + value, gradient

    _, gradients = jax.lax.scan(body, 0.0, jnp.array([1.0, -1.0]))
    first = jax.tree.map(lambda a: a[0], gradients)
    close(first, grad(case.w, case.xs))


def export(case):
    """With symbolic time and batch, for all platforms, derivative included."""
    time, batch = jax.export.symbolic_shape("time, batch")
    leaves, structure = jax.tree.flatten(case.w)

    def sized(a, is_state):
        shape = (batch, *a.shape[1:]) if is_state else a.shape
        return jax.ShapeDtypeStruct(shape, a.dtype)

    params, *states = case.w
    shapes = jax.tree.leaves(jax.tree.map(lambda a: sized(a, False), params))
    shapes += jax.tree.leaves(jax.tree.map(lambda a: sized(a, True), states))
    assert len(shapes) == len(leaves)

    def gradient(leaves, xs, lengths, resets):
        w = structure.unflatten(leaves)
        masks = {"lengths": lengths, "resets": resets}
        return jax.tree.leaves(jax.grad(case.loss)(w, xs, **masks))

    exported = jax.export.export(jax.jit(gradient), platforms=("cpu", "cuda", "tpu"))(
        shapes,
        jax.ShapeDtypeStruct((time, batch, FEATURES), jnp.float32),
        jax.ShapeDtypeStruct((batch,), case.masks["lengths"].dtype),
        jax.ShapeDtypeStruct((time, batch), jnp.bool_),
    )
    loaded = jax.export.deserialize(exported.serialize())
    arguments = (leaves, case.xs, case.masks["lengths"], case.masks["resets"])
    close(loaded.call(*arguments), jax.jit(gradient)(*arguments))


def meshes(case):
    """The batch over two devices, under an Auto and under an Explicit mesh."""

    def loss(w, xs, masks):
        return sum((leaf**2).sum() for leaf in case.call(w, xs, **masks))

    gradient = jax.grad(loss, argnums=(0, 1))
    expected = jax.jit(gradient)(case.w, case.xs, case.masks)
    params, *states = case.w
    by_row = jax.P(None, "data")
    specs = (
        (jax.tree.map(lambda _: jax.P(), params), *jax.tree.map(lambda _: jax.P("data"), states)),
        by_row,
        {"lengths": jax.P("data"), "resets": by_row},
    )
    for kind in (jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit):
        mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,))
        places = jax.tree.map(functools.partial(jax.NamedSharding, mesh), specs)
        with jax.set_mesh(mesh):
            placed = jax.device_put((case.w, case.xs, case.masks), places)
            close(jax.jit(gradient)(*placed), expected)


def shard_map(case):
    mesh = jax.make_mesh((2,), ("data",))
    params, *states = case.w
    by_row, weights = jax.P(None, "data"), jax.tree.map(lambda _: jax.P(), params)
    w_spec = (weights, *jax.tree.map(lambda _: jax.P("data"), states))

    def part(w, xs, masks):
        return jax.grad(lambda w: sum((a**2).sum() for a in case.call(w, xs, **masks)))(w)

    masks_spec = {"lengths": jax.P("data"), "resets": by_row}
    specs = (w_spec, by_row, masks_spec)
    placed = jax.device_put(
        (case.w, case.xs, case.masks),
        jax.tree.map(functools.partial(jax.NamedSharding, mesh), specs),
    )
    found = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=specs, out_specs=w_spec))(*placed)

    def half(k):
        rows = slice(2 * k, 2 * k + 2)
        w = (params, *jax.tree.map(lambda a: a[rows], states))
        masks = {"lengths": case.masks["lengths"][rows], "resets": case.masks["resets"][:, rows]}
        return jax.jit(part)(w, case.xs[:, rows], masks)

    first, second = half(0), half(1)
    close(found[0], jax.tree.map(jnp.add, first[0], second[0]))
    joined = jax.tree.map(lambda *a: jnp.concatenate(a), first[1:], second[1:])
    close(found[1:], joined)


TRANSFORMATIONS = (
    jit, vmap_data, vmap_weights, vmap_both, grad_of_vmap, value_and_grad_with_aux,
    jvp_and_linearize, jacobians, hessians, checkpoint, control_flow, export, meshes, shard_map,
)  # fmt: skip
QUICK_CASES = {*INITS, "projected, fused", "stack, bidirectional"}
OWN_DERIVATIVE = {"projected, fused", "stack, bidirectional"}


def pairs():
    for name in CASES:
        for transformation in TRANSFORMATIONS:
            quick = name in QUICK_CASES and transformation is jvp_and_linearize
            quick |= name in OWN_DERIVATIVE and transformation is export
            yield pytest.param(
                name,
                transformation,
                id=f"{name}-{transformation.__name__}",
                marks=() if quick else pytest.mark.slow,
            )


@pytest.mark.sampled
@pytest.mark.parametrize(("name", "transformation"), list(pairs()))
def test_every_transformation_of_every_kind(name, transformation):
    if (name, transformation) == ("truncated", export):
        pytest.skip("it needs a time that is known, and says so")
    if (name, transformation) == ("zoneout", export):
        pytest.skip("this case draws its keys for a time that is known")
    transformation(Case(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_by_differences(name, x64):
    case = Case(name, jnp.float64)
    if name == "truncated":
        pytest.skip("its gradient is not the slope of its values, which is its purpose")
    check_grads(case.loss, (case.w, case.xs), order=2, modes=["fwd", "rev"], atol=1e-4, rtol=1e-4)
