"""The keys that sound at the next step of a piece of music, predicted independently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jlstm
from train.config.tasks import PianoRoll
from train.errors import InputError
from train.readers.rolls import KEYS, LOWEST, read_rolls
from train.tasks import ALL_ROWS, Batch, Data, Run, Shape, Sums, Task
from train.tasks import batches as by_length
from train.tasks.batches import drawn_by_length, every_step, padded
from train.viewer import views

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array
    from matplotlib.figure import Figure

Rolls = list[np.ndarray]  # each (time, 88) of 0 and 1


def load(config: PianoRoll) -> Data:
    """Read the pieces.

    Raises:
      InputError: a file that cannot be read, or has an empty split.
    """
    pieces, digest = read_rolls(config.data.path)
    source = str(config.data.path)
    facts = {
        "frequencies_nll_per_step": frequencies_nll(pieces["train"], pieces["test"]),
        **{f"{part}_pieces": len(rolls) for part, rolls in pieces.items()},
        "test_steps": sum(len(roll) - 1 for roll in pieces["test"]),
    }
    return Data(
        pieces["train"], pieces["valid"], pieces["test"], Shape(0, KEYS, KEYS), {"keys": KEYS},
        facts, source, digest,
    )  # fmt: skip


def read(config: PianoRoll, about: dict[str, Any], path: str) -> Rolls:
    """The test pieces of another file."""
    return read_rolls(path, ("test",))[0]["test"]


def frequencies_nll(train: Rolls, test: Rolls) -> float:
    """Nats per step by the frequency of each key in the training pieces."""
    joined = np.concatenate(train)
    frequency = (joined.sum(0) + 1) / (len(joined) + 2)
    after = np.concatenate([roll[1:] for roll in test])
    return float(-np.log(np.where(after > 0, frequency, 1 - frequency)).sum() / len(after))


def _batch(rolls: Rolls, places: np.ndarray, own: slice = ALL_ROWS) -> Batch:
    """The rows `own` of the pieces of these indices; -1 only fills the batch."""
    longest = max(len(roll) for roll in rolls) - 1
    empty = np.zeros((1, KEYS), np.float32)
    chosen = [rolls[k] if k >= 0 else empty for k in places]
    inputs, lengths = padded([roll[:-1] for roll in chosen], longest, own)
    targets, _ = padded([roll[1:] for roll in chosen], longest, own)
    return Batch(inputs, targets, lengths, np.full(len(lengths), True))


def batches(config: PianoRoll, data: Data, own: slice = ALL_ROWS) -> grain.MapDataset:
    """The rows `own` of the training batch of every step: pieces, or rows of several."""
    if config.data.packed is not None:
        return _packed(config, data.train, config.data.packed, own)
    lengths = [len(roll) for roll in data.train]
    drawn = drawn_by_length(lengths, config.data.rows, config.data.bucket, config.seed)
    return every_step(lambda step: _batch(data.train, drawn(step), own))


def _packed(config: PianoRoll, rolls: Rolls, time: int, own: slice) -> grain.MapDataset:
    """Batches of rows that hold several pieces each, drawn by the run's seed."""
    lengths = [len(roll) - 1 for roll in rolls]
    if max(lengths) > time:
        raise InputError(f"data.packed = {time} steps are too few for a piece of {max(lengths)}")
    packing = jlstm.plan_packing(lengths, time)
    inputs, targets = (
        np.moveaxis(jlstm.pack(packing, chosen), 0, 1)
        for chosen in ([roll[:-1] for roll in rolls], [roll[1:] for roll in rolls])
    )
    resets, filled = packing.resets.T, packing.lengths.astype(np.int32)
    rows = config.data.rows
    drawn = drawn_by_length(filled.tolist(), rows, 1, config.seed)

    def batch_at(step: int) -> Batch:
        chosen = drawn(step)[own]
        return Batch(
            inputs[chosen],
            targets[chosen],
            filled[chosen],
            np.full(len(chosen), True),
            resets[chosen],
        )

    return every_step(batch_at)


def in_order(config: PianoRoll, rolls: Rolls, rows: int, own: slice = ALL_ROWS) -> Iterator[Batch]:
    """Every piece once."""
    for places in by_length.in_order(len(rolls), rows):
        yield _batch(rolls, places, own)


def loss(outputs: Array, batch: Batch) -> tuple[Array, Array]:
    """The nats of all steps, summed over the keys, and the number of steps."""
    nats = optax.sigmoid_binary_cross_entropy(outputs, batch.targets).sum(-1)
    counted = jnp.arange(nats.shape[1]) < batch.lengths[:, None]
    return jnp.where(counted, nats, 0).sum(), counted.sum()


def measure(outputs: Array, batch: Batch) -> Sums:
    """Nats per step, and the frame-level accuracy of Bay et al. (2009)."""
    nats, count = loss(outputs, batch)
    counted = (jnp.arange(outputs.shape[1]) < batch.lengths[:, None])[..., None]
    predicted, played = (outputs > 0) & counted, (batch.targets > 0) & counted
    correct = (predicted & played).sum()
    return {
        "nll_per_step": (nats, count),
        "frame_accuracy": (correct, (predicted | played).sum()),
    }


def probabilities(config: PianoRoll, rolls: Rolls, run: Run) -> Iterator[np.ndarray]:
    """The probability of each key after each step of each piece, `(time - 1, 88)`."""
    for batch, outputs in run(in_order(config, rolls, config.data.rows)):
        for row, length in zip(np.asarray(jax.nn.sigmoid(outputs)), batch.lengths, strict=True):
            if length:
                yield row[:length]


def table(config: PianoRoll, about: dict[str, Any], rolls: Rolls, run: Run) -> Iterator[list]:
    """The probability of each key at each step after the first of each piece."""
    yield ["piece", "step", *(f"p(key {LOWEST + k})" for k in range(KEYS))]
    for piece, rows in enumerate(probabilities(config, rolls, run)):
        for step, row in enumerate(rows, 1):
            yield [piece, step, *(f"{p:.4f}" for p in row)]


def draw(figure: Figure, config: PianoRoll, data: Data, run: Run) -> None:
    """The first test piece, and the predicted probabilities at each of its steps."""
    roll = data.test[0][1:]
    (predicted,) = probabilities(config, [data.test[0]], run)
    sounding = np.flatnonzero(np.concatenate(data.test).any(0))
    keys = slice(sounding.min(), sounding.max() + 1)
    above, below = figure.subplots(2, 1, sharex=True)
    extent = (0.5, len(roll) + 0.5, LOWEST + keys.start - 0.5, LOWEST + keys.stop - 0.5)
    for axes, picture, title in (
        (above, roll, "the first test piece"), (below, predicted, "predicted probabilities"),
    ):  # fmt: skip
        image = axes.imshow(
            picture[:, keys].T, origin="lower", aspect="auto", vmin=0, vmax=1,
            extent=extent, interpolation="nearest",
        )  # fmt: skip
        axes.set(title=title, ylabel="key (MIDI)")
    below.set_xlabel("step")
    figure.colorbar(image, ax=(above, below), label="probability")


TASK = Task(
    title="Music model",
    load=load, read=read, batches=batches, in_order=in_order, loss=loss, measure=measure,
    table=table, draw=draw,
    headline="nll_per_step", unit="nll_per_step", baseline="frequencies_nll_per_step",
    picture=(
        "The first test piece as a piano roll, and below it the probability that the model gave to "
        "each key before it was played."
    ),
    view=views.roll_view,
)  # fmt: skip
