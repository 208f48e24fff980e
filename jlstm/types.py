"""The types of the library, and the legend of its axes.

One name per axis, the same in every signature and docstring:

    time      steps of the sequence, always the first axis
    *batch    zero or more batch axes
    input     features of one x
    hidden    units of h and c
    gates     4*hidden: the gates i, f, g, o side by side
    output    units of h, which are those of c unless h is projected

`Bool`, `Float`, `Int` and `Shaped` are the names of jaxtyping, which can check such annotations on
real calls, as the tests do. To a type checker or an editor, with nothing to install,
`Float[Array, "time *batch input"]` is the type `Array`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable
from typing import Annotated as Bool  # noqa: F401
from typing import Annotated as Float
from typing import Annotated as Int  # noqa: F401
from typing import Annotated as Shaped  # noqa: F401

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jax.typing import ArrayLike, DTypeLike


PRNGKeyArray: TypeAlias = Array
PyTree: TypeAlias = Any

Step = Callable[[Any, Any, Any], tuple[Any, Any]]
"""One time step of a cell: `(params, state, x) -> (state, y)`."""


@runtime_checkable
class RecurrentParams(Protocol):
    """The weights that every layer type has: `x W_x + h W_h + b`."""

    @property
    def weight_ih(self) -> Float[Array, "input gates"]:
        """From `x` to the gates."""
        ...

    @property
    def weight_hh(self) -> Float[Array, "output gates"]:
        """From `h` to the gates."""
        ...

    @property
    def bias(self) -> Float[Array, "gates"]:
        """The bias of the gates."""
        ...

    def __iter__(self) -> Iterator[Array]: ...


class LSTMParams(NamedTuple):
    """Weights of one layer. The last axis holds the gates side by side in the order i, f, g, o."""

    weight_ih: Float[Array, "input gates"]
    weight_hh: Float[Array, "hidden gates"]
    bias: Float[Array, "gates"]


class ProjectedParams(NamedTuple):
    """Weights of a layer whose `h` is projected (Sak et al. 2014): `weight_hr` makes it smaller."""

    weight_ih: Float[Array, "input gates"]
    weight_hh: Float[Array, "output gates"]
    bias: Float[Array, "gates"]
    weight_hr: Float[Array, "hidden output"]


class LSTMState(NamedTuple):
    """The state of a layer: `h`, the hidden state and output, and `c`, the cell state."""

    h: Float[Array, "*batch hidden"]
    c: Float[Array, "*batch hidden"]


class LSTMGates(NamedTuple):
    """The three gates, each in (0, 1), and the candidate `g`, in (-1, 1)."""

    i: Float[Array, "*batch hidden"]
    f: Float[Array, "*batch hidden"]
    g: Float[Array, "*batch hidden"]
    o: Float[Array, "*batch hidden"]


class LSTMTrace(NamedTuple):
    """The gates and the cell at every step."""

    i: Float[Array, "time *batch hidden"]
    f: Float[Array, "time *batch hidden"]
    g: Float[Array, "time *batch hidden"]
    o: Float[Array, "time *batch hidden"]
    c: Float[Array, "time *batch hidden"]


class BiLSTMParams(NamedTuple):
    """A layer in both directions: each has its own weights, of any layer type.

    A missing direction is None: `BiLSTMParams(None, backward)` runs backward only.
    """

    forward: PyTree
    backward: PyTree


class BiLSTMState(NamedTuple):
    """The states of both directions: `backward` enters at the last valid step."""

    forward: PyTree
    backward: PyTree


class BiLSTMTrace(NamedTuple):
    """The traces of both directions, each beside its `xs`."""

    forward: LSTMTrace
    backward: LSTMTrace


Shapes: TypeAlias = Mapping[str, tuple[str, ...]]


class LayerType(NamedTuple):
    """A layer type: the type of its weights, its step, and the layout of both.

    `LAYER_TYPES` holds those of the library, by the type of the weights.

    `params` is a NamedTuple type with `weight_ih`, `weight_hh`, `bias` and perhaps more; `shapes`
    names the axes of each, where the first to name a size decides it. `step` is called as
    `step(params, state, x, *, reset=None, reset_state=None)` and returns `(state, output)`. `gates`
    names the gates in their order on the last axis, `""` where there are none. The state is
    `LSTMState(h, c)` where `has_cell` is true, and `h` alone elsewhere.

    Example:
      >>> import jax, jlstm
      >>> params = jlstm.variants.init_gru(jax.random.key(0), 3, 5)
      >>> layer_type = jlstm.LAYER_TYPES[type(params)]
      >>> layer_type.step.__name__, layer_type.gates, layer_type.has_cell
      ('gru_step', 'rzn', False)
    """

    params: type[Any]
    step: Callable[..., tuple[Any, Any]]
    shapes: Shapes
    gates: str
    has_cell: bool = True


def compute_dtype(*arrays: ArrayLike | DTypeLike) -> DTypeLike:
    """The common dtype of inputs and weights, in which they are computed.

    By JAX's standard rules, as this promotion is the library's own: a setting that forbids those of
    the caller leaves it alone.
    """
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*arrays)


def cell_dtype(dtype: DTypeLike) -> DTypeLike:
    """The dtype of `c` and of sums: float32, or float64 when the compute dtype is."""
    return compute_dtype(dtype, jnp.float32)
