"""The benchmark for GPUs: what needs none. That it runs as a whole is a slow test, at toy size."""

import json
import os
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import checks, report
from benchmarks.gpu import team as gpu_team
from benchmarks.gpu.entrants import ENTRANTS, cases, implementations, missing
from benchmarks.gpu.timing import spans
from benchmarks.gpu.worker import expected
from benchmarks.shapes import GPU_SHAPES, KINDS, TOY, make_problem
from jlstm.recurrence import IMPLEMENTATIONS

pytestmark = pytest.mark.full


def run(out, *flags):
    """The benchmark at toy size, on the CPU even where there is a GPU."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--toy", "--rounds", "1", "--out", str(out)]
    on_cpu = os.environ | {"JAX_PLATFORMS": "cpu"}
    words = [*command, *flags]
    return subprocess.run(words, capture_output=True, text=True, timeout=1500, env=on_cpu)


def test_a_part_of_it_runs_where_there_is_no_gpu(tmp_path):
    out = tmp_path / "toy.json"
    flags = {
        "entrants": ("jlstm", "jlstm, cudnn", "PyTorch"),
        "checks": (),
        "only": ("one layer, float32",),
    }
    done = run(out, *(word for flag, words in flags.items() for word in (f"--{flag}", *words)))
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    (case,) = results["times"]
    assert len(case["train"]["jlstm"]) == len(case["forward"]["jlstm"]) == 1
    assert "needs a CUDA GPU" in case["errors"]["jlstm, cudnn"]
    assert "saw no kernel of a GPU" in case["device"]["jlstm"]["forward"]["error"]
    if missing("PyTorch"):
        assert results["left out"]["PyTorch"] == "torch is not installed"
        assert "PyTorch is left out: torch is not installed" in done.stdout
    assert results["machine"]["packages"]["jax"]
    assert "μs a step" in out.with_suffix(".md").read_text()
    assert out.with_suffix(".png").stat().st_size > 10_000


@pytest.mark.parametrize("part", gpu.PARTS)
def test_parts_are_of_what_there_is(part):
    chosen = gpu.PARTS[part]
    assert set(chosen.entrants) <= set(ENTRANTS)
    assert set(chosen.checks) <= set(gpu.ALL_CHECKS)
    for toy in (False, True):
        assert any(only in case.label for only in chosen.only for case in cases(toy))
    assert set(gpu.ALL_CHECKS) == {c for part in gpu.PARTS.values() for c in part.checks}


@pytest.mark.slow
def test_parts_go_into_one_file(tmp_path):
    out = tmp_path / "toy.json"
    assert run(out, "--part", "first", "--minutes", "30").returncode == 0
    first = json.loads(out.read_text(encoding="utf-8"))
    assert {case["dtype"] for case in first["times"]} == {"float32", "bfloat16"}
    assert "jlstm, scan" not in first["times"][0]["train"]
    assert run(out, "--part", "rest", "--minutes", "30", "--checks", "jvp").returncode == 0
    both = json.loads(out.read_text(encoding="utf-8"))
    assert both["times"][: len(first["times"])] == first["times"]
    assert {case["kind"] for case in both["times"]} == set(KINDS)
    assert set(first["checks"]["jlstm, float32"]) < set(both["checks"]["jlstm, float32"])


@pytest.mark.slow
def test_more_keeps_what_is_complete(tmp_path):
    out = tmp_path / "toy.json"
    flags = ("--entrants", "jlstm", "--checks", "--only", "one layer")
    assert run(out, *flags, "--checks", "jvp").returncode == 0
    first = json.loads(out.read_text())
    kept, cut = first["times"]
    out.write_text(json.dumps(first | {"times": [kept, cut | {"complete": False}]}))
    done = run(out, *flags, "--more")
    assert done.returncode == 0, done.stderr
    second = json.loads(out.read_text())
    assert second["checks"] == first["checks"]
    assert second["times"][0] == kept
    assert second["times"][1]["train"] != cut["train"]
    assert second["times"][1]["complete"]


@pytest.mark.slow
def test_all_of_it_runs_where_there_is_no_gpu(tmp_path):
    out = tmp_path / "toy.json"
    done = run(out, "--minutes", "30")
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    ours = {name for name in ENTRANTS if name.startswith("jlstm") and "cudnn" not in name}
    assert {(c["kind"], c["dtype"]) for c in results["times"]} >= {(k, "float32") for k in KINDS}
    for case in results["times"]:
        assert ours & set(case["train"]) >= {"jlstm", "jlstm, CUDA graphs", "jlstm, scan"}
    for name in ("jlstm, float32", "jlstm, scan, float32"):
        found = {report.verdict(name, a) for a in results["checks"][name].values()}
        assert found == {"ok"}
        assert set(results["checks"][name]) == set(gpu.ALL_CHECKS)
    refused = results["checks"]["jlstm, cudnn, float32"].values()
    assert {report.verdict("jlstm, cudnn", answer) for answer in refused} == {"refused"}


def test_without_a_gpu_it_says_what_to_do():
    command = [sys.executable, "-m", "benchmarks.gpu", "--entrants", "jlstm"]
    command += ["--out", "/nowhere/results.json"]
    on_cpu = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=on_cpu)
    assert done.returncode == 1
    assert "there is no GPU here; --toy runs everything" in done.stderr


def test_it_needs_jax_and_numpy_alone():
    """A machine with a GPU may have little else."""
    code = """
