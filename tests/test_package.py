"""The package as a whole: what it imports, exports and leaves alone."""

import ast
import importlib.metadata
import inspect
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from machinery.names import MODULES, all_names

import jlstm

ROOT = Path(__file__).parents[1]


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path):
    """Packages that a module imports when it runs; names for type checkers do not count."""
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def test_the_core_imports_jax_and_numpy_only():
    allowed = {"jax", "numpy", "jlstm"} | set(sys.stdlib_module_names)
    for path in modules("jlstm"):
        more = {"flax"} if path.parent.name in ("nnx", "linen") else set()
        if "interop" in path.parts:
            more = {"safetensors", "onnx"}  # imported on use
        if path.parent.name == "plot":
            more = {"matplotlib"}  # imported on use
        if path.parent.name == "convert":
            more = {"onnx"}
        assert {name.split(".")[0] for name in imports(path)} <= allowed | more, path


def test_only_public_jax():
    for path in modules("jlstm") + modules("train"):
        assert not [n for n in imports(path) if "_src" in n or n.startswith("jaxlib")], path


@pytest.mark.parametrize("folder", ["train", "papers"])
def test_only_public_names_of_the_library(folder):
    """Everything that train and papers import of jlstm is a name of the reference."""
    public = all_names() | set(MODULES)
    for path in modules(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jlstm":
                used = {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                used = {n.name for n in node.names if n.name.split(".")[0] == "jlstm"}
            elif isinstance(node, ast.Attribute):
                used = {ast.unparse(node)} if ast.unparse(node).startswith("jlstm.") else set()
            else:
                continue
            fields = {name for name in used if name.rpartition(".")[0] in public - set(MODULES)}
            assert used - fields <= public, path


@pytest.mark.full
def test_importing_makes_no_array_and_leaves_the_config_alone():
    code = """
import jax
before = dict(jax.config.values)
import jlstm
assert dict(jax.config.values) == before
assert not jax.live_arrays()
from jax.extend import backend
heavy = ("flax", "optax", "matplotlib", "train", "safetensors", "onnx")
print(sorted(m for m in __import__("sys").modules if m in heavy))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[]\n"


def test_the_names_of_the_contract():
    for name in (
        "LSTMParams LSTMState LSTMTrace BiLSTMParams BiLSTMState init_params init_state lstm_step "
        "lstm_scan scan_cell lstm_trace init_stack init_stack_state stack_scan stack_step "
        "stack_trace variants regularize"
    ).split():
        assert getattr(jlstm, name).__doc__, name
    assert jlstm.LSTMParams._fields == ("weight_ih", "weight_hh", "bias")
    assert jlstm.LSTMState._fields == ("h", "c")
    assert jlstm.LSTMTrace._fields == ("i", "f", "g", "o", "c")


def test_tab_completion_shows_public_names_alone():
    names = jlstm.__dir__()
    assert names[: len(jlstm.__all__)] == jlstm.__all__
    assert set(names) - set(jlstm.__all__) == {"nnx", "linen", "__version__"}
    kinds = ["module" if inspect.ismodule(getattr(jlstm, name)) else "" for name in jlstm.__all__]
    assert kinds == sorted(kinds)  # modules come last


def test_all_that_the_package_imports_is_public():
    tree = ast.parse((ROOT / "jlstm" / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    imports = [node for node in imports if node.module.partition(".")[0] == "jlstm"]
    assert {alias.name for node in imports for alias in node.names} == set(jlstm.__all__)
    names = {}
    exec("from jlstm import *", names)
    assert set(names) - {"__builtins__"} == set(jlstm.__all__)


def test_the_version_is_that_of_the_project(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert jlstm.__version__ == project["version"]

    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    assert jlstm.__version__ == project["version"]


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(jlstm, "gru_step")


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["nnx", "linen"])
def test_modules_of_flax_are_imported_on_use(name):
    pytest.importorskip("flax")
    code = f"import sys, jlstm; assert 'flax' not in sys.modules; print(jlstm.{name}.LSTM.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "LSTM\n", done.stderr


def test_the_tree_of_the_architecture_is_true():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = page.partition("## What is where")[2]
    named = {word.strip("(),;:") for word in tree.split()}
    files = {name for name in named if name.endswith(".py")}
    there = {p.name for p in modules("jlstm") + modules("train") if not p.name.startswith("__")}
    assert there <= files
    beside = [p for folder in ("papers", "tests", "docs") for p in (ROOT / folder).rglob("*.py")]
    assert files <= there | {p.name for p in beside}
    folders = {path.parent.name for path in modules("jlstm") + modules("train")}
    assert {f"{name}/" for name in folders} <= named


def test_the_tree_of_the_readme_is_the_top_level():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.partition("## What is where")[2].partition("\n## ")[0]
    named = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.startswith("    ")}
    unlisted = {"runs", "dist", "__pycache__"}  # of .gitignore
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    top = folders - unlisted
    assert named == top


def test_the_package_is_typed():
    assert (ROOT / "jlstm" / "py.typed").exists()


@pytest.mark.slow
def test_the_wheel_holds_the_library_alone(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("jlstm-*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [p for p in (ROOT / "jlstm").rglob("*") if p.suffix == ".py" or p.name == "py.typed"]
    assert names == {p.relative_to(ROOT).as_posix() for p in files}


def test_help_opens_with_the_public_names():
    """`help` prints the docstring before the modules and the methods of each class."""
    index = jlstm.__doc__.partition("\n")[2]
    internal = {"LSTMGates", "GradientNorms", "Packing", "LayerType"}  # only ever returned
    for name in set(jlstm.__all__) - internal:
        assert name in index, name
