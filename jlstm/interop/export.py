"""Programs for other processes and machines: scans and steps exported by `jax.export`.

An exported program is StableHLO for several platforms at once, for any time and batch. It holds no
Python code: loading it takes jax and this library, not the source of the model.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jlstm.cells.layer_types import LAYER_TYPES
from jlstm.checks.extras import needs
from jlstm.checks.values import described
from jlstm.files import write_bytes
from jlstm.stack import init_stack_state, stack_scan, stack_step
from jlstm.types import (
    BiLSTMParams,
    BiLSTMState,
    BiLSTMTrace,
    LSTMGates,
    LSTMState,
    LSTMTrace,
    compute_dtype,
)

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import PyTree

__all__ = ["load", "save", "scan", "step"]

# The end of a file, followed by a SHA-256 of the bytes before; `jax.export.deserialize` ignores it.
SEAL = b"jlstm export 1 "
PLATFORMS = ("cpu", "cuda", "tpu")
# Files refer to these types by name; importing this library is enough to load them.
VALUES = (LSTMState, LSTMTrace, LSTMGates, BiLSTMParams, BiLSTMState, BiLSTMTrace)
for _type in (*LAYER_TYPES, *VALUES):
    jax.export.register_namedtuple_serialization(_type, serialized_name=f"jlstm.{_type.__name__}")


def scan(
    layers: PyTree,
    *,
    lengths: bool = False,
    resets: bool = False,
    residual: bool = False,
    time: int | str = "time",
    batch_shape: tuple[int | str, ...] = ("batch",),
    dtype: DTypeLike | None = None,
    freeze: bool = False,
    platforms: Sequence[str] = PLATFORMS,
) -> jax.export.Exported:
    """Export a layer or a stack over a sequence.

    Its `call(layers, states, xs)` returns `(states, hs)`, as `jlstm.stack_scan` does, or as
    `jlstm.lstm_scan` for a single layer. The states are required (`jlstm.init_stack_state` makes
    zeros), so that a long sequence can be run in pieces.

    Args:
      layers: a layer of any layer type of the library, or a tuple of them; without `freeze` only
        the shapes and dtypes of the arrays matter.
      lengths: True for a program that takes `lengths=`, integers of 32 bits.
      resets: True for a program that takes `resets=`; the reset state is zeros.
      residual: as in `jlstm.stack_scan`.
      time: the number of steps, or a name for any number of 1 or more.
      batch_shape: the batch axes, each a number or a name; `()` for a single sequence.
      dtype: the dtype of `xs`; None is that of the weights. States have the dtypes that the scan
        returns.
      freeze: True to make the weights part of the program: it is then `call(states, xs)`, and one
        file holds everything.
      platforms: the platforms of the program, among "cpu", "cuda", "rocm" and "tpu".

    Returns:
      A `jax.export.Exported`, for `save`. It can be called directly, also under `jit`.

    Raises:
      TypeError, ValueError: as `jlstm.stack_scan`; sizes that are neither names nor numbers of 1 or
        more, unknown platforms.

    Example:
      >>> import jax, jlstm
      >>> from jlstm.interop import export
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> program = export.scan(layers, platforms=("cpu",))
      >>> states, xs = jlstm.init_stack_state(layers, (2,)), jax.numpy.ones((20, 2, 3))
      >>> program.call(layers, states, xs)[1].shape
      (20, 2, 4)
    """
    stack, single = _as_stack(layers)
    xs, states = _arguments(stack, (time,), batch_shape, dtype)
    masks: dict[str, jax.ShapeDtypeStruct] = {}
    if lengths:
        masks["lengths"] = jax.ShapeDtypeStruct(xs.shape[1:-1], jnp.int32)
    if resets:
        masks["resets"] = jax.ShapeDtypeStruct(xs.shape[:-1], jnp.bool_)

    def run(layers: PyTree, states: PyTree, xs: Any, **masks: Any) -> tuple[PyTree, Any]:
        return stack_scan(layers, states, xs, residual=residual, **masks)

    return _export(run, stack, states, xs, masks, single, freeze, platforms)


def step(
    layers: PyTree,
    *,
    residual: bool = False,
    batch_shape: tuple[int | str, ...] = ("batch",),
    dtype: DTypeLike | None = None,
    freeze: bool = False,
    platforms: Sequence[str] = PLATFORMS,
) -> jax.export.Exported:
    """Export one time step, for live streams: `call(layers, states, x)` returns `(states, h)`.

    Args:
      layers: as for `scan`, none of them bidirectional.
      residual: as for `scan`.
      batch_shape: as for `scan`.
      dtype: the dtype of `x`; None is that of the weights.
      freeze: as for `scan`.
      platforms: as for `scan`.

    Returns:
      A `jax.export.Exported`.

    Raises:
      TypeError, ValueError: as `jlstm.stack_step`.

    Example:
      >>> import jax, jlstm
      >>> from jlstm.interop import export
      >>> params = jlstm.init_params(jax.random.key(0), 3, 8)
      >>> program = export.step(params, batch_shape=(), freeze=True, platforms=("cpu",))
      >>> state, h = program.call(jlstm.init_state(params), jax.numpy.ones(3))
      >>> state, h = program.call(state, jax.numpy.ones(3))
      >>> h.shape
      (8,)
    """
    stack, single = _as_stack(layers)
    x, states = _arguments(stack, (), batch_shape, dtype)

    def run(layers: PyTree, states: PyTree, x: Any) -> tuple[PyTree, Any]:
        return stack_step(layers, states, x, residual=residual)

    return _export(run, stack, states, x, {}, single, freeze, platforms)


def save(path: str | os.PathLike, exported: jax.export.Exported, *, vjp_order: int = 0) -> None:
    """Write an exported program atomically. Needs flatbuffers.

    JAX guarantees that newer versions can run an exported program for 6 months, and versions that
    are up to 3 weeks older (https://docs.jax.dev/en/latest/export/export.html); the guarantee
    covers everything in the programs of this module. To keep a model for longer, save its weights
    with `save_safetensors` and export again.

    Args:
      path: the path of the file, which is replaced if it exists.
      exported: the result of `scan`, `step` or `jax.export.export`.
      vjp_order: the number of times that the loaded program can be differentiated in reverse mode.
        Each order makes the file larger. Forward mode and `vmap` are not possible after loading.

    Raises:
      TypeError: an object that is not an exported program. OSError: the file cannot be written.

    Example:
      >>> import jax, jlstm, os, tempfile
      >>> from jlstm.interop import export
      >>> params = jlstm.init_params(jax.random.key(0), 3, 8)
      >>> path = os.path.join(tempfile.mkdtemp(), "lstm.jax")
      >>> export.save(path, export.scan(params, platforms=("cpu",)), vjp_order=1)
      >>> lstm = export.load(path).call
      >>> state, xs = jlstm.init_state(params, (2,)), jax.numpy.ones((20, 2, 3))
      >>> jax.grad(lambda params: lstm(params, state, xs)[1].sum())(params).bias.shape
      (32,)
    """
    if not isinstance(exported, jax.export.Exported):
        raise TypeError(f"exported must be a jax.export.Exported, got {described(exported)}")
    if isinstance(vjp_order, bool) or not isinstance(vjp_order, int) or vjp_order < 0:
        raise ValueError(f"vjp_order must be an integer of 0 or more, got {vjp_order!r}")
    with needs("an exported program", "interop"):
        data = bytes(exported.serialize(vjp_order=vjp_order))
    write_bytes(path, data + _seal(data))


def load(path: str | os.PathLike) -> jax.export.Exported:
    """Load an exported program; its `call` runs it.

    A program is code: load trusted files only.

    Args:
      path: the path of a file of `save`.

    Raises:
      ValueError: a file that differs from what `save` wrote, or that this version of JAX is too old
        or too new for. OSError: the file cannot be read.
    """
    content = Path(path).read_bytes()
    size = len(_seal(b""))
    data, seal = content[:-size], content[-size:]
    if seal != _seal(data):
        raise ValueError(f"{path} is not what jlstm.interop.export.save wrote, or not all of it")
    try:
        with needs("an exported program", "interop"):
            return jax.export.deserialize(bytearray(data))
    except ModuleNotFoundError:
        raise
    except Exception as error:  # of any type: JAX uses assert as well
        raise ValueError(f"{path} cannot be read by JAX {jax.__version__}: {error}") from error


def _seal(data: bytes) -> bytes:
    return SEAL + hashlib.sha256(data).digest()


def _as_stack(layers: PyTree) -> tuple[tuple[PyTree, ...], bool]:
    single = hasattr(layers, "_fields") or not isinstance(layers, Sequence)
    return ((layers,) if single else tuple(layers)), single


def _arguments(
    stack: tuple, time: tuple, batch_shape: tuple, dtype: DTypeLike | None
) -> tuple[jax.ShapeDtypeStruct, PyTree]:
    """The shapes of the input and of the states; axes of the same name have the same size."""
    scope = jax.export.SymbolicScope()
    if not isinstance(batch_shape, tuple):
        raise TypeError(f"batch_shape must be a tuple of sizes and names, got {batch_shape!r}")

    def sizes(axes: tuple) -> tuple:
        for axis in axes:
            if not (isinstance(axis, str) and axis.isidentifier()) and not (
                isinstance(axis, int) and axis >= 1 and not isinstance(axis, bool)
            ):
                raise ValueError(f"a size must be a name, or a number of 1 or more; got {axis!r}")
        named = ", ".join(map(str, axes))
        return tuple(jax.export.symbolic_shape(f"({named},)" if axes else "()", scope=scope))

    for array in (*jax.tree.leaves(stack), *([] if dtype is None else [np.zeros(0, dtype)])):
        if array.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
            raise TypeError(
                "the weights or dtype are float64, but jax_enable_x64 is off: enable it, or cast"
            )
    states = jax.eval_shape(lambda: init_stack_state(stack, sizes(batch_shape)))
    first = stack[0]
    if isinstance(first, BiLSTMParams):
        first = first.backward if first.forward is None else first.forward
        if first is None:
            raise ValueError("layers[0]: a bidirectional layer has neither direction")
    dtype = compute_dtype(*jax.tree.leaves(stack)) if dtype is None else jnp.dtype(dtype)
    width = jnp.shape(first.weight_ih)[0]
    return jax.ShapeDtypeStruct((*sizes((*time, *batch_shape)), width), dtype), states


def _export(
    run: Any,
    stack: tuple,
    states: tuple,
    xs: jax.ShapeDtypeStruct,
    masks: Mapping[str, jax.ShapeDtypeStruct],
    single: bool,
    freeze: bool,
    platforms: Sequence[str],
) -> jax.export.Exported:
    if isinstance(platforms, str) or not platforms or set(platforms) - {*PLATFORMS, "rocm"}:
        known = ", ".join((*PLATFORMS, "rocm"))
        raise ValueError(f"platforms must be a sequence of {known}; got {platforms!r}")

    def call(layers: PyTree, states: PyTree, xs: Any, **masks: Any) -> tuple[PyTree, Any]:
        if not single:
            return run(layers, states, xs, **masks)
        (state,), hs = run((layers,), (states,), xs, **masks)
        return state, hs

    def frozen(states: PyTree, xs: Any, **masks: Any) -> tuple[PyTree, Any]:
        return call(stack[0] if single else stack, states, xs, **masks)

    # Returned states can be passed in again: inputs that are wider than the weights make `h` wide.
    states = jax.eval_shape(run, stack, states, xs, **masks)[0]
    states = states[0] if single else states
    if freeze:
        return jax.export.export(jax.jit(frozen), platforms=tuple(platforms))(states, xs, **masks)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), a.dtype), stack)
    shapes = shapes[0] if single else shapes
    return jax.export.export(jax.jit(call), platforms=tuple(platforms))(shapes, states, xs, **masks)
