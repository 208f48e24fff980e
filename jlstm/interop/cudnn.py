"""cuDNN: all weights in one vector, as `jax.experimental.rnn` packs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jlstm.interop.arrays import as_array, as_layer, directions
from jlstm.recurrence.cudnn import pack_weights
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import Array, Float, PyTree


def from_cudnn(
    weights: Float[Array, "numbers"],
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
) -> tuple[PyTree, ...]:
    """The layers in a vector of weights; its two biases are added, which rounds once.

    `jax.experimental.rnn` has the LSTM alone, and so has this converter.

    Args:
      weights: matrices of all layers and directions, then biases, as
        `jax.experimental.rnn.init_lstm_weight` gives them.
      input_size: features of one `x`.
      hidden_size: units of each layer.
      num_layers: layers.
      bidirectional: whether each layer reads in both directions.

    Returns:
      A tuple of layers, `LSTMParams` or `BiLSTMParams` of two.

    Raises:
      ValueError: another number of numbers than these sizes have.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 8), bidirectional=True)
      >>> weights = jlstm.interop.to_cudnn(layers)
      >>> again = jlstm.interop.from_cudnn(weights, 3, 8, num_layers=2, bidirectional=True)
      >>> bool((again[1].backward.weight_ih == layers[1].backward.weight_ih).all())
      True
    """
    weights = as_array("weights", weights)
    ways = 2 if bidirectional else 1
    gates = 4 * hidden_size
    inputs = [input_size if k == 0 else ways * hidden_size for k in range(num_layers)]
    shapes = [(gates, n) for size in inputs for _ in range(ways) for n in (size, hidden_size)]
    wanted = sum(rows * columns for rows, columns in shapes) + 2 * gates * ways * num_layers
    if weights.shape != (wanted,):
        raise ValueError(
            f"weights must be ({wanted},) for input_size={input_size}, hidden_size={hidden_size}, "
            f"num_layers={num_layers}, bidirectional={bidirectional}; got shape {weights.shape}"
        )
    matrices, start = [], 0
    for rows, columns in shapes:
        matrices.append(weights[start : start + rows * columns].reshape(rows, columns).T)
        start += rows * columns
    biases = weights[start:].reshape(-1, 2, gates).sum(1)
    each = zip(matrices[::2], matrices[1::2], biases, strict=True)
    cells = [LSTMParams(*arrays) for arrays in each]
    return tuple(as_layer(cells[k : k + ways]) for k in range(0, len(cells), ways))


def to_cudnn(layers: Sequence[PyTree]) -> Float[Array, "numbers"]:
    """All weights in one vector: exact, with the second bias of each layer zero.

    Raises:
      TypeError: a layer that cuDNN has no place for. ValueError: layers of different sizes.
    """
    cells = []
    for k, found in directions(layers, "cuDNN"):
        for params in found:
            cells.append(params)
            if params.weight_hh.shape != cells[0].weight_hh.shape:
                raise ValueError(
                    f"layers[{k}] has {params.weight_hh.shape[0]} units, layers[0] has "
                    f"{cells[0].weight_hh.shape[0]}; cuDNN holds equal ones"
                )
        if len(found) * (k + 1) != len(cells):
            raise ValueError(f"layers[{k}] has other directions than layers[0]")
    return pack_weights(cells)
