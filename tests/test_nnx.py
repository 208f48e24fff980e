"""The module of Flax NNX: the same numbers as the functions, under the transformations of NNX."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import jlstm
import jlstm.nnx
from jlstm import interop, variants
from tests.support.problems import assert_close, tolerance

BATCH, TIME, FEATURES, UNITS = 5, 9, 4, 6
RNG = np.random.default_rng(0)
XS = RNG.normal(size=(BATCH, TIME, FEATURES)).astype(np.float32)
LENGTHS = np.array([9, 0, 4, 7, 1])
RESETS = RNG.random((BATCH, TIME)) < 0.2


def close(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: assert_close(a, b, tolerance(jnp.float32)), found, expected)


def same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def time_major(a):
    return np.moveaxis(a, 1, 0)


@pytest.mark.sampled
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_stack_scan(bidirectional):
    lstm = jlstm.nnx.LSTM(
        FEATURES, (UNITS, UNITS), bidirectional=bidirectional, residual=True, rngs=nnx.Rngs(0)
    )
    carry, reset_carry = (
        jax.tree.map(lambda a, k=k: a + k, lstm.initialize_carry((BATCH, FEATURES)))
        for k in (0.3, -0.2)
    )
    expected, hs = jlstm.stack_scan(
        lstm.params, carry, time_major(XS), lengths=LENGTHS, resets=time_major(RESETS),
        reset_states=reset_carry, residual=True,
    )  # fmt: skip
    more = {"initial_carry": carry, "seq_lengths": LENGTHS, "reset_carry": reset_carry}
    states, outputs = lstm(XS, resets=RESETS, return_carry=True, **more)
    same_bits(states, expected)
    same_bits(outputs, jnp.moveaxis(hs, 0, 1))
    found = lstm(time_major(XS), resets=time_major(RESETS), time_major=True, **more)
    same_bits(found, hs)
    module = jlstm.nnx.Stack(lstm.params, residual=True, time_major=True, return_carry=True)
    same_bits(module(time_major(XS), resets=time_major(RESETS), **more), (expected, hs))


def test_one_sequence_and_several_batch_axes():
    lstm = jlstm.nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0))
    outputs = lstm(XS)
    close(lstm(XS[0]), outputs[0])
    close(lstm(XS[None], seq_lengths=LENGTHS[None])[0], lstm(XS, seq_lengths=LENGTHS))


@pytest.mark.full
@pytest.mark.parametrize(
    ("cell", "in_time_major"),
    [
        (nnx.OptimizedLSTMCell, False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((nnx.LSTMCell, False), (nnx.LSTMCell, True), (nnx.OptimizedLSTMCell, True))
        ),
    ],
)
def test_it_takes_the_place_of_a_cell_in_an_rnn(cell, in_time_major):
    """The same call, the same outputs, and after a round trip of weights the same gradient."""
    rnn = nnx.RNN(cell(FEATURES, UNITS, rngs=nnx.Rngs(0)), time_major=in_time_major)
    lstm = jlstm.nnx.Stack(interop.from_flax(nnx.state(rnn, nnx.Param)), time_major=in_time_major)
    xs = time_major(XS) if in_time_major else XS
    close(lstm(xs), rnn(xs))
    lengths = np.maximum(LENGTHS, 1)
    (c, h), theirs = rnn(xs, seq_lengths=lengths, return_carry=True)
    (ours,), outputs = lstm(xs, seq_lengths=lengths, return_carry=True)
    close(tuple(ours), (h, c))
    mask = np.arange(TIME) < lengths[:, None]
    mask = time_major(mask) if in_time_major else mask
    close(outputs, jnp.where(mask[..., None], theirs, 0))
    start = (c + 0.5, h - 0.5)
    close(
        lstm(xs, initial_carry=(jlstm.LSTMState(h=start[1], c=start[0]),)),
        rnn(xs, initial_carry=start),
    )

    def loss(module):
        return (module(xs) ** 2).sum()

    theirs = interop.from_flax(nnx.grad(loss)(rnn))
    nnx.update(lstm, nnx.grad(loss)(lstm))
    close(lstm.params, theirs)


class Tagger(nnx.Module):
    """A model of a user: an LSTM between other modules."""

    def __init__(self, rngs, dropout_rate=0.0):
        self.embed = nnx.Embed(11, FEATURES, rngs=rngs)
        self.lstm = jlstm.nnx.LSTM(
            FEATURES, (UNITS, UNITS), bidirectional=True, dropout_rate=dropout_rate, rngs=rngs
        )
        self.head = nnx.Linear(2 * UNITS, 3, rngs=rngs)

    def __call__(self, words, lengths):
        return self.head(self.lstm(self.embed(words), seq_lengths=lengths))


WORDS = RNG.integers(0, 11, (BATCH, TIME))
TAGS = (WORDS + np.roll(WORDS, 1, 1)) % 3


@nnx.jit
def train_step(model, optimizer):
    def loss_of(model):
        logits = model(WORDS, LENGTHS)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, TAGS)
        return (losses * (np.arange(TIME) < LENGTHS[:, None])).sum()

    loss, gradient = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradient)
    return loss


@pytest.mark.full
def test_training_with_optimizer_split_merge_and_orbax(tmp_path):
    model = Tagger(nnx.Rngs(0), dropout_rate=0.2)
    optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)
    losses = [float(train_step(model, optimizer)) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    model.eval()
    expected = model(WORDS, LENGTHS)
    same_bits(model(WORDS, LENGTHS), expected)
    graph, state = nnx.split(model)
    same_bits(nnx.merge(graph, state)(WORDS, LENGTHS), expected)
    paths = {path for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    assert ("lstm", "layers", 1, "backward", "weight_hh") in paths

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", nnx.to_pure_dict(state))
        checkpointer.wait_until_finished()
        graph, empty = nnx.split(nnx.eval_shape(lambda: Tagger(nnx.Rngs(0), dropout_rate=0.2)))
        restored = checkpointer.restore(tmp_path / "model", nnx.to_pure_dict(empty))
    nnx.replace_by_pure_dict(empty, restored)
    model = nnx.merge(graph, empty)
    model.eval()
    same_bits(model(WORDS, LENGTHS), expected)


def test_dropout():
    lstm = jlstm.nnx.LSTM(FEATURES, (UNITS, UNITS), dropout_rate=0.5, rngs=nnx.Rngs(0, dropout=1))
    plain = jlstm.nnx.Stack(lstm.params)(XS)
    first, second = lstm(XS), lstm(XS)
    assert (first != second).any()  # the stream advances
    key = jax.random.key(7)
    expected = jlstm.stack_scan(lstm.params, None, time_major(XS), dropout_rate=0.5, key=key)[1]
    same_bits(lstm(XS, rngs=key), jnp.moveaxis(expected, 0, 1))
    again = jlstm.nnx.LSTM(FEATURES, (UNITS, UNITS), dropout_rate=0.5, rngs=nnx.Rngs(0, dropout=1))
    close([nnx.jit(lambda m: m(XS))(again) for _ in range(2)], [first, second])
    same_bits(lstm(XS, deterministic=True), plain)
    same_bits(nnx.view(lstm, deterministic=True)(XS), plain)
    lstm.eval()
    same_bits(lstm(XS), plain)
    lstm.train()
    assert (lstm(XS) != plain).any()
    with pytest.raises(ValueError, match=r"dropout_rate=0.5 needs rngs"):
        jlstm.nnx.Stack(lstm.params, dropout_rate=0.5)(XS)


def test_steps_are_a_sequence():
    lstm = jlstm.nnx.LSTM(FEATURES, (UNITS, 3), residual=True, rngs=nnx.Rngs(0))
    carry, outputs = lstm(XS, return_carry=True)
    state = lstm.initialize_carry((BATCH, FEATURES))
    for t in range(TIME):
        state, h = lstm.step(state, XS[:, t])
        close(h, outputs[:, t])
    close(state, carry)


@pytest.mark.full
def test_dtypes():
    lstm = jlstm.nnx.LSTM(
        FEATURES, UNITS, param_dtype=jnp.float32, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)
    )
    carry, outputs = lstm(XS, return_carry=True)
    assert lstm.params[0].weight_hh.dtype == jnp.float32
    assert outputs.dtype == jnp.bfloat16
    assert carry[0].c.dtype == jnp.float32
    cast = jax.tree.map(lambda a: a.astype(jnp.bfloat16), lstm.params)
    expected = jlstm.stack_scan(cast, None, time_major(XS.astype(jnp.bfloat16)))[1]
    same_bits(outputs, jnp.moveaxis(expected, 0, 1))
    gradient = nnx.grad(lambda m: m(XS).astype(jnp.float32).sum())(lstm)
    assert {a.dtype for a in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.float32)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "init", [variants.init_gru, variants.init_peephole, variants.init_layer_norm]
)
def test_variants(init):
    module = jlstm.nnx.LSTM(FEATURES, (UNITS, UNITS), init=init, rngs=nnx.Rngs(0))
    expected = jlstm.stack_scan(module.params, None, time_major(XS))[1]
    same_bits(module(XS), jnp.moveaxis(expected, 0, 1))


@pytest.mark.slow
def test_vmap_over_modules():
    """An ensemble, as NNX builds it."""

    @nnx.vmap(in_axes=0, out_axes=0)
    def make(key):
        return jlstm.nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(key))

    ensemble = make(jax.random.split(jax.random.key(0), 3))
    outputs = nnx.vmap(lambda m, xs: m(xs), in_axes=(0, None))(ensemble, jnp.asarray(XS))
    for k in range(3):
        close(jlstm.nnx.Stack(jax.tree.map(lambda a, k=k: a[k], ensemble.params))(XS), outputs[k])


def test_a_carry_of_flax_is_refused():
    h = c = jnp.zeros((BATCH, UNITS))
    one = jlstm.nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0))
    message = r"initial_carry must be a tuple of 1, the state of each layer, such as LSTMState; got"
    with pytest.raises(TypeError, match=message):
        one(XS, initial_carry=(c, h))
    two = jlstm.nnx.LSTM(FEATURES, (UNITS, UNITS), rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match=r"A carry of Flax is \(c, h\): jlstm.LSTMState\(h=carry"):
        two(XS, initial_carry=(c, h))
    with pytest.raises(TypeError, match="reset_carry must be a tuple of 1"):
        one(XS, reset_carry=jlstm.LSTMState(h, c))
    with pytest.raises(ValueError, match="xs has 6 features, the weights take 4"):
        one(jnp.zeros((BATCH, TIME, UNITS)))
    with pytest.raises(ValueError, match=r"inputs must have axes time and features, got \(3,\)"):
        one(jnp.zeros(3))
    with pytest.raises(
        ValueError, match=r"resets must have the shape \(5, 9\) for inputs \(5, 9, 4\) with"
    ):
        one(XS, resets=RESETS.T)
    with pytest.raises(ValueError, match=r"seq_lengths must have the shape \(5,\) .* got \(9,\)"):
        one(XS, seq_lengths=np.ones(TIME, int))
    with pytest.raises(TypeError, match=r"rngs must be nnx.Rngs or nnx.RngStream, got "):
        jlstm.nnx.Stack(one.params, dropout_rate=0.5, rngs=jax.random.key(0))
    with pytest.raises(TypeError, match="inputs are complex64, the computation is in"):
        jlstm.nnx.Stack(one.params, dtype=jnp.float32)(XS + 1j * XS)


def test_a_carry_goes_round_in_the_dtype_of_the_computation():
    lstm = jlstm.nnx.LSTM(FEATURES, UNITS, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    carry = lstm.initialize_carry((BATCH, FEATURES))
    carry, outputs = jax.lax.scan(lstm.step, carry, jnp.asarray(time_major(XS)))
    same_bits(carry[0].h, outputs[-1])
    assert (outputs.dtype, carry[0].c.dtype) == (jnp.bfloat16, jnp.float32)


def test_weights_out_of_another_module_and_into_it():
    first, second = (jlstm.nnx.LSTM(FEATURES, UNITS, rngs=nnx.Rngs(seed)) for seed in (0, 1))
    copy = jlstm.nnx.Stack(first.layers)
    same_bits(copy.params, first.params)
    nnx.update(second, nnx.state(copy))
    same_bits(second(XS), first(XS))
    assert isinstance(copy.params[0].bias, jax.Array)
