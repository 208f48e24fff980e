"""dm-haiku: `hk.LSTM` under `hk.dynamic_unroll`."""

import haiku as hk
import jax
import jax.numpy as jnp


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major."""
    hidden = problem.weight_hh.shape[0]
    if problem.kind == "ragged":
        raise NotImplementedError("Haiku's unroll takes no lengths")

    def unroll(xs, reverse=False):
        core = hk.LSTM(hidden)
        state = jax.tree.map(lambda a: a.astype(xs.dtype), core.initial_state(xs.shape[1]))
        return hk.dynamic_unroll(core, xs, state, reverse=reverse)[0]

    def run(xs):
        if problem.kind == "two layers":
            return unroll(unroll(xs))
        if problem.kind == "both directions":
            return jnp.concatenate([unroll(xs), unroll(xs, reverse=True)], -1)
        return unroll(xs)

    model = hk.without_apply_rng(hk.transform(run))
    names = jax.eval_shape(model.init, jax.random.key(0), problem.xs)
    layers = [problem] if problem.other is None else [problem, problem.other]
    return dict(zip(names, map(_weights, layers), strict=True)), model.apply


def _weights(layer):
    """The weights of one layer: one matrix for inputs and state."""

    def gates(weight):  # i, g, f, o; Haiku adds 1 to the forget gate in its step
        i, f, g, o = jnp.split(jnp.asarray(weight), 4, axis=-1)
        return i, g, f, o

    i, g, f, o = gates(layer.bias)
    both = [jnp.concatenate(gates(w), -1) for w in (layer.weight_ih, layer.weight_hh)]
    return {"w": jnp.concatenate(both), "b": jnp.concatenate([i, g, f - 1, o])}
