"""Searches of the page of `train.inspect`: units that react to a span."""

import time

import numpy as np
import pytest
import scipy.stats

from tests.support.viewer import UNITS, place_of, show, text_of

pytestmark = pytest.mark.slow


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
