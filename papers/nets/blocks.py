"""The nets of the papers: memory blocks whose cells share gates.

Hochreiter and Schmidhuber (1997), section 4 and appendix A.1; with forget gates Gers, Schmidhuber
and Cummins (2000). Gates are logistic. A cell's input is squashed by `g` to (-2, 2), its output by
`h` to (-1, 1):

    i = sigmoid(u W_i)    f = sigmoid(u W_f), or 1    o = sigmoid(u W_o), or 1    one per block
    s' = f s + i g(u W_c)             h' = o h(s')                                one per cell
    y = sigmoid(v W_y)

where `u` is the input, the recurrent activations of the previous step, and 1 for the biases; and
`v` is `h'`, the input if the net has shortcuts, and 1.

The papers truncate the gradient where it would leave a cell through `u`: errors flow back through
`s` only, and the derivative treats `u` as a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int, PRNGKeyArray


@dataclass(frozen=True)
class Layout:
    """The architecture of a net."""

    inputs: int
    outputs: int
    blocks: int
    cells: int = 1  # per block
    sent_back: Literal["all", "cells", "nothing"] = "all"  # recurrent inputs of hidden units
    forget_gates: bool = False
    output_gates: bool = True
    biases: Literal["hidden", "gates", "none"] = "hidden"  # hidden units with a bias
    output_biases: bool = False
    shortcuts: bool = False  # from the input to the outputs
    squashed: bool = True  # otherwise g is logistic and h the identity

    @property
    def memory(self) -> int:
        """The number of cells."""
        return self.blocks * self.cells

    @property
    def back(self) -> int:
        """The number of recurrent activations."""
        gates = self.blocks * (1 + self.forget_gates + self.output_gates)
        return {"all": self.memory + gates, "cells": self.memory, "nothing": 0}[self.sent_back]


class Net(NamedTuple):
    """Weights, or values per weight: rows are sources, columns are units."""

    cell: Float[Array, "sources cells"]
    input_gate: Float[Array, "sources blocks"]
    forget_gate: Float[Array, "sources blocks"] | None
    output_gate: Float[Array, "sources blocks"] | None
    output: Float[Array, "shown outputs"]


class Units(NamedTuple):
    """Activations of the hidden units in a step; gates are repeated for the cells of a block."""

    i: Float[Array, "*time cells"]
    f: Float[Array, "*time cells"]
    g: Float[Array, "*time cells"]
    s: Float[Array, "*time cells"]
    h: Float[Array, "*time cells"]
    back: Float[Array, "*time back"]


def connections(layout: Layout) -> Net:
    """A mask: 1 for each existing weight, 0 elsewhere."""
    sources = layout.inputs + layout.back + 1

    def into(units: int, biased: bool) -> Array:
        return jnp.ones((sources, units)).at[-1].set(biased)

    gate = into(layout.blocks, layout.biases != "none")
    shown = jnp.ones((layout.memory + layout.inputs + 1, layout.outputs))
    shown = shown.at[layout.memory : -1].set(layout.shortcuts).at[-1].set(layout.output_biases)
    return Net(
        into(layout.memory, layout.biases == "hidden"),
        gate,
        gate if layout.forget_gates else None,
        gate if layout.output_gates else None,
        shown,
    )


def count(layout: Layout) -> int:
    """The number of weights of a net, biases included."""
    return int(sum(mask.sum() for mask in jax.tree.leaves(connections(layout))))


def init_net(
    key: PRNGKeyArray,
    layout: Layout,
    scale: float,
    *,
    input_bias: tuple[float, ...] = (),
    forget_bias: tuple[float, ...] = (),
    output_bias: tuple[float, ...] = (),
) -> Net:
    """Draw weights from (-scale, scale), and set the gates' biases per block, if given."""
    leaves, shape = jax.tree.flatten(connections(layout))
    net = jax.tree.unflatten(
        shape,
        [
            jax.random.uniform(key, mask.shape, minval=-scale, maxval=scale) * mask
            for key, mask in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
        ],
    )
    biases = {"input_gate": input_bias, "forget_gate": forget_bias, "output_gate": output_bias}
    given = {name: jnp.array(bias) for name, bias in biases.items() if bias}
    return net._replace(
        **{name: getattr(net, name).at[-1].set(bias) for name, bias in given.items()}
    )


def with_shortcuts_of(net: Net, learned: Net) -> Net:
    """Replace the shortcut weights by those that a net without cells has learned."""
    return net._replace(output=net.output.at[-len(learned.output) :].set(learned.output))


def project(
    xs: Float[Array, "*time inputs"] | Int[Array, "*time"], weights: Float[Array, "inputs units"]
) -> Float[Array, "*time units"]:
    """Inputs times weights; integers stand for one-hot vectors."""
    return weights[xs] if jnp.issubdtype(xs.dtype, jnp.integer) else xs @ weights


def hidden_weights(net: Net) -> Float[Array, "sources units"]:
    """The weights of all hidden units, concatenated: cells, then the gates that exist."""
    return jnp.concatenate([weights for weights in net[:-1] if weights is not None], axis=1)


def activate(
    layout: Layout, pre: Float[Array, "*time units"], s: Float[Array, "*time cells"]
) -> Units:
    """The activations of a step, from the pre-activations and the previous cell states."""
    z, gates = pre[..., : layout.memory], jax.nn.sigmoid(pre[..., layout.memory :])
    kinds = jnp.split(gates, 1 + layout.forget_gates + layout.output_gates, axis=-1)
    i = _of_cells(layout, kinds[0])
    f = _of_cells(layout, kinds[1]) if layout.forget_gates else jnp.ones_like(i)
    g = 4 * jax.nn.sigmoid(z) - 2 if layout.squashed else jax.nn.sigmoid(z)
    s = f * s + i * g
    h = cell_outputs(layout, kinds[-1] if layout.output_gates else None, s)
    back = {"all": [h, gates], "cells": [h], "nothing": [h[..., :0]]}[layout.sent_back]
    return Units(i, f, g, s, h, jnp.concatenate(back, axis=-1))


def cell_outputs(
    layout: Layout, o: Float[Array, "*time blocks"] | None, s: Float[Array, "*time cells"]
) -> Float[Array, "*time cells"]:
    """The cells' outputs, times the output gates of their blocks if they exist."""
    h = 2 * jax.nn.sigmoid(s) - 1 if layout.squashed else s
    return h if o is None else _of_cells(layout, o) * h


def outputs(
    layout: Layout,
    net: Net,
    h: Float[Array, "*time cells"],
    xs: Float[Array, "*time inputs"] | Int[Array, "*time"],
) -> Float[Array, "*time outputs"]:
    """The net's outputs for the cells' outputs `h`."""
    pre = h @ net.output[: layout.memory] + net.output[-1]
    if layout.shortcuts:
        pre += project(xs, net.output[layout.memory : -1])
    return jax.nn.sigmoid(pre)


def _of_cells(layout: Layout, gates: Float[Array, "*time blocks"]) -> Float[Array, "*time cells"]:
    """Repeat the gate of each block for its cells."""
    return jnp.repeat(gates, layout.cells, axis=-1)
