"""Several devices: Auto and Explicit meshes, and `shard_map`, with the states they start from."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jlstm
from tests.conftest import quick
from tests.support.problems import assert_close, make_problem, tolerance

AXES = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}


def place(mesh, problem):
    """The problem's arrays, the batch sharded over `data`, the weights on every device."""
    params, state, xs, options = problem.arrays()

    def put(tree, *spec):
        return jax.tree.map(lambda a: jax.device_put(a, NamedSharding(mesh, P(*spec))), tree)

    state, reset_state = put((state, options.get("reset_state")), "data")
    return (
        put(params), state, put(xs, None, "data"), put(options.get("lengths"), "data"),
        put(options.get("resets"), None, "data"), reset_state,
    )  # fmt: skip


def make_loss(reverse):
    def loss(params, state, xs, lengths, resets, reset_state):
        state, hs = jlstm.lstm_scan(
            params, state, xs, lengths=lengths, resets=resets, reset_state=reset_state,
            reverse=reverse,
        )  # fmt: skip
        return (hs**2).sum() + (state.c**2).sum(), (state, hs)

    return jax.value_and_grad(loss, argnums=(0, 2), has_aux=True)


@pytest.fixture(params=["zero state", "given state"])
def problem(request):
    given = request.param == "given state"
    return make_problem(12, time=5, batch=(8,), state=given, reset_state=given, reverse=given)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", AXES)
def test_sharded_batch_equals_one_device(problem, kind):
    params, state, xs, options = problem.arrays()
    function = make_loss(problem.options["reverse"])
    masks = (options["lengths"], options["resets"], options.get("reset_state"))
    expected = function(params, state, xs, *masks)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AXES[kind],))
    with jax.set_mesh(mesh):
        result = jax.jit(function)(*place(mesh, problem))
    assert_close(result, expected, tolerance(jnp.float32, "gradients"))


@pytest.mark.parametrize("kind", AXES)
def test_zero_state_takes_the_sharding_of_the_inputs(kind):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AXES[kind],))
    params, _, xs, _ = make_problem(12, batch=(8,), resets=False).arrays()
    with jax.set_mesh(mesh):
        xs = jax.device_put(xs, NamedSharding(mesh, P(None, "data")))
        state, hs = jax.jit(jlstm.lstm_scan, static_argnums=1)(params, None, xs)
    for array, spec in ((state.h, P("data")), (state.c, P("data")), (hs, P(None, "data"))):
        assert array.sharding.is_equivalent_to(NamedSharding(mesh, spec), array.ndim)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize("check", [True, False])
def test_shard_map(problem, kind, check):
    """Each device runs its part of the batch; the weights' gradient is summed by JAX."""
    params, state, xs, options = problem.arrays()
    function = make_loss(problem.options["reverse"])
    masks = (options["lengths"], options["resets"], options.get("reset_state"))
    (value, (last, hs)), (d_params, d_xs) = function(params, state, xs, *masks)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AXES[kind],))

    def part(*arguments):
        (value, aux), (d_params, d_xs) = function(*arguments)
        if not check:  # without the check of varying axes JAX leaves the sum to the caller
            d_params = jax.lax.psum(d_params, "data")
        return jax.lax.psum(value, "data"), aux, d_params, d_xs

    batch, sequence = P("data"), P(None, "data")
    sharded = jax.shard_map(
        part, mesh=mesh, in_specs=(P(), batch, sequence, batch, sequence, batch),
        out_specs=(P(), (batch, sequence), P(), sequence), check_vma=check,
    )  # fmt: skip
    result = jax.jit(sharded)(*place(mesh, problem))
    expected = (value, (last, hs), d_params, d_xs)
    assert_close(result, expected, tolerance(jnp.float32, "gradients"))


def test_shard_map_of_masks_alone():
    """Every device reads the same inputs, up to lengths of its own."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    params, _, xs, _ = make_problem(12, time=4, batch=(1,), resets=False).arrays()
    lengths = jnp.arange(1, 5)
    resets = jnp.zeros((4, 4), bool).at[2, 3].set(True)

    def part(lengths, resets):
        return jlstm.lstm_scan(params, None, xs, lengths=lengths, resets=resets)[1]

    spec = P(None, "data")
    sharded = jax.shard_map(part, mesh=mesh, in_specs=(P("data"), spec), out_specs=spec)
    expected = jlstm.lstm_scan(
        params, None, jnp.repeat(xs, 4, axis=1), lengths=lengths, resets=resets
    )[1]
    assert_close(jax.jit(sharded)(lengths, resets), expected, tolerance(jnp.float32))


def test_shard_map_takes_a_state_made_inside():
    """`init_state` inside `shard_map` knows nothing of the mesh; the scan takes it all the same."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    params, _, xs, _ = make_problem(12, batch=(8,), resets=False).arrays()

    def part(xs):
        return jlstm.lstm_scan(params, jlstm.init_state(params, (xs.shape[1],)), xs)[1]

    spec = P(None, "data")
    hs = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=spec, out_specs=spec))(xs)
    assert_close(hs, jlstm.lstm_scan(params, None, xs)[1], tolerance(jnp.float32))


