"""The page of `train.inspect` in Chromium: pointed at, typed into, played, measured."""

import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import matplotlib.image
import numpy as np
import pytest
import scipy.stats
from machinery import browse

from tests.support.browser import open_browser
from tests.support.pages import content_of, make_page
from tests.support.runs import tiny
from tests.support.small import make, untrained
from tests.train.test_inspect import NASTY
from train.config.settings import Model
from train.config.tasks import Classification, Series

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
STEPS, UNITS = 5000, 512
PROSE = 'She said "it is (nearly) done", 12 times.\n    Then [he] left\tfor good.\n\n'
LABEL = "document.querySelector('#cell svg').getAttribute('aria-label')"
WINDOWS = [(1400, 900), (1000, 700), (390, 844)]


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


def text_page(folder, text, config_of=lambda config: config, **options):
    path = folder / "text.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return make_page(untrained(config_of(tiny(path)), folder / "run"), path=path, **options)


def small_text(folder):
    return text_page(folder, PROSE * 20, steps=600)


def large_text(folder):
    def wide(config):
        return replace(config, model=Model(embedding=16, hidden=(UNITS,)))

    return text_page(folder, PROSE * 80, wide, steps=STEPS)


def large_series(folder):
    inputs = np.cumsum(RNG.normal(size=(20, STEPS, 3)), 1)
    inputs[:, :, 2] = RNG.random((20, STEPS)) < 0.001
    path = folder / "series.npz"
    np.savez(path, inputs=inputs, labels=np.array(["a", "b"] * 10))
    config = Classification(data=Series(path=str(path)), model=Model(hidden=(UNITS,)))
    return make_page(untrained(config, folder / "run"), path=path)


def of_task(name):
    def page(folder):
        return make_page(untrained(make(name, folder), folder / "run"))

    return page


MAKERS = {
    "small text": small_text, "large text": large_text, "large series": large_series,
    "tiny text": lambda folder: text_page(folder, PROSE * 20, steps=30),
    "nasty text": lambda folder: text_page(folder, NASTY * 20, steps=len(NASTY)),
    **{name: of_task(name) for name in ("classification", "forecasting", "piano_roll")},
}  # fmt: skip


def show(browser, page, width=1400, height=900, **media):
    """Open it and wait until it can be used; its content."""
    address, content = page
    browser.open(address, width, height, **media)
    browser.wait("performance.getEntriesByName('ready').length "
                 "&& performance.getEntriesByName('loaded').length")  # fmt: skip
    return content


@pytest.mark.parametrize("name", ["small text", "classification", "forecasting", "piano_roll"])
def test_nothing_is_cut_off_or_faint(browser, pages, name):
    """In wide and narrow windows, light and dark: the check of the documentation's pages."""
    address, _ = pages(name)
    assert browse.faults(browser, Path(url2pathname(urlsplit(address).path))) == []


