"""`LSTM`, a module of Flax NNX over `jlstm.stack_scan`; `Stack`, the same of any layers.

They take the place of `nnx.RNN(nnx.OptimizedLSTMCell(...))`, with its argument names and its batch
first. What differs is said at `Stack.__call__`. Needs the extra `flax`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm.cell import init_params
from jlstm.extras import needs
from jlstm.modules import cast_inputs, cast_weights, either, time_first
from jlstm.regularize import check_rate
from jlstm.stack import init_stack, init_stack_state, stack_scan, stack_step
from jlstm.values import described

with needs("jlstm.nnx", "flax"):
    from flax import nnx

if TYPE_CHECKING:
    from jax.typing import DTypeLike
    from jaxtyping import Array, Bool, Float, Int, PyTree

__all__ = ["LSTM", "Stack"]


class Stack(nnx.Module):
    """Layers of any kind as a module, weights that were trained elsewhere for instance.

    Its weights lie in `layers`, in the types of this library with an `nnx.Param` for each array, so
    that their paths read `layers, 0, weight_hh`; `params` gives them as arrays, for the functions
    of this library. Other weights of the same sizes are put in by
    `nnx.update(module, nnx.state(jlstm.nnx.Stack(layers)))`.
    """

    def __init__(
        self,
        layers: Sequence[PyTree],
        *,
        dropout_rate: float = 0.0,
        residual: bool = False,
        time_major: bool = False,
        return_carry: bool = False,
        deterministic: bool | None = False,
        dtype: DTypeLike | None = None,
        save: str | int = "gates",
        rng_collection: str = "dropout",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ):
        """Hold the layers.

        Args:
          layers: a tuple of layers, as for `jlstm.stack_scan`; their arrays get Params of their
            own, also where they come out of another module.
          dropout_rate: as for `jlstm.stack_scan`, between the layers.
          residual: as for `jlstm.stack_scan`.
          time_major: whether time is the first axis of inputs and outputs, and not the one before
            the features.
          return_carry: whether calls give `(carry, outputs)`.
          deterministic: whether there is no dropout; `train()`, `eval()` and `nnx.view` change it.
          dtype: of the computation; None is the widest of the inputs and the weights.
          save: what is kept for the backward pass, as for `jlstm.stack_scan`.
          rng_collection: the stream of `rngs` that dropout draws from.
          rngs: random keys, needed for dropout here or in the call.

        Raises:
          ValueError: a rate outside [0, 1). TypeError: layers of no kind that is known.

        Example:
          >>> import jax, jlstm
          >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,), init=jlstm.variants.init_gru)
          >>> jlstm.nnx.Stack(layers)(jax.numpy.ones((2, 20, 3))).shape
          (2, 20, 8)
        """
        layers = _arrays(tuple(layers))
        init_stack_state(layers)  # which checks them
        self.layers = nnx.data(jax.tree.map(nnx.Param, layers))
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)
        self.residual = residual
        self.time_major = time_major
        self.return_carry = return_carry
        self.deterministic = deterministic
        self.dtype = dtype
        self.save = save
        self.rng_collection = rng_collection
        if not isinstance(rngs, nnx.Rngs | nnx.RngStream | None):
            raise TypeError(f"rngs must be nnx.Rngs or nnx.RngStream, got {described(rngs)}")
        if rngs is None or not self.dropout_rate:
            self.rngs = nnx.data(None)
        else:
            self.rngs = (rngs[rng_collection] if isinstance(rngs, nnx.Rngs) else rngs).fork()

    @property
    def params(self) -> tuple[PyTree, ...]:
        """The weights as arrays, for `jlstm.stack_scan` and the converters of `jlstm.interop`."""
        return _arrays(self.layers)

    def __call__(
        self,
        inputs: Float[Array, "*batch time input"],
        *,
        initial_carry: Sequence[PyTree] | None = None,
        seq_lengths: Int[Array, "*batch"] | None = None,
        resets: Bool[Array, "*batch time"] | None = None,
        reset_carry: Sequence[PyTree] | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | Array | None = None,
    ) -> Any:
        """Read a batch of sequences.

        Four things differ from `nnx.RNN`. The carry is that of `jlstm.stack_scan`, a tuple of one
        `LSTMState(h, c)` a layer, where a cell of Flax has `(c, h)`. Outputs past the length are
        zeros, and a length of 0 is allowed. There is no `reverse`, and no place in an
        `nnx.Bidirectional`: `bidirectional=True` reads both ways, with outputs beside their inputs.
        With `dtype`, outputs are of that dtype.

        Args:
          inputs: `(*batch, time, input)`, or with `time_major` `(time, *batch, input)`.
          initial_carry: the states before the first step; None is zeros.
          seq_lengths: the valid steps of each sequence; they may hold 0.
          resets: true where a new segment starts: `(*batch, time)`, or `(time, *batch)`.
          reset_carry: the states at a reset; None is zeros.
          return_carry: whether to give the states after the last valid step as well.
          time_major: as for the module.
          deterministic: as for the module.
          rngs: keys for dropout instead of the module's own.

        Returns:
          The outputs, in the axes of `inputs`, or `(carry, outputs)`.

        Raises:
          ValueError, TypeError: as `jlstm.stack_scan`; dropout without keys.
        """
        time_major = either(time_major, self.time_major)
        deterministic = either(deterministic, self.deterministic)
        xs, resets = time_first(inputs, resets, seq_lengths, bool(time_major))
        self._check(initial_carry, "initial_carry")
        self._check(reset_carry, "reset_carry")
        key = None
        if self.dropout_rate and not deterministic:
            key = self._key(self.rngs if rngs is None else rngs)
        carry, outputs = stack_scan(
            self._computed(), initial_carry, self._cast(xs), lengths=seq_lengths, resets=resets,
            reset_states=reset_carry, dropout_rate=0.0 if key is None else self.dropout_rate,
            key=key, residual=self.residual, save=self.save,
        )  # fmt: skip
        outputs = outputs if time_major else jnp.moveaxis(outputs, 0, -2)
        return (carry, outputs) if either(return_carry, self.return_carry) else outputs

    def step(self, carry: Sequence[PyTree], inputs: Float[Array, "*batch input"]) -> tuple:
        """One step of time, without dropout: `(carry, outputs)`, as a cell of Flax is called.

        Args:
          carry: the states before the step, as `initialize_carry` or a call gives them.
          inputs: `(*batch, input)`.

        Raises:
          ValueError, TypeError: as `jlstm.stack_step`; bidirectional layers have no step.

        Example:
          >>> import jax, jlstm
          >>> from flax import nnx
          >>> lstm = jlstm.nnx.LSTM(3, 8, rngs=nnx.Rngs(0))
          >>> carry = lstm.initialize_carry((2, 3))
          >>> carry, h = lstm.step(carry, jax.numpy.ones((2, 3)))
          >>> h.shape
          (2, 8)
        """
        return stack_step(self._computed(), carry, self._cast(inputs), residual=self.residual)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: nnx.Rngs | None = None
    ) -> tuple[PyTree, ...]:
        """The zero states for one step's input of that shape, `(*batch, input)`; no key is used."""
        return init_stack_state(self._computed(), tuple(input_shape[:-1]))

    def set_view(self, deterministic: bool | None = None) -> None:
        """Change what `nnx.view` changes.

        Args:
          deterministic: whether there is no dropout.
        """
        if deterministic is not None:
            self.deterministic = deterministic

    def _check(self, carry: Any, name: str) -> None:
        """A carry of another structure, `(c, h)` of Flax for instance, is refused by name."""
        if carry is None:
            return
        zeros = init_stack_state(self.params)
        fits = isinstance(carry, Sequence) and not hasattr(carry, "_fields")
        fits = fits and len(carry) == len(zeros)
        if not fits or any(_is_array(a) and not _is_array(b) for a, b in zip(carry, zeros)):  # noqa: B905
            raise TypeError(
                f"{name} must be a tuple of {len(zeros)}, the state of each layer, such as "
                f"{type(zeros[0]).__name__}; got {described(carry)}. A carry of Flax is (c, h): "
                "jlstm.LSTMState(h=carry[1], c=carry[0])"
            )

    def _computed(self) -> tuple[PyTree, ...]:
        """The weights in the dtype of the computation."""
        return cast_weights(self.params, self.dtype)

    def _cast(self, inputs: Array) -> Array:
        return cast_inputs(inputs, self.dtype)

    def _key(self, rngs: Any) -> Array:
        if isinstance(rngs, nnx.Rngs):
            return rngs[self.rng_collection]()
        if isinstance(rngs, nnx.RngStream):
            return rngs()
        if rngs is None:
            raise ValueError(
                f"dropout_rate={self.dropout_rate} needs rngs, in the constructor or the call; "
                "eval() or deterministic=True turns dropout off"
            )
        return rngs


