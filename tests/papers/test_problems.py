"""The data of the experiments: targets recomputed from inputs in an independent way."""

import itertools
import math
from functools import partial

import jax
import numpy as np
import pytest

from papers.layers.streams import end_error
from papers.problems import arithmetic, copying, is_correct, lags, mackey_glass, order, reber
from papers.problems import two_sequence as two

pytestmark = pytest.mark.full

KEYS = jax.random.split(jax.random.key(0), 200)


def drawn(draw, keys=KEYS):
    return jax.tree.map(np.asarray, jax.vmap(draw)(keys))


def each(sequences):
    """The valid steps of each sequence, and its target."""
    for xs, valid, target in zip(*sequences, strict=True):
        assert valid[-1]
        assert (np.diff(valid.astype(int)) >= 0).all()  # they end together
        yield xs[valid], target


@pytest.mark.parametrize("steps", [20, 100])
def test_adding(steps):
    for xs, target in each(drawn(partial(arithmetic.adding, steps))):
        assert steps <= len(xs) <= 1.1 * steps
        numbers, marks = xs.T
        assert marks[0] in (-1, 1)
        assert marks[-1] == -1
        marked = np.flatnonzero(marks == 1)
        here = [numbers[k] for k in marked if k > 0]  # a first step's number does not count
        first_marked = 2 - len(here)
        assert len(marked) + (marks[0] == -1 and first_marked) == 2
        assert marked.max() < steps / 2
        np.testing.assert_allclose(target, 0.5 + sum(here) / 4, atol=1e-6)


def test_multiplication_takes_numbers_from_0_to_1():
    for xs, target in each(drawn(partial(arithmetic.multiplication, 50))):
        assert (xs[:, 0] >= 0).all()
        here = [xs[k, 0] for k in np.flatnonzero(xs[:, 1] == 1) if k > 0]
        np.testing.assert_allclose(target, math.prod(here), atol=1e-6)


@pytest.mark.parametrize("windows", [order.TWO, order.THREE], ids=["6a", "6b"])
def test_temporal_order(windows):
    seen = set()
    for xs, target in each(drawn(partial(order.temporal_order, windows))):
        assert 100 <= len(xs) <= 110
        letters = "".join(order.LETTERS[k] for k in xs)
        assert letters[0] == "E"
        assert letters[-1] == "B"
        places = [k for k, letter in enumerate(letters) if letter in "XY"]
        for place, (low, high) in zip(places, windows, strict=True):
            assert low <= place <= high
        which = "".join(letters[k] for k in places)
        code = int(which.replace("X", "0").replace("Y", "1"), 2)
        assert target.argmax() == code
        assert target.sum() == 1
        seen.add(which)
    assert len(seen) == 2 ** len(windows)


def test_two_sequence():
    for xs, target in each(drawn(partial(two.two_sequence, 100, 3))):
        assert (xs[:3, 0] == (1 if target[0] == 1 else -1)).all()
    xs = np.concatenate([xs[3:, 0] for xs, _ in each(drawn(partial(two.noisy_signal, 100, 3)))])
    assert abs(xs.mean()) < 0.02
    assert abs(xs.var() - 0.2) < 0.01
    expected = drawn(partial(two.expected_target, 100, 3)).target.ravel()
    assert set(np.unique(expected.round(6))) == {np.float32(0.2), np.float32(0.8)}
    sequences = each(drawn(partial(two.noisy_target, 100, 3)))
    targets = {1: [], -1: []}
    for xs, target in sequences:
        assert abs(xs[:3, 0]).min() == 1
        assert len(set(xs[:3, 0])) == 1
        targets[int(xs[0, 0])].append(target[0])
    for level, mean in ((1, 0.2), (-1, 0.8)):
        assert abs(np.mean(targets[level]) - mean) < 0.1
        assert abs(np.var(targets[level]) - 0.1) < 0.05


def test_long_lags_end_as_they_begin():
    for draw in (partial(lags.in_turn, 30), partial(lags.at_random, 30)):
        xs = drawn(draw)
        assert xs.shape == (200, 31)
        assert (xs[:, 0] == xs[:, -1]).all()
        assert set(xs[:, 0]) == {29, 30}
        assert xs[:, 1:-1].max() < 29
    for xs, target in each(drawn(partial(lags.very_long, 40, 12))):
        assert xs[0] == 13  # b
        assert xs[-1] == 12  # e
        assert xs[1] == 14 + target.argmax()
        assert len(xs) >= 43
        assert xs[2:-1].max() < 12


def test_a_sequence_with_a_lag_as_a_stream():
    stream = lags.as_stream(partial(lags.in_turn, 10), KEYS[0])
    perfect = jax.nn.one_hot(stream.following, 11)
    assert is_correct(perfect, stream).all()
    assert float(end_error(perfect, stream)) == 0
    wrong = perfect.at[-2].set(jax.nn.one_hot(19 - stream.following[-2], 11))  # the other of two
    assert not is_correct(wrong, stream).all()
    assert float(end_error(wrong, stream)) == 1


def test_strings_of_the_continual_grammar_are_endless():
    _, seen = reber.continual(reber.start(KEYS[0]), KEYS[1], 3000)
    symbols = "".join(reber.SYMBOLS[k] for k in np.asarray(seen.symbols))
    starts = np.flatnonzero(np.asarray(seen.starts))
    for begin, end in itertools.pairwise(starts):
        assert symbols[begin] == "B"
        assert symbols[end - 1] == "E"
        assert symbols[begin + 1] == symbols[end - 2]
    allowed, following = np.asarray(seen.allowed), np.asarray(seen.following)
    assert allowed[np.arange(3000), following].all()
    assert set(allowed.sum(1)) == {1, 2}


def test_copying():
    xs, due = drawn(partial(copying.copying, 30))
    assert xs.shape == due.shape == (200, 50)
    assert (xs[:, :10] == due[:, -10:]).all()
    assert (xs == copying.MARK).sum() == 200
    assert (xs[:, 39] == copying.MARK).all()
    assert (due[:, :-10] == copying.BLANK).all()
    # blanks are predicted with certainty, the last ten are one of eight each
    assert copying.without_memory(30) == pytest.approx(10 * math.log(8) / 50)


def test_mackey_glass_is_the_euler_method():
    key, steps = jax.random.key(3), 40
    past = list(np.float64(1.2) + 0.2 * (np.asarray(jax.random.uniform(key, (170,))) - 0.5))
    x, expected = 1.2, []
    for k in range((100 + steps + 15) * 10):
        delayed = past.pop(0)
        past.append(x)
        x += (0.2 * delayed / (1 + delayed**10) - 0.1 * x) / 10
        if k % 10 == 9:
            expected.append(math.tanh(x - 1))
    found = mackey_glass._one(key, 100 + steps + 15)
    # float32 against float64 in 1,550 steps of a system that is a little chaotic
    np.testing.assert_allclose(found, expected, atol=2e-4)
    values = np.asarray(mackey_glass.series(key, 3, steps))
    assert values.shape == (3, steps + 15)
    assert abs(values.mean()) < 1e-6
