"""Batches by length: every example once an epoch, in an order of the seed."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.tasks.batches import drawn_by_length, every_step, in_order, padded, rounded_up

LENGTHS = np.random.default_rng(0).integers(1, 60, 96)


@pytest.mark.parametrize("bucket", [1, 4])
def test_every_example_once_an_epoch(bucket):
    drawn = drawn_by_length(LENGTHS, 8, bucket, seed=3)
    for epoch in range(2):
        found = np.concatenate([drawn(step) for step in range(12 * epoch, 12 * (epoch + 1))])
        assert sorted(found) == list(range(96))


def test_a_function_of_seed_and_step():
    first, again, other = (drawn_by_length(LENGTHS, 8, 4, seed) for seed in (0, 0, 1))
    steps = [17, 3, 40, 17]
    found = [first(step) for step in steps]
    np.testing.assert_array_equal(found, [again(step) for step in reversed(steps)][::-1])
    assert any((a != other(step)).any() for a, step in zip(found, steps, strict=True))


def test_batches_of_similar_length():
    def padding(bucket):
        drawn = drawn_by_length(LENGTHS, 8, bucket, seed=0)
        batches = [LENGTHS[drawn(step)] for step in range(96)]
        return sum((lengths.max() - lengths).sum() for lengths in batches)

    assert padding(12) < 0.3 * padding(1)
    drawn = drawn_by_length(LENGTHS, 8, 12, seed=0)
    means = [LENGTHS[drawn(step)].mean() for step in range(12)]
    assert means != sorted(means)  # the order of the batches is drawn, too


def test_an_epoch_need_not_fill_its_batches():
    drawn = drawn_by_length(LENGTHS[:10], 4, 2, seed=0)
    count = collections.Counter(np.concatenate([drawn(step) for step in range(50)]))
    assert set(count.values()) == {20}


def test_a_data_set_of_grain_without_an_end():
    batches = every_step(lambda step: step * step)
    assert batches[10**9] == 10**18
    assert [x for x, _ in zip(batches[5:].to_iter_dataset(), range(3), strict=False)] == [
        25,
        36,
        49,
    ]


@given(st.integers(0, 50), st.integers(1, 9))
def test_in_order(count, rows):
    found = list(in_order(count, rows))
    assert all(len(places) == rows for places in found)
    flat = np.concatenate([*found, []])
    assert flat[flat >= 0].tolist() == list(range(count))


@given(st.integers(1, 5000))
def test_sizes_of_padded_batches_are_few(steps):
    found = rounded_up(steps)
    assert steps <= found <= max(8, 1.5 * steps)
    assert found in {*(8 * 2**k for k in range(12)), *(12 * 2**k for k in range(12))}


def test_padding():
    sequences = [np.full((n, 2), n, np.float32) for n in (3, 9, 0)]
    batch, lengths = padded(sequences, longest=10)
    assert batch.shape == (3, 10, 2)
    np.testing.assert_array_equal(lengths, [3, 9, 0])
    for row, n in zip(batch, lengths, strict=True):
        assert (row[:n] == n).all()
        assert not row[n:].any()
