"""Packed rows: the quality of the plan, and the result of each sequence."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import jlstm
from tests.conftest import quick
from tests.support.problems import assert_close
from tests.support.reference import lstm

LENGTHS = [5, 1, 8, 0, 3, 3, 7, 2]


def sequences(lengths=LENGTHS, features=3):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, features)).astype(np.float32) for length in lengths]


@hypothesis.given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(0, 40))
def test_a_plan_holds_every_sequence_once(lengths, room):
    packing = jlstm.plan_packing(lengths, max(lengths) + room)
    time, rows = packing.resets.shape
    taken = np.zeros((time, rows), int)
    for row, start, length in zip(packing.row, packing.start, packing.length, strict=True):
        taken[start : start + length, row] += 1
        assert length == 0 or packing.resets[start, row]
    assert packing.length.tolist() == lengths
    assert packing.resets.sum() == sum(length > 0 for length in lengths)
    # Without overlap or gap: what is taken is what `lengths` says of each row.
    np.testing.assert_array_equal(taken, np.arange(time)[:, None] < packing.lengths)
    fewest = max(1, -(-sum(lengths) // max(time, 1)))
    assert rows <= 11 / 9 * fewest + 4 or rows <= sum(2 * length > time for length in lengths) + 1


def test_narrow_integers_do_not_overflow():
    plan = jlstm.plan_packing(np.array([30000, 30000], np.int16), 70000)
    assert plan.lengths.tolist() == [60000]
    plan = jlstm.plan_packing(np.array([200, 100, 55, 200, 56], np.uint8), 400)
    assert sorted(plan.lengths.tolist()) == [211, 400]
    assert len(jlstm.plan_packing(np.full(300, 3, np.int8)).lengths) == 300


def test_a_large_plan_is_quick_and_tight():
    lengths = np.random.default_rng(0).integers(1, 500, 50_000)
    packing = jlstm.plan_packing(lengths, 512)
    assert lengths.sum() / packing.resets.size > 0.99


@pytest.mark.full
@pytest.mark.parametrize("reverse", quick([False, True], {False}))
def test_each_sequence_has_its_own_result(reverse, x64):
    """Against the oracle, sequence by sequence, to the last digits of float64; and in gradients."""
    xs = [x.astype(np.float64) for x in sequences()]
    packing = jlstm.plan_packing([len(x) for x in xs], 10)
    assert packing.resets.shape[1] < len(xs)
    params = jlstm.init_params(jax.random.key(0), 3, 5, dtype=jnp.float64)
    packed = jlstm.pack(packing, xs)

    def scan(params, packed):
        masks = {"lengths": packing.lengths, "resets": packing.resets, "reverse": reverse}
        return jlstm.lstm_scan(params, None, packed, **masks)[1]

    found = jlstm.unpack(packing, scan(params, packed))
    for x, hs in zip(xs, found, strict=True):
        expected = lstm(params, None, x, reverse=reverse)[1]
        np.testing.assert_allclose(hs, expected, rtol=0, atol=1e-15)

    def apart(params):
        return sum((jlstm.lstm_scan(params, None, x, reverse=reverse)[1] ** 2).sum() for x in xs)

    together = jax.grad(lambda p: (scan(p, packed) ** 2).sum())(params)
    assert_close(together, jax.grad(apart)(params), 1e-14)


@pytest.mark.full
@pytest.mark.parametrize("bidirectional", quick([False, True], {True}))
def test_sequences_of_a_row_do_not_touch(bidirectional):
    """To the bit: a NaN in one sequence changes nothing in the others, nor in their gradients."""
    xs = sequences()
    packing = jlstm.plan_packing([len(x) for x in xs], 10)
    layers = jlstm.init_stack(jax.random.key(0), 3, (5, 4), bidirectional=bidirectional)

    def run(xs):
        packed = jlstm.pack(packing, xs)
        masks = {"lengths": packing.lengths, "resets": packing.resets}

        def scan(packed):
            hs = jlstm.stack_scan(layers, None, packed, **masks)[1]
            return [(h**2).sum() for h in jlstm.unpack(packing, hs)]

        hs = jlstm.stack_scan(layers, None, packed, **masks)[1]
        return jlstm.unpack(packing, hs), jlstm.unpack(packing, jax.jacrev(scan)(packed)[2])

    clean, of_third = run(xs)
    for k in (0, 4):
        spoiled = [np.full_like(x, np.nan) if j == k else x for j, x in enumerate(xs)]
        dirty, gradient = run(spoiled)
        for j in range(len(xs)):
            if j != k:
                np.testing.assert_array_equal(dirty[j], clean[j])
        np.testing.assert_array_equal(gradient[2], of_third[2])
    for j, gradient in enumerate(of_third):
        assert (np.asarray(gradient) != 0).any() == (j == 2)


def test_targets_of_any_shape_and_dtype_are_packed_alike():
    packing = jlstm.plan_packing([2, 3])
    labels = jlstm.pack(packing, [np.array([1, 2]), np.array([3, 4, 5])])
    assert labels.dtype == np.array([1]).dtype
    np.testing.assert_array_equal(labels.T, [[3, 4, 5], [1, 2, 0]])
    images = [np.ones((2, 4, 4)), np.ones((3, 4, 4))]
    back = jlstm.unpack(packing, jlstm.pack(packing, images))
    jax.tree.map(np.testing.assert_array_equal, back, images)


def test_bad_packing():
    with pytest.raises(
        ValueError, match=r"lengths must lie in \[0, 4\], the steps of a row; got 5"
    ):
        jlstm.plan_packing([3, 5], 4)
    with pytest.raises(ValueError, match=r"lengths must lie in \[0, 5\].*got -1"):
        jlstm.plan_packing([-1, 5])
    with pytest.raises(ValueError, match="lengths must hold 1 length or more"):
        jlstm.plan_packing([])
    with pytest.raises(TypeError, match="lengths must be integers, got float64"):
        jlstm.plan_packing([1.5])
    with pytest.raises(TypeError, match=r"time must be an integer, got 4\.0"):
        jlstm.plan_packing([1], 4.0)
    with pytest.raises(
        TypeError, match="lengths must be integers, the steps of each sequence, got"
    ):
        jlstm.plan_packing(sequences())
    with pytest.raises(TypeError, match="packing must be a Packing, from plan_packing; got list"):
        jlstm.pack(sequences(), jlstm.plan_packing(LENGTHS))
    with pytest.raises(
        TypeError, match="packing must be a Packing, from plan_packing; got ndarray"
    ):
        jlstm.unpack(np.ones((3, 2)), jlstm.plan_packing([2, 3]))
    with pytest.raises(
        ValueError, match=r"sequences\[0\] must lead with the time axis, got a scalar"
    ):
        jlstm.pack(jlstm.plan_packing([1, 1]), [1, 2])
    packing = jlstm.plan_packing([2, 3])
    with pytest.raises(ValueError, match="got 1 sequences, the packing holds 2"):
        jlstm.pack(packing, [np.ones(2)])
    with pytest.raises(ValueError, match=r"sequences\[1\] has 2 steps, the packing has 3"):
        jlstm.pack(packing, [np.ones(2), np.ones(2)])
    with pytest.raises(
        ValueError, match=r"sequences\[1\] has steps of shape \(2,\), sequences\[0\]"
    ):
        jlstm.pack(packing, [np.ones((2, 1)), np.ones((3, 2))])
    with pytest.raises(
        ValueError, match=r"ys has \(time, rows\) \(3, 1\), the packing has \(3, 2\)"
    ):
        jlstm.unpack(packing, np.ones((3, 1)))
