"""The check of built pages: pages with each fault that it finds, and the site itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from machinery import browse, check, markup

from tests.support.browser import open_browser

ROOT = Path(__file__).parents[1]
SIZED = 'alt="words" width="9" height="9" src="data:x"'


def test_faults_of_built_pages(tmp_path):
    (tmp_path / "other.html").write_text('<h1 id="there">x</h1>')
    (tmp_path / "page.html").write_text(
        '<article><h1>a</h1><h3>b</h3><a href="other.html#there">1</a><a href="other.html#no">2</a>'
        f'<a href="lost.html">3</a><a href="https://example.org">4</a><img {SIZED}>'
        '<img src="data:y"><script src="https://example.org/x.js"></script></article>'
    )
    assert check.faults(tmp_path) == [
        "page.html: no anchor for the link other.html#no",
        "page.html: no file for the link lost.html",
        "page.html: fetched from elsewhere: https://example.org/x.js",
        "page.html: no words for the picture data:y",
        "page.html: no width and height of the picture data:y",
        "page.html: a heading of level 3 after one of level 1",
    ]
    assert check.faults(tmp_path / "other.html") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a table", "<p>| step | signal |\n| --- | ---: |\n| 1 | 2 |</p>"),
        ("a table", "<p>one | two\n|:---|---|</p>"),
        ("a formula", "<p>the sum $z_f$ of it</p>"),
        ("a formula", "<li>$$f = 1$$</li>"),
        ("a formula", '<span class="math">\\(c_t\\)</span>'),
        ("a link", "<p>see [the page](other.md)</p>"),
        ("a link", "<td>see [the <code>page</code>](https://example.org)</td>"),
        ("a link", "<p>see [the page][other]</p>"),
        ("a code fence", "<p>```python\nx = 1\n```</p>"),
        ("a code fence", "<p>a</p>\n:::{note}"),
        ("code", "<p>call `lstm_scan` there</p>"),
        ("emphasis", "<p>the **cell**</p>"),
        ("emphasis", "<p>the **<code>c</code>** of it</p>"),
        ("emphasis", "<p>what is *kept* of it</p>"),
        ("a directive or a role", "<p>{note}</p>"),
        ("a directive or a role", "<p>at step {glue:text}<code>storing</code></p>"),
        ("a directive or a role", "<p>see :py:obj:<code>lstm_scan</code></p>"),
        ("a directive or a role", "<p>.. note:: this</p>"),
        ("a heading", "<p>## Install</p>"),
        ("HTML", "<p>&lt;b&gt;bold&lt;/b&gt;</p>"),
        ("HTML", "<p>1 &amp;lt; 2</p>"),
    ],
)
def test_markup_that_was_not_rendered(name, text):
    (first, *_) = markup.unrendered(f"<article>{text}<p>more</p></article>")
    assert first.startswith(f"{name} is not rendered: ")


def test_text_that_only_looks_like_markup():
    page = """<title>a | b</title><pre>| a | b |\n| --- | --- | $x_t$ **b**</pre>
    <p>It costs $5, not $6; |x| and a * b * c, f(*args) at 3:45, {0, 1}, x[0] (see below) and
    <code>**k</code>, 1 &lt; 2 &gt; 0, <code>a</code>: <em>b</em> and # 3; R&amp;D; a_b_c.
    <dl><dt class="sig sig-object">scan(<em>*</em>, **more, a | b)</dt></dl>
    <table><tr><td>|</td><td>---</td></tr></table>"""
    assert markup.unrendered(page) == []


@pytest.fixture(scope="module")
def browser():
    with open_browser() as page:
        yield page


GOOD = "html {background: canvas; color: canvastext; color-scheme: light dark}"
WHITE = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
SEEN = {
    "a picture that is lost": ('<img src="lost.png" alt="words">', "the picture does not load"),
    "a pale picture": (f'<img src="{WHITE}" width="9" alt="words">', "a pale picture on the dark"),
    "a pale frame": (
        f'<p style="background: white"><img src="{WHITE}" width="9" alt="words"></p>',
        "a pale frame on the dark page",
    ),
    "a formula as text": ('<p class="math">c_t</p>', "the formula is not drawn"),
    "a formula of no size": ('<svg class="formula" width="0"></svg>', "the formula is not drawn"),
    "a wide page": ('<p style="width: 500px">words</p>', "the page is 508 pixels wide"),
    "a wide table": (
        '<div style="overflow: hidden"><p style="width: 500px">' + "words " * 90 + "</p></div>",
        "cut off at the edge",
    ),
    "faint text": ('<p style="color: #888">words</p>', "a contrast of 3.5 only"),
    "dark on dark": ('<p style="color: #000">words</p>', "a contrast of 1.1 only"),
    "an error": ("<script>lost()</script>", "ReferenceError: lost is not defined"),
    "another site": ('<script src="http://localhost:9/x.js"></script>', "it asked for"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_faults_that_a_browser_sees(browser, tmp_path, name):
    body, fault = SEEN[name]
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><style>{GOOD}</style>{body}")
    lines = browse.faults(browser, path)
    assert any(line.startswith(fault) for line in lines), lines


@pytest.mark.slow
def test_a_page_without_faults(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        f"<!doctype html><style>{GOOD} .wide {{overflow-x: auto}} .off {{position: absolute;"
        "width: 1px; height: 1px; overflow: hidden}</style><h1>a</h1><p>words</p>"
        '<div class="wide"><pre>' + "word " * 99 + '</pre></div><p class="off">unseen words</p>'
        '<svg class="formula" width="9" height="9"></svg>'
    )
    assert browse.faults(browser, path) == []


def test_the_check_without_a_browser(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tests.support.browser.find_chromium", lambda: None)
    (tmp_path / "page.html").write_text("<h1>a</h1><p>**b**</p>")
    assert check.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "there is no Chromium, so no page was opened; `make browser` installs it",
        "page.html: emphasis is not rendered: '**b**'",
    ]


def build(source, out, *options):
    """Build pages with Sphinx, or skip where the extra docs is missing."""
    for name in ("myst_nb", "sphinx_book_theme"):
        pytest.importorskip(name, reason="the extra docs is not installed")
    command = [sys.executable, "-m", "sphinx", "--quiet", *options, str(source), str(out)]
    subprocess.run(command, check=True)


@pytest.mark.slow
def test_all_pages_as_readers_see_them(tmp_path):
    """Built without running them, as by `make docs-links`; `make docs` checks their outputs too."""
    warnings = "suppress_warnings=mystnb.glue,myst-nb.lexer"
    build(ROOT / "docs", tmp_path, "-D", "nb_execution_mode=off", "-D", warnings)
    assert check.main([str(tmp_path)]) == 0


@pytest.mark.slow
def test_what_cells_output(tmp_path):
    """Under the site's own settings, where a table is a table and long lines stay whole.

    By default a table came out as text, and output of a shell broke after 100 characters.
    """
    conf = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    settings = re.findall(r"^(?:nb_|NotebookClient|from (?:nbc|func)).*$", conf, re.MULTILINE)
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text("\n".join(['extensions = ["myst_nb"]', *settings]))
    (source / "index.md").write_text(
        "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n# A page\n"
        "```{code-cell} python\nfrom IPython.display import Markdown\n"
        'Markdown("| a | b |\\n| --- | --- |\\n| 1 | **2** |")\n```\n'
        f"```{{code-cell}} python\n%%bash\nprintf '%s' {'word ' * 99}| tr -d ' '\n```\n"
    )
    build(source, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert markup.unrendered(page) == []
    assert "<table" in page
    assert "word" * 99 in page
