"""Batches of sequences of different lengths: a pure function of seed and step, by grain.

grain shuffles, and reads ahead in threads. It has no batches by length, so those are here: as many
examples as make a few batches are drawn at once, sorted by length and cut, and these batches come
in any order. Every epoch holds every example once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import grain
import numpy as np

SHORTEST = 8  # steps of the shortest padded batch


def every_step(batch_at: Callable[[int], Any]) -> grain.MapDataset:
    """The batch of each step, as a data set of grain without an end."""
    return grain.MapDataset.range(sys.maxsize).map(batch_at)


def drawn_by_length(
    lengths: Sequence[int], rows: int, bucket: int, seed: int
) -> Callable[[int], np.ndarray]:
    """The examples of the batch of a step, as a function of the step.

    Args:
      lengths: of every example.
      rows: examples of a batch.
      bucket: batches that are drawn at once and sorted by length.
      seed: of the order.
    """
    order = grain.MapDataset.range(len(lengths)).seed(seed).shuffle().repeat()
    sizes = np.asarray(lengths)

    @lru_cache(maxsize=2)
    def window(k: int) -> np.ndarray:
        drawn = np.array([order[i] for i in range(k * rows * bucket, (k + 1) * rows * bucket)])
        by_length = drawn[np.argsort(sizes[drawn], kind="stable")].reshape(bucket, rows)
        return np.random.default_rng((seed, k)).permutation(by_length)

    return lambda step: window(step // bucket)[step % bucket]


def in_order(count: int, rows: int) -> Iterator[np.ndarray]:
    """The numbers below `count`, `rows` at a time; -1 fills the last ones up."""
    for start in range(0, count, rows):
        found = np.arange(start, min(start + rows, count))
        yield np.pad(found, (0, rows - len(found)), constant_values=-1)


def padded(
    sequences: Sequence[np.ndarray], longest: int, own: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences `(time, ...)` side by side, `(batch, time, ...)`, padded with zeros; their lengths.

    Time is one of few sizes, so that few programs are compiled, and at most `longest`. It is that
    of all the sequences, also where only those of `own` are wanted.
    """
    time = min(rounded_up(max(map(len, sequences))), longest)
    sequences = sequences[own]
    lengths = np.array([len(s) for s in sequences], np.int32)
    batch = np.zeros((len(sequences), time, *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(batch, sequences, strict=True):
        row[: len(sequence)] = sequence
    return batch, lengths


def rounded_up(steps: int) -> int:
    """The next of 8, 12, 16, 24, 32, 48, ...: at most a third is padding."""
    power = SHORTEST
    while power < steps:
        if steps <= power * 3 // 2:
            return power * 3 // 2
        power *= 2
    return power
