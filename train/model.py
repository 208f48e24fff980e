"""The model: embedding, one LSTM layer, logits; and the text it writes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

import jlstm
from train.config import Model

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int, PRNGKeyArray


class CharLM(NamedTuple):
    """Weights of the character language model."""

    embedding: Float[Array, "vocabulary embedding"]
    lstm: jlstm.LSTMParams
    output_weight: Float[Array, "hidden vocabulary"]
    output_bias: Float[Array, "vocabulary"]


def init_model(key: PRNGKeyArray, model: Model, vocabulary_size: int) -> CharLM:
    """Draw the weights; the logits start near 0, so the first loss is near `log(vocabulary)`."""
    key_embedding, key_lstm, key_output = jax.random.split(key, 3)
    return CharLM(
        embedding=jax.random.normal(key_embedding, (vocabulary_size, model.embedding)),
        lstm=jlstm.init_params(key_lstm, model.embedding, model.hidden),
        output_weight=0.1
        * jlstm.initializers.glorot_uniform(
            key_output, (model.hidden, vocabulary_size), jnp.float32
        ),
        output_bias=jnp.zeros(vocabulary_size),
    )


def predict(
    params: CharLM, memory: jlstm.LSTMState | None, tokens: Int[Array, "time *batch"]
) -> tuple[jlstm.LSTMState, Float[Array, "time *batch vocabulary"]]:
    """Logits of the next character at every step, and the memory to go on from."""
    memory, hs = jlstm.lstm_scan(params.lstm, memory, params.embedding[tokens])
    return memory, hs @ params.output_weight + params.output_bias


@partial(jax.jit, static_argnames="length")
def generate(
    params: CharLM,
    key: PRNGKeyArray,
    prompt: Int[Array, "time"],
    length: int,
    temperature: Float[Array, ""],
) -> Int[Array, "length"]:
    """Tokens after the prompt, each drawn from the prediction; temperature 0 takes the best one."""
    memory, logits = predict(params, None, prompt)

    def step(carry: tuple, key: PRNGKeyArray) -> tuple[tuple, Array]:
        memory, logits = carry
        drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
        token = jnp.where(temperature > 0, drawn, jnp.argmax(logits))
        memory, logits = predict(params, memory, token[None])
        return (memory, logits[0]), token

    keys = jax.random.split(key, length)
    return jax.lax.scan(step, (memory, logits[-1]), keys)[1]
