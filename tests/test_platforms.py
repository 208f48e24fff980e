"""Lowerings of each platform: those for a GPU are lowered here, and run on this CPU."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax.interpreters import mlir

import jlstm
from jlstm.masks import Masks
from jlstm.recurrence import primitive
from jlstm.recurrence.call import Inputs
from jlstm.recurrence.gradient import Residuals, cotangents
from jlstm.recurrence.native.library import status
from jlstm.types import LSTMGates
from tests.conftest import quick
from tests.support.problems import assert_close, make_problem, tolerance, vjp
from tests.support.reference import lstm, lstm_vjp

TIME, BATCH, INPUTS, HIDDEN = 64, 16, 24, 128


def loss(params, xs):
    return (jlstm.lstm_scan(params, None, xs, implementation="fused")[1] ** 2).sum()


def products(function, platform):
    """The shapes of all matrix products in a program for that platform."""
    params = jlstm.init_params(jax.random.key(0), INPUTS, HIDDEN)
    xs = jax.ShapeDtypeStruct((TIME, BATCH, INPUTS), jnp.float32)
    text = jax.jit(function).trace(params, xs).lower(lowering_platforms=(platform,)).as_text()
    return re.findall(r"stablehlo\.dot_general.*-> tensor<([x0-9]*)xf32>", text)


@pytest.mark.parametrize("platform", quick(["cuda", "rocm", "tpu"], {"cuda"}))
def test_accelerators_project_all_inputs_by_one_product_before_the_loop(platform):
    found = products(loss, platform)
    assert sorted(found) == sorted(
        [f"{TIME}x{BATCH}x{4 * HIDDEN}", f"{BATCH}x{4 * HIDDEN}"]  # the other is the loop's own
    )
    gradient = products(jax.grad(loss, (0, 1)), platform)
    whole = [f"{TIME}x{BATCH}x{4 * HIDDEN}", f"{TIME}x{BATCH}x{INPUTS}"]
    weights = [f"{4 * HIDDEN}x{INPUTS}", f"{4 * HIDDEN}x{HIDDEN}"]
    steps = [f"{BATCH}x{4 * HIDDEN}", f"{BATCH}x{HIDDEN}"]
    assert sorted(gradient) == sorted(whole + weights + steps)


def test_a_cpu_projects_a_few_steps_inside_the_loop():
    found = products(loss, "cpu")
    assert f"{TIME}x{BATCH}x{4 * HIDDEN}" not in found
    assert f"4x{BATCH}x{4 * HIDDEN}" in found


def test_one_exported_program_holds_both_and_each_platform_runs_its_own():
    params = jlstm.init_params(jax.random.key(0), INPUTS, HIDDEN)
    xs = jax.random.normal(jax.random.key(1), (8, 2, INPUTS))
    program = jax.export.export(
        jax.jit(lambda w, xs: loss(jlstm.LSTMParams(*w), xs)), platforms=("cpu", "cuda", "tpu")
    )(tuple(params), xs)
    text = program.mlir_module()
    assert f"tensor<8x2x{4 * HIDDEN}xf32>" in text
    assert f"tensor<4x2x{4 * HIDDEN}xf32>" in text
    close = tolerance(jnp.float32)
    assert_close(program.call(tuple(params), xs), loss(params, xs), close)


@pytest.mark.parametrize("platform", quick(["cpu", "cuda", "rocm", "tpu"], {"cuda"}))
def test_the_default_is_the_fused_loops_and_on_cpu_the_kernels(platform):
    params = jlstm.init_params(jax.random.key(0), 2, 4)
    xs = jnp.ones((6, 3, 2))

    def lowered(implementation):
        def loss(params):
            return (jlstm.lstm_scan(params, None, xs, implementation=implementation)[1] ** 2).sum()

        return jax.jit(jax.grad(loss)).trace(params).lower(lowering_platforms=(platform,)).as_text()

    assert lowered("fused") != lowered("scan")
    if platform == "cpu" and status().instruction_set:
        assert lowered(None) == lowered("native") != lowered("fused")
    else:
        assert lowered(None) == lowered("fused")


@pytest.fixture
def as_elsewhere():
    """This CPU is given what GPUs and TPUs are given."""
    mlir.register_lowering(primitive.over_time_p, primitive.lower("default"), platform="cpu")
    jax.clear_caches()
    yield
    mlir.register_lowering(primitive.over_time_p, primitive.lower_for_cpu, platform="cpu")
    jax.clear_caches()


@pytest.mark.parametrize("reverse", quick([False, True], {True}))
@pytest.mark.parametrize("masks", quick([False, True], {True}))
@pytest.mark.parametrize("save", quick(["gates", "states", 5], {"gates"}))
def test_the_accelerators_form_agrees_with_the_oracle(reverse, masks, save, as_elsewhere):
    options = {"lengths": masks, "resets": masks, "reset_state": masks, "reverse": reverse}
    problem = make_problem(31, 12, (3,), (4, 130), **options)
    found = problem.call(jlstm.lstm_scan, save=save)
    assert_close(found, lstm(*problem[:3], **problem.options)[:2], tolerance(jnp.float32))
    found = vjp(jlstm.lstm_scan, problem, save=save)
    wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    for name in ("params", "state", "xs"):
        assert_close(found[name], wanted[name], tolerance(jnp.float32, "gradients"))


@pytest.mark.slow
def test_the_accelerators_form_under_transformations(as_elsewhere):
    """Each against the plain scan, which has one form."""
    params, _, xs, _ = make_problem(32, 6, (2,), (3, 4), lengths=False, resets=False).arrays()
    sets = jax.tree.map(lambda p: jnp.stack([p, -p]), params)
    many = jnp.stack([xs, 2 * xs])

    def results(implementation):
        def loss(params, xs):
            options = {"implementation": implementation}
            return (jlstm.lstm_scan(params, None, xs, **options)[1] ** 2).sum()

        gradient = jax.grad(loss, (0, 1))
        return (
            jax.vmap(gradient, (0, None))(sets, xs),
            jax.vmap(gradient, (None, 0))(params, many),
            jax.vmap(gradient)(sets, many),
            jax.jvp(lambda xs: loss(params, xs), (xs,), (many[1],)),
            jax.grad(lambda p: (gradient(p, xs)[1] ** 2).sum())(params),
        )

    assert_close(results(None), results("scan"), tolerance(jnp.float32, "gradients"))


@pytest.mark.full
@pytest.mark.parametrize("rows", quick([1, 8, 2**14], {8}))
def test_gradients_are_the_same_in_any_blocks(rows, x64):
    rng = jax.random.normal
    params = jlstm.init_params(jax.random.key(0), 3, 5, dtype=jnp.float64)
    xs, d_hs = rng(jax.random.key(1), (12, 4, 3)), rng(jax.random.key(2), (12, 4, 5))
    _, hs, trace = jlstm.lstm_trace(params, None, xs)
    before = jlstm.LSTMState(*(jnp.pad(a, ((1, 0), (0, 0), (0, 0)))[:-1] for a in (hs, trace.c)))
    residuals = Residuals(params, xs, Masks(), before, LSTMGates(*trace[:4]))
    wanted = Inputs(jax.tree.map(lambda _: True, params), jlstm.LSTMState(True, True), None, True)
    results = (jlstm.LSTMState(d_hs[0], d_hs[0]), d_hs)
    found = cotangents(residuals, results, False, wanted, rows)
    assert_close(found, cotangents(residuals, results, False, wanted), 1e-13)
