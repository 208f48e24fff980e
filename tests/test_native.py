"""The compiled kernels for CPU, in each instruction set of this machine."""

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import jlstm
from jlstm.recurrence.native import build, library
from jlstm.recurrence.native.library import INSTRUCTION_SETS, status
from tests.conftest import quick
from tests.support.problems import ROUNDINGS, assert_close, make_problem, tolerance, vjp
from tests.support.reference import lstm, lstm_vjp

needs_kernels = pytest.mark.skipif(
    status().instruction_set is None, reason=f"the kernels are not here: {status().reason}"
)


def choose(name):
    kernels = ctypes.CDLL(str(build.library_path()))
    kernels.jlstm_choose.argtypes = [ctypes.c_char_p]
    kernels.jlstm_choose.restype = ctypes.c_char_p
    return kernels.jlstm_choose(None if name is None else name.encode())


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request):
    """Each that this machine has: it is chosen when a call runs, not when it is compiled."""
    if choose(request.param) is None:
        pytest.skip(f"this machine has no {request.param}")
    yield request.param
    choose(None)


def native(params, state, xs, **options):
    return jlstm.lstm_scan(params, state, xs, implementation="native", **options)


SIZES = {
    "one of all": (1, (1,), (1, 1)),
    "parts of vectors": (6, (5,), (3, 17)),
    "many rows": (3, (101,), (2, 5)),
    "more rows than a block": (2, (700,), (1, 3)),
    "several blocks of steps": (90, (7,), (5, 9)),
    "whole vectors": (5, (8,), (16, 64)),
    "wide": (3, (2,), (70, 150)),
    "two batch axes": (4, (2, 3), (4, 6)),
    "no batch axis": (9, (), (3, 33)),
}


@needs_kernels
@pytest.mark.parametrize("reverse", quick([False, True], {True}))
@pytest.mark.parametrize("masks", quick(["none", "lengths", "resets", "both"], {"both"}))
@pytest.mark.parametrize("size", SIZES)
def test_agreement_with_the_oracle(size, masks, reverse, instruction_set):
    time, batch, sizes = SIZES[size]
    entered = masks in ("resets", "both")
    problem = make_problem(
        time=time, batch=batch, sizes=sizes, reverse=reverse,
        lengths=masks in ("lengths", "both"), resets=entered, reset_state=entered,
    )  # fmt: skip
    state, hs, _ = lstm(*problem[:3], **problem.options)
    assert_close(problem.call(native), (state, hs), tolerance(jnp.float32))
    close = tolerance(jnp.float32, "gradients")
    for save in ("gates", "states"):
        found = vjp(lambda *a, save=save, **k: native(*a, save=save, **k), problem)
        wanted = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
        assert_close(found, wanted if entered else {**wanted, "reset_state": None}, close)


def roundings(implementation, problem):
    """The error of each gradient by the float64 oracle, in roundings of its largest value."""

    def call(*args, **options):
        return jlstm.lstm_scan(*args, implementation=implementation, **options)

    exact = lstm_vjp(*problem[:3], problem.cotangents, **problem.options)
    if problem.options.get("reset_state") is None:
        exact["reset_state"] = None
    pairs = zip(jax.tree.leaves(vjp(call, problem)), jax.tree.leaves(exact), strict=True)
    errors = [(np.abs(np.asarray(a, np.float64) - b).max(), np.abs(b).max()) for a, b in pairs]
    return [2 * error / max(size, 1) / np.finfo(np.float32).eps for error, size in errors]


@needs_kernels
@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 9), st.integers(1, 16), st.integers(1, 16), st.integers(1, 40),
    st.booleans(), st.booleans(), st.booleans(), st.integers(0, 1000),
)  # fmt: skip
def test_sizes_at_random(time, batch, inputs, hidden, lengths, resets, reverse, seed):
    problem = make_problem(
        seed, time, (batch,), (inputs, hidden),
        lengths=lengths, resets=resets, reset_state=resets, reverse=reverse,
    )  # fmt: skip
    assert max(roundings("native", problem)) <= ROUNDINGS["gradients"]


@needs_kernels
@pytest.mark.full
def test_as_exact_as_the_loops_of_xla():
    problems = [
        make_problem(k, 9, (1 + k,), (3 + k, 5 + 3 * k), reverse=k % 2 == 1) for k in range(10)
    ]
    kernels, loops = (
        np.mean([roundings(implementation, problem) for problem in problems])
        for implementation in ("native", "fused")
    )
    assert kernels <= 1.5 * loops


@needs_kernels
def test_nan_and_infinity_come_out_as_in_the_plain_scan(instruction_set):
    problem = make_problem(time=6, batch=(5,), sizes=(3, 18), lengths=False, resets=False)
    params, state, xs, options = problem.arrays()
    xs = xs.at[1, 0].set(jnp.nan).at[2, 1, 0].set(jnp.inf).at[2, 2, 1].set(-jnp.inf)
    state = state._replace(c=state.c.at[3, 4].set(jnp.inf))
    found = native(params, state, xs, **options)
    wanted = jlstm.lstm_scan(params, state, xs, implementation="scan", **options)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(jnp.isnan(a), jnp.isnan(b))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@needs_kernels
