"""Compile the kernels when jlstm is built or installed, if there is a C compiler."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = "jlstm/recurrence/native"


class CompileKernels(BuildHookInterface):
    """The library of kernels in the wheel, whose tag then names the platform.

    It is left out where there is no compiler, and with `JLSTM_PURE=1`: XLA's loops do all the work
    then, and `jlstm.implementations()` says so. `JLSTM_TARGET` names another platform, for which
    the package ziglang compiles.
    """

    folder: tempfile.TemporaryDirectory | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; an editable install runs from the source tree, where its library then goes."""
        build = _load(Path(self.root, KERNELS, "build.py"))
        target = build.target(os.environ.get("JLSTM_TARGET"))
        library = build.library_path(target.system)
        if os.environ.get("JLSTM_PURE") == "1":
            if version == "editable":
                library.unlink(missing_ok=True)
            return
        if version != "editable":
            self.folder = tempfile.TemporaryDirectory()
            library = Path(self.folder.name, library.name)
        try:
            build.compile_library(library, target)
        except build.NoCompilerError as problem:
            self.app.display_warning(f"the kernels for CPU are left out: {problem}")
            return
        if version != "editable":
            build_data["force_include"][str(library)] = f"{KERNELS}/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{target.tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled, which the wheel now holds."""
        if self.folder is not None:
            self.folder.cleanup()


def _load(path: Path) -> ModuleType:
    """A module by its path: the package that it lies in needs JAX."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
