"""Fixtures of several files: a finished run, and pages in a browser."""

import pytest

from tests.support.browser import open_browser
from tests.support.pages import content_of
from tests.support.runs import run_here, tiny, write_text_file
from tests.support.viewer import MAKERS


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: its config, its folder, its result and what it showed."""
    folder = tmp_path_factory.mktemp("finished")
    config = tiny(write_text_file(folder))
    out = folder / "run"
    result, shown = run_here(config, out)
    return config, out, result, shown


@pytest.fixture(scope="module")
def browser():
    with open_browser() as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """`(address, content)` of a page by name; it is made when it is asked for."""
    made = {}

    def page(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            path = folder / "page.html"
            path.write_text(MAKERS[name](folder), encoding="utf-8")
            made[name] = path.as_uri(), content_of(path.read_text(encoding="utf-8"))
        return made[name]

    return page


@pytest.fixture
def write(tmp_path):
    """A function that writes a file, text or bytes, and returns its path."""

    def write(content, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write
