"""Keras 3 on its JAX backend: `keras.layers.LSTM`, batch-major."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax.numpy as jnp
import keras

BATCH_MAJOR = True


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, batch-major."""
    lstm = keras.layers.LSTM(problem.weight_hh.shape[0], return_sequences=True)
    lstm.build((problem.xs.shape[1], problem.xs.shape[0], problem.xs.shape[2]))
    lstm.set_weights([problem.weight_ih, problem.weight_hh, problem.bias])
    params = [jnp.asarray(v.value) for v in lstm.trainable_variables]
    rest = [jnp.asarray(v.value) for v in lstm.non_trainable_variables]

    def apply(params, xs):
        return lstm.stateless_call(params, rest, xs)[0]

    return params, apply
