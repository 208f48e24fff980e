"""The next character of a text; each row of a batch continues that of the previous step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train.config.tasks import CharLM, Text
from train.errors import InputError
from train.model import Params, apply
from train.readers.files import read_bytes, text_of
from train.tasks import ALL_ROWS, Batch, Data, Run, Shape, Sums, Task
from train.tasks.batches import every_step
from train.viewer import views

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array, Float, Int, PRNGKeyArray
    from matplotlib.figure import Figure


SHOWN = 200  # characters of a vocabulary to list in an error


def load(config: CharLM) -> Data:
    """Read and split the text.

    Raises:
      InputError: a file that is missing, empty, not UTF-8, or too short for one training step.
    """
    data = config.data
    source, text = read_text(data.path)
    vocabulary = "".join(sorted(set(text)))
    if len(vocabulary) < 2:
        raise InputError(f"{source} holds no character but {vocabulary!r}: nothing to learn")
    tokens = encode(text, vocabulary)
    valid_size, test_size = int(len(text) * data.validation), int(len(text) * data.test)
    train, validation, test = np.split(
        tokens, [len(text) - valid_size - test_size, len(text) - test_size]
    )
    needed = data.rows * data.chunk + 1
    if len(train) < needed:
        raise InputError(
            f"{source} is too short: {len(train)} characters to train on, and data.rows * "
            f"data.chunk + 1 = {data.rows} * {data.chunk} + 1 = {needed} are needed for one step"
        )
    if min(len(validation), len(test)) < 2:
        raise InputError(
            f"{source} is too short: its validation and test splits have {len(validation)} and "
            f"{len(test)} characters, 2 are needed"
        )
    size = len(vocabulary)
    facts = {
        "unigram_bits_per_char": unigram_bits(train, test, size), "vocabulary": size,
        "train_characters": len(train), "test_characters": len(test),
    }  # fmt: skip
    digest = hashlib.sha256(text.encode()).hexdigest()
    shape, about = Shape(size, 0, size), {"vocabulary": vocabulary}
    return Data(train, validation, test, shape, about, facts, source, digest)


def read(config: CharLM, about: dict[str, Any], path: str) -> np.ndarray:
    """Read another text as one split.

    Raises:
      InputError: as `load`, or characters that the model does not know.
    """
    source, text = read_text(path)
    if len(text) < 2:
        raise InputError(f"{source} is too short: it has one character, 2 are needed")
    return known(f"{source} holds", text, about["vocabulary"])


def known(whose: str, text: str, vocabulary: str) -> np.ndarray:
    """The tokens of a text; `whose` starts the error about characters outside the vocabulary."""
    unknown = sorted(set(text) - set(vocabulary))
    if unknown:
        raise InputError(
            f"{whose} {''.join(unknown)[:SHOWN]!r}, which the run's text does not; it knows "
            f"{vocabulary[:SHOWN]!r}{', and more' if len(vocabulary) > SHOWN else ''}"
        )
    return encode(text, vocabulary)


def read_text(path: str | None) -> tuple[str, str]:
    """`(name, text)` of the file, or of the Python language reference without one.

    Line ends become line feeds.
    """
    if path is None:
        from pydoc_data.topics import topics

        return "Python's language reference", "".join(topics[name] for name in sorted(topics))
    text = text_of(f"data.path {path}", read_bytes("data.path", path))
    if not text:
        raise InputError(f"data.path {path} is empty")
    return path, text.replace("\r\n", "\n").replace("\r", "\n")  # as Python's `open` does


def encode(text: str, vocabulary: str) -> np.ndarray:
    """The index of each character in the sorted vocabulary, which must contain all of them."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known = np.frombuffer(vocabulary.encode("utf-32-le"), np.uint32)
    return np.searchsorted(known, codes).astype(np.min_scalar_type(len(vocabulary) - 1))


def decode(tokens: np.ndarray, vocabulary: str) -> str:
    """The text of these tokens."""
    return "".join(vocabulary[token] for token in np.asarray(tokens))


def line_start(vocabulary: str) -> str:
    """The character before the start of a line; the first one if the text has no lines."""
    return "\n" if "\n" in vocabulary else vocabulary[0]


def unigram_bits(train: np.ndarray, test: np.ndarray, size: int) -> float:
    """Bits per character of the test split by the character frequencies of the training split."""
    counts = np.bincount(train, minlength=size) + 1  # Laplace's rule: no probability is 0
    return float(np.log2(counts.sum() / counts)[test].mean())


def steps_per_epoch(characters: int, data: Text) -> int:
    """Training steps per epoch; the last character is only a target."""
    return (characters - 1) // (data.rows * data.chunk)


def batch_at(tokens: np.ndarray, data: Text, seed: int, step: int, own: slice = ALL_ROWS) -> Batch:
    """The batch of a step, or its rows `own`: a pure function of seed and step.

    The rows divide the text into consecutive pieces, and each row continues where it was at the
    previous step. Characters that do not fill a chunk are left out, at a new place every epoch.
    """
    steps = steps_per_epoch(tokens.size, data)
    slack = tokens.size - 1 - data.rows * steps * data.chunk
    epoch, position = divmod(step, steps)
    start = np.random.default_rng((seed, epoch)).integers(0, slack + 1) + position * data.chunk
    rows = start + steps * data.chunk * np.arange(data.rows)
    return _batch(tokens, rows[own, None] + np.arange(data.chunk + 1), first=position == 0)


