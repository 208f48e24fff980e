"""The written semantics of a sequence call, each as an identity of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from tests.support.problems import assert_close, make_problem, tolerance, vjp

BAD = [jnp.nan, jnp.inf, -jnp.inf, 1e38]


def plain(time=8, batch=(3,), seed=0, **more):
    return make_problem(seed, time, batch, **{"lengths": False, "resets": False, **more})


@pytest.mark.parametrize("cut", [0, 1, 5, 8])
@pytest.mark.parametrize("resets", [False, True])
def test_split_equals_whole(cut, resets):
    """Bit for bit: both run the same steps on the same numbers."""
    params, state, xs, options = plain(resets=resets).arrays()
    mask, blank = options.get("resets"), options.get("reset_state")
    whole, hs = jlstm.lstm_scan(params, state, xs, resets=mask, reset_state=blank)
    parts = []
    for part in (slice(None, cut), slice(cut, None)):
        inside = None if mask is None else mask[part]
        state, part_hs = jlstm.lstm_scan(params, state, xs[part], resets=inside, reset_state=blank)
        parts.append(part_hs)
    np.testing.assert_array_equal(np.concatenate(parts), hs)
    jax.tree.map(np.testing.assert_array_equal, state, whole)


@pytest.mark.parametrize("cut", [0, 3, 8])
def test_reversed_split_equals_whole(cut):
    params, state, xs, _ = plain().arrays()
    whole, hs = jlstm.lstm_scan(params, state, xs, reverse=True)
    middle, late = jlstm.lstm_scan(params, state, xs[cut:], reverse=True)
    last, early = jlstm.lstm_scan(params, middle, xs[:cut], reverse=True)
    np.testing.assert_array_equal(np.concatenate([early, late]), hs)
    jax.tree.map(np.testing.assert_array_equal, last, whole)


def test_reversed_split_at_a_reset_passes_the_reset_state():
    params, state, xs, options = plain(resets=True).arrays()
    cut, blank = 4, options["reset_state"]
    resets = jnp.asarray(options["resets"]).at[cut].set(True)
    whole, hs = jlstm.lstm_scan(params, state, xs, resets=resets, reset_state=blank, reverse=True)
    _, late = jlstm.lstm_scan(
        params, state, xs[cut:], resets=resets[cut:], reset_state=blank, reverse=True
    )
    last, early = jlstm.lstm_scan(
        params, blank, xs[:cut], resets=resets[:cut], reset_state=blank, reverse=True
    )
    np.testing.assert_array_equal(np.concatenate([early, late]), hs)
    jax.tree.map(np.testing.assert_array_equal, last, whole)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_ragged_batch_is_its_sequences_one_by_one(reverse):
    params, state, xs, options = make_problem(1, time=8, batch=(2, 3), reverse=reverse).arrays()
    lengths, resets, blank = options["lengths"], options["resets"], options["reset_state"]
    last, hs = jlstm.lstm_scan(params, state, xs, **options)
    for b in np.ndindex(2, 3):
        part = slice(None, int(lengths[b])), *b

        def own(tree, b=b):
            return jax.tree.map(lambda a: a[b], tree)

        alone, alone_hs = jlstm.lstm_scan(
            params, own(state), xs[part], resets=resets[part], reset_state=own(blank),
            reverse=reverse,
        )  # fmt: skip
        assert_close(hs[part], alone_hs, 1e-6)
        assert_close(own(last), alone, 1e-6)
        assert not hs[lengths[b] :, *b].any()


@pytest.mark.parametrize("reverse", [False, True])
def test_unbatched_equals_batched_equals_vmapped(reverse):
    problem = make_problem(2, time=6, batch=(4,), reverse=reverse)
    params, state, xs, options = problem.arrays()

    def alone(state, xs, lengths, resets, blank):
        return jlstm.lstm_scan(
            params, state, xs, lengths=lengths, resets=resets, reset_state=blank, reverse=reverse
        )

    batched = alone(state, xs, *(options[k] for k in ("lengths", "resets", "reset_state")))
    vmapped = jax.vmap(alone, in_axes=(0, 1, 0, 1, 0), out_axes=(0, 1))(
        state, xs, options["lengths"], options["resets"], options["reset_state"]
    )
    assert_close(vmapped, batched, 1e-6)
    folded = jlstm.lstm_scan(
        params,
        jax.tree.map(lambda a: a.reshape(2, 2, -1), state),
        xs.reshape(6, 2, 2, -1),
        lengths=options["lengths"].reshape(2, 2),
        resets=options["resets"].reshape(6, 2, 2),
        reset_state=jax.tree.map(lambda a: a.reshape(2, 2, -1), options["reset_state"]),
        reverse=reverse,
    )
    assert_close(jax.tree.leaves(folded)[0].reshape(4, -1), batched[0].h, 1e-6)
    assert_close(folded[1].reshape(6, 4, -1), batched[1], 1e-6)


@pytest.mark.parametrize("lengths", [None, [3, 0, 2]])
@pytest.mark.parametrize("reverse", [False, True])
def test_zero_steps_return_the_state(lengths, reverse):
    params, state, _, _ = plain().arrays()
    for xs, mask in ((jnp.ones((0, 3, 4)), None), (jnp.ones((5, 3, 4)), jnp.zeros(3, int))):
        last, hs = jlstm.lstm_scan(params, state, xs, lengths=mask, reverse=reverse)
        jax.tree.map(np.testing.assert_array_equal, last, state)
        assert hs.shape == (len(xs), 3, 5)
        assert not hs.any()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("save", ["gates", "states", 3])
def test_padding_reaches_nothing(bad, reverse, save):
    clean = make_problem(3, time=8, batch=(4,), reverse=reverse)
    padded = np.arange(8)[:, None] >= clean.options["lengths"]
    dirty = clean._replace(
        xs=np.where(padded[..., None], bad, clean.xs),
        cotangents=(
            clean.cotangents[0],
            np.where(padded[..., None], bad, clean.cotangents[1]),
        ),
    )
    zero = clean._replace(xs=np.where(padded[..., None], 0, clean.xs))
    scan = jax.tree_util.Partial(jlstm.lstm_scan, save=save)
    jax.tree.map(np.testing.assert_array_equal, dirty.call(scan), zero.call(scan))
    jax.tree.map(np.testing.assert_array_equal, vjp(scan, dirty), vjp(scan, zero))
    assert not np.asarray(vjp(scan, dirty)["xs"])[padded].any()


def test_padding_reaches_no_tangent():
    params, state, xs, options = make_problem(3, time=8, batch=(4,)).arrays()
    padded = (np.arange(8)[:, None] >= options["lengths"])[..., None]
    dirty = jnp.where(padded, jnp.nan, xs)
    _, tangents = jax.jvp(
        lambda xs: jlstm.lstm_scan(params, state, xs, **options), (dirty,), (dirty,)
    )
    assert all(jnp.isfinite(t).all() for t in jax.tree.leaves(tangents))


@pytest.mark.parametrize("reverse", [False, True])
def test_values_before_a_reset_do_not_survive_it(reverse):
    params, state, xs, _ = plain().arrays()
    resets = jnp.zeros((8, 3), bool).at[4].set(True)
    lost = slice(4, None) if reverse else slice(None, 4)
    kept = slice(None, 4) if reverse else slice(4, None)
    clean = jlstm.lstm_scan(params, state, xs, resets=resets, reverse=reverse)
    nan = jax.tree.map(lambda s: s * jnp.nan, state)
    dirty = jlstm.lstm_scan(params, nan, xs.at[lost].set(jnp.nan), resets=resets, reverse=reverse)
    np.testing.assert_array_equal(dirty[1][kept], clean[1][kept])
    jax.tree.map(np.testing.assert_array_equal, dirty[0], clean[0])
    assert jnp.isnan(dirty[1][lost]).all()


@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradient_does_not_cross_a_reset(reverse):
    params, state, xs, _ = plain().arrays()
    resets = jnp.zeros((8, 3), bool).at[4].set(True)
    kept = slice(None, 4) if reverse else slice(4, None)

    def shown(state, xs):
        return jlstm.lstm_scan(params, state, xs, resets=resets, reverse=reverse)[1][kept].sum()

    d_state, d_xs = jax.grad(shown, argnums=(0, 1))(state, xs)
    assert not any(d.any() for d in d_state)
    outside = np.ones(8, bool)
    outside[kept] = False
    assert not d_xs[outside].any()
    assert d_xs[kept].all()


@pytest.mark.parametrize("reverse", [False, True])
def test_resets_past_the_length_and_reversed_at_zero_do_nothing(reverse):
    params, state, xs, _ = plain().arrays()
    lengths = jnp.array([8, 0, 5])
    idle = jnp.arange(8)[:, None] >= lengths
    if reverse:
        idle = idle.at[0].set(True)
    scan = partial(jlstm.lstm_scan, params, state, xs, lengths=lengths, reverse=reverse)
    jax.tree.map(np.testing.assert_array_equal, scan(resets=idle), scan(resets=idle & False))
    assert_close(scan(resets=idle), scan(), tolerance(jnp.float32))  # another program


def test_reset_at_zero_replaces_the_state_forward():
    params, state, xs, _ = plain().arrays()
    resets = jnp.zeros((8, 3), bool).at[0].set(True)
    assert_close(
        jlstm.lstm_scan(params, state, xs, resets=resets), jlstm.lstm_scan(params, None, xs), 0
    )


def test_reverse_is_the_flipped_sequence():
    params, state, xs, _ = plain().arrays()
    last, hs = jlstm.lstm_scan(params, state, xs, reverse=True)
    flipped, flipped_hs = jlstm.lstm_scan(params, state, xs[::-1])
    np.testing.assert_array_equal(hs, flipped_hs[::-1])
    jax.tree.map(np.testing.assert_array_equal, last, flipped)


def test_causality():
    """`hs[t]` depends on `xs[:t + 1]` of its own sequence, and on nothing else."""
    params, state, xs, _ = plain(time=5).arrays()
    jacobian = jax.jacrev(lambda xs: jlstm.lstm_scan(params, state, xs)[1])(xs)
    influence = np.abs(jacobian).sum((2, 5)) > 0  # (t, b, t', b')
    now, own, then, other = np.ogrid[:5, :3, :5, :3]
    np.testing.assert_array_equal(influence, (then <= now) & (own == other))


def test_state_none_is_zeros():
    params, _, xs, _ = plain().arrays()
    zero = jlstm.init_state(params, (3,))
    jax.tree.map(
        np.testing.assert_array_equal,
        jlstm.lstm_scan(params, None, xs),
        jlstm.lstm_scan(params, zero, xs),
    )


def test_traced_lengths_are_clamped():
    params, state, xs, _ = plain().arrays()

    def run(lengths):
        return jlstm.lstm_scan(params, state, xs, lengths=lengths)

    jax.tree.map(
        np.testing.assert_array_equal,
        jax.jit(run)(jnp.array([-3, 99, 4])),
        jax.jit(run)(jnp.array([0, 8, 4])),
    )


def test_same_inputs_same_bits():
    problem = make_problem(4)
    first, second = (problem.call(jlstm.lstm_scan) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    first, second = (vjp(jlstm.lstm_scan, problem) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_memory_survives_a_long_gap():
    """With the forget gate open and the input gate shut, c is kept, and so is its gradient."""
    hidden, time = 4, 1000
    bias = jnp.repeat(jnp.array([-20.0, 20.0, 0.0, 0.0]), hidden)
    params = jlstm.LSTMParams(jnp.zeros((1, 4 * hidden)), jnp.zeros((hidden, 4 * hidden)), bias)
    c = jnp.arange(1.0, 5.0)

    def last(c):
        return jlstm.lstm_scan(params, jlstm.LSTMState(jnp.zeros(4), c), jnp.zeros((time, 1)))[0].c

    assert_close(last(c), c, 1e-4)
    assert_close(jax.jacrev(last)(c), np.eye(4), 1e-4)
