"""The page of `train.inspect` in Chromium: loaded, pointed at, played; texts and series."""

import io
import re
import time

import matplotlib.image
import numpy as np
import pytest

from tests.support.viewer import (
    place_of,
    show,
    shown_number,
    step_of,
    text_of,
)

pytestmark = pytest.mark.slow


LABEL = "document.querySelector('#cell svg').getAttribute('aria-label')"


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
    """Choosing a unit by button, number or quantity recolours the panel and the legend."""
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


def test_a_task_without_a_view(browser, pages):
    """The inputs are lines, coloured by units, and the page says nothing of predictions."""
    content = show(browser, pages("inputs only"))
    assert content["columns"] == [f"input {k}" for k in range(1, 5)]
    assert "to see the values there" in text_of(browser, "#help")
    hidden = "['#expected', '#expected-title'].every(id => document.querySelector(id).hidden)"
    assert browser.evaluate(hidden)
    browser.key("ArrowLeft")
    browser.wait(f"document.querySelector('#step').value == {content['first']['step']}")
    assert browser.complaints() == []
