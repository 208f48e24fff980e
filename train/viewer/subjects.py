"""The sequence that is shown, with what the model said at each step: one function a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from train.config.settings import Config
from train.errors import InputError
from train.model import Params
from train.tasks import char_lm, classification
from train.viewer import Subject, features, forecasts
from train.viewer.traced import read

TOP = 5  # predictions that are shown at a step
PREFIXES = 256  # steps of the longest sequence that is read anew up to each of its steps
NOTES = "C C# D D# E F F# G G# A A# B".split()


class Chosen(NamedTuple):
    """What is to be shown."""

    row: int  # which sequence of the split, from 0
    steps: int  # of it, at most
    marker: str | None  # after which "marker seen" is true


def find(
    config: Config, about: dict[str, Any], params: Params, split: Any, chosen: Chosen
) -> Subject:
    """The chosen sequence of a split of the run's task.

    Raises:
      InputError: no such row, a marker that is not there, steps that do not suffice.
    """
    return SUBJECTS[config.task](config, about, params, split, chosen)


def of_text(
    config: Any, about: dict[str, Any], params: Params, tokens: np.ndarray, chosen: Chosen
) -> Subject:
    """A stretch of a text, and the likeliest characters after each of its own."""
    count = -(-len(tokens) // chosen.steps)
    _check_row(chosen.row, count, f"stretches of --steps {chosen.steps} characters")
    start = chosen.row * chosen.steps
    tokens = tokens[start : start + chosen.steps].astype(np.int32)
    vocabulary = about["vocabulary"]
    text = char_lm.decode(tokens, vocabulary)
    outputs = read(config, params, tokens[None])
    logp = np.asarray(jax.nn.log_softmax(outputs[0]))
    came = np.append(tokens[1:], -1)
    bits = np.full(len(tokens), np.nan, np.float32)
    bits[1:] = -logp[np.arange(len(tokens) - 1), tokens[1:]] / np.log(2)
    facts = f"{len(text):,} characters" + (f" from the {start + 1:,}th on" if start else "")
    shown = {
        "text": text,
        "predictions": _top("The next character", list(vocabulary), np.exp(logp), came),
        "outcome": {"name": "surprise", "unit": "bits", "values": bits,
                    "about": "how unlikely the model held this character"},
    }  # fmt: skip
    return Subject("text", facts, tokens, features.of_text(text, chosen.marker), shown)


def of_sequence(
    config: Any, about: dict[str, Any], params: Params, split: Any, chosen: Chosen
) -> Subject:
    """A sequence with a class, and the classes as if it ended at each step."""
    _check_row(chosen.row, len(split.sequences), "sequences")
    whole, label = split.sequences[chosen.row], int(split.labels[chosen.row])
    inputs, classes = whole[: chosen.steps], about["classes"]
    first = 0
    if not config.model.bidirectional:
        outputs = read(config, params, inputs[None])[0]
    elif len(inputs) <= PREFIXES:
        lengths, rows = np.arange(1, len(inputs) + 1), np.repeat(inputs[None], len(inputs), 0)
        outputs = read(config, params, rows, lengths, per_step=False)
    else:
        outputs = read(config, params, inputs[None], per_step=False)
        first = len(inputs) - 1
    chances = np.asarray(jax.nn.softmax(outputs))
    predicted = int(chances[-1].argmax())
    facts = f"row {chosen.row} of {len(split.sequences):,} sequences, {_steps(inputs, whole)}; " + (
        f"its class is {classes[label]}, {classes[predicted]} is predicted"
        if label >= 0 else f"class {classes[predicted]} is predicted"
    )  # fmt: skip
    values = classification.known_values(inputs, about)
    names = about.get("columns") or [f"input {k + 1}" for k in range(values.shape[1])]
    judged = label if label >= 0 else predicted
    came = np.full(len(chances), label)
    shown = {
        "columns": names,
        "values": values.T.astype(np.float32),
        "predictions": {**_top("The class, if it ended here", classes, chances, came),
                        "first": first},
        "outcome": {"name": f"chance of “{classes[judged]}”", "unit": "", "values":
                    np.append(np.full(first, np.nan), chances[:, judged]).astype(np.float32),
                    "about": "of this class, if the sequence ended here"},
    }  # fmt: skip
    found = features.of_columns(names, values, chosen.marker)
    return Subject("lines", facts, inputs, found, shown)


def of_windows(
    config: Any, about: dict[str, Any], params: Params, split: Any, chosen: Chosen
) -> Subject:
    """A window of a table, and what the model forecasts from each of its steps on."""
    context, horizon = split.context, split.horizon
    if chosen.steps < context:
        raise InputError(
            f"--steps {chosen.steps} is less than data.context = {context}, which a forecast sees"
        )
    starts = split.starts if len(split.starts) else np.array([len(split.values) - context])
    _check_row(chosen.row, len(starts), "windows")
    start = int(starts[chosen.row])
    seen = split.values[start : start + context]
    inputs, found = forecasts.of_window(config, params, seen, horizon, PREFIXES)
    after = np.full((horizon, seen.shape[1]), np.nan)
    known = split.values[start + context : start + context + horizon]
    after[: len(known)] = known
    mean, spread = np.array(about["mean"]), np.array(about["spread"])
    values = np.concatenate([seen, after])
    errors = forecasts.errors(found, values)
    times = None if split.times is None else split.times[start : start + context]
    where = f"from {times[0]} to {times[-1]}" if times else f"from step {start + 1:,} on"
    facts = (
        f"row {chosen.row} of {len(starts):,} windows, {context:,} steps {where}; "
        f"{horizon} steps are forecast"
    )
    shown = {
        "columns": about["columns"],
        "values": (values * spread + mean).T.astype(np.float32),
        "forecasts": {"first": context - len(found),
                      "values": (found * spread + mean).astype(np.float32)},
        "outcome": {"name": "forecast error", "unit": "spreads",
                    "values": np.append(np.full(context - len(found), np.nan), errors)
                    .astype(np.float32),
                    "about": "mean error of what is forecast from here, in spreads of its column"},
    }  # fmt: skip
    follow = features.of_columns(about["columns"], seen * spread + mean, chosen.marker)
    return Subject("lines", facts, inputs, follow, shown)


def of_roll(
    config: Any, about: dict[str, Any], params: Params, split: Any, chosen: Chosen
) -> Subject:
    """A piece of music, and the keys that are expected next."""
    from train.tasks.piano_roll import LOWEST

    _check_row(chosen.row, len(split), "pieces")
    whole = split[chosen.row]
    roll = whole[: chosen.steps]
    outputs = read(config, params, roll[None])[0].astype(np.float64)
    after = whole[1 : len(roll) + 1]
    said = outputs[: len(after)]
    nats = np.logaddexp(0, np.where(after > 0, -said, said)).sum(1)
    surprise = np.append(np.nan, nats)[: len(roll)].astype(np.float32)
    names = [f"{NOTES[k % 12]}{k // 12 - 1}" for k in range(LOWEST, LOWEST + roll.shape[1])]
    facts = f"row {chosen.row} of {len(split):,} pieces, {_steps(roll, whole)}"
    shown = {
        "columns": names,
        "values": roll.T.astype(np.float32),
        "predictions": _top("Keys that sound next", names, 1 / (1 + np.exp(-outputs))),
        "outcome": {"name": "surprise", "unit": "nats", "values": surprise,
                    "about": "how unlikely the model held these keys"},
    }  # fmt: skip
    found = features.of_keys(names, roll, chosen.marker)
    return Subject("roll", facts, roll, found, shown)


SUBJECTS: dict[str, Callable[..., Subject]] = {
    "char_lm": of_text,
    "classification": of_sequence,
    "forecasting": of_windows,
    "piano_roll": of_roll,
}


def _top(
    heading: str, names: list[str], chances: np.ndarray, came: np.ndarray | None = None
) -> dict[str, Any]:
    """The likeliest of each step, and which of all really came, -1 where that is not known."""
    ids = np.argsort(-chances, axis=1, kind="stable")[:, :TOP]
    best = np.take_along_axis(chances, ids, 1).astype(np.float32)
    found = {"heading": heading, "names": names, "ids": ids.astype(np.uint16), "chances": best,
             "first": 0}  # fmt: skip
    return found if came is None else {**found, "came": came.astype(np.int32)}


def _check_row(row: int, count: int, what: str) -> None:
    if not 0 <= row < count:
        raise InputError(f"--row must be from 0 to {count - 1}, of {count} {what}; got {row}")


def _steps(shown: np.ndarray, whole: np.ndarray) -> str:
    cut = len(shown) < len(whole)
    return f"the first {len(shown):,} of {len(whole):,} steps" if cut else f"{len(whole):,} steps"