import sys
others = "hypothesis pytest matplotlib flax optax torch haiku safetensors onnx".split()
sys.modules.update(dict.fromkeys(others))
import benchmarks.gpu, benchmarks.gpu.worker, benchmarks.peers.jlstm
from benchmarks.gpu.checks import check
print(check("lengths: values", None, "float32")["difference"] < 1e-6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_a_process_that_ends_is_started_again_twice_at_most():
    team = gpu.Team()
    try:
        assert "KeyError" in team.ask("jlstm", what="time", call="train", seconds=0)["error"]
        for _ in range(gpu_team.STRIKES):
            team._worker(("jlstm", "")).process.kill()
            answer = team.ask("jlstm", what="time", call="train", seconds=0)
            assert "the process ended" in answer["error"]
        answer = team.ask("jlstm", what="time", call="train", seconds=0)
        assert answer == {"error": "out: its processes ended"}
    finally:
        team.stop()
    assert not team.running


def test_one_that_lets_the_others_wait_is_out_and_they_go_on():
    team = gpu_team.Team()
    try:
        jobs = {("jlstm", ""): {"what": "chip"}, ("jlstm, scan", ""): {"what": "chip"}}
        assert all("device" in answer for answer in team.all(jobs).values())
        os.kill(team._worker(("jlstm", "")).process.pid, signal.SIGSTOP)
        answers = team.all(jobs, patience=1)
        assert answers["jlstm", ""]["error"].endswith("(it took over 1 s)")
        assert "device" in answers["jlstm, scan", ""]
        assert team.ask("jlstm", what="chip") == {"error": "out: its processes ended"}
    finally:
        team.stop()


def test_one_list_has_every_implementation_and_every_case():
    named = {ENTRANTS[n].options.get("implementation") for n in implementations(list(ENTRANTS))}
    assert named == {None, *IMPLEMENTATIONS} - {"fused", "native"}
    found = {(c.name, c.kind, c.dtype) for c in cases(toy=False)}
    assert {name for name, *_ in found} == set(GPU_SHAPES)
    for dtype in ("float32", "bfloat16"):
        assert {("FlashRNN", kind, dtype) for kind in KINDS} <= found
        assert {(name, "one layer", dtype) for name in GPU_SHAPES} <= found


def test_a_wrong_implementation_is_found(monkeypatch):
    right = jlstm.lstm_scan

    def without_lengths(*args, lengths=None, **options):
        return right(*args, **options)

    monkeypatch.setattr(checks.jlstm, "lstm_scan", without_lengths)
    names = ["lengths: values", "jvp"]
    found = {"jlstm": {name: checks.check(name, None, "float32") for name in names}}
    assert report.failed({"checks": found}) == [f"jlstm: {name}" for name in names]


def test_what_it_refuses_is_no_error_and_what_breaks_is():
    answer = checks.check("resets: values", "cudnn", "float32")
    assert "does not support resets" in answer["refused"]
    assert report.verdict("jlstm, cudnn, float32", answer) == "refused"
    found = {
        "jlstm, float32": {
            "a": {"difference": float("nan"), "tolerance": 1.0},
            "b": {"difference": 0.5, "tolerance": 1.0},
            "c": {"error": "the process ended"},
            "d": {"left out": "no time"},
        },
        "Flax linen, float32": {"a": {"error": "NotImplementedError"}},
    }
    assert report.failed({"checks": found}) == ["jlstm, float32: a", "jlstm, float32: c"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_expected_of_the_timed_calls_is_the_derivative(kind):
    """By differences in a random direction."""
    problem = make_problem(TOY, kind=kind)
    direction = np.random.default_rng(3).normal(size=problem.xs.shape)

    def loss(step):
        moved = problem._replace(xs=problem.xs + step * direction)
        return (expected(moved)[0] ** 2).mean()

    by_differences = (loss(1e-5) - loss(-1e-5)) / 2e-5
    np.testing.assert_allclose((expected(problem)[1] * direction).sum(), by_differences, rtol=1e-7)


def test_a_call_is_from_its_first_kernel_to_its_last():
    kernels = [(10e6, 11e6), (0, 2e6), (1e6, 3e6), (10.5e6, 10.7e6)]  # in ns
    assert spans(kernels, 2) == {"ms": 5.5, "busy ms": 2.0, "kernels": 2.0}


def test_the_limit_is_the_larger_of_products_and_memory():
    case = {"shape": [2, 3, 5, 7], "kind": "both directions", "dtype": "float32"}
    weights, flops = 2 * 4 * 7 * (5 + 7 + 1), 2 * 8 * 2 * 3 * 7 * (5 + 7)
    bytes_forward = 4 * (2 * 3 * (5 + 14) + weights)
    bytes_train = bytes_forward + 4 * (2 * 3 * 5 + weights)
    slow_memory = {"GB/s": 1e-9, "TFLOP/s, float32": 1.0}
    assert report.limit(case, "forward", slow_memory) == pytest.approx(1e3 * bytes_forward)
    assert report.limit(case, "train", slow_memory) == pytest.approx(1e3 * bytes_train)
    slow_products = {"GB/s": 1e9, "TFLOP/s, float32": 1e-12}
    assert report.limit(case, "train", slow_products) == pytest.approx(3e3 * flops)


def test_tables_of_a_run_that_ended_early():
    times = {"name": "A", "shape": [1, 2, 3, 4], "kind": "one layer", "dtype": "float32"}
    results = {
        "ceilings": {"GB/s": 1.0, "TFLOP/s, float32": 1.0},
        "times": [
            times | {"forward": {"jlstm": [2.0, 1.0]}, "errors": {"Haiku": "no"}},
            times | {"forward": {"jlstm": [1.0], "PyTorch": [4.0, 3.0]}, "train": {}},
            times,
        ],
    }
    (table,) = report.times_tables(results)
    assert table.splitlines()[-1].endswith("| **3.00** |")
    assert report.left_out(results).splitlines()[-1].startswith("- Haiku, A (one layer, float32)")
    assert "| nan |" in report.times_tables(results | {"ceilings": {}})[0]
    assert report.device_table(results) == report.checks_table(results) == ""


def test_tolerances_are_of_the_dtype():
    assert checks.tolerance("bfloat16") == 4 * float(jnp.finfo("bfloat16").eps) / 2
