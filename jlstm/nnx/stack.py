"""`Stack`, layers of any type as a module of Flax NNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm.checks.extras import needs
from jlstm.checks.values import described
from jlstm.modules import cast_inputs, cast_weights, either, time_first
from jlstm.regularize import check_rate
from jlstm.stack import init_stack_state, stack_scan, stack_step

with needs("jlstm.nnx", "flax"):
    from flax import nnx

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Bool, Float, Int, PyTree


class Stack(nnx.Module):
    """Layers of any type as a module, for example with weights that were trained elsewhere.

    The attribute `layers` holds the weights in the types of this library, with an `nnx.Param` for
    each array, so that their paths are `layers, 0, weight_hh`; the property `params` returns them
    as arrays, for the functions of this library. To put in other weights of the same sizes, call
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
        """Make a module of given layers.

        Args:
          layers: a tuple of layers, as for `jlstm.stack_scan`; their arrays get new Params, also
            those that come from another module.
          dropout_rate: as for `jlstm.stack_scan`, between the layers.
          residual: as for `jlstm.stack_scan`.
          time_major: True for inputs and outputs `(time, *batch, features)`, False for
            `(*batch, time, features)`.
          return_carry: True for calls that return `(carry, outputs)`.
          deterministic: True for no dropout; `train()`, `eval()` and `nnx.view` change it.
          dtype: the compute dtype; None is the widest of the inputs and the weights.
          save: the memory kept for the backward pass, as for `jlstm.stack_scan`.
          rng_collection: the stream of `rngs` that dropout draws from.
          rngs: random keys, needed for dropout here or in the call.

        Raises:
          ValueError: a rate outside [0, 1). TypeError: layers of an unknown layer type.

        Example:
          >>> import jax, jlstm
          >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,), init=jlstm.variants.init_gru)
          >>> jlstm.nnx.Stack(layers)(jax.numpy.ones((2, 20, 3))).shape
          (2, 20, 8)
        """
        layers = _arrays(tuple(layers))
        init_stack_state(layers)  # checks them
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
        """Run over a batch of sequences.

        Four things differ from `nnx.RNN`. The carry is that of `jlstm.stack_scan`, a tuple with one
        `LSTMState(h, c)` per layer, where a cell of Flax has `(c, h)`. Outputs past the length are
        zeros, and a length of 0 is allowed. `reverse` and `nnx.Bidirectional` are not supported:
        `bidirectional=True` runs in both directions, with outputs aligned with their inputs. With
        `dtype`, outputs have that dtype.

        Args:
          inputs: `(*batch, time, input)`, or with `time_major` `(time, *batch, input)`.
          initial_carry: the states before the first step; None is zeros.
          seq_lengths: the number of valid steps of each sequence, 0 or more.
          resets: true where a new segment starts: `(*batch, time)`, or `(time, *batch)`.
          reset_carry: the states at a reset; None is zeros.
          return_carry: True to return the states after the last valid step as well.
          time_major: as for the module.
          deterministic: as for the module.
          rngs: keys for dropout, in place of those of the module.

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
        """One time step without dropout, called as a cell of Flax; returns `(carry, outputs)`.

        Args:
          carry: the states before the step, as `initialize_carry` or a call returns them.
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
        """Change the attributes that `nnx.view` changes.

        Args:
          deterministic: True for no dropout.
        """
        if deterministic is not None:
            self.deterministic = deterministic

    def _check(self, carry: Any, name: str) -> None:
        """Check the structure of a carry: that of Flax, for example, is `(c, h)`."""
        if carry is None:
            return
        zeros = init_stack_state(self.params)
        fits = isinstance(carry, Sequence) and not hasattr(carry, "_fields")
        fits = fits and len(carry) == len(zeros)
        fits = fits and all(_is_array(b) or not _is_array(a) for a, b in zip(carry, zeros))  # noqa: B905
        if not fits:
            raise TypeError(
                f"{name} must be a tuple of {len(zeros)}, the state of each layer, such as "
                f"{type(zeros[0]).__name__}; got {described(carry)}. A carry of Flax is (c, h): "
                "jlstm.LSTMState(h=carry[1], c=carry[0])"
            )

    def _computed(self) -> tuple[PyTree, ...]:
        """The weights in the compute dtype."""
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


def _arrays(layers: PyTree) -> PyTree:
    """The layers with the values of their Params."""
    return jax.tree.map(
        lambda a: a.get_value() if isinstance(a, nnx.Variable) else a,
        layers,
        is_leaf=lambda node: isinstance(node, nnx.Variable),
    )


def _is_array(node: Any) -> bool:
    return hasattr(node, "shape")
