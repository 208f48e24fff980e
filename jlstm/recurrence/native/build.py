"""Compile the kernels: `python -m jlstm.recurrence.native.build`.

The source is plain C. Each instruction set is compiled from the same files with its own flags, and
chosen when the library is loaded. This file needs neither JAX nor the rest of jlstm, so that it can
run while jlstm is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parent / "kernel"
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra")
X86_SETS = {
    "baseline": ("sse2", ()),
    "avx2": ("avx2", ("-mavx2", "-mfma")),
    "avx512": ("avx512", ("-mavx512f", "-mfma")),
}
ARM_SETS = {"baseline": ("neon", ())}


class Target(NamedTuple):
    """A platform: as Python names its system and machine, wheels tag it, and ziglang calls it."""

    system: str
    machine: str
    tag: str
    zig: str | None = None  # None: this platform, and its own compiler


TARGETS = {
    "linux-x86_64": Target("linux", "x86_64", "manylinux2014_x86_64", "x86_64-linux-gnu.2.17"),
    "linux-aarch64": Target("linux", "aarch64", "manylinux2014_aarch64", "aarch64-linux-gnu.2.17"),
    "macos-arm64": Target("darwin", "arm64", "macosx_11_0_arm64", "aarch64-macos.11.0"),
    "windows-x86_64": Target("win32", "amd64", "win_amd64", "x86_64-windows-gnu"),
}


class NoCompilerError(RuntimeError):
    """There is no C compiler, or it does not compile the kernels."""


def target(name: str | None) -> Target:
    """One of TARGETS, or this platform for None."""
    if name is None:
        tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        return Target(sys.platform, platform.machine(), tag)
    if name not in TARGETS:
        raise ValueError(f"JLSTM_TARGET must be one of {', '.join(TARGETS)}; got {name!r}")
    return TARGETS[name]


def library_path(system: str = sys.platform) -> Path:
    """The path of the compiled library, beside this file."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(system, ".so")
    return Path(__file__).parent / f"libjlstm{suffix}"


def source_digest() -> str:
    """A digest of the source, by which a library that is older is known."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def find_compiler(target: Target) -> list[str]:
    """The command of a C compiler: `CC`, `cc`, `gcc`, `clang`, or that of the package ziglang.

    For another platform it is that of ziglang.
    """
    zig = [sys.executable, "-m", "ziglang", "cc"]
    if target.zig is not None:
        return [*zig, "-target", target.zig]
    named = os.environ.get("CC")
    if named:
        return shlex.split(named)
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang") is None:
        raise NoCompilerError(f"found none of {', '.join(COMPILERS)}, nor the package ziglang")
    return zig


def compile_library(output: Path, target: Target, flags: Sequence[str] = ()) -> Path:
    """Compile the kernels to `output`, whole or not at all.

    Args:
      output: the library's path.
      target: the platform that it is for.
      flags: more flags, of every file and of linking.

    Returns:
      `output`.

    Raises:
      NoCompilerError: there is no compiler, or it fails; with what it says.
    """
    compiler = find_compiler(target)
    sets = X86_SETS if target.machine.lower() in ("x86_64", "amd64") else ARM_SETS
    windows = target.system == "win32"
    common = [*FLAGS, *flags] + ([] if windows else ["-fPIC"])
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".building-") as folder:

        def compile_one(name: str, *more: str) -> tuple[list[str], str]:
            result = str(Path(folder, f"{more[0] if more else name}.o".replace("-D", "")))
            return [*compiler, *common, *more, "-c", str(SOURCE / name), "-o", result], result

        commands = [
            compile_one("team.c"),
            compile_one("handlers.c", f'-DJLSTM_DIGEST="{source_digest()}"'),
        ]
        for table, (name, own) in sets.items():
            defined = (f"-DJLSTM_SET={table}", f'-DJLSTM_NAME="{name}"')
            commands.append(compile_one("lstm.c", *defined, *own))
        _run_all([command for command, _ in commands])
        library = Path(folder, output.name)
        math = [] if windows else ["-lm"]
        objects = [result for _, result in commands]
        _run_all([[*compiler, *flags, "-shared", "-o", str(library), *objects, *math]])
        library.replace(output)
    return output


def _run_all(commands: Sequence[Sequence[str]]) -> None:
    """Run these commands beside each other."""

    def start(command: Sequence[str]) -> subprocess.Popen:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    try:
        running = [(command, start(command)) for command in commands]
    except OSError as problem:
        raise NoCompilerError(f"{shlex.join(commands[0])}: {problem}") from None
    for command, process in running:
        said, _ = process.communicate()
        if process.returncode:
            raise NoCompilerError(f"{shlex.join(command)} failed:\n{said}")


def main() -> None:
    """Compile the library for this machine."""
    try:
        print(compile_library(library_path(), target(None)))
    except NoCompilerError as problem:
        sys.exit(f"the kernels cannot be compiled: {problem}")


if __name__ == "__main__":
    main()
