"""Memory and gradients against oracles: perturbed runs, and the equation of the cell."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from tests.conftest import quick
from tests.support import reference_cells
from tests.support.problems import make_problem

INITS = {
    "lstm": jlstm.init_params,
    "projected": functools.partial(variants.init_projected, projection_size=2),
    **{
        name: getattr(variants, f"init_{name}")
        for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
    },
}


def draw(name, seed=0, time=6, batch=(3,), sizes=(2, 4)):
    """`(params, state, xs)` in float64 NumPy."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: INITS[name](key, *sizes), jax.random.key(0))
    params = jax.tree.map(lambda a: rng.normal(size=a.shape) * a.shape[0] ** -0.5, shapes)
    state = jax.tree.map(
        lambda a: rng.normal(size=a.shape), jax.device_get(jlstm.init_state(params, batch))
    )
    return params, state, rng.normal(size=(time, *batch, sizes[0]))


def oracle(name, params, state, xs, last):
    """`d h_last / d h_t` and `d h_last / d c_t` of one sequence, column by column.

    Each number of the state after step t is moved along the imaginary axis and the run goes on: the
    complex step is a finite difference that is exact to rounding.
    """
    cell = reference_cells.CELLS[name if name != "lstm" else "projected"]
    params = jax.tree.leaves(params)
    if name == "lstm":
        params.append(np.eye(params[1].shape[0]))  # projected by the identity
    state = tuple(jax.tree.leaves(state))
    found = []
    for t in range(last + 1):
        state, _ = cell(params, state, xs[t])
        jacobians = []
        for part, values in enumerate(state):
            columns = []
            for unit in range(len(values)):
                moved = [np.asarray(s, complex) for s in state]
                moved[part][unit] += 1e-30j
                for x in xs[t + 1 : last + 1]:
                    moved, _ = cell(params, moved, x)
                columns.append(moved[0].imag / 1e-30)
            jacobians.append(np.stack(columns, axis=1))
        found.append(jacobians)
    return found


@pytest.mark.parametrize("name", quick(INITS, {"lstm", "peephole", "gru"}))
def test_gradient_norms_are_those_of_perturbed_runs(name, x64):
    params, state, xs = draw(name)
    norms = jlstm.gradient_norms(params, state, xs, last=4)
    assert norms.h.shape == (5, 3)
    for b in range(3):
        alone = jax.tree.map(lambda a, b=b: a[b], state)
        jacobians = oracle(name, params, alone, xs[:, b], 4)
        wanted = np.array([[np.linalg.norm(j) for j in parts] for parts in jacobians])
        np.testing.assert_allclose(norms.h[:, b], wanted[:, 0], rtol=1e-12)
        if wanted.shape[1] == 2:
            np.testing.assert_allclose(norms.c[:, b], wanted[:, 1], rtol=1e-12)
            assert norms.c[4, b] == 0
        else:
            assert norms.c is None


def test_without_a_batch_with_two_axes_and_with_zero_states(x64):
    params, _, xs = draw("peephole", batch=(2, 3))
    norms = jlstm.gradient_norms(params, None, xs)
    assert norms.h.shape == norms.c.shape == (6, 2, 3)
    alone = jlstm.gradient_norms(params, jlstm.init_state(params), xs[:, 1, 2])
    for whole, one in zip(norms, alone, strict=True):
        np.testing.assert_allclose(whole[:, 1, 2], one, rtol=1e-12)


