"""The model and its training step."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jlstm
from tests import reference
from tests.train.runs import TINY
from train.config import Optimizer
from train.data import batch_at
from train.model import generate, init_model, predict
from train.step import evaluate, init_train_state, make_optimizer, run_steps, train_step

SIZE = 7
TOKENS = np.random.default_rng(0).integers(0, SIZE, 2000)


def test_predict_is_the_textbook_lstm_between_two_tables():
    params = init_model(jax.random.key(0), TINY.model, SIZE)
    tokens = TOKENS[:30].reshape(10, 3)
    _, logits = predict(params, None, tokens)
    xs = np.asarray(params.embedding, np.float64)[tokens]
    _, hs, _ = reference.lstm(params.lstm, None, xs)
    np.testing.assert_allclose(logits, hs @ params.output_weight + params.output_bias, atol=1e-5)


def test_a_step_follows_the_gradient_of_its_chunk_alone():
    """Against plain JAX: the memory is carried in value, and no gradient flows through it."""
    state = init_train_state(TINY, SIZE)
    state = state._replace(memory=jax.tree.map(lambda s: s + 0.3, state.memory))
    optimizer = optax.sgd(0.5)
    state = state._replace(opt_state=optimizer.init(state.params))
    batch = batch_at(jnp.asarray(TOKENS), TINY.data, 0, jnp.int32(1))
    assert not batch.first
    new, metrics = train_step(optimizer, state, batch)

    def loss(params):
        _, logits = predict(params, jax.lax.stop_gradient(state.memory), batch.inputs)
        return -jnp.take_along_axis(
            jax.nn.log_softmax(logits), batch.targets[..., None], axis=-1
        ).mean()

    value, gradient = jax.value_and_grad(loss)(state.params)
    np.testing.assert_allclose(metrics.loss, value, rtol=1e-6)
    np.testing.assert_allclose(metrics.gradient_norm, optax.tree.norm(gradient), rtol=1e-5)
    expected = jax.tree.map(lambda p, g: p - 0.5 * g, state.params, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new.params, expected)
    carried, _ = predict(state.params, state.memory, batch.inputs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new.memory, carried)
    assert new.step == state.step + 1


def test_an_epoch_begins_with_an_empty_memory():
    state = init_train_state(TINY, SIZE)
    batch = batch_at(jnp.asarray(TOKENS), TINY.data, 0, jnp.int32(0))
    optimizer = make_optimizer(TINY.optimizer, TINY.steps)
    dirty = state._replace(memory=jax.tree.map(lambda s: s * jnp.nan, state.memory))
    results = [train_step(optimizer, s, batch) for s in (state, dirty)]
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_one_dispatch_of_many_is_many_of_one():
    tokens = jnp.asarray(TOKENS)
    many, metrics = run_steps(TINY, 6, init_train_state(TINY, SIZE), tokens)
    state, losses = init_train_state(TINY, SIZE), []
    for _ in range(6):
        state, one = run_steps(TINY, 1, state, tokens)
        losses.append(one.loss[0])
    np.testing.assert_allclose(metrics.loss, losses, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), many, state)


def test_the_old_state_is_donated():
    state = init_train_state(TINY, SIZE)
    run_steps(TINY, 2, state, jnp.asarray(TOKENS))
    assert state.params.lstm.weight_hh.is_deleted()


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


@pytest.mark.parametrize("characters", [2, 17, 500, 1999])
@pytest.mark.parametrize(("rows", "chunk"), [(1, 16), (4, 16), (8, 128)])
def test_evaluate_counts_every_character_once(characters, rows, chunk):
    """With weights of 0 each character costs `log2(SIZE)`, and with a bias its own cost."""
    params = jax.tree.map(jnp.zeros_like, init_model(jax.random.key(0), TINY.model, SIZE))
    tokens = TOKENS[:characters]
    assert evaluate(params, tokens, rows, chunk) == pytest.approx(np.log2(SIZE), rel=1e-5)
    bias = jnp.arange(SIZE) / 3.0
    cost = -np.asarray(jax.nn.log_softmax(bias)) / np.log(2)
    value = evaluate(params._replace(output_bias=bias), tokens, rows, chunk)
    assert value == pytest.approx(cost[tokens[1:]].mean(), rel=1e-5)


def test_evaluate_of_one_row_is_the_whole_sequence():
    params = init_model(jax.random.key(1), TINY.model, SIZE)
    _, logits = predict(params, None, TOKENS[:-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS[1:])
    value = evaluate(params, TOKENS, 1, 64)
    assert value == pytest.approx(float(losses.mean()) / np.log(2), rel=1e-5)


def test_generate_at_temperature_zero_takes_the_likeliest():
    params = init_model(jax.random.key(2), TINY.model, SIZE)
    params = jax.tree.map(lambda p: 3 * p, params)
    prompt = TOKENS[:5]
    drawn = generate(params, jax.random.key(0), prompt, 12, 0.0)
    seen = list(prompt)
    for token in drawn:
        _, logits = predict(params, None, np.array(seen))
        assert token == logits[-1].argmax()
        seen.append(int(token))


def test_generate_draws_from_the_prediction():
    params = jax.tree.map(jnp.zeros_like, init_model(jax.random.key(0), TINY.model, SIZE))
    bias = jnp.arange(SIZE) / 3.0
    drawn = generate(params._replace(output_bias=bias), jax.random.key(0), TOKENS[:1], 20_000, 0.5)
    frequencies = np.bincount(drawn, minlength=SIZE) / 20_000
    np.testing.assert_allclose(frequencies, jax.nn.softmax(bias / 0.5), atol=0.015)


def test_training_learns_a_pattern():
    """Counting to seven: the next token follows from the last, so the loss falls to almost 0."""
    config = dataclasses.replace(
        TINY, steps=300, optimizer=Optimizer(learning_rate=0.02, warmup=5, weight_decay=0)
    )
    tokens = jnp.arange(3000) % SIZE
    state, metrics = run_steps(config, 300, init_train_state(config, SIZE), tokens)
    assert metrics.loss[0] == pytest.approx(np.log(SIZE), abs=0.1)
    assert metrics.loss[-1] < 0.05
    assert isinstance(state.memory, jlstm.LSTMState)
