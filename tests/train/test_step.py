"""The model and its training step."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jlstm
from jlstm import regularize
from tests.support import reference
from tests.support.runs import TINY
from train.config.settings import Model, Optimizer, Regularize
from train.config.tasks import Text
from train.engine.state import init_train_state, learning_rate, make_optimizer, trained
from train.engine.step import batch_loss, loss_and_gradient, train_step
from train.model import apply, flops_per_step, init_model
from train.tasks import Shape
from train.tasks.char_lm import TASK, batch_at

SIZE = 7
SHAPE = Shape(SIZE, 0, SIZE)
TOKENS = np.random.default_rng(0).integers(0, SIZE, 2000)


def start(config=TINY):
    return init_train_state(config, TASK, SHAPE)


def same(found, expected, **tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **(tolerance or {"atol": 1e-6})),
        found, expected,
    )  # fmt: skip


def take(config, count, state=None, tokens=TOKENS):
    state, losses = state or start(config), []
    for k in range(int(state.step), int(state.step) + count):
        state, metrics = train_step(config, TASK, state, batch_at(tokens, config.data, 0, k))
        losses.append(float(metrics.loss))
    return state, losses


@pytest.mark.full
def test_the_model_is_the_textbook_lstm_between_two_tables():
    params = init_model(jax.random.key(0), TINY.model, SHAPE)
    tokens = TOKENS[:30].reshape(3, 10)
    _, logits, penalty = apply(TINY, params, None, tokens)
    xs = np.asarray(params.embedding, np.float64)[tokens.T]
    _, hs, _ = reference.lstm(params.layers[0], None, xs)
    expected = np.moveaxis(hs, 0, 1) @ params.output_weight + params.output_bias
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert penalty == 0


@pytest.mark.full
def test_a_step_follows_the_gradient_of_its_chunk_alone():
    """Against plain JAX: the memory is carried in value, and no gradient flows through it."""
    state = start()
    state = state._replace(memory=jax.tree.map(lambda s: s + 0.3, state.memory))
    batch = batch_at(TOKENS, TINY.data, 0, 1)
    assert not batch.first.any()

    def loss(params):
        memory = jax.lax.stop_gradient(state.memory)
        _, logits, _ = apply(TINY, params, memory, batch.inputs)
        return -jnp.take_along_axis(
            jax.nn.log_softmax(logits), batch.targets[..., None], axis=-1
        ).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(state.params)
    carried, _, _ = apply(TINY, state.params, state.memory, batch.inputs)
    optimizer = make_optimizer(TINY.optimizer, TINY.steps)
    updates, _ = optimizer.update(gradient, state.opt_state, state.params)
    expected = optax.apply_updates(state.params, updates)
    new, metrics = train_step(TINY, TASK, jax.tree.map(jnp.copy, state), batch)
    np.testing.assert_allclose(metrics.loss, value, rtol=1e-6)
    np.testing.assert_allclose(metrics.gradient_norm, optax.tree.norm(gradient), rtol=1e-5)
    same(new.params, expected)
    same(new.memory, carried)
    assert new.step == state.step + 1


@pytest.mark.full
def test_an_epoch_begins_with_an_empty_memory():
    batch = batch_at(TOKENS, TINY.data, 0, 0)
    clean, dirty = start(), start()
    dirty = dirty._replace(memory=jax.tree.map(lambda s: s * jnp.nan, dirty.memory))
    results = [train_step(TINY, TASK, state, batch) for state in (clean, dirty)]
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_the_old_state_is_donated():
    state = start()
    take(TINY, 1, state)
    assert state.params.layers[0].weight_hh.is_deleted()


@pytest.mark.full
def test_schedule_clipping_and_decay():
    config = Optimizer(
        learning_rate=0.1, final_learning_rate=0.01, warmup=4, clip=1e-3, weight_decay=0.5
    )
    optimizer = make_optimizer(config, 20)
    params = {"matrix": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    state = optimizer.init(params)
    zero = jax.tree.map(jnp.zeros_like, params)
    rates = []
    for _ in range(21):
        updates, state = optimizer.update(zero, state, params)
        rates.append(-float(updates["matrix"][0, 0]) / 0.5)  # decay alone moves a matrix
        assert not updates["bias"].any()
    np.testing.assert_allclose(rates[:5], [0, 0.025, 0.05, 0.075, 0.1], atol=1e-6)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert rates[20] == pytest.approx(0.01)
    np.testing.assert_allclose(
        [float(learning_rate(config, 20)(k)) for k in range(21)], rates, atol=1e-6
    )


@pytest.mark.full
def test_accumulated_gradients_are_one_change():
    """Two halves of a batch, one after the other, move the weights as the whole batch does."""
    whole = replace(TINY, optimizer=replace(TINY.optimizer, warmup=0))
    half = replace(
        whole, data=Text(rows=2, chunk=16), optimizer=replace(whole.optimizer, accumulate=2)
    )
    batch = batch_at(TOKENS, whole.data, 0, 0)
    expected, _ = train_step(whole, TASK, start(whole), batch)
    state = start(half)
    before = jax.tree.map(np.asarray, state.params)
    for rows in (slice(0, 2), slice(2, 4)):
        state, _ = train_step(half, TASK, state, jax.tree.map(lambda a, r=rows: a[r], batch))
        if rows.start == 0:
            same(state.params, before, rtol=0, atol=0)
    same(state.params, expected.params, atol=2e-6)


@pytest.mark.full
def test_the_average_of_weights():
    config = replace(TINY, optimizer=replace(TINY.optimizer, average=0.9))
    state = start(config)
    average = jax.tree.map(np.asarray, state.average)
    for k in range(3):
        state, _ = take(config, 1, state)
        decay = min(0.9, (k + 1) / (11 + k))
        average = jax.tree.map(
            lambda a, p, d=decay: d * a + (1 - d) * np.asarray(p), average, state.params
        )
    same(state.average, average)
    assert trained(state) is state.average
    assert trained(start()) is not None
    assert start().average == ()


@pytest.mark.slow
def test_training_learns_a_pattern():
    """Counting to seven: the next token follows from the last, so the loss falls to almost 0."""
    config = replace(
        TINY, steps=300, optimizer=Optimizer(learning_rate=0.02, warmup=5, weight_decay=0)
    )
    _, losses = take(config, 300, tokens=np.arange(3000) % SIZE)
    assert losses[0] == pytest.approx(np.log(SIZE), abs=0.1)
    assert losses[-1] < 0.05


def loss_of(config, key=None):
    state = start(config)
    batch = batch_at(TOKENS, config.data, 0, 0)
    loss = jax.jit(batch_loss, static_argnums=(0, 1))
    return loss(config, TASK, state.params, state.memory, batch, key)[0]


def with_rates(**rates):
    return replace(TINY, model=Model(embedding=8, hidden=(16, 16)), regularize=Regularize(**rates))


@pytest.mark.full
@pytest.mark.parametrize("rates", [
    {"inputs": 0.3, "zoneout_h": 0.3, "zoneout_c": 0.5},
    *(pytest.param({name: 0.3}, marks=pytest.mark.slow)
      for name in ("inputs", "layers", "outputs", "weights")),
], ids=str)  # fmt: skip
def test_regularisers_draw_in_training_alone(rates):
    config, plain = with_rates(**rates), with_rates()
    keys = jax.random.split(jax.random.key(1), 2)
    drawn = [float(loss_of(config, key)) for key in keys]
    assert drawn[0] != drawn[1]
    assert float(loss_of(config, keys[0])) == drawn[0]
    still = float(loss_of(config))
    assert (still == float(loss_of(plain))) == ("zoneout_h" not in rates)
    _, losses = take(config, 2)
    assert np.isfinite(losses).all()
    assert take(config, 2)[1] == losses


@pytest.mark.full
def test_penalties_are_added_in_training_alone():
    config = with_rates(activation=2.0, temporal=1.0)
    key = jax.random.key(0)
    params = init_model(key, config.model, SHAPE)
    batch = batch_at(TOKENS, config.data, 0, 0)
    xs = params.embedding[batch.inputs.T]
    _, hs = jlstm.stack_scan(params.layers, None, xs)
    added = 2 * regularize.activation_penalty(hs) + regularize.temporal_penalty(hs)
    assert float(loss_of(config, key) - loss_of(config)) == pytest.approx(float(added), rel=1e-4)


@pytest.mark.full
@pytest.mark.parametrize("model", [
    Model(embedding=5, hidden=(12, 12), cell="projected", projection=5, residual=True,
          dtype="bfloat16", tie_weights=True),
    *(pytest.param(model, marks=pytest.mark.slow) for model in (
        Model(embedding=8, hidden=(12, 12), residual=True),
        Model(embedding=8, hidden=(16,), cell="projected", projection=5),
        Model(embedding=8, hidden=(16,), dtype="bfloat16"),
        Model(embedding=8, hidden=(8,), tie_weights=True),
        Model(embedding=8, hidden=(8,), implementation="scan", save="states"),
    )),
    *(pytest.param(Model(embedding=8, hidden=(8, 8), cell=cell), marks=pytest.mark.slow)
      for cell in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")),
], ids=lambda m: f"{m.cell}-{m.dtype}")  # fmt: skip
def test_every_model_trains(model):
    config = replace(TINY, model=model, steps=100)
    state, losses = take(config, 12, tokens=np.arange(3000) % SIZE)
    assert losses[0] == pytest.approx(np.log(SIZE), abs=0.4)
    assert losses[-1] < losses[0]
    fresh = start(config)
    assert jax.tree.map(lambda a: a.dtype, state) == jax.tree.map(lambda a: a.dtype, fresh)
    assert {p.dtype for p in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert (state.params.output_weight is None) == model.tie_weights


def test_flops_are_those_of_the_matrix_products():
    params = init_model(jax.random.key(0), Model(embedding=8, hidden=(16,)), SHAPE)
    assert flops_per_step(params) == 3 * 2 * (8 * 64 + 16 * 64 + 16 * SIZE)


@pytest.mark.full
def test_padding_and_other_rows_change_nothing_of_a_gradient():
    """The gradient of a batch is the mean over its items, wherever they lie."""
    state = start()
    batch = batch_at(TOKENS, TINY.data, 0, 0)
    short = batch._replace(lengths=np.array([16, 3, 0, 9], np.int32))
    differentiated = jax.jit(loss_and_gradient, static_argnums=(0, 1))
    (loss, _), gradient = differentiated(TINY, TASK, state, short, 0)

    def alone(params):
        total = 0.0
        for row, length in enumerate(short.lengths):
            if length:
                _, logits, _ = apply(TINY, params, None, batch.inputs[row : row + 1, :length])
                losses = optax.softmax_cross_entropy_with_integer_labels(
                    logits[0], batch.targets[row, :length]
                )
                total += losses.sum()
        return total / short.lengths.sum()

    value, expected = jax.jit(jax.value_and_grad(alone))(state.params)
    np.testing.assert_allclose(loss, value, rtol=1e-5)
    same(gradient, expected, atol=1e-6)
