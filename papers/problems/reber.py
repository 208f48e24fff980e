"""The embedded Reber grammar: experiment 1 of 1997, and its continual form of 2000.

A string is B, then T or P, then a string of the inner grammar, then the same T or P again, then E.
To predict it, the net must remember the second symbol over the whole inner string. Where two
symbols are possible, each has a probability of 0.5 (Smith and Zipser 1989).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from papers.problems import Stream

if TYPE_CHECKING:
    from jaxtyping import Array, Int, PRNGKeyArray

SYMBOLS = "BTPSXVE"
LONGEST = 80  # steps of a string; the probability of a longer one is below one in a million
INNER = {  # for each state, the possible symbols and the states after them
    0: {"B": 1},
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": 7},
}


class Place(NamedTuple):
    """A state of the grammar, and the choice of the next of two symbols."""

    state: Int[Array, ""]
    coin: Int[Array, ""]


def embedded() -> dict[int, dict[str, int]]:
    """The whole grammar: state 0 is the start of a string, and the state after its E."""
    inside = {"T": 2, "P": 10}  # first states of the two copies of the inner grammar
    states = {0: {"B": 1}, 1: inside, 18: {"E": 0}}
    for outer, offset in inside.items():
        for state, symbols in INNER.items():
            states[offset + state] = {symbol: offset + to for symbol, to in symbols.items()}
        states[offset + 7] = {outer: 18}
    return states


def start(key: PRNGKeyArray) -> Place:
    """The start of a string."""
    return Place(jnp.zeros((), jnp.int32), _coins(key, ()))


def continual(place: Place, key: PRNGKeyArray, steps: int) -> tuple[Place, Stream]:
    """The next `steps` symbols of an endless sequence of strings, and the place after them."""
    symbol_of, next_of, allowed_of = (jnp.asarray(table) for table in _tables())

    def one(place: Place, coin: Array) -> tuple[Place, Stream]:
        state, now = next_of[place.state, place.coin], symbol_of[place.state, place.coin]
        starts = place.state == 0
        seen = Stream(now, symbol_of[state, coin], allowed_of[state], starts, jnp.ones((), bool))
        return Place(state, coin), seen

    return jax.lax.scan(one, place, _coins(key, (steps,)))


def strings(key: PRNGKeyArray, number: int) -> Stream:
    """Separate strings, `(number, LONGEST)`; the steps from their last E on are not scored."""
    first, rest = jax.random.split(key)

    def one(first: PRNGKeyArray, rest: PRNGKeyArray) -> Stream:
        seen = continual(start(first), rest, LONGEST)[1]
        before_its_end = jnp.cumsum(seen.symbols == SYMBOLS.index("E")) < 2  # one E is inside
        return seen._replace(starts=jnp.arange(LONGEST) == 0, scored=before_its_end)

    return jax.vmap(one)(jax.random.split(first, number), jax.random.split(rest, number))


def _coins(key: PRNGKeyArray, shape: tuple[int, ...]) -> Int[Array, "*shape"]:
    return jax.random.bernoulli(key, shape=shape).astype(jnp.int32)


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The symbol and the next state for each state and coin; and the symbols allowed."""
    grammar = embedded()
    symbols, to = np.zeros((19, 2), np.int32), np.zeros((19, 2), np.int32)
    allowed = np.zeros((19, len(SYMBOLS)), bool)
    for state, following in grammar.items():
        pairs = list(following.items())
        for coin, (symbol, then) in enumerate((pairs[0], pairs[-1])):
            symbols[state, coin], to[state, coin] = SYMBOLS.index(symbol), then
            allowed[state, SYMBOLS.index(symbol)] = True
    return symbols, to, allowed
