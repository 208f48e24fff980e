"""Runs of a few seconds for each task, on learnable data."""

import json
from dataclasses import replace

import jax
import numpy as np

from tests.support.runs import tiny, write_text_file
from train.config.load import to_toml
from train.config.settings import Log, Model, Optimizer
from train.config.tasks import Classification, Forecasting, PianoRoll, Rolls, Series, Table
from train.model import init_model
from train.output.weights import save_weights
from train.tasks import find_task

QUICK = {
    "steps": 30,
    "checkpoint_every": 10,
    "optimizer": Optimizer(learning_rate=0.02, warmup=5),
    "log": Log(every=5, validate_every=10),
}


def write_series(folder, count=60):
    """Two classes by the louder half of a sequence; 4 to 20 steps."""
    rng = np.random.default_rng(0)
    lengths, labels = rng.integers(4, 21, count), rng.integers(0, 2, count)
    inputs = np.zeros((count, 20, 3))
    for k, (n, label) in enumerate(zip(lengths, labels, strict=True)):
        inputs[k, :n] = rng.normal(size=(n, 3))
        half = slice(0, n // 2) if label else slice(n // 2, n)
        inputs[k, half] *= 5
    path = folder / "series.npz"
    np.savez(path, inputs=inputs, labels=np.array(["late", "early"])[labels], lengths=lengths)
    return path


def write_table(folder, rows=400):
    """A wave with a trend, a second column that follows it, missing cells and a gap."""
    rng, time = np.random.default_rng(0), np.arange(rows)
    wave = np.sin(time / 5) + 0.002 * time + 0.05 * rng.normal(size=rows)
    after = np.roll(wave, 3) * 10 + 100
    lines = ["when,wave (m), load kW,who"]
    for t in time:
        if 150 <= t < 155:
            continue
        cell = "" if t % 37 == 0 else f"{wave[t]:.4f}"
        lines.append(
            f"2024-{1 + t // 720:02}-{1 + t // 24 % 30:02}T{t % 24:02}:00,{cell},{after[t]:.3f},x"
        )
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_rolls(folder):
    """Pieces in which a key moves up by one at every step."""

    rng = np.random.default_rng(0)

    def piece(n, start):
        roll = np.zeros((n, 88))
        roll[np.arange(n), (start + np.arange(n)) % 12 + 40] = 1
        return roll

    path = folder / "rolls.npz"
    names = {"train": 12, "valid": 4, "test": 4}
    np.savez(path, **{
        f"{part}_{k}": piece(int(rng.integers(5, 30)), int(rng.integers(12)))
        for part, count in names.items() for k in range(count)
    })  # fmt: skip
    return path


def make(name, folder):
    """A config of the task of that name."""
    if name == "char_lm":
        return tiny(write_text_file(folder))
    if name == "classification":
        data = Series(path=str(write_series(folder)), rows=8, bucket=2)
        return Classification(data=data, model=Model(hidden=(8,), bidirectional=True), **QUICK)
    if name == "forecasting":
        data = Table(path=str(write_table(folder)), context=24, horizon=6, rows=16)
        return Forecasting(data=data, model=Model(hidden=(16,)), **QUICK)
    data = Rolls(path=str(write_rolls(folder)), rows=4)
    return replace(PianoRoll(data=data, model=Model(hidden=(32,)), **QUICK), steps=120)


def untrained(config, out, scale=20.0):
    """The folder of a finished run with initial weights, the output weights times `scale`."""
    task = find_task(config.task)
    data = task.load(config)
    params = init_model(jax.random.key(config.seed), config.model, data.shape)
    if params.output_weight is not None:
        params = params._replace(output_weight=scale * params.output_weight)
    out.mkdir()
    (out / "config.toml").write_text(to_toml(config), encoding="utf-8")
    (out / "result.json").write_text(json.dumps({"data_sha256": data.sha256}))
    save_weights(out / "params.safetensors", config, data.shape, data.about, params)
    return out
