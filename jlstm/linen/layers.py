"""Params and scan of the modules of `jlstm.linen`, with the params of Flax's cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from jlstm.cells.gru import gru_step
from jlstm.cells.layer_types import init_state
from jlstm.checks.extras import needs
from jlstm.checks.values import described
from jlstm.interop.flax import cells as flax_cells
from jlstm.modules import cast_inputs, cast_weights
from jlstm.sequence import lstm_scan, scan_any_cell
from jlstm.types import LSTMParams, LSTMState, cell_dtype

with needs("jlstm.linen", "flax"):
    from flax import linen as nn

if TYPE_CHECKING:
    from jlstm.types import Array, PRNGKeyArray, PyTree


def _orthogonal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any) -> Array:
    """Draw in float32 or wider: no platform decomposes matrices of 16 bits."""
    return nn.initializers.orthogonal()(key, shape, cell_dtype(dtype)).astype(dtype)


class _Dense(nn.Module):
    """The params of one gate for `x` or for `h`, under Flax's names."""

    features: int
    kernel_init: Any
    bias_init: Any  # None for no bias
    param_dtype: Any

    @nn.compact
    def __call__(self, width: int) -> dict[str, Array]:
        shapes = {"kernel": (width, self.features), "bias": (self.features,)}
        inits = {"kernel": self.kernel_init, "bias": self.bias_init}
        return {
            name: self.param(name, init, shapes[name], self.param_dtype)
            for name, init in inits.items()
            if init is not None
        }


class Recurrent(nn.Module):
    """The shared attributes of the modules, their params and their scan."""

    features: int
    kernel_init: Any = nn.initializers.lecun_normal()
    recurrent_kernel_init: Any = _orthogonal
    bias_init: Any = nn.initializers.zeros_init()
    dtype: Any = None
    param_dtype: Any = jnp.float32
    save: str | int = "gates"

    NAMES: ClassVar[Mapping[str, bool]]

    @nn.compact
    def _scan(
        self, carry: Any, xs: Array, lengths: Any, resets: Any, reverse: bool
    ) -> tuple[Any, Array]:
        """`(carry, hs)` of inputs whose first axis is time."""
        params = {}
        for name, biased in self.NAMES.items():
            from_x = name.startswith("i")
            dense = _Dense(
                self.features, self.kernel_init if from_x else self.recurrent_kernel_init,
                self._bias_init(name) if biased else None, self.param_dtype, name=name,
            )  # fmt: skip
            params[name] = dense(jnp.shape(xs)[-1] if from_x else self.features)
        layer = cast_weights(flax_cells.read_layer(self.name or "params", params), self.dtype)
        xs = cast_inputs(xs, self.dtype)
        if carry is None:
            state = init_state(layer, jnp.shape(xs)[1:-1])
        else:
            state = self._as_state(carry)
        if isinstance(layer, LSTMParams):
            state, hs = lstm_scan(
                layer, state, xs, lengths=lengths, resets=resets, reverse=reverse, save=self.save
            )
            return (state.c, state.h), hs
        return scan_any_cell(
            gru_step, layer, state, xs, lengths=lengths, resets=resets, reset_state=None,
            reverse=reverse, save=self.save,
        )  # fmt: skip

    def _bias_init(self, name: str) -> Any:
        return self.bias_init

    def _as_state(self, carry: Any) -> PyTree:
        raise NotImplementedError


class LSTMLayer(Recurrent):
    """An LSTM layer, whose carry is `(c, h)`."""

    forget_bias: float = 1.0

    NAMES = flax_cells.LSTM

    def _bias_init(self, name: str) -> Any:
        if name != "hf":
            return self.bias_init

        def init(*arguments: Any) -> PyTree:  # a partitioned init returns boxes
            return jax.tree.map(lambda b: b + self.forget_bias, self.bias_init(*arguments))

        return init

    def _as_state(self, carry: Any) -> LSTMState:
        if not isinstance(carry, tuple | list) or hasattr(carry, "_fields") or len(carry) != 2:
            raise TypeError(
                f"the carry must be Flax's (c, h), got {described(carry)}; of an LSTMState(h, c) "
                "it is (state.c, state.h)"
            )
        return LSTMState(h=carry[1], c=carry[0])

    @nn.nowrap
    def initialize_carry(
        self, rng: PRNGKeyArray | None, input_shape: tuple[int, ...]
    ) -> tuple[Array, Array]:
        """The zero carry `(c, h)` for one step's input of that shape, `(*batch, input)`.

        The key is not used. The dtypes are those that a call returns: float32 or wider for `c`,
        `dtype`, or else `param_dtype`, for `h`.
        """
        shape = (*input_shape[:-1], self.features)
        dtype = self.dtype or self.param_dtype
        return jnp.zeros(shape, cell_dtype(dtype)), jnp.zeros(shape, dtype)


class GRULayer(Recurrent):
    """A GRU layer, whose carry is `h`."""

    NAMES = flax_cells.GRU

    def _as_state(self, carry: Any) -> Array:
        if isinstance(carry, tuple | list):
            raise TypeError(f"the carry of a GRU must be one array h, got {described(carry)}")
        return carry

    @nn.nowrap
    def initialize_carry(self, rng: PRNGKeyArray | None, input_shape: tuple[int, ...]) -> Array:
        """The zero carry `h` for one step's input of that shape; the key is not used."""
        return jnp.zeros((*input_shape[:-1], self.features), self.dtype or self.param_dtype)
