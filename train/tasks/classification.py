"""The class of a sequence of vectors; lengths differ, and values may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train.config.tasks import Classification
from train.errors import InputError
from train.readers.sequences import Sequences, read_labelled, read_sequences
from train.tasks import ALL_ROWS, Batch, Data, Run, Shape, Sums, Task
from train.tasks import batches as by_length
from train.tasks.batches import drawn_by_length, every_step, padded
from train.tasks.normalize import mean_and_deviation
from train.viewer import views

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array
    from matplotlib.figure import Figure


class Labelled(NamedTuple):
    """Normalised sequences, and the index of the class of each."""

    sequences: list[np.ndarray]  # (time, features), or twice as many: see `normalised`
    labels: np.ndarray
    names: Sequence[str] = ()  # ids or files; empty if they are numbered


def load(config: Classification) -> Data:
    """Read the sequences; normalise them by the mean and deviation of the training split.

    Raises:
      InputError: files that cannot be read or do not match, too few sequences.
    """
    data_set = read_labelled(config.data.path, config.data.test_path, config.data)
    both = [data_set, data_set.test] if data_set.test else [data_set]
    sequences = [sequence for part in both for sequence in part.sequences]
    names = [name for part in both for name in part.labels]
    places = [place for part in both for place in part.places()]
    splits = _cut(data_set, config, len(sequences))
    classes = sorted(set(names))
    unseen = sorted({*classes} - {names[k] for k in splits[0]})
    if unseen:
        raise InputError(f"{data_set.source}: no sequence of class {unseen[0]} is left to train on")
    if len(classes) < 2:
        raise InputError(f"{data_set.source} has only one class, {classes[0]}")
    features = sequences[0].shape[1]
    joined = np.concatenate([sequences[k] for k in splits[0]])
    named = [f"feature {k + 1}" for k in range(features)]
    mean, deviation = mean_and_deviation(data_set.source, joined, named)
    missing = sum(int(np.isnan(sequence).sum()) for sequence in data_set.sequences)
    about = {
        "classes": classes, "features": features, "columns": list(data_set.columns),
        "missing": missing > 0, "mean": mean.tolist(), "spread": deviation.tolist(),
    }  # fmt: skip
    train, validation, test = (
        labelled([places[k] for k in split], [sequences[k] for k in split],
                 [names[k] for k in split], about)
        for split in splits
    )  # fmt: skip
    counts = np.bincount(train.labels, minlength=len(classes))
    facts = {
        "majority_accuracy": float((test.labels == counts.argmax()).mean()),
        "classes": len(classes), "train_sequences": len(train.labels),
        "validation_sequences": len(validation.labels), "test_sequences": len(test.labels),
        "missing": missing,
    }  # fmt: skip
    shape = Shape(0, features * (1 + about["missing"]), len(classes))
    return Data(train, validation, test, shape, about, facts, data_set.source, data_set.sha256)


def _cut(found: Sequences, config: Classification, count: int) -> list[np.ndarray]:
    """The indices of the sequences for training, validation and test.

    Of `count` sequences, those of the test file come last.
    """
    order = np.random.default_rng(config.seed).permutation(len(found.sequences))
    test = np.arange(len(order), count)
    if found.test is None:
        test, order = np.split(order, [int(len(order) * config.data.test)])
    validation, train = np.split(order, [int(len(order) * config.data.validation)])
    if min(len(train), len(validation), len(test)) < 1:
        raise InputError(
            f"{found.source} has too few sequences: {len(train)} to train on, {len(validation)} "
            f"for validation, {len(test)} for the test"
        )
    return [train, validation, test]


def labelled(
    places: list[str], sequences: list[np.ndarray], classes: list[str], about: dict[str, Any]
) -> Labelled:
    """Convert sequences to inputs of the model; an unknown class is -1.

    Args:
      places: the name of each sequence in errors.
      sequences: the sequences, as read.
      classes: the class of each, "" if unknown; empty if all are.
      about: `Data.about` of the run.

    Raises:
      InputError: a class, or a missing value, that the training data do not have.
    """
    numbers = {name: k for k, name in enumerate(about["classes"])} | {"": -1}
    classes = classes or [""] * len(sequences)
    inputs = []
    for place, sequence, name in zip(places, sequences, classes, strict=True):
        if name not in numbers:
            raise InputError(
                f"{place} is of class {name}, and the run knows {', '.join(about['classes'])}; "
                "for predictions the classes may be left out"
            )
        if np.isnan(sequence).any() and not about.get("missing"):
            raise InputError(
                f"{place} has a missing value, and the run learned from data without any; fill it "
                "in, or train with missing values in data.path"
            )
        inputs.append(normalised(sequence, about))
        if not np.isfinite(inputs[-1]).all():
            raise InputError(f"{place} holds a number that is too large")
    return Labelled(inputs, np.array([numbers[name] for name in classes], np.int32))


def read(config: Classification, about: dict[str, Any], path: str) -> Labelled:
    """Read the sequences of another file or folder, with or without classes."""
    data_set = read_sequences(path, config.data, tuple(about.get("columns", ())))
    features = data_set.sequences[0].shape[1]
    if features != about["features"]:
        raise InputError(f"{path} has {features} features, the run's data {about['features']}")
    split = labelled(data_set.places(), data_set.sequences, data_set.labels, about)
    return split._replace(names=data_set.names)


def normalised(sequence: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """Normalise by the mean and deviation of the training split.

    If the run's data have missing values, these become 0, the mean, and as many further features
    are 1 where a value is missing.
    """
    with np.errstate(over="ignore"):
        values = ((sequence - about["mean"]) / about["spread"]).astype(np.float32)
    if not about.get("missing"):
        return values
    missing = np.isnan(sequence)
    return np.concatenate([np.where(missing, 0, values), missing], axis=1).astype(np.float32)


def _batch(split: Labelled, places: np.ndarray, own: slice = ALL_ROWS) -> Batch:
    """The rows `own` of the sequences of these indices; -1 only fills the batch."""
    longest = max(len(s) for s in split.sequences)
    empty = np.zeros((0, split.sequences[0].shape[1]), np.float32)
    chosen = [split.sequences[k] if k >= 0 else empty for k in places]
    inputs, lengths = padded(chosen, longest, own)
    return Batch(inputs, split.labels[places[own]], lengths, np.full(len(lengths), True))


def batches(config: Classification, data: Data, own: slice = ALL_ROWS) -> grain.MapDataset:
    """The rows `own` of the training batch of every step."""
    lengths = [len(s) for s in data.train.sequences]
    drawn = drawn_by_length(lengths, config.data.rows, config.data.bucket, config.seed)
    return every_step(lambda step: _batch(data.train, drawn(step), own))


def in_order(
    config: Classification, split: Labelled, rows: int, own: slice = ALL_ROWS
) -> Iterator[Batch]:
    """Every sequence once."""
    for places in by_length.in_order(len(split.labels), rows):
        yield _batch(split, places, own)


def loss(outputs: Array, batch: Batch) -> tuple[Array, Array]:
    """The nats of all classes, and the number of sequences."""
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
    known = (batch.lengths > 0) & (batch.targets >= 0)
    return jnp.where(known, losses, 0).sum(), known.sum()


def measure(outputs: Array, batch: Batch) -> Sums:
    """Accuracy, and nats per sequence."""
    nats, count = loss(outputs, batch)
    right = (outputs.argmax(-1) == batch.targets) & (batch.lengths > 0)
    return {"accuracy": (right.sum(), count), "cross_entropy": (nats, count)}


def probabilities(config: Classification, split: Labelled, run: Run) -> np.ndarray:
    """The probability of each class, for every sequence."""
    parts = [
        np.asarray(jax.nn.softmax(outputs))[batch.lengths > 0]
        for batch, outputs in run(in_order(config, split, config.data.rows))
    ]
    return np.concatenate(parts)


def table(config: Classification, about: dict, split: Labelled, run: Run) -> Iterator[list]:
    """Each sequence with its class, the predicted class, and the probability of each class."""
    classes = about["classes"]
    yield ["sequence", "class", "predicted", *(f"p({name})" for name in classes)]
    for k, (label, chances) in enumerate(
        zip(split.labels, probabilities(config, split, run), strict=True)
    ):
        predicted = classes[int(chances.argmax())]
        name = split.names[k] if split.names else k
        known = classes[label] if label >= 0 else ""
        yield [name, known, predicted, *(f"{p:.4f}" for p in chances)]


def draw(figure: Figure, config: Classification, data: Data, run: Run) -> None:
    """The confusion matrix of the test split."""
    from train.output.pictures import drawable, text_on

    classes = data.about["classes"]
    predicted = probabilities(config, data.test, run).argmax(-1)
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (data.test.labels, predicted), 1)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count and len(classes) <= 30:
            color = text_on(image.cmap(image.norm(shares[row, column])))
            axes.text(column, row, count, ha="center", va="center", color=color, fontsize=8)
    places = range(len(classes))
    names = [drawable(name) for name in classes]
    crowded = sum(map(len, names)) > 60
    axes.set_xticks(places, names, parse_math=False, rotation=90 if crowded else 0)
    axes.set_yticks(places, names, parse_math=False)
    axes.set(
        xlabel="predicted class", ylabel="class",
        title=f"{(predicted == data.test.labels).mean():.1%} of the test split are correct",
    )  # fmt: skip
    figure.colorbar(image, ax=axes, label="share of the class")


TASK = Task(
    title="Classification",
    load=load, read=read, batches=batches, in_order=in_order, loss=loss, measure=measure,
    table=table, draw=draw,
    headline="accuracy", baseline="majority_accuracy", unit="cross_entropy", best=max,
    per_step=False,
    picture=(
        "The confusion matrix of the test split: a row for each class, a column for each predicted "
        "class, the number of sequences in each cell."
    ),
    view=views.classified_view,
)  # fmt: skip
