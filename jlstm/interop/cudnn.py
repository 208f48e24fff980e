"""cuDNN: all weights in one vector, as `jax.experimental.rnn` packs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jlstm.interop.arrays import as_array, as_layer, directions
from jlstm.recurrence.cudnn import pack_weights
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jlstm.types import Array, Float, PyTree


def from_cudnn(
    weights: Float[Array, "numbers"],
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
) -> tuple[PyTree, ...]:
    """Convert a vector of weights to layers; the two biases are added, which rounds once.

    Like `jax.experimental.rnn`, this converter supports the LSTM only.

    Args:
      weights: the matrices of all layers and directions, then the biases, as
        `jax.experimental.rnn.init_lstm_weight` returns them.
      input_size: the number of features of one `x`.
      hidden_size: the number of units of each layer.
      num_layers: the number of layers.
      bidirectional: True for layers in both directions.

    Returns:
      A tuple of `LSTMParams`, or of `BiLSTMParams` with two of them each.

    Raises:
      ValueError: a vector whose length does not fit the sizes.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 8), bidirectional=True)
      >>> weights = jlstm.interop.to_cudnn(layers)
      >>> again = jlstm.interop.from_cudnn(weights, 3, 8, num_layers=2, bidirectional=True)
      >>> bool((again[1].backward.weight_ih == layers[1].backward.weight_ih).all())
      True
    """
    weights = as_array("weights", weights)
    num_directions = 2 if bidirectional else 1
    gates = 4 * hidden_size
    inputs = [input_size if k == 0 else num_directions * hidden_size for k in range(num_layers)]
    shapes = [
        (gates, columns)
        for size in inputs
        for _ in range(num_directions)
        for columns in (size, hidden_size)
    ]
    biases_size = 2 * gates * num_directions * num_layers
    wanted = sum(rows * columns for rows, columns in shapes) + biases_size
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
    starts = range(0, len(cells), num_directions)
    return tuple(as_layer(cells[k : k + num_directions]) for k in starts)


def to_cudnn(layers: Sequence[PyTree]) -> Float[Array, "numbers"]:
    """Convert layers to one vector of weights: exact, with a second bias of zeros.

    Raises:
      TypeError: a layer that cuDNN cannot represent. ValueError: layers of different sizes.
    """
    cells = []
    for k, pair in directions(layers, "cuDNN"):
        for params in pair:
            cells.append(params)
            if params.weight_hh.shape != cells[0].weight_hh.shape:
                raise ValueError(
                    f"layers[{k}] has {params.weight_hh.shape[0]} units, layers[0] has "
                    f"{cells[0].weight_hh.shape[0]}; cuDNN takes equal sizes only"
                )
        if len(pair) * (k + 1) != len(cells):
            raise ValueError(f"layers[{k}] has other directions than layers[0]")
    return pack_weights(cells)
