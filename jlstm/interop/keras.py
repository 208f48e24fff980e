"""Keras 3: weights of `keras.layers.LSTM`, and of `Bidirectional` around it. Imports no keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jlstm.interop.arrays import as_array, as_layer, directions, refuse_bias, zero_bias
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import PyTree


def from_keras(weights: Any) -> tuple[PyTree, ...]:
    """The layers of Keras: exact.

    Args:
      weights: a layer, `layer.get_weights()`, or a list of either, from the first layer to the
        last. Of a layer the settings are checked as well, which arrays alone do not tell. A layer
        holds kernel, recurrent kernel and bias, a `Bidirectional` twice as many; without bias two
        arrays, or four.

    Returns:
      A tuple of layers, `LSTMParams` or `BiLSTMParams` of two.

    Raises:
      ValueError: another number of arrays, arrays that do not fit (a GRU's, for instance), a layer
        with other activations, that reads backwards, or merges its directions by another rule.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> weights = jlstm.interop.to_keras(layers)  # or [layer.get_weights() for layer in ...]
      >>> [a.shape for a in weights[1]]
      [(8, 16), (4, 16), (16,)]
      >>> len(jlstm.interop.from_keras(weights))
      2
    """
    if hasattr(weights, "get_weights") or (len(weights) and hasattr(weights[0], "shape")):
        weights = [weights]
    layers = []
    for k, arrays in enumerate(weights):
        if hasattr(arrays, "get_weights"):
            _check_settings(f"weights[{k}]", arrays)
            arrays = arrays.get_weights()
        if len(arrays) not in (2, 3, 4, 6):
            raise ValueError(
                f"weights[{k}] holds {len(arrays)} arrays; an LSTM has 3, or 2 without bias, a "
                "Bidirectional twice as many"
            )
        found = [as_array(f"weights[{k}][{n}]", a) for n, a in enumerate(arrays)]
        each = 3 if len(found) % 3 == 0 else 2
        parts = [found[n : n + each] for n in range(0, len(found), each)]
        layers.append(as_layer([LSTMParams(*p[:2], *(p[2:] or [zero_bias(p[1])])) for p in parts]))
    return tuple(layers)


def _check_settings(name: str, layer: Any) -> None:
    """The layer computes what a layer here does."""
    kind, settings = type(layer).__name__, layer.get_config()
    if kind not in ("LSTM", "LSTMCell", "Bidirectional"):
        raise ValueError(
            f"{name} is a {kind}, not an LSTM or a Bidirectional of it; give its layers"
        )
    wanted: dict[str, Any] = {
        "activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False,
    }  # fmt: skip
    if kind == "Bidirectional":
        wanted = {"merge_mode": "concat"}
        _check_settings(f"{name}.forward_layer", layer.forward_layer)
        if type(layer.backward_layer).__name__ != "LSTM":
            raise ValueError(f"{name}.backward_layer is a {type(layer.backward_layer).__name__}")
    for key, value in wanted.items():
        if settings.get(key, value) != value:
            raise ValueError(f"{name} has {key}={settings[key]!r}; a layer here has {value!r}")


def to_keras(layers: Sequence[PyTree], bias: bool = True) -> list[list[np.ndarray]]:
    """What `layer.set_weights` takes, one list a layer: exact.

    Args:
      layers: a stack of `LSTMParams`, in one direction or both.
      bias: whether the layers have biases.

    Raises:
      TypeError: a layer that Keras has no place for. ValueError: a bias that is not zero with
        `bias=False`.
    """
    weights = []
    for k, found in directions(layers, "Keras"):
        for params in found:
            if not bias:
                refuse_bias(k, params)
        weights.append([np.asarray(a) for p in found for a in (p if bias else p[:2])])
    return weights
