"""Functions over time in several forms, and the place of a batch axis in their arrays."""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jlstm.types import PyTree


class BatchAxis(enum.Enum):
    """The place of a new batch axis in an array, when a call is mapped by `vmap`."""

    FIRST = "first"
    AFTER_TIME = "after time"
    NONE = "none"  # a weight: one for the whole batch
    OPAQUE = "opaque"  # of the whole batch, in a layout that only its own function knows

    @property
    def position(self) -> int:
        """The index of the new axis."""
        return {BatchAxis.FIRST: 0, BatchAxis.AFTER_TIME: 1}[self]


class Lowerings(NamedTuple):
    """The forms of one function.

    `reference` defines its types and derivatives. The others are run: on CPU, on CUDA (`default`
    where that is None), and everywhere else. `native` is run in the place of `cpu`, unless it is
    None, in programs for one CPU device and inside `shard_map`.
    """

    reference: Callable[..., PyTree]
    cpu: Callable[..., PyTree]
    default: Callable[..., PyTree]
    cuda: Callable[..., PyTree] | None = None
    native: Callable[..., PyTree] | None = None

    def bind(self, **options: Any) -> Lowerings:
        """The same forms, each with these keyword arguments."""
        return Lowerings._make(form and partial(form, **options) for form in self)


def same_everywhere(function: Callable[..., PyTree]) -> Lowerings:
    """A function of one form."""
    return Lowerings(function, function, function)