def test_nan_in_padding_changes_nothing(instruction_set):
    problem = make_problem(time=6, batch=(4,), sizes=(3, 18), resets=False)
    params, state, xs, options = problem.arrays()

    def gradient(xs):
        def loss(params, xs):
            return (native(params, state, xs, **options)[1] ** 2).sum()

        return jax.grad(loss, (0, 1))(params, xs)

    padding = np.arange(6)[:, None] >= np.asarray(options["lengths"])
    poisoned = jnp.where(padding[..., None], jnp.nan, xs)
    for a, b in zip(
        jax.tree.leaves(gradient(poisoned)), jax.tree.leaves(gradient(xs)), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@needs_kernels
def test_saturated_gates(instruction_set):
    """Sigmoid and tanh over the whole range of floats, through a layer that shows them."""
    values = np.concatenate([np.linspace(-100, 100, 4001), [0.0, 1e-30, -1e-30, 3e38, -3e38]])
    xs = jnp.asarray(values, jnp.float32)[None, :, None]
    zero = jnp.zeros((1, 4))
    for gate, function in enumerate(
        [lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + np.exp(-x)), np.tanh]
    ):
        bias = np.array([100.0, 100.0, 100.0, 100.0], np.float32)
        bias[gate] = 0.0
        params = jlstm.LSTMParams(zero.at[0, gate].set(1.0), zero, jnp.asarray(bias))
        # With the others open, c = i, f or g, from a cell that is 0, 1 or 0.
        c0 = jnp.full((values.size, 1), float(gate == 1))
        if gate == 1:
            params = params._replace(bias=params.bias.at[0].set(-100.0))
        state = jlstm.LSTMState(jnp.zeros_like(c0), c0)
        c = np.asarray(native(params, state, xs)[0].c[:, 0], np.float64)
        with np.errstate(over="ignore"):
            exact = function(np.asarray(xs[0, :, 0], np.float64))
        tiny = np.finfo(np.float32).tiny
        error = np.abs(c - exact) / np.maximum(np.abs(exact), 2 * tiny)
        error[np.abs(exact) < 2 * tiny] = 0.0
        assert error.max() <= 4 * np.finfo(np.float32).eps


@needs_kernels
@pytest.mark.full
def test_derivatives_of_second_order():
    problem = make_problem(time=4, batch=(3,), sizes=(2, 3))
    params, state, xs, options = problem.arrays()

    def loss(implementation):
        def of(params):
            hs = jlstm.lstm_scan(params, state, xs, implementation=implementation, **options)[1]
            return (hs**2).sum()

        return of

    def products(implementation):
        gradient = jax.grad(loss(implementation))
        along = jax.tree.map(jnp.ones_like, params)
        forward = jax.jvp(gradient, (params,), (along,))[1]
        back = jax.vjp(gradient, params)[1](along)[0]
        return forward, back

    assert_close(products("native"), products("scan"), tolerance(jnp.float32))


