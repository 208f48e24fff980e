"""Equinox: `eqx.nn.LSTMCell` under `lax.scan` and `vmap`, as its documentation shows."""

import equinox as eqx
import jax
import jax.numpy as jnp


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major."""
    inputs, gates = problem.weight_ih.shape
    cell = eqx.nn.LSTMCell(inputs, gates // 4, key=jax.random.key(0))
    weights = (problem.weight_ih.T, problem.weight_hh.T, problem.bias)
    cell = eqx.tree_at(
        lambda c: (c.weight_ih, c.weight_hh, c.bias), cell, tuple(map(jnp.asarray, weights))
    )
    params, static = eqx.partition(cell, eqx.is_array)

    def apply(params, xs):
        cell = eqx.combine(params, static)
        zeros = jnp.zeros((xs.shape[1], gates // 4))

        def step(state, x):
            state = jax.vmap(cell)(x, state)
            return state, state[0]

        return jax.lax.scan(step, (zeros, zeros), xs)[1]

    return params, apply
