"""The library of kernels: found, checked and registered with XLA, once, when it is first wanted."""

from __future__ import annotations

import ctypes
import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

import jax

from jlstm.recurrence.native.build import library_path, source_digest

# Calls of the kernels are built for version 0.3 of XLA's foreign function interface. Versions that
# are not known to take them are refused here: XLA would take down JAX's CPU backend with them.
OLDEST_FFI, NEWEST_FFI = (0, 3), (0, 5)

VARIABLE = "JLSTM_NATIVE"
INSTRUCTION_SETS = ("avx512", "avx2", "sse2", "neon")
TARGETS = ("jlstm_forward", "jlstm_backward")


class Status(NamedTuple):
    """The instruction set on which the kernels can be called here, or None, and the reason."""

    instruction_set: str | None
    reason: str


@functools.cache
def status() -> Status:
    """Load the library and register its functions, unless something is in the way."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "off":
        return Status(None, f"{VARIABLE}=off")
    if wanted and wanted not in INSTRUCTION_SETS:
        names = ", ".join(("off", *INSTRUCTION_SETS))
        return Status(None, f"{VARIABLE}={wanted} is none of {names}")
    path = library_path()
    if not path.exists():
        return Status(
            None,
            "jlstm was installed without a C compiler: install gcc, clang or ziglang (pip), "
            "and then jlstm again",
        )
    version = _ffi_version()
    if version is None or not OLDEST_FFI <= version <= NEWEST_FFI:
        found = "of unknown version" if version is None else "{}.{}".format(*version)
        return Status(
            None,
            f"jaxlib's foreign function interface is {found}, the kernels are for "
            "{}.{} to {}.{}".format(*OLDEST_FFI, *NEWEST_FFI),
        )
    try:
        library = ctypes.CDLL(str(path))
        library.jlstm_digest.restype = library.jlstm_choose.restype = ctypes.c_char_p
        library.jlstm_choose.argtypes = [ctypes.c_char_p]
        built_from = library.jlstm_digest().decode()
    except (OSError, AttributeError) as problem:
        return Status(None, f"{path} cannot be loaded: {problem}")
    if built_from != source_digest():
        return Status(None, "the kernels are older than their source: install jlstm again")
    chosen = library.jlstm_choose(wanted.encode() or None)
    if chosen is None:
        return Status(None, f"this machine does not have {wanted}, which {VARIABLE} asks for")
    for name in TARGETS:
        capsule = jax.ffi.pycapsule(getattr(library, name))
        jax.ffi.register_ffi_target(name, capsule, platform="cpu")
    return Status(chosen.decode(), f"compiled kernels, {chosen.decode()}")


def _ffi_version() -> tuple[int, int] | None:
    """The version of jaxlib's interface, as its own header states it."""
    header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")
    try:
        text = header.read_text(encoding="utf-8")
    except OSError:
        return None
    major = re.search(r"#define XLA_FFI_API_MAJOR (\d+)", text)
    minor = re.search(r"#define XLA_FFI_API_MINOR (\d+)", text)
    return (int(major[1]), int(minor[1])) if major and minor else None
