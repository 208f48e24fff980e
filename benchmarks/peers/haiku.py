"""dm-haiku: `hk.LSTM` under `hk.dynamic_unroll`."""

import haiku as hk
import jax
import jax.numpy as jnp


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major."""
    hidden = problem.weight_hh.shape[0]

    def unroll(xs):
        core = hk.LSTM(hidden)
        return hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))[0]

    model = hk.without_apply_rng(hk.transform(unroll))
    (name,) = jax.eval_shape(model.init, jax.random.key(0), problem.xs)

    def gates(weight):  # i, g, f, o; Haiku adds 1 to the forget gate in its step
        i, f, g, o = jnp.split(jnp.asarray(weight), 4, axis=-1)
        return i, g, f, o

    i, g, f, o = gates(problem.bias)
    weights = {
        "w": jnp.concatenate(
            [jnp.concatenate(gates(w), -1) for w in (problem.weight_ih, problem.weight_hh)]
        ),
        "b": jnp.concatenate([i, g, f - 1, o]),
    }
    return {name: weights}, model.apply
