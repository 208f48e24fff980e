"""Real data, by the training program: each row is a run in runs/papers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from papers.row import Log, Measured, Row, mean_and_std
from train.output.files import write_bytes

SECTION = "Real data and series"
ROOT = Path(__file__).parents[2]
RUNS = ROOT / "runs" / "papers"
HEADLINES = {  # for each task: the figure, its unit, and a factor
    "char_lm": ("bits_per_char", " bits per character", 1),
    "classification": ("accuracy", "% correct", 100),
    "piano_roll": ("nll_per_step", " nats per step", 1),
}


def trained(
    name: str,
    config: str,
    flags: Mapping[str, Any],
    files: Callable[[], Mapping[str, Path]],
    trials: int,
    steps: int,
    log: Log,
) -> Measured:
    """Run the training program, or resume a stopped run.

    Args:
      name: the name of its folder.
      config: a config of `configs/`.
      flags: flags of the program.
      files: returns the data files by flag.
      trials: the number of seeds, trained at once.
      steps: training steps.
      log: logs a line of progress.

    Raises:
      RuntimeError: the program failed; its last lines are in the message.
    """
    out = RUNS / f"{name}-{trials}x{steps}"
    flags = {"out": out, "steps": steps, "trials": trials, **flags, **files()}
    command = [sys.executable, "-m", "train", f"configs/{config}.toml"]
    for key, value in flags.items():
        command += [f"--{key}", *map(str, value if isinstance(value, tuple) else (value,))]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipe) as program:
        last: list[str] = []
        for line in program.stdout or ():
            last = [*last[-5:], line.rstrip()]
            if line.startswith("step"):
                log(last[-1])
    if program.returncode:
        raise RuntimeError(f"{name}: {' | '.join(last)}")
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    headline, unit, scale = HEADLINES[result["task"]]
    best = result["best"]["test"][headline] * scale
    tests = [test[headline] * scale for test in result.get("trials", [result["test"]])]
    line = f"{best:.4g}{unit}"
    if trials > 1:
        line = f"{mean_and_std(tests)}{unit} ({best:.4g} with the weights best by validation)"
    figures = {key: result[key] for key in ("test", "best", "parameters", "steps", "seconds")}
    return Measured(f"{line}; {result['parameters']:,} weights", {**figures, "each": tests})


def no_files() -> Mapping[str, Path]:
    """No files: the data come with a package."""
    return {}


def data_file(name: str) -> Mapping[str, Path]:
    """A file in the folder that `JLSTM_DATA` names.

    Raises:
      RuntimeError: the file does not exist.
    """
    folder = os.environ.get("JLSTM_DATA")
    if not folder or not (path := Path(folder).resolve() / name).exists():
        raise RuntimeError(f"needs {name} in the folder that JLSTM_DATA names, got {folder!r}")
    return {"data.path": path}


def shuffled_vowels() -> Mapping[str, Path]:
    """JapaneseVowels with shuffled training labels."""
    from train.readers.sequences import read_labelled

    train = read_labelled(None, None)
    test: Any = train.test
    order = np.random.default_rng(0).permutation(len(train.labels))
    labels = np.array(train.labels)[order]
    RUNS.mkdir(parents=True, exist_ok=True)
    return {
        "data.path": _write("shuffled", train.sequences, labels),
        "data.test_path": _write("vowels", test.sequences, np.array(test.labels)),
    }


def _write(name: str, sequences: list[np.ndarray], labels: np.ndarray) -> Path:
    lengths = np.array([len(sequence) for sequence in sequences])
    inputs = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]))
    for k, sequence in enumerate(sequences):
        inputs[k, : len(sequence)] = sequence
    data = io.BytesIO()
    np.savez(data, inputs=inputs, labels=labels, lengths=lengths)
    write_bytes(RUNS / f"{name}.npz", data.getvalue())
    return RUNS / f"{name}.npz"


def _row(
    name: str,
    setting: str,
    published: str,
    config: str,
    flags: Mapping[str, Any],
    files: Callable[[], Mapping[str, Path]],
    trials: int,
    steps: int,
    **more: Any,
) -> Row:
    measure = partial(trained, name, config, flags, files)
    return Row(name, SECTION, setting, published, measure, trials, steps, **more)


JSB, SHAKESPEARE = (
    partial(data_file, name) for name in ("JSB_Chorales.mat", "tinyshakespeare.txt")
)
BRIEF = "three passes over the text; the loss was still falling."
ROWS = (
    _row(
        "jsb-36", "JSB chorales, 36 units", "8.67 nats per step (Chung et al. 2014)",
        "jsb_chorales", {
            "model.hidden": 36, "regularize.weights": 0.2, "regularize.outputs": 0,
            "optimizer.learning_rate": 0.03,
        },
        JSB, 3, 6000,
    ),
    _row(
        "jsb-200", "JSB chorales, 200 units",
        "8.45 nats per step (Bai et al. 2018, 300,000 weights)", "jsb_chorales", {}, JSB, 1, 3000,
    ),
    _row(
        "vowels", "JapaneseVowels, 100 units in both directions", "95.4% correct",
        "japanese_vowels", {}, no_files, 10, 400, quick=(2, 100),
    ),
    _row(
        "vowels-shuffled", "JapaneseVowels, labels shuffled: a negative control", "11.1% by chance",
        "japanese_vowels", {}, shuffled_vowels, 3, 400,
        note="a class has 24 to 88 of the 370 test sequences: a constant answer is correct for 6.5 "
        "to 24%.",
    ),
    _row(
        "shakespeare-1", "Tiny Shakespeare, 1 layer of 384 units", "", "char_lm",
        {
            "model.hidden": 384, "regularize.outputs": 0.1, "optimizer.learning_rate": 0.006,
            "sample.every": 1000,
        },
        SHAKESPEARE, 1, 700, note=BRIEF,
    ),
    _row(
        "shakespeare-2", "Tiny Shakespeare, 2 layers of 256 units", "", "char_lm",
        {
            "model.hidden": (256, 256), "regularize.layers": 0.1, "regularize.outputs": 0.1,
            "optimizer.learning_rate": 0.006, "sample.every": 1000,
        },
        SHAKESPEARE, 1, 700, note=BRIEF,
    ),
)  # fmt: skip
