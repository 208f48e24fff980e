"""Learning at every symbol of a stream: experiments 1, 2a and 2b of 1997, and that of 2000.

The truncated gradient of `blocks`, carried forward: beside each cell runs its derivative by each
weight that feeds it (appendix A.1 of 1997), so that weights change at every step and nothing is
kept of the past.
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
    connections,
    hidden_weights,
    outputs,
    show,
)
from papers.problems import Stream, foretold

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


class Slopes(NamedTuple):
    """How each cell changes with each of the weights that feed it."""

    cell: Float[Array, "sources cells"]
    input_gate: Float[Array, "sources cells"]
    forget_gate: Float[Array, "sources cells"] | None


class Memory(NamedTuple):
    """What a net keeps from step to step."""

    s: Float[Array, "cells"]
    back: Float[Array, "back"]
    slopes: Slopes


def init_memory(layout: Layout) -> Memory:
    """A net that has seen nothing."""
    there = connections(layout)
    slope = jnp.zeros_like(there.cell)
    forget = slope if layout.forget_gates else None
    slopes = Slopes(slope, slope, forget)
    return Memory(jnp.zeros(layout.memory), jnp.zeros(layout.back), slopes)


def learn_step(
    layout: Layout, net: Net, memory: Memory, symbol: Int[Array, ""], target: Int[Array, ""]
) -> tuple[Memory, Float[Array, "outputs"], Net]:
    """One symbol: the memory after it, what the net foretells, and the gradient of its error."""
    u = jnp.concatenate([jax.nn.one_hot(symbol, layout.inputs), memory.back, jnp.ones(1)])
    units = activate(layout, u @ hidden_weights(net), memory.s)
    slopes = _slopes(layout, memory, units, u)

    def error(net: Net, s: Array) -> tuple[Array, Array]:
        gates = None if net.output_gate is None else jax.nn.sigmoid(u @ net.output_gate)
        y = outputs(layout, net, show(layout, gates, s), symbol)
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
    """A net that learns, and where it is."""

    net: Net
    memory: Memory
    waiting: Bool[Array, ""]  # for the next string to start


def init_learner(layout: Layout, net: Net) -> Learner:
    """A net that waits for its first string."""
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
    """One net learns from a stream, a change at each symbol.

    Args:
      layout: what the net consists of.
      learner: the net, and where it is.
      stream: what it learns from.
      rate: of learning; 0 learns nothing.
      resets: at the start of a string the net forgets all but its weights.
      until_wrong: where it foretells wrongly it forgets likewise, and waits for the next string.

    Returns:
      The learner after it, what it foretold at each symbol, and where that was wrong.
    """
    there, fresh = connections(layout), init_memory(layout)

    def one(learner: Learner, now: Stream) -> tuple[Learner, tuple[Array, Array]]:
        net, memory, waiting = learner
        memory = _where(now.starts & (waiting | resets), fresh, memory)
        waiting &= ~now.starts
        memory, y, gradient = learn_step(layout, net, memory, now.symbols, now.following)
        net = descend(net, gradient, there, jnp.where(now.scored & ~waiting, rate, 0.0))
        wrong = ~waiting & ~foretold(y, now)
        return Learner(net, memory, waiting | (wrong & until_wrong)), (y, wrong)

    learner, (ys, wrong) = jax.lax.scan(one, learner, stream)
    return learner, ys, wrong


def foretell(
    layout: Layout,
    net: Net,
    state: tuple[Float[Array, "cells"], Float[Array, "back"]] | None,
    stream: Stream,
    *,
    resets: bool = True,
) -> tuple[tuple[Float[Array, "cells"], Float[Array, "back"]], Float[Array, "time outputs"]]:
    """What a net foretells, without learning; also its cells and what it sends back at the end."""
    weights, fresh = hidden_weights(net), (jnp.zeros(layout.memory), jnp.zeros(layout.back))

    def one(state: tuple[Array, Array], now: Stream):
        if resets:
            state = jax.tree.map(partial(jnp.where, now.starts), fresh, state)
        s, back = state
        u = jnp.concatenate([jax.nn.one_hot(now.symbols, layout.inputs), back, jnp.ones(1)])
        units = activate(layout, u @ weights, s)
        return (units.s, units.back), outputs(layout, net, units.h, now.symbols)

    return jax.lax.scan(one, fresh if state is None else state, stream)


def descend(net: Net, gradient: Net, there: Net, rate: Float[Array, ""]) -> Net:
    """Change the weights that are there."""
    return jax.tree.map(lambda w, slope, mask: w - rate * slope * mask, net, gradient, there)


def _slopes(layout: Layout, memory: Memory, units: Units, u: Array) -> Slopes:
    """How each cell changes with the weights that feed it: before this step, and in it."""
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
