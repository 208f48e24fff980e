"""The public names of the library, read from its source."""

import ast
from pathlib import Path

LIBRARY = Path(__file__).parents[2] / "jlstm"
MODULES = (
    "jlstm", "jlstm.variants", "jlstm.regularize", "jlstm.initializers", "jlstm.plot",
    "jlstm.interop", "jlstm.interop.export", "jlstm.nnx", "jlstm.linen", "jlstm.gpu",
)  # fmt: skip


def public_names(module: str) -> list[str]:
    """The public names of a module: its `__all__`, or the names that it imports as themselves.

    Public modules, such as `jlstm.variants`, are not names of the module around them.
    """
    path = LIBRARY.joinpath(*module.split(".")[1:])
    package = path / "__init__.py"  # the folder alone may be left of an earlier version
    path = package if package.exists() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            return [name for name in names if f"{module}.{name}" not in MODULES]
    return [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name and f"{node.module}.{alias.name}" not in MODULES
    ]


def all_names() -> set[str]:
    """Every public name with its module."""
    return {f"{module}.{name}" for module in MODULES for name in public_names(module)}
