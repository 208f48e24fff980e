"""What every layer did with a sequence, gate by gate where that is known; what the model said."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import jlstm
from jlstm.types import LSTMParams, ProjectedParams
from train.config.settings import Config
from train.errors import RunError
from train.model import Params, apply, computed, zoneout
from train.viewer import Block

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

TRACED = (LSTMParams, ProjectedParams)  # the kinds whose gates `lstm_trace` gives


def trace(config: Config, params: Params, inputs: np.ndarray) -> list[Block]:
    """The layers from the first to the last, a block for each of their directions.

    The memory is empty at the beginning, and nothing is dropped. Layers of the LSTM, projected or
    not, give `i`, `f`, `g`, `o`, `c` and `h`; other kinds, and layers with zoneout, give `c` and
    `h`, or `h` alone where there is no cell.

    Args:
      config: of the run.
      params: its weights.
      inputs: one sequence: tokens `(time,)`, or numbers `(time, features)`.

    Raises:
      RunError: a value that is not finite, with the step.
    """
    both, blocks = config.model.bidirectional, []
    traces = _run(config, params, inputs)
    for k, (layer, ways) in enumerate(zip(params.layers, traces, strict=True)):
        for way, values in enumerate(ways):
            found = {name: np.asarray(a, np.float32) for name, a in values.items()}
            _check_finite(k, found)
            direction = ("forward", "backward")[way] if both else ""
            blocks.append(Block(k, direction, type(layer[way] if both else layer).__name__, found))
    return blocks


def read(
    config: Config,
    params: Params,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    *,
    per_step: bool = True,
) -> np.ndarray:
    """The outputs of a batch of sequences from an empty memory, as `train.model.apply` has them."""
    return np.asarray(_outputs(config, params, inputs, lengths, per_step))


@partial(jax.jit, static_argnums=(0, 4))
def _outputs(
    config: Config, params: Params, inputs: Array, lengths: Array | None, per_step: bool
) -> Array:
    return apply(config, params, None, inputs, lengths, per_step=per_step)[1]


@partial(jax.jit, static_argnums=0)
def _run(config: Config, params: Params, inputs: Array) -> list[tuple[dict[str, Array], ...]]:
    xs = inputs if params.embedding is None else params.embedding[inputs]
    layers, xs = computed(config.model, (params.layers, xs))
    steps, _ = zoneout(None, layers, len(xs), config.regularize)

    def run(k: int, layer: PyTree, xs: Array, reverse: bool) -> tuple[Array, dict[str, Array]]:
        if steps is None and isinstance(layer, TRACED):
            _, hs, trace = jlstm.lstm_trace(layer, None, xs, reverse=reverse)
            return hs, {**trace._asdict(), "h": hs}
        kind = jlstm.LAYER_TYPES[type(layer)]
        step = kind.step if steps is None else steps[k]

        def kept(params: PyTree, state: PyTree, x: Array) -> tuple[PyTree, Any]:
            state, h = step(params, state, x)
            return state, (h, {"c": state.c, "h": h} if kind.has_cell else {"h": h})

        return jlstm.scan_cell(kept, layer, jlstm.init_state(layer), xs, reverse=reverse)[1]

    values = []
    for k, layer in enumerate(layers):
        both = layer if isinstance(layer, jlstm.BiLSTMParams) else (layer,)
        results = [run(k, params, xs, bool(d)) for d, params in enumerate(both)]
        hs = jnp.concatenate([hs for hs, _ in results], axis=-1)
        residual = config.model.residual and k > 0 and hs.shape == xs.shape
        xs = hs + xs if residual else hs
        values.append(tuple(arrays for _, arrays in results))
    return values


def _check_finite(layer: int, values: dict[str, np.ndarray]) -> None:
    for name, array in values.items():
        bad = np.flatnonzero(~np.isfinite(array).all(1))
        if bad.size:
            raise RunError(
                f"layer {layer + 1} gives a value of {name} that is not finite at step {bad[0] + 1}"
            )