def test_the_linear_network_has_powers_of_its_matrix(x64):
    """With a linear tanh the Jacobian over a lag is a power of W; over 400 steps it underflows."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 5)) * 1e-2
    params = variants.RNNParams(np.zeros((1, 5)), weight, np.zeros(5))
    norms = jlstm.log_gradient_norms(params, None, np.zeros((400, 1)))
    power, log_scale, wanted = np.eye(5), 0.0, []
    for _ in range(400):
        size = np.linalg.norm(power)
        log_scale, power = log_scale + np.log(size), power / size
        wanted.append(log_scale)
        power = power @ weight
    np.testing.assert_allclose(norms.h[::-1], wanted, rtol=1e-10)
    assert norms.h[0] < -1_000  # exp of it is 0 even in float64
    assert jlstm.gradient_norms(params, None, np.zeros((400, 1))).h[0] == 0


def test_in_float32_norms_are_right_where_their_squares_are_none():
    params, state, xs = draw("rnn", time=40)
    params = params._replace(weight_hh=params.weight_hh / 4)
    with jax.enable_x64(True):
        wanted = np.asarray(jlstm.log_gradient_norms(params, state, xs).h)
    single = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, state, xs))
    assert wanted.min() < np.log(1e-25)
    np.testing.assert_allclose(jlstm.log_gradient_norms(*single).h, wanted, atol=1e-4)
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), single)
    assert jlstm.gradient_norms(*half).h.dtype == jnp.float32


@pytest.mark.slow
def test_norms_under_transformations(x64):
    params, state, xs = draw("lstm")
    run = functools.partial(jlstm.gradient_norms, params)
    plain = run(state, xs)
    for found in (jax.jit(run)(state, xs), jax.vmap(run, (0, 1), 1)(state, xs)):
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12), found, plain)

    def total(weight):
        norms = jlstm.log_gradient_norms(params._replace(weight_hh=weight), state, xs)
        return norms.h.sum() + norms.c[:-1].sum()

    direction = np.random.default_rng(1).normal(size=params.weight_hh.shape)
    found = (jax.grad(total)(params.weight_hh) * direction).sum()
    near = [total(params.weight_hh + s * 1e-6 * direction) for s in (1, -1)]
    np.testing.assert_allclose(found, (near[0] - near[1]) / 2e-6, rtol=1e-6)


def test_a_layer_that_forgets_everything_has_no_gradient():
    params = jax.tree.map(jnp.zeros_like, variants.init_rnn(jax.random.key(0), 2, 3))
    norms = jlstm.gradient_norms(params, None, jnp.ones((4, 2)))
    np.testing.assert_allclose(norms.h, [0, 0, 0, 3**0.5], rtol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_cell_is_what_was_kept_of_it_and_what_was_stored_since(reverse, x64):
    """`c[t] = kept[t] * c[step] + sum over later s of kept_s[t] * i[s] * g[s]`, with resets."""
    problem = make_problem(time=9, batch=(2, 2), lengths=False, reset_state=False, reverse=reverse)
    problem.options["resets"][:] = False
    problem.options["resets"][6, 0, 1] = True
    _, _, trace = problem.call(jlstm.lstm_trace, jnp.float64)
    resets = problem.options["resets"]
    kept = np.stack([jlstm.memory_kept(trace, s, resets=resets, reverse=reverse) for s in range(9)])
    stored = np.asarray(trace.i * trace.g)
    for step in (2, 5):
        for t in range(step, -1, -1) if reverse else range(step, 9):
            since = range(t, step) if reverse else range(step + 1, t + 1)
            c = kept[step, t] * trace.c[step] + sum(kept[s, t] * stored[s] for s in since)
            np.testing.assert_allclose(trace.c[t], c, rtol=1e-12, atol=1e-12)
    blank = slice(6, None) if reverse else slice(0, 5)
    assert (kept[5][blank] == 0).all()
    crossed = (slice(0, 6), slice(6, None))  # the reset lies between steps 5 and 6
    crossed = kept[8][crossed[0], 0, 1] if reverse else kept[0][crossed[1], 0, 1]
    assert (crossed == 0).all()
    assert (kept[0 if not reverse else 8][:, 1, 1] > 0).all()


def test_nothing_is_kept_at_padded_steps():
    problem = make_problem(time=7, batch=(2,), resets=False)
    problem.options["lengths"] = np.array([4, 7])
    _, _, trace = problem.call(jlstm.lstm_trace)
    kept = jlstm.memory_kept(trace, 1)
    assert (kept[4:, 0] == 0).all()
    assert (kept[1:4, 0] > 0).all()
    np.testing.assert_allclose(kept[6, 1], np.prod(trace.f[2:7, 1], axis=0), rtol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("name", quick(INITS, {"lstm", "gru"}))
def test_norms_with_lengths_and_resets(name, x64):
    """The norms of each sequence, cut to its length and to the steps after its last reset."""
    params, state, xs = draw(name, batch=(5,))
    lengths = np.array([6, 3, 1, 0, 5])
    xs[np.arange(6)[:, None] >= lengths] = np.nan
    resets = np.zeros((6, 5), bool)
    resets[[2, 4, 3], [0, 0, 1]] = True  # the last one lies in padding
    reset_state = jax.tree.map(lambda a: a[::-1].copy(), state)
    options = {"lengths": lengths, "resets": resets, "reset_state": reset_state}
    for last, end in ((None, 6), (3, 4)):
        norms = jlstm.gradient_norms(params, state, xs, last=last, **options)
        for b, start in enumerate((4 if end == 6 else 2, 0, 0, 0, 0)):
            stop = min(end, lengths[b])
            entering = jax.tree.map(lambda a, b=b: a[b], reset_state if start else state)
            for part, norm in enumerate(n for n in norms if n is not None):
                assert norm.shape == (end, 5)
                assert (norm[stop:, b] == 0).all()
                assert (norm[:start, b] == 0).all()
                if stop:
                    jacobians = oracle(name, params, entering, xs[start:stop, b], stop - start - 1)
                    wanted = [np.linalg.norm(parts[part]) for parts in jacobians]
                    np.testing.assert_allclose(norm[start:stop, b], wanted, rtol=1e-12)


@pytest.mark.sampled
@pytest.mark.parametrize("reverse", [False, True])
def test_memory_kept_with_lengths(reverse):
    """Each sequence as if alone, cut to its length; a reset in padding does nothing."""
    problem = make_problem(time=7, batch=(3,), resets=False, reverse=reverse)
    lengths = problem.options["lengths"] = np.array([4, 7, 0])
    resets = np.zeros((7, 3), bool)
    resets[[4, 5], [0, 1]] = True
    _, _, trace = problem.call(jlstm.lstm_trace)
    for step in (1, 3, 6):
        kept = jlstm.memory_kept(trace, step, lengths=lengths, resets=resets, reverse=reverse)
        for b, length in enumerate(lengths):
            assert (kept[length:, b] == 0).all()
            if step >= length:
                assert (kept[:, b] == 0).all()
                continue
            alone = jax.tree.map(lambda a, n=length, b=b: a[:n, b], trace)
            cut = resets[:length, b]
            found = jlstm.memory_kept(alone, step, resets=cut, reverse=reverse)
            np.testing.assert_allclose(kept[:length, b], found, rtol=1e-6)


@pytest.mark.sampled
def test_errors_name_the_argument_and_both_values():
    params = jlstm.init_params(jax.random.key(0), 3, 4)
    xs = jnp.zeros((5, 2, 3))
    _, _, trace = jlstm.lstm_trace(params, None, xs)
    traces = (jlstm.BiLSTMTrace(trace, trace),)
    resets = jnp.zeros((5, 3), bool)
    for error, message, call in (
        (ValueError, r"last must lie in \[0, 5\), the steps of xs; got 5",
         lambda: jlstm.gradient_norms(params, None, xs, last=5)),
        (TypeError, "last must be an integer, got 1.5",
         lambda: jlstm.gradient_norms(params, None, xs, last=1.5)),
        (ValueError, r"1 step or more and the 3 inputs of the weights, got shape \(0, 2, 3\)",
         lambda: jlstm.gradient_norms(params, None, xs[:0])),
        (ValueError, r"the 3 inputs of the weights, got shape \(5, 2, 2\)",
         lambda: jlstm.gradient_norms(params, None, xs[..., :2])),
        (TypeError, "params must be one of LSTMParams",
         lambda: jlstm.gradient_norms((params,), None, xs)),
        (ValueError, r"state.h must be .* with the batch axes \(2,\) of x, got shape \(4,\)",
         lambda: jlstm.gradient_norms(params, jlstm.init_state(params), xs)),
        (ValueError, r"step must lie in \[0, 5\), the steps of trace; got -1",
         lambda: jlstm.memory_kept(trace, -1)),
        (TypeError, "got BiLSTMTrace: choose trace.forward or trace.backward",
         lambda: jlstm.memory_kept(traces[0], 0)),
        (TypeError, "got a tuple: choose the one of a layer", lambda: jlstm.memory_kept(traces, 0)),
        (TypeError, "as lstm_trace gives it; got an array of shape",
         lambda: jlstm.memory_kept(trace.f, 0)),
        (ValueError, r"resets has batch axes \(3,\), trace has \(2,\)",
         lambda: jlstm.memory_kept(trace, 0, resets=resets)),
        (ValueError, r"lengths has batch axes \(3,\), trace has \(2,\)",
         lambda: jlstm.memory_kept(trace, 0, lengths=jnp.array([1, 2, 3]))),
        (ValueError, r"lengths has batch axes \(3,\), state has \(2,\)",
         lambda: jlstm.gradient_norms(params, None, xs, lengths=jnp.array([1, 2, 3]))),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()


@pytest.mark.full
def test_the_picture_counts_lags_from_each_sequences_end():
    pytest.importorskip("matplotlib")
    from jlstm.plot.gradients import _curves

    params, state, xs = draw("gru", batch=(3,))
    lengths = np.array([5, 2, 0])
    norms = jlstm.log_gradient_norms(params, state, xs, lengths=lengths)
    curves = _curves(params, norms, lengths)["h"]
    assert curves.shape == (3, 5)
    alone = [jlstm.gradient_norms(params, state[b], xs[:n, b]).h for b, n in ((0, 5), (1, 2))]
    shares = [np.asarray(norm[::-1]) / 4**0.5 for norm in alone]
    median = [*np.median([shares[0][:2], shares[1]], axis=0), *shares[0][2:]]
    np.testing.assert_allclose(curves[1], median, rtol=1e-5)
