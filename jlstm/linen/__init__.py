"""`LSTM` and `GRU`, which replace Flax linen's `RNN`; `ScannedLSTM` and `ScannedGRU`, for agents.

The carry is that of Flax: `(c, h)` of an LSTM, `h` of a GRU. The params are those of linen's
`OptimizedLSTMCell` and `GRUCell`, so that `jlstm.interop.from_flax` and `to_flax` convert them.
Needs the extra `flax`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.checks.values import described
from jlstm.linen.layers import GRULayer, LSTMLayer, Recurrent
from jlstm.masks import reverse_within_lengths
from jlstm.modules import either, time_first

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Float, Int, PRNGKeyArray

__all__ = ["GRU", "LSTM", "ScannedGRU", "ScannedLSTM"]


class _RNNModule(Recurrent):
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False

    def __call__(
        self,
        inputs: Float[Array, "*batch time input"],
        *,
        initial_carry: Any = None,
        init_key: PRNGKeyArray | None = None,
        seq_lengths: Int[Array, "*batch"] | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        resets: Bool[Array, "*batch time"] | None = None,
    ) -> Any:
        """Run over a batch of sequences, with the arguments of `nn.RNN`.

        Two things differ: outputs past a length are zeros, and a length of 0 is allowed.

        Args:
          inputs: `(*batch, time, input)`, or with `time_major` `(time, *batch, input)`.
          initial_carry: the carry before the first step; None is zeros.
          init_key: not used.
          seq_lengths: the number of valid steps of each sequence.
          return_carry: True to return the carry after the last valid step as well.
          time_major: as for the module.
          reverse: as for the module.
          keep_order: as for the module.
          resets: true where a new segment starts, with a zero carry: `(*batch, time)`, or with
            `time_major` `(time, *batch)`.

        Returns:
          The outputs, in the axes of `inputs`, or `(carry, outputs)`.

        Raises:
          ValueError, TypeError: as `jlstm.lstm_scan`; a carry of another structure.
        """
        time_major = bool(either(time_major, self.time_major))
        reverse = bool(either(reverse, self.reverse))
        xs, resets = time_first(inputs, resets, seq_lengths, time_major)
        carry, hs = self._scan(initial_carry, xs, seq_lengths, resets, reverse)
        if reverse and not either(keep_order, self.keep_order):
            hs = (
                jnp.flip(hs, 0)
                if seq_lengths is None
                else reverse_within_lengths(hs, jnp.asarray(seq_lengths))
            )
        outputs = hs if time_major else jnp.moveaxis(hs, 0, -2)
        return (carry, outputs) if either(return_carry, self.return_carry) else outputs


class _RolloutModule(Recurrent):
    def __call__(
        self,
        carry: Any,
        inputs: tuple[Float[Array, "time *batch input"], Bool[Array, "time *batch"]],
    ) -> tuple[Any, Float[Array, "time *batch features"]]:
        """Run over a rollout.

        Args:
          carry: the carry before the first step, as `initialize_carry` or a call returns it.
          inputs: `(xs, resets)`: `(time, *batch, input)`, and `(time, *batch)`, true where an
            episode starts, with a zero carry.

        Returns:
          `(carry, hs)`: the carry after the last step, and the outputs `(time, *batch, features)`.

        Raises:
          ValueError, TypeError: as `jlstm.lstm_scan`; a carry of another structure.
        """
        if not isinstance(inputs, tuple | list) or len(inputs) != 2:
            raise TypeError(f"inputs must be (xs, resets), got {described(inputs)}")
        xs, resets = time_first(*inputs, None, time_major=True)
        return self._scan(carry, xs, None, resets, reverse=False)


class LSTM(_RNNModule, LSTMLayer):
    """An LSTM layer as a module that replaces `nn.RNN(nn.OptimizedLSTMCell(features))`.

    `nn.Bidirectional` takes it as well. Its params are those of the cell, without the name `cell`
    that `nn.RNN` puts around them.

    Args:
      features: the number of units.
      kernel_init: draws the input kernel of a gate.
      recurrent_kernel_init: draws the recurrent kernel of a gate.
      bias_init: draws the bias of a gate.
      dtype: the compute dtype; None is the widest of the inputs and the params.
      param_dtype: the dtype of the params.
      save: the memory kept for the backward pass, as for `jlstm.lstm_scan`.
      forget_bias: added to the drawn bias of the forget gate; Flax has 0.
      time_major: True for inputs and outputs `(time, *batch, features)`, False for
        `(*batch, time, features)`.
      return_carry: True for calls that return `(carry, outputs)`.
      reverse: True to run from the last valid step to the first.
      keep_order: True to align the outputs of a reversed run with their inputs; False leaves them
        in the order of the run.

    Example:
      >>> import jax, jlstm
      >>> lstm = jlstm.linen.LSTM(8)  # nn.RNN(nn.OptimizedLSTMCell(8))
      >>> xs = jax.numpy.ones((2, 20, 3))
      >>> variables = lstm.init(jax.random.key(0), xs)
      >>> lengths = jax.numpy.array([20, 7])
      >>> (c, h), outputs = lstm.apply(variables, xs, seq_lengths=lengths, return_carry=True)
      >>> outputs.shape, h.shape
      ((2, 20, 8), (2, 8))
    """


class GRU(_RNNModule, GRULayer):
    """A GRU layer as a module that replaces `nn.RNN(nn.GRUCell(features))`.

    Args: those of `LSTM`, without `forget_bias`.

    Example:
      >>> import jax, jlstm
      >>> gru = jlstm.linen.GRU(8, time_major=True)
      >>> gru.init_with_output(jax.random.key(0), jax.numpy.ones((20, 2, 3)))[0].shape
      (20, 2, 8)
    """


class ScannedLSTM(_RolloutModule, LSTMLayer):
    """An LSTM layer over rollouts of several episodes, called with `(carry, (xs, resets))`.

    It replaces an `nn.scan` over a cell whose carry is reset where an episode starts.

    Args: those of `LSTM`, from `features` to `forget_bias`.

    Example:
      >>> import jax, jax.numpy as jnp, jlstm
      >>> lstm = jlstm.linen.ScannedLSTM(8)
      >>> xs, resets = jnp.ones((20, 4, 3)), jnp.zeros((20, 4), bool).at[7, 2].set(True)
      >>> carry = lstm.initialize_carry(jax.random.key(0), (4, 3))
      >>> variables = lstm.init(jax.random.key(1), carry, (xs, resets))
      >>> carry, hs = lstm.apply(variables, carry, (xs, resets))
      >>> hs.shape, bool((hs[7, 2] == hs[0, 2]).all())
      ((20, 4, 8), True)
    """


class ScannedGRU(_RolloutModule, GRULayer):
    """A GRU layer over rollouts of several episodes, called with `(carry, (xs, resets))`.

    Args: those of `ScannedLSTM`, without `forget_bias`.

    Example:
      >>> import jax, jax.numpy as jnp, jlstm
      >>> gru = jlstm.linen.ScannedGRU(8)
      >>> carry = gru.initialize_carry(jax.random.key(0), (4, 3))
      >>> inputs = (jnp.ones((20, 4, 3)), jnp.zeros((20, 4), bool))
      >>> (carry, hs), _ = gru.init_with_output(jax.random.key(1), carry, inputs)
      >>> carry.shape, hs.shape
      ((4, 8), (20, 4, 8))
    """
