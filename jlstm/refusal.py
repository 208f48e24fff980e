"""What an implementation cannot do, as an operation: it has types, and raises when it is to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from typing import Never

    from jaxtyping import Array

refuse_p = Primitive("refuse")
refuse_p.multiple_results = True


def refuse(name: str, why: str, args: Sequence[Array], like: Sequence[Any]) -> list[Array]:
    """Results of those types that nobody computes.

    Traced, they let a program be derived from that never runs them, as reverse mode does not run
    the forward one. Run or lowered, they are an error: `implementation='cudnn' runs on CUDA alone`.
    """
    types = tuple((tuple(t.shape), jax.numpy.dtype(t.dtype)) for t in like)
    return refuse_p.bind(*args, name=name, why=why, types=types)


def _raise(*_: Any, name: str, why: str, **__: Any) -> Never:
    raise ValueError(f"implementation={name!r} {why}")


def _no_jvp(*_: Any, name: str, **__: Any) -> Never:
    _raise(name=name, why="has first derivatives alone")


def _no_vmap(*_: Any, name: str, **__: Any) -> Never:
    why = "takes one set of weights: there is no vmap over weights, nor their gradient per example"
    _raise(name=name, why=why)


def _abstract(*_: Any, types: tuple, **__: Any) -> list:
    return [jax.core.ShapedArray(shape, dtype) for shape, dtype in types]


refuse_p.def_impl(_raise)
refuse_p.def_abstract_eval(_abstract)
mlir.register_lowering(refuse_p, _raise)
ad.primitive_jvps[refuse_p] = _no_jvp
batching.primitive_batchers[refuse_p] = _no_vmap
