"""Compile the kernels when jlstm is built or installed, if there is a C compiler."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = "jlstm/recurrence/native"


class CompileKernels(BuildHookInterface):
    """The library of kernels in the wheel, whose tag then names the platform.

    `JLSTM_PURE=1` leaves it out, and so does a machine without a compiler: JAX does all the work
    then, and `jlstm.implementations()` says so.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into the source tree, from which an editable install runs too."""
        build = _load(Path(self.root, KERNELS, "build.py"))
        library = build.library_path()
        if os.environ.get("JLSTM_PURE") == "1":
            if version == "editable":
                library.unlink(missing_ok=True)
            return
        try:
            build.compile_library(library)
        except build.NoCompilerError as problem:
            self.app.display_warning(f"the kernels for CPU are left out: {problem}")
            return
        build_data["artifacts"].append(f"/{KERNELS}/{library.name}")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _load(path: Path) -> ModuleType:
    """A module by its path: the package that it lies in needs JAX."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
