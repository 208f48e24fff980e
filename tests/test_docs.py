"""The documentation: links resolve, the reference is complete, docstrings convert correctly."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import pytest
from machinery.cell import PARTS, draw_symbols, light_up
from machinery.docstrings import to_rest
from machinery.equations import to_svg
from machinery.names import MODULES, all_names, public_names
from markdown_it import MarkdownIt

import jlstm
from jlstm.plot.numbers import PLACES

ROOT = Path(__file__).parents[1]
TEXTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md")
    for path in sorted(ROOT.glob(pattern))
    if "_build" not in path.parts
]


def tokens(path):
    """All tokens of a text, inline tokens included."""
    for token in MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def links(path):
    """Relative links of a text, in Markdown and in HTML."""
    for token in tokens(path):
        targets = [token.attrs.get("href") or token.attrs.get("src")]
        if token.type in ("html_block", "html_inline"):
            targets = re.findall(r' (?:href|src|srcset)="([^"]+)"', token.content)
        yield from (t for t in targets if t and not re.match(r"[a-z]+:", t))


def anchors(path):
    """Anchors of the headings of a text and of its includes, as GitHub and MyST name them."""
    text = path.read_text(encoding="utf-8")
    for file in re.findall(r"```\{include\} (\S+)", text):
        text += "\n" + (path.parent / file).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_and_anchor_is_there(path):
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert ROOT in target.parents, f"{link} is outside of the project"
        if anchor:
            assert anchor in anchors(target), link


def test_texts_have_links():
    """The test above would pass if it found no links."""
    assert {"docs/tasks.md", "docs/images/step.png", "docs/images/step-dark.png"} <= {
        *links(ROOT / "README.md")
    }
    assert "the-cell" in anchors(ROOT / "docs" / "conventions.md")
    assert sum(len(list(links(path))) for path in TEXTS) > 40


def referenced():
    """Names with their modules, as listed by the pages of the reference."""
    names = []
    for path in sorted((ROOT / "docs" / "api").glob("*.md")):
        module = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match[1]
            if match := re.match(r"\.\. auto(?:function|class|data):: (\S+)", line):
                names.append(f"{module}.{match[1]}")
    return names


def test_the_reference_has_every_public_name_once():
    assert sorted(referenced()) == sorted(all_names())


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_what_the_module_exports(module):
    names = public_names(module)
    loaded = importlib.import_module(module)
    assert names
    assert all(hasattr(loaded, name) for name in names)
    if not hasattr(loaded, "__all__"):
        defined = {
            name
            for name, value in vars(loaded).items()
            if not name.startswith("_") and not isinstance(value, ModuleType)
        }
        assert set(names) == defined


def test_every_public_function_says_what_it_does():
    for name in all_names():
        module, _, short = name.rpartition(".")
        value = getattr(importlib.import_module(module), short)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), name


def test_docstrings_as_restructured_text():
    lines = """One line with `x * 2` and a_b * c, see `lstm_scan`.

        h' = o * tanh(c')    the `output`

    Args:
      xs: `(time, *batch)`, or *more*.

    Returns:
      `(state, hs)`, and one thing: another.

    Raises:
      ValueError: one thing, `x`. TypeError, OSError: another
        of two lines.

    Example:
      >>> a_ = 2 * `3`
    """
    converted = to_rest(inspect.cleandoc(lines).splitlines(), "jlstm", all_names())
    assert converted[0] == (
        "One line with ``x * 2`` and a_b \\* c, see :py:obj:`lstm_scan <jlstm.lstm_scan>`."
    )
    assert converted[2:5] == ["::", "", "    h' = o * tanh(c')    the `output`"]
    assert "  xs: ``(time, *batch)``, or \\*more\\*." in converted
    at = converted.index(":returns:")
    assert converted[at + 1] == "  ``(state, hs)``, and one thing: another."
    at = converted.index("Raises:")
    assert converted[at + 1 : at + 3] == [
        "  ValueError: one thing, ``x``.", "  TypeError, OSError: another of two lines."
    ]  # fmt: skip
    assert "  >>> a_ = 2 * `3`" in converted


def test_formulas_are_drawn():
    small = to_svg("x_t")
    assert 'aria-label="x_t"' in small
    assert small.count("Z") == 2  # two letters, each of one outline
    tall = to_svg(r"\dfrac{a < b}{\prod_k f_k}")
    assert "a &lt; b" in tall

    def height(svg):
        return float(re.search(r"height: ([\d.]+)em", svg)[1])

    assert height(tall) > 2 * height(small) > 0


@pytest.mark.full
def test_the_diagram_of_the_cell_is_built_up_part_by_part():
    """Every number appears with its part, and in the end nothing is faint."""
    params = jlstm.init_params(jax.random.key(0), 3, 1)
    state = jlstm.LSTMState(jnp.array([0.3]), jnp.array([-0.5]))
    numbers = {
        "f": {"f", "z_f"}, "i": {"i", "z_i"}, "g": {"g", "z_g"},
        "c": {"c_old", "kept", "stored", "c"}, "o": {"o", "z_o"}, "h": {"squashed", "h"},
    }  # fmt: skip
    assert set().union(*numbers.values()) == set(PLACES)
    faint = [100]
    for k, part in enumerate(PARTS):
        figure = jlstm.plot.step(params, state, jnp.ones(3))
        (axes,) = light_up(figure, PARTS[: k + 1], "a title").axes
        places = [text.get_position() for text in axes.texts if text.get_visible()]
        visible = {name for name, place in PLACES.items() if (place.x, place.y) in places}
        assert visible == set().union(*(numbers[known] for known in PARTS[: k + 1])), part
        artists = [*axes.patches, *axes.lines, *axes.texts, *axes.images]
        faint.append(sum(artist.get_alpha() is not None for artist in artists))
        assert faint[-1] < faint[-2], part
        assert "a title" in [text.get_text() for text in axes.texts]
    assert faint[-1] == 0


def test_the_symbols_of_the_cell():
    (axes,) = draw_symbols(jlstm.plot.LIGHT).axes
    words = [text.get_text() for text in axes.texts]
    assert {place.name for place in PLACES.values()} | {"memory", "output"} <= set(words)
