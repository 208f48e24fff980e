"""Views of sequences: what `train.inspect` shows of each task's data, with the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from train.errors import InputError
from train.model import Params
from train.readers.rolls import LOWEST
from train.tasks import Task
from train.tasks.normalize import known_values
from train.viewer import Selection, SequenceView, features, forecasts
from train.viewer.activations import outputs_of

SHOWN_PREDICTIONS = 5  # per step
LONGEST_RERUN = 256  # steps of the longest sequence that is run again up to each of its steps
NOTES = "C C# D D# E F F# G G# A A# B".split()


def text_view(
    config: Any, about: dict[str, Any], params: Params, tokens: np.ndarray, selection: Selection
) -> SequenceView:
    """A passage of a text, with the likeliest next characters after each character.

    Raises:
      InputError: a row that does not exist, or a marker that the text does not hold.
    """
    count = -(-len(tokens) // selection.steps)
    check_row(selection.row, count, f"passages of --steps {selection.steps} characters")
    start = selection.row * selection.steps
    tokens = tokens[start : start + selection.steps].astype(np.int32)
    vocabulary = list(about["vocabulary"])
    text = "".join(vocabulary[token] for token in tokens)
    outputs = outputs_of(config, params, tokens[None])
    logp = np.asarray(jax.nn.log_softmax(outputs[0]))
    correct = np.append(tokens[1:], -1)
    bits = np.full(len(tokens), np.nan, np.float32)
    bits[1:] = -logp[np.arange(len(tokens) - 1), tokens[1:]] / np.log(2)
    facts = f"{len(text):,} characters" + (f", starting at {start + 1:,}" if start else "")
    content = {
        "text": text,
        "predictions": top_predictions("The next character", vocabulary, np.exp(logp), correct),
        "outcome": {"name": "surprise", "unit": "bits", "values": bits,
                    "about": "-log2 of the probability of this character"},
    }  # fmt: skip
    return SequenceView("text", facts, tokens, features.of_text(text, selection.marker), content)


def classified_view(
    config: Any, about: dict[str, Any], params: Params, split: Any, selection: Selection
) -> SequenceView:
    """A sequence with a class, and the classes predicted if it ended at each step.

    Raises:
      InputError: a row that does not exist, or a marker that is not a column of marks.
    """
    check_row(selection.row, len(split.sequences), "sequences")
    sequence, label = split.sequences[selection.row], int(split.labels[selection.row])
    inputs, classes = sequence[: selection.steps], about["classes"]
    first = 0
    if not config.model.bidirectional:
        outputs = outputs_of(config, params, inputs[None])[0]
    elif len(inputs) <= LONGEST_RERUN:
        lengths, rows = np.arange(1, len(inputs) + 1), np.repeat(inputs[None], len(inputs), 0)
        outputs = outputs_of(config, params, rows, lengths, per_step=False)
    else:
        outputs = outputs_of(config, params, inputs[None], per_step=False)
        first = len(inputs) - 1
    probabilities = np.asarray(jax.nn.softmax(outputs))
    predicted = int(probabilities[-1].argmax())
    position = f"row {selection.row} of {len(split.sequences):,} sequences"
    facts = f"{position}, {count_steps(inputs, sequence)}; " + (
        f"its class is {classes[label]}, {classes[predicted]} is predicted"
        if label >= 0 else f"class {classes[predicted]} is predicted"
    )  # fmt: skip
    values = known_values(inputs, about)
    names = about.get("columns") or [f"input {k + 1}" for k in range(values.shape[1])]
    target = label if label >= 0 else predicted
    correct = np.full(len(probabilities), label)
    content = {
        "columns": names,
        "values": values.T.astype(np.float32),
        "predictions": {
            **top_predictions("The class, if it ended here", classes, probabilities, correct),
            "first": first,
        },
        "outcome": {
            "name": f"probability of “{classes[target]}”", "unit": "",
            "values": _from_step(first, probabilities[:, target]),
            "about": "of this class, if the sequence ended here",
        },
    }  # fmt: skip
    followed = features.of_columns(names, values, selection.marker)
    return SequenceView("lines", facts, inputs, followed, content)


def window_view(
    config: Any, about: dict[str, Any], params: Params, split: Any, selection: Selection
) -> SequenceView:
    """A window of a table, and the forecast from each of its steps.

    Raises:
      InputError: a row that does not exist, a marker that is not a column of marks, or fewer steps
        than a forecast sees.
    """
    context, horizon = split.context, split.horizon
    if selection.steps < context:
        raise InputError(
            f"--steps {selection.steps} is less than data.context = {context}, the steps that a "
            "forecast sees"
        )
    starts = split.starts if len(split.starts) else np.array([len(split.values) - context])
    check_row(selection.row, len(starts), "windows")
    start = int(starts[selection.row])
    seen = split.values[start : start + context]
    inputs, forecast = forecasts.of_window(config, params, seen, horizon, LONGEST_RERUN)
    after = np.full((horizon, seen.shape[1]), np.nan)
    known = split.values[start + context : start + context + horizon]
    after[: len(known)] = known
    mean, deviation = np.array(about["mean"]), np.array(about["spread"])
    values = np.concatenate([seen, after])
    first = context - len(forecast)
    times = None if split.times is None else split.times[start : start + context]
    where = f"from {times[0]} to {times[-1]}" if times else f"from step {start + 1:,}"
    facts = (
        f"row {selection.row} of {len(starts):,} windows, {context:,} steps {where}; "
        f"{horizon} steps are forecast"
    )
    content = {
        "columns": about["columns"],
        "values": (values * deviation + mean).T.astype(np.float32),
        "forecasts": {"first": first, "values": (forecast * deviation + mean).astype(np.float32)},
        "outcome": {
            "name": "forecast error", "unit": "std",
            "values": _from_step(first, forecasts.errors(forecast, values)),
            "about": "mean absolute error of the forecast from here, in standard deviations of its "
            "column",
        },
    }  # fmt: skip
    followed = features.of_columns(about["columns"], seen * deviation + mean, selection.marker)
    return SequenceView("lines", facts, inputs, followed, content)


def roll_view(
    config: Any, about: dict[str, Any], params: Params, split: Any, selection: Selection
) -> SequenceView:
    """A piece of music, and the keys predicted for the next step.

    Raises:
      InputError: a row that does not exist, or a marker that is not a key that sounds.
    """
    check_row(selection.row, len(split), "pieces")
    piece = split[selection.row]
    roll = piece[: selection.steps]
    outputs = outputs_of(config, params, roll[None])[0].astype(np.float64)
    after = piece[1 : len(roll) + 1]
    logits = outputs[: len(after)]
    nats = np.logaddexp(0, np.where(after > 0, -logits, logits)).sum(1)
    surprise = np.append(np.nan, nats)[: len(roll)].astype(np.float32)
    names = [f"{NOTES[k % 12]}{k // 12 - 1}" for k in range(LOWEST, LOWEST + roll.shape[1])]
    facts = f"row {selection.row} of {len(split):,} pieces, {count_steps(roll, piece)}"
    content = {
        "columns": names,
        "values": roll.T.astype(np.float32),
        "predictions": top_predictions("The next keys", names, 1 / (1 + np.exp(-outputs))),
        "outcome": {"name": "surprise", "unit": "nats", "values": surprise,
                    "about": "-log of the probability of these keys"},
    }  # fmt: skip
    return SequenceView("roll", facts, roll, features.of_keys(names, roll, selection.marker),
                        content)  # fmt: skip


def inputs_view(
    task: Task, config: Any, about: dict[str, Any], split: Any, selection: Selection
) -> SequenceView:
    """The inputs of any task as lines, without predictions: the view of a task that has none.

    Raises:
      InputError: a row that does not exist, or a marker that is not a column of marks.
    """
    batches = [batch for batch in task.in_order(config, split, 1) if batch.lengths[0]]
    check_row(selection.row, len(batches), "sequences")
    batch = batches[selection.row]
    sequence = np.asarray(batch.inputs[0][: batch.lengths[0]])
    inputs = sequence[: selection.steps]
    values = (inputs[:, None] if inputs.ndim == 1 else inputs).astype(np.float64)
    names = list(about.get("columns", ()))
    if len(names) != values.shape[1]:
        names = [f"input {k + 1}" for k in range(values.shape[1])]
    position = f"row {selection.row} of {len(batches):,} sequences"
    facts = f"{position}, {count_steps(inputs, sequence)}"
    content = {"columns": names, "values": values.T.astype(np.float32)}
    followed = features.of_columns(names, values, selection.marker)
    return SequenceView("lines", facts, inputs, followed, content)


def top_predictions(
    heading: str,
    names: Sequence[str],
    probabilities: np.ndarray,
    correct: np.ndarray | None = None,
) -> dict[str, Any]:
    """The likeliest predictions at each step, and the index of the correct one, -1 if unknown."""
    ids = np.argsort(-probabilities, axis=1, kind="stable")[:, :SHOWN_PREDICTIONS]
    top = np.take_along_axis(probabilities, ids, 1).astype(np.float32)
    content = {"heading": heading, "names": list(names), "ids": ids.astype(np.uint16),
               "probabilities": top, "first": 0}  # fmt: skip
    return content if correct is None else {**content, "correct": correct.astype(np.int32)}


def check_row(row: int, count: int, noun: str) -> None:
    """Refuse a row that does not exist."""
    if not 0 <= row < count:
        raise InputError(f"--row must be from 0 to {count - 1}, of {count} {noun}; got {row}")


def count_steps(shown: np.ndarray, sequence: np.ndarray) -> str:
    """The steps that are shown, in words."""
    if len(shown) < len(sequence):
        return f"the first {len(shown):,} of {len(sequence):,} steps"
    return f"{len(sequence):,} steps"


def _from_step(first: int, values: np.ndarray) -> np.ndarray:
    """Values that begin at the step `first`, with NaN before it."""
    return np.append(np.full(first, np.nan), values).astype(np.float32)
