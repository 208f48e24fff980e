"""The fused recurrence where it differs by size: blocks of steps, and what its programs hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm.equations import lstm_cotangents, lstm_equations, lstm_tangents
from jlstm.types import LSTMGates
from tests.conftest import quick
from tests.support.problems import assert_close, make_problem, tolerance, vjp
from tests.support.reference import lstm_vjp

# Batch, time and units that cut the loops in every way: forward into blocks of 4, 5, 3, 2 or 1,
# backward into several blocks, or into one where the time is prime.
SIZES = {
    "blocks of 4": (12, (2,), 128),
    "blocks of 5": (10, (2,), 128),
    "a prime time": (7, (2,), 128),
    "many rows": (9, (100,), 4),
    "two batch axes": (16, (8, 16), 4),
    "unbatched": (600, (), 4),
}


@pytest.mark.full
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masks", quick([False, True], {True}))
@pytest.mark.parametrize("size", quick(SIZES, {"a prime time"}))
def test_every_cut_agrees_with_the_plain_scan(size, masks, reverse, x64):
    time, batch, hidden = SIZES[size]
    problem = make_problem(
        21,
        time,
        batch,
        (3, hidden),
        lengths=masks,
        resets=masks,
        reset_state=masks,
        reverse=reverse,
    )
    expected = vjp(jlstm.lstm_scan, problem, jnp.float64, implementation="scan")
    values = problem.call(jlstm.lstm_scan, jnp.float64, implementation="scan")
    for save in ("gates", "states", 5):
        assert_close(problem.call(jlstm.lstm_scan, jnp.float64, save=save), values, 1e-12)
        assert_close(vjp(jlstm.lstm_scan, problem, jnp.float64, save=save), expected, 1e-11)


@pytest.mark.full
def test_real_size_against_the_oracle():
    """Float32 at 128 units and 64 steps, within the tolerance of the small problems."""
    problem = make_problem(22, 64, (4,), (16, 128))
    found = vjp(jlstm.lstm_scan, problem)
    expected = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    for name in ("params", "state", "xs", "reset_state"):
        assert_close(found[name], expected[name], tolerance(jnp.float32, "gradients"))


@pytest.mark.full
def test_tangents_and_cotangents_are_those_of_the_equations(x64):
    rng = np.random.default_rng(0)
    z, c, d_z, d_c, d_h_out, d_c_out = (
        jnp.asarray(rng.normal(size=(3, n))) for n in (20, 5, 20, 5, 5, 5)
    )

    def equations(z, c):
        return lstm_equations(z, c)[1:]

    gates = lstm_equations(z, c)[0]
    moved = jax.jvp(equations, (z, c), (d_z, d_c))[1]
    assert_close(lstm_tangents(gates, c, d_z, d_c), moved, 1e-13)
    back = jax.vjp(equations, z, c)[1]((d_c_out, d_h_out))
    assert_close(lstm_cotangents(gates, c, d_h_out, d_c_out), back, 1e-13)


def inner_loops(jaxpr):
    """Every loop that holds no other, with the number of products in it."""
    found = []
    for equation in jaxpr.eqns:
        inner = [p.jaxpr for p in equation.params.values() if hasattr(p, "jaxpr")]
        inside = [loop for body in inner for loop in inner_loops(body)]
        if equation.primitive.name == "scan" and not inside:
            (body,) = inner
            inside = [sum(e.primitive.name == "dot_general" for e in all_equations(body))]
        found += inside
    return found


def all_equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for parameter in equation.params.values():
            if hasattr(parameter, "jaxpr"):
                yield from all_equations(parameter.jaxpr)


@pytest.mark.sampled
@pytest.mark.parametrize("projection", [None, 2])
def test_the_loop_backward_holds_no_product_for_weights(projection):
    """One product takes the cotangents back to `h`, one more through a projection: no others."""
    from jlstm.masks import Masks
    from jlstm.recurrence.call import Inputs
    from jlstm.recurrence.gradient import Residuals, cotangents

    if projection is None:
        params = jlstm.init_params(jax.random.key(0), 3, 5)
    else:
        params = jlstm.variants.init_projected(jax.random.key(0), 3, 5, projection_size=projection)
    xs, hs, cs = jnp.ones((300, 4, 3)), jnp.ones((300, 4, projection or 5)), jnp.ones((300, 4, 5))
    state = jlstm.LSTMState(hs[0], cs[0])
    before, gates = jlstm.LSTMState(hs, cs), LSTMGates(cs, cs, cs, cs)
    residuals = Residuals(params, xs, Masks(), before, gates)
    wanted = Inputs(jax.tree.map(lambda _: True, params), jlstm.LSTMState(True, True), None, True)
    jaxpr = jax.make_jaxpr(lambda r: cotangents(r, (state, hs), False, wanted))(residuals)
    assert inner_loops(jaxpr.jaxpr) == [1 if projection is None else 2]


@pytest.mark.full
def test_the_same_inputs_give_the_same_bits():
    problem = make_problem(23, 40, (16,), (8, 128))
    first = vjp(jlstm.lstm_scan, problem)
    for _ in range(3):
        jax.tree.map(np.testing.assert_array_equal, vjp(jlstm.lstm_scan, problem), first)


@pytest.mark.sampled
@pytest.mark.parametrize("axis", [0, 1])
def test_vmap_over_data_is_one_more_batch_axis(axis):
    """No other program: the loops run over `(time, vmapped, ...)`, their weights are not mapped."""
    params, _, xs, _ = make_problem(24, 6, (3,), (2, 5), lengths=False, resets=False).arrays()
    many = jnp.stack([xs, -xs], axis)

    def loss(params, many):
        alone = jax.vmap(lambda xs: jlstm.lstm_scan(params, None, xs)[1], axis)(many)
        return (alone**2).sum()

    jaxpr = str(jax.make_jaxpr(jax.grad(loss))(params, many))
    assert jaxpr.count("mapped=()") == jaxpr.count("over_time[") == 2
    batched = jax.grad(lambda p: (jlstm.lstm_scan(p, None, jnp.stack([xs, -xs], 1))[1] ** 2).sum())
    assert_close(jax.grad(loss)(params, many), batched(params), tolerance(jnp.float32, "gradients"))


@pytest.mark.full
def test_vmap_of_vmap_over_weights_and_data():
    params, _, xs, _ = make_problem(25, 6, (), (2, 5), lengths=False, resets=False).arrays()
    sets = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), params)
    many = jnp.stack([xs, -xs, 3 * xs])

    def gradient(params, xs):
        return jax.grad(lambda p: (jlstm.lstm_scan(p, None, xs)[1] ** 2).sum())(params)

    def loss(sets):
        each = jax.vmap(lambda p: jax.vmap(lambda xs: jlstm.lstm_scan(p, None, xs)[1])(many))
        return (each(sets) ** 2).sum()

    by_grad = jax.grad(loss)(sets)
    by_vmap = jax.vmap(jax.vmap(gradient, (None, 0)), (0, None))(sets, many)
    close = tolerance(jnp.float32, "gradients")
    assert_close(jax.tree.map(lambda g: g.sum(1), by_vmap), by_grad, close)
    for k in range(2):
        for n in range(3):
            alone = gradient(jax.tree.map(lambda p, k=k: p[k], sets), many[n])
            assert_close(jax.tree.map(lambda g, k=k, n=n: g[k, n], by_vmap), alone, close)


@pytest.mark.sampled
@pytest.mark.parametrize("save", ["gates", "states", 2])
@pytest.mark.parametrize("hidden", [4, 128])
def test_no_sequences_have_no_gradient(hidden, save):
    problem = make_problem(26, 4, (2, 0), (3, hidden), lengths=False, resets=False)
    gradient = vjp(jlstm.lstm_scan, problem, save=save)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))
    assert gradient["xs"].shape == (4, 2, 0, 3)


@pytest.mark.full
def test_export_with_a_symbolic_hidden_size():
    (hidden,) = jax.export.symbolic_shape("hidden")

    def gradient(weights, xs):
        def loss(weights):
            return (jlstm.lstm_scan(jlstm.LSTMParams(*weights), None, xs)[1] ** 2).sum()

        return jax.grad(loss)(weights)

    shapes = ((2, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,), (3, 2, 2))
    *weights, xs = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    exported = jax.export.export(jax.jit(gradient))(tuple(weights), xs)
    params, _, xs, _ = make_problem(27, 3, (2,), (2, 5), lengths=False, resets=False).arrays()
    found = exported.call(tuple(params), xs)
    assert_close(found, gradient(tuple(params), xs), tolerance(jnp.float32, "gradients"))