def text_of(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def step_of(browser):
    """The chosen step, once it is drawn."""
    frame = "requestAnimationFrame(() => requestAnimationFrame(done))"
    browser.evaluate(f"new Promise(done => {frame})")
    return int(browser.evaluate("document.getElementById('step').value")) - 1


def place_of(browser, content, step):
    """Where a character of a text of short lines is on the screen."""
    box = browser.evaluate(
        "(() => { const b = document.getElementById('panel').getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    row = content["text"][: step + 1].count("\n") - (content["text"][step] == "\n")
    column = step - (content["text"].rfind("\n", 0, step) + 1)
    cell = browser.evaluate(
        "(() => { const c = document.createElement('canvas').getContext('2d');"
        " const style = getComputedStyle(document.documentElement);"
        " c.font = '15px ' + style.getPropertyValue('--mono');"
        " return Math.ceil(c.measureText('M').width); })()"
    )
    return box[0] + 46 + (column + 0.5) * cell, box[1] + 8 + row * 26 + 10


def shown_number(text):
    return float(text.replace("\u2212", "-").replace(",", ""))


def test_load(browser, pages):
    """The title, the facts, controls and a drawing are there, and nothing is complained of."""
    content = show(browser, pages("small text"))
    assert text_of(browser, "h1") == content["title"] == "Language model: run"
    assert "600 characters" in text_of(browser, "#facts")
    assert "16 units" in text_of(browser, "#facts")
    image = matplotlib.image.imread(io.BytesIO(browser.screenshot()))
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 100
    assert browser.complaints() == []


def test_hover(browser, pages):
    """The step under the pointer: its values in the cell, the predictions, what came."""
    content = show(browser, pages("small text"))
    (block,) = content["blocks"]
    said = content["predictions"]
    browser.key("Escape")
    for step in (5, 17, 60):
        browser.mouse("mouseMoved", *place_of(browser, content, step))
        browser.wait(f"document.getElementById('moment-title').textContent.includes('{step + 1} ')")
        unit = int(browser.evaluate("document.getElementById('unit').value")) - 1
        label = browser.evaluate(LABEL)
        found = dict(re.findall(r"(forget gate|input gate|candidate|output gate|h) (\S*\d)", label))
        for name, letter in {"forget gate": "f", "input gate": "i", "candidate": "g",
                             "output gate": "o", "h": "h"}.items():  # fmt: skip
            value = block["values"][letter][step, unit]
            assert shown_number(found[name]) == pytest.approx(value, abs=0.0051)
        cells = re.findall(r"cell (\S+) (?:before|after)", label)
        for number, at in zip(cells, (step - 1, step), strict=True):
            assert shown_number(number) == pytest.approx(block["values"]["c"][at, unit], abs=0.0051)
        rows = browser.evaluate("[...document.querySelectorAll('#expected li')].map(e => "
                                "[e.children[0].textContent, e.children[2].textContent, "
                                "e.className])")  # fmt: skip
        assert len(rows) == 5
        for k, (name, chance, style) in enumerate(rows):
            token = said["names"][said["ids"][step, k]]
            assert name == {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(token, token)
            assert float(chance[:-1]) == pytest.approx(
                100 * said["probabilities"][step, k], abs=0.51
            )
            assert ("correct" in style) == (token == content["text"][step + 1])
        bits = content["outcome"]["values"][step]
        assert f"surprise: {bits:.2f} bits" in text_of(browser, "#read")
        tip = browser.evaluate("document.getElementById('tip').textContent")
        assert f"step {step + 1}" in tip
        assert rows[0][0] in tip
    browser.mouse("mouseMoved", 700, 5)
    browser.wait("document.getElementById('tip').hidden")
    assert browser.complaints() == []


def test_choose_a_unit(browser, pages):
    """By button, by number, by quantity: the panel is coloured anew, and the legend is true."""
    content = show(browser, pages("small text"))
    (block,) = content["blocks"]
    pictures = set()
    for name, letter in (("forget", "f"), ("cell", "c"), ("hidden", "h")):
        browser.click(f"#quantities input[value={letter}]")
        browser.wait(f"document.getElementById('map-title').textContent.includes('{name}')")
        for unit in (3, 11):
            browser.evaluate("document.getElementById('unit').select()")
            browser.click("#unit")
            browser.evaluate("document.getElementById('unit').select()")
            browser.type(str(unit + 1))
            browser.key("Tab")
            browser.wait(
                f"document.getElementById('cell-title').textContent.endsWith('{unit + 1}')"
            )
            time.sleep(0.1)
            ends = [shown_number(text_of(browser, f"#legend-{end}")) for end in ("low", "high")]
            values = block["values"][letter][:, unit]
            expected = [-abs(values).max(), abs(values).max()]
            if letter == "f":
                expected = [values.min(), values.max()]
            assert ends == pytest.approx(expected, abs=0.0051)
            pictures.add(browser.evaluate("document.getElementById('base').toDataURL()"))
    assert len(pictures) == 6
    browser.click("#full")
    browser.click("#quantities input[value=f]")
    browser.wait("document.getElementById('legend-low').textContent === '0.00'")
    assert text_of(browser, "#legend-high") == "1.00"
    best = content["followed"][0]["best"][0]
    browser.click("#followed button.unit")
    browser.wait(f"document.getElementById('unit').value === '{best['unit'] + 1}'")
    assert browser.evaluate("document.querySelector('#followed button.unit').ariaPressed") == "true"
    step_of(browser)
    assert content["followed"][0]["name"] in text_of(browser, "#following")
    assert browser.complaints() == []


def ranking(browser):
    """`(quantity, unit, score, rises)` of the buttons that the search gives."""
    labels = browser.evaluate(
        "[...document.querySelectorAll('#hits button')].map(b => [b.dataset.key, b.textContent])"
    )
    return [
        (key.split(".")[1], int(key.split(".")[2]), float(text[-4:]), "▲" in text)
        for key, text in labels
    ]


def expected_scores(content, first, last, near=False):
    """Mann and Whitney's, of all units and quantities of the page's only block."""
    (block,) = content["blocks"]
    size = last - first + 1
    lower, upper = (max(0, first - size), last + size) if near else (0, content["steps"])
    scores = {}
    for name, values in block["values"].items():
        inside = values[first : last + 1].T
        outside = np.concatenate([values[lower:first], values[last + 1 : upper + near]]).T
        for unit, (a, b) in enumerate(zip(inside, outside, strict=True)):
            area = scipy.stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
            scores[name, unit] = area
    return scores


@pytest.mark.parametrize("near", [False, True])
def test_search(browser, pages, near):
    """A span drawn over the text ranks the units that tell it from the rest."""
    content = show(browser, pages("small text"))
    if near:
        browser.evaluate(
            "(() => { const s = document.getElementById('against'); s.value = 'near';"
            " s.dispatchEvent(new Event('change')); })()"
        )
    first, last = 9, 26
    browser.drag(place_of(browser, content, first), place_of(browser, content, last))
    browser.wait(f"document.getElementById('to').value === '{last + 1}'")
    browser.wait("document.querySelectorAll('#hits button').length > 0")
    time.sleep(0.3)
    assert browser.evaluate("document.getElementById('from').value") == str(first + 1)
    scores = expected_scores(content, first, last, near)
    found = ranking(browser)
    assert len(found) == min(16, UNITS)
    for name, unit, score, rises in found:
        assert score == pytest.approx(abs(scores[name, unit] - 0.5) + 0.5, abs=0.0051)
        assert rises == (scores[name, unit] >= 0.5)
    folded = {key: abs(score - 0.5) + 0.5 for key, score in scores.items()}
    by_unit = [max(folded[name, unit] for name in "ifgoch") for unit in range(16)]
    np.testing.assert_allclose([one[2] for one in found], np.sort(by_unit)[::-1], atol=0.0051)
    browser.click("#hits button")
    browser.wait(f"document.getElementById('unit').value === '{found[0][1] + 1}'")
    browser.key("Escape")
    browser.wait("document.querySelectorAll('#hits button').length === 0")
    assert browser.complaints() == []


def test_search_without_a_pointer(browser, pages):
    """Shift and arrows draw a span, and so do its numbers."""
    content = show(browser, pages("small text"))
    browser.evaluate("document.getElementById('panel').focus()")
    browser.key("Home")
    for _ in range(4):
        browser.key("ArrowRight")
    for _ in range(6):
        browser.key("ArrowRight", shift=True)
    browser.wait("document.querySelectorAll('#hits button').length > 0")
    ends = browser.evaluate("['from', 'to'].map(id => document.getElementById(id).value)")
    assert ends == ["5", "11"]
    browser.key("ArrowLeft", shift=True)
    assert browser.evaluate("document.getElementById('to').value") == "10"
    time.sleep(0.3)
    name, unit, score, _ = ranking(browser)[0]
    assert score == pytest.approx(
        abs(expected_scores(content, 4, 9)[name, unit] - 0.5) + 0.5, abs=0.0051
    )
    for field, value in (("from", "3"), ("to", "8")):
        browser.click(f"#{field}")
        browser.evaluate(f"document.getElementById('{field}').select()")
        browser.type(value)
        browser.key("Tab")
    time.sleep(0.3)
    name, unit, score, _ = ranking(browser)[0]
    assert score == pytest.approx(
        abs(expected_scores(content, 2, 7)[name, unit] - 0.5) + 0.5, abs=0.0051
    )
    assert "units found; the best is" in text_of(browser, "#live") or browser.wait(
        "document.getElementById('live').textContent.includes('units found; the best is')"
    )


def test_play(browser, pages):
    """Space plays and stops; the cell's numbers move with the step, as fast as was asked."""
    show(browser, pages("small text"))
    browser.evaluate("(() => { const s = document.getElementById('speed'); s.value = 5;"
                     " s.dispatchEvent(new Event('input')); })()")  # fmt: skip
    browser.mouse("mouseMoved", 700, 5)
    browser.key("Home")
    labels, start = set(), time.monotonic()
    browser.key(" ")
    assert text_of(browser, "#play") == "Pause"
    while time.monotonic() - start < 2:
        labels.add(browser.evaluate(LABEL))
    browser.key(" ")
    seconds, step = time.monotonic() - start, step_of(browser)
    assert text_of(browser, "#play") == "Play"
    assert 0.5 * 32 * seconds < step < 1.2 * 32 * seconds + 2
    assert len(labels) > 20
    time.sleep(0.2)
    assert step_of(browser) == step
    assert f"at step {step + 1}:" in browser.evaluate(LABEL)
    browser.wait("document.getElementById('live').textContent.startsWith('Paused. Step')")
    browser.click("#followed button.unit")
    browser.key(" ")  # what was clicked does not take it
    assert text_of(browser, "#play") == "Pause"
    browser.key(" ")
    browser.key("Tab", shift=True)
    browser.key("Tab")  # what was reached by Tab does
    browser.key(" ")
    assert text_of(browser, "#play") == "Play"
    browser.key("End")
    browser.click("#back")
    assert step_of(browser) == 598
    browser.click("#play")  # to the end, where it stops by itself
    browser.wait("document.getElementById('play').textContent === 'Play'")
    assert step_of(browser) == 599
    assert browser.complaints() == []


def test_keys(browser, pages):
    """Every control is reached by Tab, with its focus seen; arrows step."""
    show(browser, pages("small text"))
    browser.evaluate("document.activeElement.blur()")
    names, last = [], None
    for _ in range(80):
        browser.key("Tab")
        here = browser.evaluate(
            "(() => { const e = document.activeElement, radio = e.type === 'radio';"
            " const seen = getComputedStyle(radio ? e.nextSibling : e);"
            " return [e.id || e.value || e.textContent, e.tagName, seen.outlineStyle,"
            " parseFloat(seen.outlineWidth)]; })()"
        )
        if here[1] == "BODY" or (here == last and len(names) > 5):
            break
        names.append(here[0])
        assert here[2] != "none", here
        assert here[3] >= 2, here
        last = here
    for wanted in ("unit-before", "unit", "unit-after", "full", "panel", "back", "play", "forward",
                   "step", "speed", "from", "to", "here", "against", "clear"):  # fmt: skip
        assert wanted in names, wanted
    assert names.index("panel") < names.index("play") < names.index("from")
    browser.evaluate("document.getElementById('panel').focus()")
    browser.key("Home")
    assert step_of(browser) == 0
    for key, step in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 599)):
        browser.key(key)
        assert step_of(browser) == step
    browser.key("Home")
    browser.key("ArrowDown")
    row = PROSE.index("\n") + 1
    assert step_of(browser) == row  # the line below
    browser.key("ArrowUp")
    assert step_of(browser) == 0
    browser.wait("document.getElementById('live').textContent.startsWith('Step 1 of 600')")


def test_what_listeners_are_told(browser, pages):
    """Names of all controls; the step in words; the cell as a sentence."""
    show(browser, pages("small text"))
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    acted = {"button", "slider", "radio", "checkbox", "spinbutton", "combobox"}
    nodes = [n for n in tree if not n.get("ignored") and n["role"]["value"] in acted]
    assert len(nodes) > 25
    assert [n for n in nodes if not n.get("name", {}).get("value")] == []
    images = [n for n in tree if not n.get("ignored") and n["role"]["value"] == "image"]
    names = [n["name"]["value"] for n in images]
    assert any(
        re.match(r"Unit \d+ at step \d+: cell .* before; forget gate", name) for name in names
    )
    assert any(name.startswith("Colours from") for name in names)
    assert len([n for n in nodes if n["name"]["value"] == "The text, step by step"]) == 1
    browser.evaluate("document.getElementById('panel').focus()")
    browser.key("Home")
    browser.wait("/^Step 1 of 600; reads S; .* expects /.test("
                 "document.getElementById('live').textContent)")  # fmt: skip
    assert browser.evaluate("document.getElementById('panel').ariaValueText") == "step 1, S"


CONTRAST = """(() => {
  const numbers = (css) => (css.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((a) => a / 255).map((a) => a <= 0.04045 ? a / 12.92 :
    ((a + 0.055) / 1.055) ** 2.4).reduce((sum, a, k) => sum + a * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = numbers(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, s = getComputedStyle(e);
    if (!walker.currentNode.data.trim() || /SCRIPT|NOSCRIPT|OPTION/.test(e.tagName)) continue;
    if (!e.getClientRects().length) continue;
    let fill = e.closest("svg") ? s.fill : s.color, behind = ground(e);
    if (e.matches("#cell .value, #cell .small") && e.style.fill) {
      const boxes = [...e.parentElement.querySelectorAll(".box")];
      const x = Number(e.getAttribute("x"));
      behind = numbers(boxes.find((b) => Math.abs(Number(b.getAttribute("x")) +
        Number(b.getAttribute("width")) / 2 - x) < 2).style.fill);
    }
    const [a, b] = [light(numbers(fill)), light(behind)].sort((p, q) => q - p);
    found.push([(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 40)]);
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", WINDOWS)
def test_contrast_and_width(browser, pages, scheme, size):
    """Text is told from its ground at 4.5 to 1 and above; nothing is wider than the window."""
    show(browser, pages("small text"), *size, scheme=scheme)
    browser.drag((200, 400), (260, 400))
    time.sleep(0.4)
    found = browser.evaluate(CONTRAST)
    assert len(found) > 60
    assert [one for one in found if one[0] < 4.5] == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    if size[0] > 800:
        assert browser.evaluate("document.documentElement.scrollHeight") <= size[1]
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = np.mean([int(n) for n in re.findall(r"\d+", ground)]) < 128
    assert dark == (scheme == "dark")


def test_motion_is_left_out_on_request(browser, pages):
    moving = "getComputedStyle(document.querySelector('#cell .wire')).transitionDuration"
    for motion, expected in (("no-preference", "0.12s"), ("reduce", "0s")):
        show(browser, pages("small text"), motion=motion)
        browser.click("#play")
        assert browser.evaluate(moving) == expected


def test_a_text_is_never_run(browser, pages):
    """A text that would be markup is shown as it is: each of its characters is a step."""
    content = show(browser, pages("nasty text"))
    assert content["text"] == NASTY
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.querySelectorAll('script').length") == 2
    browser.evaluate("document.getElementById('panel').focus()")
    browser.key("Home")
    for step in range(60):
        assert step_of(browser) == step
        browser.key("ArrowRight")
    assert browser.complaints() == []


def test_a_page_without_numbers_to_rank(browser, pages):
    """30 steps of 16 units, in the narrowest window."""
    show(browser, pages("tiny text"), 320, 568)
    assert browser.evaluate("document.documentElement.scrollWidth") == 320
    browser.key("End")
    assert step_of(browser) == 29
    assert browser.complaints() == []


@pytest.mark.parametrize("name", ["classification", "forecasting", "piano_roll"])
def test_a_series(browser, pages, name):
    """Pointed at, spanned, zoomed and played, in each of the tasks with numbers."""
    content = show(browser, pages(name))
    steps = content["steps"]
    left, top, width = browser.evaluate(
        "(() => { const b = document.getElementById('panel').getBoundingClientRect();"
        " return [b.x + 92, b.y, b.width - 92 - 8]; })()"
    )
    after = content["forecasts"]["values"].shape[1] if "forecasts" in content else 0

    def place(step):
        return left + (step + 0.5) * width / (steps + after), top + 20

    step = steps // 2
    browser.mouse("mouseMoved", *place(step))
    browser.wait(f"document.getElementById('moment-title').textContent.includes('{step + 1} ')")
    read = text_of(browser, "#read")
    if name == "piano_roll":
        on = [n for n, row in zip(content["columns"], content["values"], strict=True) if row[step]]
        assert f"{' '.join(on)} sound" in read
    else:
        value = content["values"][0, step]
        number = float(f"{value:.4g}")
        assert np.isnan(value) or f"{abs(number):,.6g}"[:5] in read
    if name == "forecasting":
        rows = browser.evaluate(
            "[...document.querySelectorAll('#expected li')].map(e => e.textContent)"
        )
        for k, row in enumerate(rows):
            next_ = shown_number(re.search(r"\+1: (\S+)", row)[1])
            expected = content["forecasts"]["values"][step - content["forecasts"]["first"], 0, k]
            assert next_ == pytest.approx(expected, rel=1e-3, abs=1e-3)
    elif name == "classification":
        label = text_of(browser, "#expected li b")
        expected = 100 * content["predictions"]["probabilities"][step, 0]
        assert float(label[:-1]) == pytest.approx(expected, abs=0.51)
    browser.drag(place(2), place(4))
    browser.wait("document.querySelectorAll('#hits button').length > 0")
    assert browser.evaluate("document.getElementById('from').value") == "3"
    assert browser.evaluate("document.getElementById('to').value") == "5"
    before = browser.evaluate("document.getElementById('base').toDataURL()")
    browser.click("#zoom-in")
    time.sleep(0.2)
    assert browser.evaluate("document.getElementById('base').toDataURL()") != before
    browser.key("Home")
    browser.click("#play")
    browser.wait("document.getElementById('step').value > 3")
    assert browser.complaints() == []


def test_layers_and_directions(browser, pages):
    """Each layer in each direction is chosen by name; a backward cell comes from the next step."""
    content = show(browser, pages("classification"))
    names = browser.evaluate("[...document.querySelectorAll('#layer option')].map(o => o.text)")
    assert names == ["layer 1, forward", "layer 1, backward"]
    browser.evaluate("(() => { const s = document.getElementById('layer'); s.value = 1;"
                     " s.dispatchEvent(new Event('change')); })()")  # fmt: skip
    browser.wait("document.getElementById('cell-title').textContent.includes('backward')")
    browser.key("Home")
    time.sleep(0.3)
    unit = int(browser.evaluate("document.getElementById('unit').value")) - 1
    label = browser.evaluate(LABEL)
    cells = content["blocks"][1]["values"]["c"][:, unit]
    before, after = map(shown_number, re.findall(r"cell (\S+) (?:before|after)", label))
    assert [before, after] == pytest.approx([cells[1], cells[0]], abs=0.0051)


# At 5,000 steps of 512 units.


@pytest.mark.parametrize("name", ["large text", "large series"])
def test_it_loads_in_two_seconds(browser, pages, name):
    """From the navigation to a coloured page that answers; the best of three, other work aside."""
    times = []
    for _ in range(3):
        content = show(browser, pages(name))
        times.append(browser.evaluate("performance.getEntriesByName('ready')[0].startTime"))
    assert content["steps"] == STEPS
    assert {a.shape[1] for a in content["blocks"][0]["values"].values()} == {UNITS}
    print(f"{name}: {[round(t) for t in times]} ms")
    assert min(times) < 2000
    browser.key("End")
    assert step_of(browser) == STEPS - 1
    assert browser.complaints() == []


FRAMES = """(() => { window.frames_ = []; let last = performance.now();
  const take = (now) => { window.frames_.push(now - last); last = now;
    requestAnimationFrame(take); };
  requestAnimationFrame(take); })()"""


@pytest.mark.parametrize("name", ["large text", "large series"])
def test_it_stays_smooth(browser, pages, name):
    """While the pointer moves, while it is scrolled and while it plays, a frame takes less than a
    60th of a second of the processor's time in the page: other work on the machine aside.
    """
    show(browser, pages(name))
    if name == "large series":
        for _ in range(3):  # else there is nothing to scroll
            browser.click("#zoom-in")
    browser.call("Performance.enable", timeDomain="threadTicks")
    browser.evaluate(FRAMES)

    def hover(k):
        browser.mouse("mouseMoved", 150 + (k * 7) % 450, 150 + (k * 13) % 500)
        time.sleep(0.01)

    def scroll(k):
        browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=300, y=400, deltaX=60,
                     deltaY=60)  # fmt: skip

    def wait(k):
        time.sleep(0.01)

    def busy():
        metrics = browser.call("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def milliseconds(action, seconds=2.0):
        """Of the processor and of the clock, a frame."""
        start, since, k = browser.evaluate("window.frames_.length"), time.monotonic(), 0
        spent = busy()
        while time.monotonic() - since < seconds:
            action(k)
            k += 1
        frames = browser.evaluate(f"window.frames_.slice({start})")
        return 1000 * (busy() - spent) / len(frames), float(np.median(frames))

    found = {"hover": milliseconds(hover), "scroll": milliseconds(scroll)}
    browser.evaluate("document.getElementById('speed').value = 6")
    browser.mouse("mouseMoved", 700, 5)
    browser.key(" ")
    before = step_of(browser)
    found["play"] = milliseconds(wait)
    browser.key(" ")
    assert step_of(browser) > before + 20
    browser.call("Performance.disable")
    print(f"{name}: { ({k: [round(t, 1) for t in v] for k, v in found.items()}) } ms a frame")
    assert max(processor for processor, _ in found.values()) < 1000 / 60
    started = time.monotonic()
    browser.click("#here")
    browser.wait("document.querySelectorAll('#hits button').length > 0")
    assert time.monotonic() - started < 5  # the search of 3,072 rows
    assert browser.complaints() == []