@pytest.mark.full
@pytest.mark.parametrize("mapped", quick(["data", "weights"], {"data"}))
def test_vmap_over_a_sharded_axis(mapped):
    """An ensemble with a member a device, or sequences mapped one by one."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    params, _, xs, _ = make_problem(12, 5, (4,), resets=False, lengths=False).arrays()
    sets = jax.tree.map(lambda p: jnp.stack([p, 2 * p, -p, 0 * p]), params)
    args, axes = ((params, xs), (None, 1)) if mapped == "data" else ((sets, xs), (0, None))

    def loss(params, xs):
        return (jlstm.lstm_scan(params, None, xs)[1] ** 2).sum()

    functions = [
        jax.vmap(jax.grad(loss), axes),
        jax.grad(lambda *args: jax.vmap(loss, axes)(*args).sum()),
    ]
    with jax.set_mesh(mesh):
        specs = (P(), P(None, "data")) if mapped == "data" else (P("data"), P())
        placed = tuple(
            jax.tree.map(lambda a, s=spec: jax.device_put(a, NamedSharding(mesh, s)), arg)
            for arg, spec in zip(args, specs, strict=True)
        )
        results = [jax.jit(function)(*placed) for function in functions]
    for function, result in zip(functions, results, strict=True):
        assert_close(result, function(*args), tolerance(jnp.float32, "gradients"))


@pytest.mark.full
def test_the_recipe_of_the_docs():
    """Its three lines, before JAX starts; the gradient is that of one device."""
    page = (Path(__file__).parents[1] / "docs" / "performance.md").read_text()
    (recipe,) = re.findall(r"```python\n(jax.config.update.*?)```", page, re.DOTALL)
    assert len(recipe.strip().splitlines()) == 3
    code = f"""
import jax, jax.numpy as jnp, jlstm, numpy as np
xs = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)
{recipe}
params = jlstm.init_params(jax.random.key(0), 3, 5)
gradient = jax.jit(jax.grad(lambda p, xs: (jlstm.lstm_scan(p, None, xs)[1] ** 2).mean()))
with jax.set_mesh(mesh):
    spread = gradient(params, xs)
assert len(xs.sharding.device_set) == 2
alone = gradient(params, np.asarray(xs))
print(max(float(jnp.abs(a - b).max()) for a, b in zip(spread, alone)) < 1e-6)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "True\n"


def shard(function, in_specs, out_specs):
    mesh = jax.make_mesh((4,), ("b",), axis_types=(AxisType.Auto,))
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs))


@pytest.mark.parametrize("implementation", [None, "scan"])
@pytest.mark.parametrize("save", ["gates", 3])
def test_shard_map_of_resets_alone(implementation, save):
    params, xs = jlstm.init_params(jax.random.key(0), 3, 5), jnp.ones((7, 1, 3))
    resets = jnp.zeros((7, 4), bool).at[2, 1].set(True).at[5, 3].set(True)

    def run(resets):
        options = {"implementation": implementation, "save": save}
        return jlstm.lstm_scan(params, None, xs, resets=resets, **options)[1]

    found = shard(run, (P(None, "b"),), P(None, "b"))(resets)
    many = jnp.broadcast_to(xs, (7, 4, 3))
    wanted = jlstm.lstm_scan(params, None, many, resets=resets)[1]
    assert_close(found, wanted, tolerance(jnp.float32))


@pytest.mark.parametrize("save", ["gates", "states", 3])
def test_shard_map_gradient_of_inputs_that_all_devices_share(save):
    params, xs = jlstm.init_params(jax.random.key(0), 3, 5), jnp.ones((7, 1, 3))
    state = jlstm.LSTMState(*jax.random.normal(jax.random.key(1), (2, 4, 5)))

    def gradient(xs, state):
        return jax.grad(lambda xs: jlstm.lstm_scan(params, state, xs, save=save)[1].sum())(xs)

    found = shard(gradient, (P(), P("b")), P())(xs, state)
    many = gradient(jnp.broadcast_to(xs, (7, 4, 3)), state)
    assert_close(found, many.sum(1, keepdims=True), tolerance(jnp.float32, "gradients"))


def test_shard_map_keeps_what_all_devices_share_of_a_custom_cell():
    """A counter beside a sharded state, and an output that depends on no sharded input."""
    state, xs = jnp.zeros(1), jnp.ones((7, 4))

    def counting(w, state, x):
        h, count = state
        return (w * h + x, count + 1), h

    def count(xs):
        return jlstm.scan_cell(counting, 0.5, (state, jnp.zeros((), int)), xs)[0][1]

    assert int(shard(count, (P(None, "b"),), P())(xs)) == 7

    def second(xs):
        step = lambda w, s, x: (w * s + x[0], x[1])  # noqa: E731
        return jlstm.scan_cell(step, 0.5, state, (xs, jnp.ones((7, 2))))[1]

    assert shard(second, (P(None, "b"),), P())(xs).shape == (7, 2)
