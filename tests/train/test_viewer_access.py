"""Access to the page of `train.inspect`: keys, screen readers, contrast, motion, hostile texts."""

import re
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest
from machinery import browse

from tests.support.pages import NASTY
from tests.support.viewer import PROSE, show, step_of

pytestmark = pytest.mark.slow


WINDOWS = [(1400, 900), (1000, 700), (390, 844)]


@pytest.mark.parametrize("name", ["small text", "classification", "forecasting", "piano_roll"])
def test_nothing_is_cut_off_or_faint(browser, pages, name):
    """The check of the documentation's pages, in wide and narrow windows, light and dark."""
    address, _ = pages(name)
    assert browse.faults(browser, Path(url2pathname(urlsplit(address).path))) == []


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
