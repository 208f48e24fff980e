"""Training steps of every layer type of jlstm, by name."""

from functools import partial

import jax
import jax.numpy as jnp

import jlstm
from jlstm import variants


def calls(problem):
    """Calls without arguments, one per layer type, of the sizes of the problem."""
    inputs, hidden = problem.weight_ih.shape[0], problem.weight_hh.shape[0]
    xs, key = jnp.asarray(problem.xs), jax.random.key(0)
    half = partial(variants.init_projected, projection_size=hidden // 2)
    kinds = {
        "LSTM": jlstm.init_params,
        "projected to half": half,
        **{
            name.replace("_", " "): getattr(variants, f"init_{name}")
            for name in ("peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn")
        },
    }
    layers = {name: (init(key, inputs, hidden),) for name, init in kinds.items()}
    (both,) = jlstm.init_stack(key, inputs, (hidden,), bidirectional=True)
    layers["LSTM, both directions"] = (both,)
    calls = {name: _training(layer, xs) for name, layer in layers.items()}
    for name in ("LSTM", "projected to half", "LSTM, both directions"):
        calls[f"{name}, by JAX"] = _training(layers[name], xs, implementation="scan")
    calls["LSTM, both directions in one loop, by JAX"] = _training((both,), xs, scan=_one_loop)
    return calls


def _training(layers, xs, scan=jlstm.stack_scan, **options):
    def loss(layers, xs):
        return (scan(layers, None, xs, **options)[1] ** 2).mean()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    return lambda: jax.block_until_ready(gradient(layers, xs))


def _one_loop(layers, states, xs):
    """Both directions in one loop: one at step `t`, the other at step `t` from the end."""
    (both,), states = layers, states or jlstm.init_stack_state(layers, xs.shape[1:-1])[0]
    time = len(xs)

    def body(states, t):
        forward, h_forward = jlstm.lstm_step(both.forward, states.forward, xs[t])
        backward, h_backward = jlstm.lstm_step(both.backward, states.backward, xs[time - 1 - t])
        return jlstm.BiLSTMState(forward, backward), (h_forward, h_backward)

    states, (forward, backward) = jax.lax.scan(body, states, jnp.arange(time))
    return states, jnp.concatenate([forward, backward[::-1]], axis=-1)
