"""Batches of sequences of different lengths: a pure function of seed and step, by grain.

grain shuffles, and prefetches in threads. It has no batching by length, so that is here: examples
for several batches are drawn at once, sorted by length and divided, and these batches are shuffled.
Every epoch has every example once.
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
    """The batch of each step, as an infinite data set of grain."""
    return grain.MapDataset.range(sys.maxsize).map(batch_at)


def drawn_by_length(
    lengths: Sequence[int], rows: int, bucket: int, seed: int
) -> Callable[[int], np.ndarray]:
    """A function from a step to the examples of its batch.

    Args:
      lengths: the length of every example.
      rows: the batch size.
      bucket: the number of batches to draw at once and sort by length.
      seed: the seed of the order.
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
    """The numbers below `count`, `rows` at a time; the last ones are padded with -1."""
    for start in range(0, count, rows):
        numbers = np.arange(start, min(start + rows, count))
        yield np.pad(numbers, (0, rows - len(numbers)), constant_values=-1)


def padded(
    sequences: Sequence[np.ndarray], longest: int, own: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Stack sequences `(time, ...)` to `(batch, time, ...)`, padded with zeros; and their lengths.

    Time is one of few sizes, so that few programs are compiled, and at most `longest`. It does not
    depend on `own`, the slice of sequences to return.
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
