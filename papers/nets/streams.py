"""Training at every symbol of a stream: experiments 1, 2a and 2b of 1997, and that of 2000.

The truncated gradient of `blocks`, in forward mode: each cell carries its derivatives by the
weights that feed it (appendix A.1 of 1997), so that weights change at every step and no history is
kept.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from papers.nets.blocks import (
    Layout,
    Net,
    Units,
    activate,
    cell_outputs,
    connections,
    hidden_weights,
    outputs,
)
from papers.problems import Stream, is_correct

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


class Slopes(NamedTuple):
    """The derivative of each cell by each weight that feeds it."""

    cell: Float[Array, "sources cells"]
    input_gate: Float[Array, "sources cells"]
    forget_gate: Float[Array, "sources cells"] | None


class Memory(NamedTuple):
    """The state of a net between steps."""

    s: Float[Array, "cells"]
    back: Float[Array, "back"]
    slopes: Slopes


def init_memory(layout: Layout) -> Memory:
    """The initial state of a net."""
    slope = jnp.zeros_like(connections(layout).cell)
    forget = slope if layout.forget_gates else None
    slopes = Slopes(slope, slope, forget)
    return Memory(jnp.zeros(layout.memory), jnp.zeros(layout.back), slopes)


def learn_step(
    layout: Layout, net: Net, memory: Memory, symbol: Int[Array, ""], target: Int[Array, ""]
) -> tuple[Memory, Float[Array, "outputs"], Net]:
    """Take one symbol: the new memory, the prediction, and the gradient of its error."""
    u = jnp.concatenate([jax.nn.one_hot(symbol, layout.inputs), memory.back, jnp.ones(1)])
    units = activate(layout, u @ hidden_weights(net), memory.s)
    slopes = _slopes(layout, memory, units, u)

    def error(net: Net, s: Array) -> tuple[Array, Array]:
        gates = None if net.output_gate is None else jax.nn.sigmoid(u @ net.output_gate)
        y = outputs(layout, net, cell_outputs(layout, gates, s), symbol)
        return ((y - jax.nn.one_hot(target, layout.outputs)) ** 2).sum() / 2, y

    (gradient, by_s), y = jax.grad(error, argnums=(0, 1), has_aux=True)(net, units.s)
    by_cell = jax.tree.map(lambda slope: slope * by_s, slopes)
    forget = by_cell.forget_gate
    gradient = gradient._replace(
        cell=by_cell.cell,
        input_gate=_by_block(layout, by_cell.input_gate),
        forget_gate=None if forget is None else _by_block(layout, forget),
    )
    return Memory(units.s, units.back, slopes), y, gradient


class Learner(NamedTuple):
    """A net in training, with its state."""

    net: Net
    memory: Memory
    waiting: Bool[Array, ""]  # for the next string to start


def init_learner(layout: Layout, net: Net) -> Learner:
    """Initialise a learner that waits for its first string."""
    return Learner(net, init_memory(layout), jnp.ones((), bool))


def learn(
    layout: Layout,
    learner: Learner,
    stream: Stream,
    rate: Float[Array, ""],
    *,
    resets: bool = True,
    until_wrong: bool = False,
) -> tuple[Learner, Float[Array, "time outputs"], Bool[Array, "time"]]:
    """Train a net on a stream, with an update at each symbol.

    Args:
      layout: the architecture of the net.
      learner: the net, with its state.
      stream: the stream.
      rate: the learning rate; 0 for no training.
      resets: reset the state at the start of a string.
      until_wrong: reset the state after an error too, and wait for the next string.

    Returns:
      The new learner, its prediction at each symbol, and true where that was wrong.
    """
    mask, fresh = connections(layout), init_memory(layout)

    def one(learner: Learner, now: Stream) -> tuple[Learner, tuple[Array, Array]]:
        net, memory, waiting = learner
        memory = _where(now.starts & (waiting | resets), fresh, memory)
        waiting &= ~now.starts
        memory, y, gradient = learn_step(layout, net, memory, now.symbols, now.following)
        net = descend(net, gradient, mask, jnp.where(now.scored & ~waiting, rate, 0.0))
        wrong = ~waiting & ~is_correct(y, now)
        return Learner(net, memory, waiting | (wrong & until_wrong)), (y, wrong)

    learner, (ys, wrong) = jax.lax.scan(one, learner, stream)
    return learner, ys, wrong


def predict(
    layout: Layout,
    net: Net,
    state: tuple[Float[Array, "cells"], Float[Array, "back"]] | None,
    stream: Stream,
    *,
    resets: bool = True,
) -> tuple[tuple[Float[Array, "cells"], Float[Array, "back"]], Float[Array, "time outputs"]]:
    """The state after a stream, and the prediction at each symbol, without training."""
    weights, fresh = hidden_weights(net), (jnp.zeros(layout.memory), jnp.zeros(layout.back))

    def one(state: tuple[Array, Array], now: Stream):
        if resets:
            state = jax.tree.map(partial(jnp.where, now.starts), fresh, state)
        s, back = state
        u = jnp.concatenate([jax.nn.one_hot(now.symbols, layout.inputs), back, jnp.ones(1)])
        units = activate(layout, u @ weights, s)
        return (units.s, units.back), outputs(layout, net, units.h, now.symbols)

    return jax.lax.scan(one, fresh if state is None else state, stream)


def descend(net: Net, gradient: Net, mask: Net, rate: Float[Array, ""]) -> Net:
    """Take a gradient step with the weights that exist."""
    return jax.tree.map(lambda w, slope, m: w - rate * slope * m, net, gradient, mask)


def _slopes(layout: Layout, memory: Memory, units: Units, u: Array) -> Slopes:
    """Update the derivatives of each cell by the weights that feed it."""
    slope_g = (4 - units.g**2) / 4 if layout.squashed else units.g * (1 - units.g)
    now = Slopes(
        units.i * slope_g,
        units.g * units.i * (1 - units.i),
        memory.s * units.f * (1 - units.f) if layout.forget_gates else None,
    )
    return jax.tree.map(lambda old, new: units.f * old + u[:, None] * new, memory.slopes, now)


def _by_block(layout: Layout, of_cells: Array) -> Float[Array, "sources blocks"]:
    return of_cells.reshape(len(of_cells), layout.blocks, layout.cells).sum(-1)


def _where(condition: Array, yes: Memory, no: Memory) -> Memory:
    return jax.tree.map(partial(jnp.where, condition), yes, no)
