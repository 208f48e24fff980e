"""Every JAX transformation of the contract, over every kind of call.

`call(w, xs)` is the function under test: `w` is a pytree of weights and states, so that one
derivative covers them all. Each transformation is compared with the plain call, with the oracle's
gradient, or with finite differences.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jlstm
from tests.conftest import quick
from tests.support.problems import assert_close, make_problem, tolerance
from tests.support.reference import lstm_vjp

KINDS = {
    "plain": {"lengths": False, "resets": False},
    "lengths": {"lengths": True, "resets": False},
    "resets": {"lengths": False, "resets": True},
    "all": {"lengths": True, "resets": True},
    "all-reversed": {"lengths": True, "resets": True, "reverse": True},
}
FUNCTIONS = {
    "scan": jlstm.lstm_scan,
    "by JAX": jax.tree_util.Partial(jlstm.lstm_scan, implementation="scan"),
    "states": jax.tree_util.Partial(jlstm.lstm_scan, save="states"),
    "chunks": jax.tree_util.Partial(jlstm.lstm_scan, save=2),
    "trace": jlstm.lstm_trace,
}


QUICK = {"plain", "all", "all-reversed", "scan"}


def quick_first(names):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(params=quick_first(KINDS))
def problem(request):
    return make_problem(11, time=5, batch=(3,), sizes=(2, 3), **KINDS[request.param])


@pytest.fixture(params=quick_first(FUNCTIONS))
def function(request):
    return FUNCTIONS[request.param]


def make_call(problem, function=jlstm.lstm_scan, dtype=jnp.float32):
    """`(call, w, xs)`, and a scalar loss of the call whose gradient the oracle knows."""
    params, state, xs, options = problem.arrays(dtype)
    reset_state = options.pop("reset_state", None)

    def call(w, xs):
        params, state, reset_state = w
        out = function(params, state, xs, reset_state=reset_state, **options)
        return tuple(out[0]), *out[1:]

    def loss(w, xs):
        (h, c), hs = call(w, xs)[:2]
        (d_h, d_c), d_hs = problem.cotangents
        return (h * d_h).sum() + (c * d_c).sum() + (hs * d_hs).sum()

    return call, loss, (params, state, reset_state), xs


def oracle_gradient(problem):
    wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    has_reset = problem.options.get("reset_state") is not None
    w = (wanted["params"], wanted["state"], wanted["reset_state"] if has_reset else None)
    return w, wanted["xs"]


def close(actual, expected, kind="values"):
    assert_close(actual, expected, tolerance(jnp.float32, kind))


def test_jit(problem, function):
    call, _, w, xs = make_call(problem, function)
    close(jax.jit(call)(w, xs), call(w, xs))


@pytest.mark.sampled
def test_disable_jit(problem):
    call, _, w, xs = make_call(problem)
    expected = call(w, xs)
    with jax.disable_jit():
        close(call(w, xs), expected)
    for save in (5, 2, 9):  # dividing the time, not dividing it, beyond it
        call, _, w, xs = make_call(problem, jax.tree_util.Partial(jlstm.lstm_scan, save=save))
        with jax.disable_jit():
            close(call(w, xs), expected)


@pytest.mark.sampled
def test_grad(problem, function):
    _, loss, w, xs = make_call(problem, function)
    close(jax.grad(loss, argnums=(0, 1))(w, xs), oracle_gradient(problem), "gradients")


def test_value_and_grad_with_aux(problem):
    call, loss, w, xs = make_call(problem)

    def with_aux(w, xs):
        return loss(w, xs), call(w, xs)

    (value, aux), gradient = jax.jit(jax.value_and_grad(with_aux, argnums=(0, 1), has_aux=True))(
        w, xs
    )
    close((value, aux), (loss(w, xs), call(w, xs)))
    close(gradient, oracle_gradient(problem), "gradients")


@pytest.mark.sampled
def test_derivatives_in_both_modes(problem, function, x64):
    """Forward and reverse, first and second order, against finite differences."""
    _, loss, w, xs = make_call(problem, function, jnp.float64)
    check_grads(loss, (w, xs), order=2, modes=["fwd", "rev"], atol=1e-4, rtol=1e-4)


def test_jvp_and_linearize_agree_with_grad(problem):
    _, loss, w, xs = make_call(problem)
    rng = np.random.default_rng(0)
    tangents = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), (w, xs))
    pairs = zip(jax.tree.leaves(oracle_gradient(problem)), jax.tree.leaves(tangents), strict=True)
    expected = sum((np.asarray(g) * np.asarray(t)).sum() for g, t in pairs)
    close(jax.jvp(loss, (w, xs), tangents)[1], expected, "gradients")
    value, pushforward = jax.linearize(loss, w, xs)
    close(value, loss(w, xs))
    close(pushforward(*tangents), expected, "gradients")
    (d_w, d_xs) = jax.linear_transpose(pushforward, w, xs)(jnp.ones_like(value))
    close((d_w, d_xs), oracle_gradient(problem), "gradients")


@pytest.mark.sampled
def test_jacobians_agree(problem):
    call, _, w, xs = make_call(problem)
    forward = jax.jacfwd(call, argnums=1)(w, xs)
    close(jax.jacrev(call, argnums=1)(w, xs), forward, "gradients")


@pytest.mark.sampled
@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev])
@pytest.mark.parametrize("inner", [jax.jacfwd, jax.jacrev])
def test_hessians_are_symmetric_and_agree(problem, outer, inner):
    _, loss, w, xs = make_call(problem)
    hessian = outer(inner(loss, argnums=1), argnums=1)(w, xs)
    size = xs.size
    matrix = np.asarray(hessian).reshape(size, size)
    scale = np.abs(matrix).max()
    assert scale > 0.01
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5 * scale)
    close(hessian, jax.hessian(loss, argnums=1)(w, xs), "gradients")


@pytest.mark.sampled
def test_grad_of_grad_is_the_slope_of_the_gradient(problem, x64):
    _, loss, w, xs = make_call(problem, dtype=jnp.float64)
    direction = jax.tree.map(jnp.ones_like, w)

    def slope_in(w):
        gradient = jax.tree.leaves(jax.grad(loss)(w, xs))
        return sum((g * d).sum() for g, d in zip(gradient, jax.tree.leaves(direction), strict=True))

    product = jax.grad(slope_in)(w)

    def moved(step):
        return jax.grad(loss)(jax.tree.map(lambda a, d: a + step * d, w, direction), xs)

    slope = jax.tree.map(lambda a, b: (a - b) / 2e-6, moved(1e-6), moved(-1e-6))
    assert_close(product, slope, 1e-7)


@pytest.mark.sampled
@pytest.mark.parametrize("which", ["data", "weights", "both"])
@pytest.mark.parametrize("derivative", [False, True])
def test_vmap(problem, which, derivative):
    call, loss, w, xs = make_call(problem)
    function = jax.grad(loss, argnums=(0, 1)) if derivative else call
    many_w = jax.tree.map(lambda a: jnp.stack([a, 0.5 * a, -a]), w)
    many_xs = jnp.stack([xs, -xs, 2 * xs])
    axes = {"data": (None, 0), "weights": (0, None), "both": (0, 0)}[which]
    result = jax.vmap(function, axes)(
        many_w if axes[0] == 0 else w, many_xs if axes[1] == 0 else xs
    )
    for k in range(3):
        single_w = jax.tree.map(lambda a, k=k: a[k], many_w) if axes[0] == 0 else w
        alone = function(single_w, many_xs[k] if axes[1] == 0 else xs)
        close(jax.tree.map(lambda a, k=k: a[k], result), alone, "gradients")


@pytest.mark.sampled
def test_grad_of_vmap_and_jvp_of_vmap(problem):
    _, loss, w, xs = make_call(problem)
    many = jnp.stack([xs, -xs])

    def total(w):
        return jax.vmap(loss, (None, 0))(w, many).sum()

    expected = jax.tree.map(jnp.add, jax.grad(loss)(w, xs), jax.grad(loss)(w, -xs))
    close(jax.grad(total)(w), expected, "gradients")
    tangent = jax.tree.map(jnp.ones_like, w)
    pairs = zip(jax.tree.leaves(expected), jax.tree.leaves(tangent), strict=True)
    slope = sum((g * t).sum() for g, t in pairs)
    close(jax.jvp(total, (w,), (tangent,))[1], slope, "gradients")


def test_checkpoint(problem):
    _, loss, w, xs = make_call(problem)
    close(
        jax.grad(jax.checkpoint(loss), argnums=(0, 1))(w, xs), oracle_gradient(problem), "gradients"
    )


def test_inside_cond_while_and_scan(problem):
    call, loss, w, xs = make_call(problem)
    expected = call(w, xs)

    def branch(flag):
        return jax.lax.cond(flag, lambda: call(w, xs), lambda: call(w, -xs))

    close(jax.jit(branch)(True), expected)

    def again(carry):
        k, _ = carry
        return k + 1, call(w, xs)

    _, out = jax.lax.while_loop(lambda carry: carry[0] < 2, again, (0, call(w, -xs)))
    close(out, expected)

    def step(total, scale):
        value, gradient = jax.value_and_grad(loss, argnums=1)(w, scale * xs)
        return total + value, gradient

    total, gradients = jax.lax.scan(step, jnp.float32(0), jnp.array([1.0, -1.0]))
    close(total, loss(w, xs) + loss(w, -xs))
    close(gradients[0], oracle_gradient(problem)[1], "gradients")


@pytest.mark.sampled
def test_grad_through_scan_and_cond(problem):
    _, loss, w, xs = make_call(problem)

    def outer(w):
        def step(total, scale):
            return total + jax.lax.cond(scale > 0, loss, lambda w, xs: 0.0, w, scale * xs), None

        return jax.lax.scan(step, jnp.float32(0), jnp.array([1.0, -1.0]))[0]

    close(jax.grad(outer)(w), oracle_gradient(problem)[0], "gradients")


@pytest.mark.full
@pytest.mark.parametrize("derivative", quick([False, True], {True}))
@pytest.mark.parametrize("save", quick(["gates", "states", 3], {"gates"}))
def test_export_with_symbolic_time_and_batch(derivative, save):
    def call(params, xs, lengths, resets):
        def loss(xs):
            state, hs = jlstm.lstm_scan(params, None, xs, lengths=lengths, resets=resets, save=save)
            return (hs**2).sum() + state.c.sum(), hs

        return jax.grad(loss, has_aux=True)(xs) if derivative else loss(xs)

    time, batch = jax.export.symbolic_shape("time, batch")
    params = jlstm.init_params(jax.random.key(0), 2, 3)
    abstract = (
        jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), params),
        jax.ShapeDtypeStruct((time, batch, 2), jnp.float32),
        jax.ShapeDtypeStruct((batch,), jnp.int32),
        jax.ShapeDtypeStruct((time, batch), jnp.bool_),
    )

    # LSTMParams is stored as the tuple it is: readers need no jlstm.
    def flat(params, xs, lengths, resets):
        return call(jlstm.LSTMParams(*params), xs, lengths, resets)

    exported = jax.export.export(jax.jit(flat), platforms=("cpu", "cuda", "tpu"))(
        tuple(abstract[0]), *abstract[1:]
    )
    loaded = jax.export.deserialize(exported.serialize())
    for shape in ((4, 2), (7, 3)):
        xs = jax.random.normal(jax.random.key(1), (*shape, 2))
        lengths = jnp.arange(shape[1], dtype=jnp.int32) + 1
        resets = jnp.zeros(shape, bool).at[1].set(True)
        close(
            loaded.call(tuple(params), xs, lengths, resets),
            call(params, xs, lengths, resets),
            "gradients",
        )
