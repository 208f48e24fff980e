"""Pages of `train.inspect` in Chromium: made by name, opened, and read from the screen."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.pages import NASTY, make_page
from tests.support.runs import tiny
from tests.support.small import make, untrained
from train.config.settings import Model
from train.config.tasks import Classification, Series
from train.tasks import forecasting

RNG = np.random.default_rng(0)
STEPS, UNITS = 5000, 512
PROSE = 'She said "it is (nearly) done", 12 times.\n    Then [he] left\tfor good.\n\n'


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


def inputs_only(folder):
    """The page of a task without a view."""
    config = make("forecasting", folder)
    run = untrained(config, folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecasting, "TASK", forecasting.TASK._replace(view=None))
        return make_page(run)


MAKERS = {
    "small text": small_text, "large text": large_text, "large series": large_series,
    "inputs only": inputs_only,
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


def text_of(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def step_of(browser):
    """The chosen step, once it is drawn."""
    frame = "requestAnimationFrame(() => requestAnimationFrame(done))"
    browser.evaluate(f"new Promise(done => {frame})")
    return int(browser.evaluate("document.getElementById('step').value")) - 1


def place_of(browser, content, step):
    """The place on the screen of a character in a text of short lines."""
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