def _batch(tokens: np.ndarray, places: np.ndarray, first: bool) -> Batch:
    text = tokens[np.minimum(places, len(tokens) - 1)].astype(np.int32)
    lengths = (places[:, 1:] < len(tokens)).sum(1).astype(np.int32)
    return Batch(text[:, :-1], text[:, 1:], lengths, np.full(len(places), first))


def batches(config: CharLM, data: Data, own: slice = ALL_ROWS) -> grain.MapDataset:
    """The rows `own` of the training batch of every step."""
    return every_step(lambda step: batch_at(data.train, config.data, config.seed, step, own))


def in_order(
    config: CharLM, tokens: np.ndarray, rows: int, own: slice = ALL_ROWS
) -> Iterator[Batch]:
    """Every character after the first once, in `rows` pieces that are read in parallel.

    Each piece starts from zero memory, which can only raise the figures a little.
    """
    chunk = config.data.chunk
    pieces = min(rows, max(1, (len(tokens) - 1) // chunk))
    chunks = -(-(len(tokens) - 1) // (pieces * chunk))
    starts = np.full(rows, len(tokens))  # rows that only fill the batch are past the end
    starts[:pieces] = np.arange(pieces) * chunks * chunk
    for k in range(chunks):
        yield _batch(tokens, starts[own, None] + k * chunk + np.arange(chunk + 1), first=k == 0)


def loss(outputs: Array, batch: Batch) -> tuple[Array, Array]:
    """The nats of all characters, and their number."""
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
    counted = jnp.arange(losses.shape[1]) < batch.lengths[:, None]
    return jnp.where(counted, losses, 0).sum(), counted.sum()


def measure(outputs: Array, batch: Batch) -> Sums:
    """Bits per character."""
    nats, count = loss(outputs, batch)
    return {"bits_per_char": (nats / np.log(2), count)}


def table(config: CharLM, about: dict[str, Any], tokens: np.ndarray, run: Run) -> Iterator[list]:
    """Each character after the first with its bits, and the likeliest character."""
    vocabulary = about["vocabulary"]
    yield ["place", "character", "bits", "likeliest", "probability"]
    place = 1
    for batch, outputs in run(in_order(config, tokens, 1)):
        logp = np.asarray(jax.nn.log_softmax(outputs[0]))
        for row, target in list(zip(logp, batch.targets[0], strict=True))[: batch.lengths[0]]:
            best = int(row.argmax())
            bits = -row[target] / np.log(2)
            yield [place, vocabulary[target], f"{bits:.4f}", vocabulary[best],
                   f"{np.exp(row[best]):.4f}"]  # fmt: skip
            place += 1


def draw(figure: Figure, config: CharLM, data: Data, run: Run) -> None:
    """Bits of each character of a passage of the test split."""
    from matplotlib.font_manager import findfont, get_font

    from train.output.pictures import text_on

    font, width = "DejaVu Sans Mono", 60
    glyphs = get_font(findfont(font)).get_charmap()
    _, *rows = table(config, data.about, data.test[:241], run)
    bits = np.full(-(-len(rows) // width) * width, np.nan)
    bits[: len(rows)] = [float(row[2]) for row in rows]
    axes = figure.subplots()
    image = axes.imshow(bits.reshape(-1, width), vmin=0, vmax=8, aspect="auto")
    for k, (_, character, *_) in enumerate(rows):
        drawable = character.isprintable() and ord(character) in glyphs
        axes.text(
            k % width, k // width, character if drawable else "·", ha="center", va="center",
            fontfamily=font, fontsize=8, color=text_on(image.cmap(image.norm(bits[k]))),
            parse_math=False,
        )  # fmt: skip
    axes.set(xticks=[], yticks=[], title="Bits of each character, at the start of the test split")
    figure.colorbar(image, ax=axes, label="bits")


def sample(config: CharLM, data: Data, params: Params, step: int) -> str:
    """Generate text with the current weights, from the start of a line."""
    vocabulary = data.about["vocabulary"]
    key = jax.random.fold_in(jax.random.key(config.seed), step)
    prompt = encode(line_start(vocabulary), vocabulary)
    options = config.sample
    return decode(generate(config, params, key, prompt, options.length, options.temperature),
                  vocabulary)  # fmt: skip


@partial(jax.jit, static_argnames=("config", "length"))
def generate(
    config: CharLM,
    params: Params,
    key: PRNGKeyArray,
    prompt: Int[Array, "time"],
    length: int,
    temperature: Float[Array, ""],
) -> Int[Array, "length"]:
    """Sample tokens after the prompt; temperature 0 takes the likeliest."""
    memory, outputs, _ = apply(config, params, None, prompt[None])

    def step(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        memory, logits = carry
        drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
        token = jnp.where(temperature > 0, drawn, jnp.argmax(logits))
        memory, outputs, _ = apply(config, params, memory, token[None, None])
        return (memory, outputs[0, -1]), token

    keys = jax.random.split(key, length)
    return jax.lax.scan(step, (memory, outputs[0, -1]), keys)[1]


TASK = Task(
    title="Language model",
    load=load, read=read, batches=batches, in_order=in_order, loss=loss, measure=measure,
    table=table, draw=draw,
    headline="bits_per_char", baseline="unigram_bits_per_char", unit="bits_per_char",
    scale=1 / float(np.log(2)), memory=True, sample=sample,
    picture=(
        "A passage of the test split: each character is coloured by its bits, -log2 of the "
        "probability that the model gave to it."
    ),
    view=views.text_view,
)  # fmt: skip
