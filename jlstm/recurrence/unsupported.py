"""A primitive for unsupported operations: it has an abstract value, and raises when lowered or run.

Traced, it lets a program be derived from that never runs it, as reverse mode does not run the
forward mode that it is derived from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from typing import Never

    from jlstm.types import PyTree

unsupported_p = Primitive("unsupported")
unsupported_p.multiple_results = True


def unsupported(name: str, reason: str, args: PyTree, like: PyTree) -> PyTree:
    """Results of the types of `like`, which raise `implementation='name' reason` when computed."""
    leaves, structure = jax.tree.flatten(like)
    types = tuple((tuple(leaf.shape), jax.numpy.dtype(leaf.dtype)) for leaf in leaves)
    arrays = jax.tree.leaves(args)
    results = unsupported_p.bind(*arrays, name=name, reason=reason, types=types)
    return structure.unflatten(results)


def _raise(*_: Any, name: str, reason: str, **__: Any) -> Never:
    raise ValueError(f"implementation={name!r} {reason}")


def _no_jvp(*_: Any, name: str, **__: Any) -> Never:
    _raise(name=name, reason="has first derivatives alone")


def _no_vmap(*_: Any, name: str, **__: Any) -> Never:
    reason = (
        "takes one set of weights: there is no vmap over weights, nor their gradient per example"
    )
    _raise(name=name, reason=reason)


def _abstract(*_: Any, types: tuple, **__: Any) -> list:
    return [jax.core.ShapedArray(shape, dtype) for shape, dtype in types]


unsupported_p.def_impl(_raise)
unsupported_p.def_abstract_eval(_abstract)
mlir.register_lowering(unsupported_p, _raise)
ad.primitive_jvps[unsupported_p] = _no_jvp
batching.primitive_batchers[unsupported_p] = _no_vmap
