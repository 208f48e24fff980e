"""The class of a sequence of vectors; sequences are of different lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train import batches as by_length
from train.batches import drawn_by_length, every_step, padded
from train.errors import InputError
from train.readers.sequences import read_labelled, read_sequences
from train.settings import Classification
from train.tasks import EVERY, Batch, Data, Run, Shape, Sums, Task

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array
    from matplotlib.figure import Figure


class Labelled(NamedTuple):
    """Sequences, normalised, and the place of each one's class among the classes."""

    sequences: list[np.ndarray]  # (time, features)
    labels: np.ndarray


def load(config: Classification) -> Data:
    """Read the sequences; normalise them by the mean and spread of the training split.

    Raises:
      InputError: files that cannot be read or do not fit each other, too few sequences.
    """
    settings = config.data
    found = read_labelled(settings.path, settings.test_path)
    rng = np.random.default_rng(config.seed)
    sequences, names = list(found.sequences), list(found.labels)
    order = rng.permutation(len(sequences))
    if found.test is None:
        cut = int(len(order) * settings.test)
        test, order = order[:cut], order[cut:]
        test_sequences, test_names = [sequences[k] for k in test], [names[k] for k in test]
    else:
        test_sequences, test_names = list(found.test.sequences), list(found.test.labels)
    cut = int(len(order) * settings.validation)
    validation, train = order[:cut], order[cut:]
    if min(len(train), len(validation), len(test_names)) < 1:
        raise InputError(
            f"{found.source} has too few sequences: {len(train)} to train on, {len(validation)} "
            f"for validation, {len(test_names)} for the test"
        )
    classes = sorted({*names, *test_names})
    unseen = sorted({*classes} - {names[k] for k in train})
    if unseen:
        raise InputError(f"{found.source}: no sequence of class {unseen[0]} is left to train on")
    if len(classes) < 2:
        raise InputError(f"{found.source} has one class alone, {classes[0]}")
    features = sequences[0].shape[1]
    joined = np.concatenate([sequences[k] for k in train]).astype(np.float64)
    mean, spread = joined.mean(0), joined.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    about = {
        "classes": classes, "features": features, "mean": mean.tolist(), "spread": spread.tolist(),
    }  # fmt: skip

    def chosen(part: np.ndarray) -> Labelled:
        return labelled([sequences[k] for k in part], [names[k] for k in part], about)

    train_split, test_split = chosen(train), labelled(test_sequences, test_names, about)
    counts = np.bincount(train_split.labels, minlength=len(classes))
    facts = {
        "majority_accuracy": float((test_split.labels == counts.argmax()).mean()),
        "classes": len(classes), "train_sequences": len(train),
        "validation_sequences": len(validation), "test_sequences": len(test_names),
    }  # fmt: skip
    shape = Shape(0, features, len(classes))
    return Data(
        train_split, chosen(validation), test_split, shape, about, facts, found.source, found.sha256
    )


def labelled(sequences: list[np.ndarray], names: list[str], about: dict) -> Labelled:
    """Sequences as the model reads them; -1 is a class that it does not know."""
    classes = {name: k for k, name in enumerate(about["classes"])}
    labels = [classes.get(name, -1) for name in names or [""] * len(sequences)]
    return Labelled([normalised(s, about) for s in sequences], np.array(labels, np.int32))


def read(config: Classification, about: dict[str, Any], path: str) -> Labelled:
    """The sequences of another file, with classes or without."""
    found = read_sequences(path)
    features = found.sequences[0].shape[1]
    if features != about["features"]:
        raise InputError(f"{path} has {features} features, the run's data {about['features']}")
    return labelled(found.sequences, found.labels, about)


def normalised(sequence: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """By the mean and spread of the training split."""
    return ((sequence - about["mean"]) / about["spread"]).astype(np.float32)


def _batch(split: Labelled, places: np.ndarray, own: slice = EVERY) -> Batch:
    """The sequences of these numbers; -1 is a row that fills up. The rows `own` of them."""
    longest = max(len(s) for s in split.sequences)
    empty = np.zeros((0, split.sequences[0].shape[1]), np.float32)
    chosen = [split.sequences[k] if k >= 0 else empty for k in places]
    inputs, lengths = padded(chosen, longest, own)
    return Batch(inputs, split.labels[places[own]], lengths, np.full(len(lengths), True))


def batches(config: Classification, data: Data, own: slice = EVERY) -> grain.MapDataset:
    """The rows `own` of the training batch of every step."""
    lengths = [len(s) for s in data.train.sequences]
    drawn = drawn_by_length(lengths, config.data.rows, config.data.bucket, config.seed)
    return every_step(lambda step: _batch(data.train, drawn(step), own))


def in_order(
    config: Classification, split: Labelled, rows: int, own: slice = EVERY
) -> Iterator[Batch]:
    """Every sequence once."""
    for places in by_length.in_order(len(split.labels), rows):
        yield _batch(split, places, own)


def loss(outputs: Array, batch: Batch) -> tuple[Array, Array]:
    """Nats of all classes, and of how many sequences."""
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
    there = (batch.lengths > 0) & (batch.targets >= 0)
    return jnp.where(there, losses, 0).sum(), there.sum()


def measure(outputs: Array, batch: Batch) -> Sums:
    """Accuracy, and nats a sequence."""
    nats, count = loss(outputs, batch)
    right = (outputs.argmax(-1) == batch.targets) & (batch.lengths > 0)
    return {"accuracy": (right.sum(), count), "cross_entropy": (nats, count)}


def probabilities(config: Classification, split: Labelled, run: Run) -> np.ndarray:
    """Of each class, for every sequence."""
    found = [
        np.asarray(jax.nn.softmax(outputs))[batch.lengths > 0]
        for batch, outputs in run(in_order(config, split, config.data.rows))
    ]
    return np.concatenate(found)


def table(config: Classification, about: dict, split: Labelled, run: Run) -> Iterator[list]:
    """Each sequence with its class, the predicted one, and the probability of each."""
    classes = about["classes"]
    yield ["sequence", "class", "predicted", *(f"p({name})" for name in classes)]
    for k, (label, chances) in enumerate(
        zip(split.labels, probabilities(config, split, run), strict=True)
    ):
        predicted = classes[int(chances.argmax())]
        yield [k, classes[label] if label >= 0 else "", predicted, *(f"{p:.4f}" for p in chances)]


def draw(figure: Figure, config: Classification, data: Data, run: Run) -> None:
    """The confusion matrix of the test split."""
    from jlstm.plot.style import text_on
    from train.pictures import drawable

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
        title=f"{(predicted == data.test.labels).mean():.1%} of the test split are right",
    )  # fmt: skip
    figure.colorbar(image, ax=axes, label="share of the class")


TASK = Task(
    load, read, batches, in_order, loss, measure, table, draw,
    headline="accuracy", baseline="majority_accuracy", unit="cross_entropy", best=max,
    per_step=False,
)  # fmt: skip
