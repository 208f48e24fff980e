"""A text as numbers: its vocabulary, its three splits by position, and the batches of a step."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from train.config import Data
from train.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int


class Text(NamedTuple):
    """A text cut into its splits, each an array of indices into the vocabulary."""

    vocabulary: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    sha256: str
    source: str


class Batch(NamedTuple):
    """What one training step reads: each target is the character after its input."""

    inputs: Int[Array, "time batch"]
    targets: Int[Array, "time batch"]
    first: Bool[Array, ""]  # an epoch begins: what was remembered is of another place


def load_text(data: Data) -> Text:
    """Read and cut the text.

    Raises:
      InputError: a file that is missing, empty, not UTF-8, or too short for one training step.
    """
    source, text = read_text(data.path)
    vocabulary = "".join(sorted(set(text)))
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
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Text(vocabulary, train, validation, test, digest, source)


def read_text(path: str | None) -> tuple[str, str]:
    """`(name, text)` of the file, or of the Python language reference without one."""
    if path is None:
        from pydoc_data.topics import topics

        return "Python's language reference", "".join(topics[name] for name in sorted(topics))
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read data.path {path}: {error.strerror}") from None
    except ValueError as error:  # a path with a character of code 0
        raise InputError(f"cannot read data.path {path!r}: {error}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"data.path {path} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
        ) from None
    if not text:
        raise InputError(f"data.path {path} is empty")
    return path, text


def encode(text: str, vocabulary: str) -> np.ndarray:
    """The place of each character in the sorted vocabulary; all of them have to be in it."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known = np.frombuffer(vocabulary.encode("utf-32-le"), np.uint32)
    # The smallest type that holds the vocabulary: the whole text lies on the device.
    return np.searchsorted(known, codes).astype(np.min_scalar_type(len(vocabulary) - 1))


def decode(tokens: np.ndarray, vocabulary: str) -> str:
    """The text of these tokens."""
    return "".join(vocabulary[token] for token in np.asarray(tokens))


def line_start(vocabulary: str) -> str:
    """The character that lines begin after, or any other where there are no lines."""
    return "\n" if "\n" in vocabulary else vocabulary[0]


def steps_per_epoch(characters: int, data: Data) -> int:
    """Training steps in which every row is read once; each character has one after it."""
    return (characters - 1) // (data.rows * data.chunk)


def batch_at(
    tokens: Int[Array, "characters"], data: Data, seed: int, step: Int[Array, ""]
) -> Batch:
    """The batch of a step, a pure function of seed and step.

    Row after row lies one after the other in the text, and each row goes on where it was at the
    step before. What does not fill a last chunk is left out at a place drawn anew every epoch.
    """
    steps = steps_per_epoch(tokens.size, data)
    slack = tokens.size - 1 - data.rows * steps * data.chunk
    epoch, position = step // steps, step % steps
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    start = jax.random.randint(key, (), 0, slack + 1) + position * data.chunk
    rows = start + steps * data.chunk * jnp.arange(data.rows)
    text = tokens[rows + jnp.arange(data.chunk + 1)[:, None]].astype(jnp.int32)
    return Batch(inputs=text[:-1], targets=text[1:], first=position == 0)


def unigram_bits(train: np.ndarray, test: np.ndarray, size: int) -> float:
    """Bits per character of the test split by the frequencies of the training split alone."""
    counts = np.bincount(train, minlength=size) + 1  # Laplace's rule: no character has chance 0
    return float(np.log2(counts.sum() / counts)[test].mean())
