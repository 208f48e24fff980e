"""`LSTM`, a module of Flax NNX over `jlstm.stack_scan`, and `Stack`, its form for any layers.

They replace `nnx.RNN(nnx.OptimizedLSTMCell(...))`, with its argument names and the batch axes
first; `Stack.__call__` lists the differences. Needs the extra `flax`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.cells.lstm import init_params
from jlstm.nnx.stack import Stack
from jlstm.stack import init_stack

if TYPE_CHECKING:
    from flax import nnx
    from jax.typing import DTypeLike

    from jlstm.types import PyTree

__all__ = ["LSTM", "Stack"]


class LSTM(Stack):
    """LSTM layers as a module that replaces `nnx.RNN(nnx.OptimizedLSTMCell(...))`."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int | Sequence[int],
        *,
        bidirectional: bool = False,
        init: Callable[..., PyTree] = init_params,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        """Draw the weights.

        Args:
          in_features: the size of one input.
          hidden_features: the units of the layer, or of each of several.
          bidirectional: True for layers in both directions, whose outputs are concatenated.
          init: draws one layer: `jlstm.init_params`, with options bound by `functools.partial`, or
            an `init_*` of `jlstm.variants`. The forget bias starts at 1; that of Flax starts at 0.
          param_dtype: the dtype of the weights.
          rngs: random keys: the stream `params` draws the weights, `dropout` the dropout masks.
          **options: further arguments of `Stack`: `dropout_rate`, `residual`, `time_major`,
            `return_carry`, `deterministic`, `dtype`, `save`, `rng_collection`.

        Raises:
          ValueError: a size below 1, a rate outside [0, 1). TypeError: sizes that are not integers.

        Example:
          >>> import jax, jlstm
          >>> from flax import nnx
          >>> lstm = jlstm.nnx.LSTM(
          ...     3, (8, 8), bidirectional=True, dropout_rate=0.1, rngs=nnx.Rngs(0))
          >>> lstm(jax.numpy.ones((2, 20, 3)), seq_lengths=jax.numpy.array([20, 7])).shape
          (2, 20, 16)
          >>> carry, outputs = lstm(jax.numpy.ones((2, 20, 3)), return_carry=True)
          >>> carry[1].backward.h.shape
          (2, 8)
        """
        several = isinstance(hidden_features, Sequence)
        sizes = tuple(hidden_features) if several else (hidden_features,)
        layers = init_stack(
            rngs.params(), in_features, sizes, bidirectional=bidirectional, init=init,
            dtype=param_dtype,
        )  # fmt: skip
        super().__init__(layers, rngs=rngs, **options)
        self.in_features = in_features
        self.hidden_features = sizes
