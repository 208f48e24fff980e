"""The values that each layer computes for a sequence, with its gates where they are available."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import jlstm
from train.config.settings import Config
from train.errors import RunError
from train.model import Params, apply, computed, layer_type, zoneout
from train.viewer import LayerActivations

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

WITH_GATES = (jlstm.LSTMParams, jlstm.variants.ProjectedParams)  # `lstm_trace` gives their gates


def layer_activations(config: Config, params: Params, inputs: np.ndarray) -> list[LayerActivations]:
    """The activations of every layer and direction, from the first layer to the last.

    The memory is zero before the first step, and no dropout is applied. Layers of the LSTM,
    projected or not, give `i`, `f`, `g`, `o`, `c` and `h`; other layer types, and layers with
    zoneout, give `c` and `h`, or `h` alone if they have no cell.

    Args:
      config: the config of the run.
      params: the trained weights.
      inputs: one sequence: tokens `(time,)`, or numbers `(time, features)`.

    Raises:
      RunError: a value that is not finite, with its step.
    """
    bidirectional, activations = config.model.bidirectional, []
    computed_values = _run_layers(config, params, inputs)
    for k, (layer, directions) in enumerate(zip(params.layers, computed_values, strict=True)):
        weights = layer if bidirectional else (layer,)
        for d, arrays in enumerate(directions):
            values = {name: np.asarray(a, np.float32) for name, a in arrays.items()}
            _check_finite(k, values)
            direction = ("forward", "backward")[d] if bidirectional else ""
            activations.append(LayerActivations(k, direction, type(weights[d]).__name__, values))
    return activations


def outputs_of(
    config: Config,
    params: Params,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    *,
    per_step: bool = True,
) -> np.ndarray:
    """The model's outputs for a batch of sequences, from zero memory: see `train.model.apply`."""
    return np.asarray(_outputs(config, params, inputs, lengths, per_step))


@partial(jax.jit, static_argnums=(0, 4))
def _outputs(
    config: Config, params: Params, inputs: Array, lengths: Array | None, per_step: bool
) -> Array:
    return apply(config, params, None, inputs, lengths, per_step=per_step)[1]


@partial(jax.jit, static_argnums=0)
def _run_layers(
    config: Config, params: Params, inputs: Array
) -> list[tuple[dict[str, Array], ...]]:
    """The values of each layer, by direction, of the same stack as `jlstm.stack_scan`."""
    xs = inputs if params.embedding is None else params.embedding[inputs]
    layers, xs = computed(config.model, (params.layers, xs))
    plain_step = layer_type(config.model.cell)[1]
    steps, _ = zoneout(None, config, layers, len(xs))
    values = []
    for k, layer in enumerate(layers):
        step = plain_step if steps is None else steps[k]
        directions = layer if isinstance(layer, jlstm.BiLSTMParams) else (layer,)
        with_gates = steps is None and isinstance(directions[0], WITH_GATES)
        run = _run_with_gates if with_gates else partial(_run_step, step)
        values.append(tuple(run(weights, xs, bool(d)) for d, weights in enumerate(directions)))
        hs = jnp.concatenate([one["h"] for one in values[-1]], axis=-1)
        residual = config.model.residual and k > 0 and hs.shape == xs.shape
        xs = hs + xs if residual else hs
    return values


def _run_with_gates(weights: PyTree, xs: Array, reverse: bool) -> dict[str, Array]:
    _, hs, trace = jlstm.lstm_trace(weights, None, xs, reverse=reverse)
    return {**trace._asdict(), "h": hs}


def _run_step(step: Callable, weights: PyTree, xs: Array, reverse: bool) -> dict[str, Array]:
    def recording_step(params: PyTree, state: PyTree, x: Array) -> tuple[PyTree, Any]:
        state, h = step(params, state, x)
        return state, {"c": state.c, "h": h} if isinstance(state, jlstm.LSTMState) else {"h": h}

    state = jlstm.init_state(weights)
    return jlstm.scan_cell(recording_step, weights, state, xs, reverse=reverse)[1]


def _check_finite(layer: int, values: dict[str, np.ndarray]) -> None:
    for name, array in values.items():
        bad = np.flatnonzero(~np.isfinite(array).all(1))
        if bad.size:
            raise RunError(
                f"layer {layer + 1} gives a value of {name} that is not finite at step {bad[0] + 1}"
            )