@needs_kernels
@pytest.mark.full
def test_the_same_bits_whatever_the_number_of_threads():
    """One thread in the second process: affinity to one processor makes its pool that small."""
    script = (
        "import os, sys, jax, jax.numpy as jnp, hashlib\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])\n"
        "import jlstm\n"
        "digest = hashlib.sha256()\n"
        "for batch, hidden in [(1, 128), (3, 40), (16, 48), (130, 20), (900, 5)]:\n"
        "    keys = jax.random.split(jax.random.key(batch), 2)\n"
        "    params = jlstm.init_params(keys[0], 7, hidden)\n"
        "    xs = jax.random.normal(keys[1], (60, batch, 7))\n"
        "    lengths = jnp.arange(batch) * 61 // batch\n"
        "    def loss(params, xs):\n"
        "        options = {'lengths': lengths, 'implementation': 'native'}\n"
        "        hs = jlstm.lstm_scan(params, None, xs, **options)[1]\n"
        "        return (hs ** 2).sum()\n"
        "    for leaf in jax.tree.leaves(jax.grad(loss, (0, 1))(params, xs)):\n"
        "        digest.update(leaf.tobytes())\n"
        "print(digest.hexdigest())\n"
    )

    def digest(processors):
        command = [sys.executable, "-c", script, str(processors)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor")
    assert digest(1) == digest(2) != ""


@needs_kernels
def test_many_threads_at_once():
    params = jlstm.init_params(jax.random.key(0), 5, 64)
    inputs = [jax.random.normal(jax.random.key(k), (40, 3 + k, 5)) for k in range(6)]
    run = jax.jit(jax.grad(lambda p, xs: (native(p, None, xs)[1] ** 2).sum()))
    alone = [run(params, xs) for xs in inputs]
    wrong = []

    def repeat(k):
        for _ in range(30):
            for a, b in zip(run(params, inputs[k]), alone[k], strict=True):
                if not np.array_equal(a, b):
                    wrong.append(k)

    threads = [threading.Thread(target=repeat, args=(k,)) for k in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def lowered(function, *args):
    return jax.jit(function).lower(*args).as_text()


@needs_kernels
def test_where_the_default_is_native():
    params = jlstm.init_params(jax.random.key(0), 3, 4)
    xs = jnp.ones((5, 2, 3))

    def default(params, xs):
        return jlstm.lstm_scan(params, None, xs)[1]

    assert "jlstm_forward" in lowered(default, params, xs)
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    assert "jlstm_forward" not in lowered(default, half, xs.astype(jnp.bfloat16))
    assert "jlstm_forward" not in lowered(
        lambda p, xs: jlstm.lstm_scan(p, None, xs, implementation="fused")[1], params, xs
    )
    exported = jax.export.export(jax.jit(lambda w, xs: default(jlstm.LSTMParams(*w), xs)))
    assert "jlstm_forward" not in exported(tuple(params), xs).mlir_module()


@needs_kernels
def test_what_native_refuses():
    params = jlstm.init_params(jax.random.key(0), 3, 4)
    xs = jnp.ones((5, 2, 3))
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    with pytest.raises(ValueError, match="the kernels compute in float32, got bfloat16"):
        native(half, None, xs.astype(jnp.bfloat16))
    projected = jlstm.variants.init_projected(jax.random.key(0), 3, 4, projection_size=2)
    with pytest.raises(ValueError, match="the kernels take LSTMParams, got ProjectedParams"):
        native(projected, None, xs)
    with pytest.raises(ValueError, match="in programs for one CPU device"):
        jax.export.export(jax.jit(lambda w, xs: native(jlstm.LSTMParams(*w), None, xs)[1]))(
            tuple(params), xs
        )


def explain(**variables):
    """The line on the kernels in a process with these environment variables."""
    script = "import jlstm; print(jlstm.implementations()['native'])"
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return found.stdout.strip()


def test_the_variable_that_turns_them_off():
    assert explain(JLSTM_NATIVE="off") == "not available: JLSTM_NATIVE=off"
    assert "is none of off, avx512, avx2, sse2, neon" in explain(JLSTM_NATIVE="mmx")


@needs_kernels
@pytest.mark.full
def test_another_instruction_set_by_name():
    for name in INSTRUCTION_SETS:
        said = explain(JLSTM_NATIVE=name)
        if choose(name):
            assert said.startswith(f"the default here: compiled kernels, {name};")
        else:
            assert said == (
                f"not available: this machine does not have {name}, which JLSTM_NATIVE asks for"
            )
    choose(None)


def test_a_library_that_is_missing_or_old_or_for_another_xla(tmp_path, monkeypatch):
    def found():
        status.cache_clear()
        return status()

    try:
        monkeypatch.setattr(library, "library_path", lambda: tmp_path / "none.so")
        assert "installed without a C compiler" in found().reason
        (tmp_path / "none.so").write_bytes(b"not a library")
        assert "cannot be loaded" in found().reason
        monkeypatch.setattr(library, "_ffi_version", lambda: (0, 9))
        assert "interface is 0.9, the kernels are for 0.3 to 0.5" in found().reason
        monkeypatch.undo()
        if build.library_path().exists():
            monkeypatch.setattr(library, "source_digest", lambda: "another")
            assert "older than their source: install jlstm again" in found().reason
    finally:
        monkeypatch.undo()
        status.cache_clear()


def test_no_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(build.NoCompilerError, match="found none of cc, gcc, clang, nor"):
        build.compile_library(tmp_path / "library.so", build.target(None))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(build.NoCompilerError, match="no-such-compiler"):
        build.compile_library(tmp_path / "library.so", build.target(None))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="sanitizers of gcc and clang on Linux")
@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_under_sanitizers(sanitizer, tmp_path):
    """A program in C calls every instruction set, over odd sizes and masks, with four threads."""
    try:
        compiler = build.find_compiler(build.target(None))
    except build.NoCompilerError:
        pytest.skip("no C compiler")
    program = tmp_path / "program"
    driver = Path(__file__).parent / "support" / "kernels.c"
    flags = [
        f"-fsanitize={sanitizer}",
        "-g",
        "-O1",
        "-std=c11",
        "-pthread",
        "-fno-sanitize-recover",
    ]
    objects = []
    for table, (name, own) in build.X86_SETS.items():
        objects.append(str(tmp_path / f"{table}.o"))
        defined = [f"-DJLSTM_SET={table}", f'-DJLSTM_NAME="{name}"']
        source = str(build.SOURCE / "lstm.c")
        command = [*compiler, *flags, *own, *defined, "-c", source, "-o", objects[-1]]
        subprocess.run(command, check=True)
    sources = [str(driver), str(build.SOURCE / "team.c")]
    include = ["-I", str(build.SOURCE)]
    subprocess.run(
        [*compiler, *flags, *include, *sources, *objects, "-o", str(program), "-lm"], check=True
    )
    ran = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "all agree" in ran.stdout