class LSTM(Stack):
    """LSTM layers as a module, in the place of `nnx.RNN(nnx.OptimizedLSTMCell(...))`."""

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
          in_features: numbers in one input.
          hidden_features: the units of the layer, or of each of several.
          bidirectional: whether each layer reads in both directions, and shows both side by side.
          init: draws one layer, `jlstm.init_params` with its options bound by `functools.partial`,
            or an `init_*` of `jlstm.variants`. The forget gate's bias starts at 1, where that of
            Flax starts at 0.
          param_dtype: of the weights.
          rngs: random keys, of the weights from the stream `params`, of dropout from `dropout`.
          **options: what else `Stack` takes: `dropout_rate`, `residual`, `time_major`,
            `return_carry`, `deterministic`, `dtype`, `save`, `rng_collection`.

        Raises:
          ValueError: a size below 1, a rate outside [0, 1). TypeError: sizes that are no integers.

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


def _arrays(layers: PyTree) -> PyTree:
    """The layers with the values of their Params."""
    return jax.tree.map(
        lambda a: a.get_value() if isinstance(a, nnx.Variable) else a,
        layers,
        is_leaf=lambda node: isinstance(node, nnx.Variable),
    )


def _is_array(node: Any) -> bool:
    return hasattr(node, "shape")
