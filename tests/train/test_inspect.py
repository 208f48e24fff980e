"""`python -m train.inspect`: the numbers of its page, and what it refuses."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import jlstm
from tests.support.pages import NASTY, content_of, make_page
from tests.support.runs import run_command, tiny
from tests.support.small import make, untrained
from train import inspect
from train.engine import measure
from train.errors import InputError, RunError
from train.output.weights import load_run
from train.tasks import char_lm, find_task
from train.viewer import html_page

NAMES = ["char_lm", "classification", "forecasting", "piano_roll"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs by task, with the config."""
    made = {}

    def run(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            config = make(name, folder)
            made[name] = config, untrained(config, folder / "run")
        return made[name]

    return run


def same(block, expected):
    """The page's values are these, to the bound of a byte."""
    assert set(block["values"]) == set(expected)
    for name, values in expected.items():
        assert (np.abs(block["values"][name] - values) <= block["bound"][name] + 1e-5).all(), name


def predictions_of(run, command):
    """The rows of `train.predict`, without the header."""
    config, task, about, params = load_run(run)
    _, *rows = task.table(
        config, about, command, lambda some: measure.run(config, task, params, some)
    )
    return rows


@pytest.mark.full
def test_the_page_of_a_text(runs):
    """Gates as `stack_trace` gives them; predictions and bits as `train.predict`."""
    _, run = runs("char_lm")
    text = "tiger, zwei Bären, trois élans, 四 🐢\none"
    content = content_of(make_page(run, text=text))
    _, _, about, params = load_run(run)
    tokens = char_lm.encode(text, about["vocabulary"])
    _, hs, traces = jlstm.stack_trace(params.layers, None, params.embedding[tokens])
    assert content["text"] == text
    assert content["steps"] == len(text)
    same(content["blocks"][0], {**traces[0]._asdict(), "h": hs})
    said, names = content["predictions"], content["predictions"]["names"]
    rows = predictions_of(run, tokens)
    for k, (_, character, bits, likeliest, probability) in enumerate(rows):
        assert names[said["correct"][k]] == character == text[k + 1]
        assert names[said["ids"][k, 0]] == likeliest
        assert said["probabilities"][k, 0] == pytest.approx(float(probability), abs=1e-4)
        assert content["outcome"]["values"][k + 1] == pytest.approx(float(bits), abs=1e-3)
    assert said["correct"][-1] == -1
    assert (np.diff(said["probabilities"]) <= 0).all()
    assert {one["name"] for one in content["followed"]} >= {"place in the text", "at a space"}


@pytest.mark.full
def test_the_page_of_a_sequence(runs):
    """The class at each step is that of the sequence cut there, of both directions."""
    config, run = runs("classification")
    _, task, about, params = load_run(run)
    test = task.load(config).test
    content = content_of(make_page(run, row=3))
    inputs = test.sequences[3]
    (forward, backward), (layer,) = content["blocks"], params.layers
    for block, weights, back in ((forward, layer.forward, 0), (backward, layer.backward, 1)):
        _, hs, trace = jlstm.lstm_trace(weights, None, inputs, reverse=bool(back))
        same(block, {**trace._asdict(), "h": hs})
    cut = [inputs[: k + 1] for k in range(len(inputs))]
    labels = np.full(len(cut), test.labels[3])
    rows = predictions_of(run, type(test)(cut, labels))
    classes, said = about["classes"], content["predictions"]
    for k, (_, label, predicted, *chances) in enumerate(rows):
        assert classes[said["ids"][k, 0]] == predicted
        assert classes[said["correct"][k]] == label
        by_class = dict(zip(said["ids"][k], said["probabilities"][k], strict=True))
        np.testing.assert_allclose([by_class[0], by_class[1]], np.float64(chances), atol=1e-4)
    columns = inputs * np.array(about["spread"]) + about["mean"]
    np.testing.assert_allclose(content["values"], columns.T, rtol=1e-5, atol=1e-6)
    assert f"row 3 of {len(test.sequences)} sequences" in content["facts"]


@pytest.mark.slow
def test_a_long_sequence_of_one_direction(runs, tmp_path):
    """The probabilities at each step are those of the sequence cut there, in one run."""
    config, _ = runs("classification")
    config = replace(config, model=replace(config.model, bidirectional=False))
    run = untrained(config, tmp_path / "run")
    test = find_task("classification").load(config).test
    content = content_of(make_page(run))
    cut = [test.sequences[0][: k + 1] for k in range(len(test.sequences[0]))]
    rows = predictions_of(run, type(test)(cut, np.zeros(len(cut), int)))
    for row, ids, chances in zip(
        rows, content["predictions"]["ids"], content["predictions"]["probabilities"], strict=True
    ):
        found = [chances[list(ids).index(k)] for k in (0, 1)]
        np.testing.assert_allclose(found, np.float64(row[3:]), atol=1e-4)


@pytest.mark.slow
def test_only_the_end_of_a_long_sequence_of_both_directions(runs, monkeypatch):
    from train.viewer import views

    _, run = runs("classification")
    whole = content_of(make_page(run))["predictions"]
    monkeypatch.setattr(views, "LONGEST_RERUN", 3)
    content = content_of(make_page(run))
    said = content["predictions"]
    assert said["first"] == content["steps"] - 1
    np.testing.assert_allclose(said["probabilities"], whole["probabilities"][-1:], atol=1e-6)
    known = ~np.isnan(content["outcome"]["values"])
    assert known.nonzero()[0].tolist() == [content["steps"] - 1]


@pytest.mark.slow
def test_the_page_of_a_forecast(runs):
    """The forecast from each step is that of `train.predict` for the table cut there."""
    from train.tasks import forecasting

    config, run = runs("forecasting")
    _, task, about, _ = load_run(run)
    split = task.load(config).test
    content = content_of(make_page(run, row=5))
    start = split.starts[5]
    seen = split.values[start : start + config.data.context]
    found = content["forecasts"]["values"]
    assert content["forecasts"]["first"] == 0
    assert found.shape == (len(seen), config.data.horizon, seen.shape[1])
    for end in (9, 10, len(seen)):
        rows = predictions_of(run, forecasting.Windows(seen[:end], np.array([0]), end, 6))
        expected = [[float(cell) for cell in row[1:]] for row in rows]
        np.testing.assert_allclose(found[end - 1], expected, rtol=1e-4, atol=1e-3)
    spread, mean = np.array(about["spread"]), np.array(about["mean"])
    after = split.values[start : start + len(seen) + config.data.horizon]
    np.testing.assert_allclose(
        content["values"], (after * spread + mean).T, rtol=1e-5, equal_nan=True
    )
    for end in (1, len(seen)):
        apart = (found[end - 1] - mean) / spread - after[end : end + config.data.horizon]
        error = content["outcome"]["values"][end - 1]
        assert error == pytest.approx(np.nanmean(np.abs(apart)), rel=1e-3)


@pytest.mark.slow
def test_the_page_of_a_roll(runs):
    config, run = runs("piano_roll")
    task = find_task("piano_roll")
    pieces = task.load(config).test
    content = content_of(make_page(run, row=2))
    piece, said = pieces[2], content["predictions"]
    assert (content["values"] == piece.T).all()
    rows = np.float64([row[2:] for row in predictions_of(run, [piece])])
    for k, row in enumerate(rows):
        np.testing.assert_allclose(said["probabilities"][k], np.sort(row)[::-1][:5], atol=1e-4)
        np.testing.assert_allclose(row[said["ids"][k]], said["probabilities"][k], atol=1e-4)
    config, task, _, params = load_run(run)
    nats = measure.evaluate(config, task, params, [piece])["nll_per_step"]
    assert np.nanmean(content["outcome"]["values"]) == pytest.approx(nats, rel=1e-5)
    assert said["names"][0] == "A0"
    assert said["names"][39] == "C4"


@pytest.mark.slow
def test_the_test_split_in_passages(runs):
    config, run = runs("char_lm")
    data = char_lm.load(config)
    text = char_lm.decode(data.test, data.about["vocabulary"])
    contents = [content_of(make_page(run, row=row, steps=50)) for row in (0, 1)]
    assert [content["text"] for content in contents] == [text[:50], text[50:100]]
    assert "test split" in contents[0]["source"]
    path = config.data.path
    whole = content_of(make_page(run, path=path, steps=60, row=2))
    with open(path, encoding="utf-8") as file:
        assert whole["text"] == file.read()[120:180]


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.full
def test_a_text_is_never_markup(tmp_path):
    """Whatever the text holds, the page has the elements of its template, and asks for nothing."""
    path = tmp_path / "text.txt"
    path.write_text(NASTY * 30, encoding="utf-8", newline="")
    run = untrained(tiny(path), tmp_path / "<img src=x>@STYLE@")
    page = make_page(run, path=path, steps=len(NASTY) * 2)
    content = content_of(page)
    assert content["text"] == NASTY * 2
    elements = Elements(page).found
    template = (html_page.FOLDER / "page.html").read_text(encoding="utf-8")
    arrays = [("script", {"type": "text/plain", "id": f"array-{k}"}) for k in range(6)]
    expected = [tag for tag, _ in Elements(template).found]
    assert [tag for tag, _ in elements] == [*expected[:-1], *["script"] * 6, expected[-1]]
    assert elements[-7:-1] == arrays
    assert not [a for _, a in elements if any(name.startswith("on") for name in a)]
    assert {a.get("src", a.get("href")) for _, a in elements} <= {None, "data:,"}
    policy = next(a["content"] for _, a in elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "&lt;img src=x&gt;@STYLE@" in page


def test_the_program_can_stand_in_a_page():
    """No file of it ends its element, or reaches out."""
    files = sorted(p.stem for p in html_page.FOLDER.glob("*.js"))
    assert files == sorted(html_page.SCRIPTS)
    for path in html_page.FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "\r" not in text
        if path.suffix != ".html":
            assert "</" not in text.replace('"http://www.w3.org/2000/svg"', "")
            assert "http" not in text.replace('"http://www.w3.org/2000/svg"', "")
            assert "innerHTML" not in text
            assert "eval(" not in text


@pytest.mark.sampled
@pytest.mark.parametrize(("task", "flags", "message"), [
    ("char_lm", ["--text", ""], "--text must have at least one character"),
    ("char_lm", ["--text", "Ж"], "--text holds 'Ж', which the run's text does not"),
    ("char_lm", ["--text", "a", "--data.path", "x"], "--text and --data.path exclude each other"),
    ("char_lm", ["--steps", "0"], "--steps must be 1 or more, got 0"),
    ("char_lm", ["--row", "999"], "--row must be from 0 to 0, of 1 passages of --steps 5000"),
    ("char_lm", ["--row", "-1"], "--row must be from 0 to 0"),
    ("char_lm", ["--marker", "Ж"], "--marker 'Ж' is not in the text"),
    ("char_lm", ["--data.path", "no.txt"], "cannot read data.path no.txt"),
    ("classification", ["--text", "a"], "--text is for language models, and .* classification"),
    ("classification", ["--row", "12"], "--row must be from 0 to 11, of 12 sequences; got 12"),
    ("classification", ["--marker", "input 9"], "'input 9' is not a column; the columns are"),
    ("forecasting", ["--steps", "20"], "--steps 20 is less than data.context = 24"),
    ("char_lm", ["--best"], "there is no best.safetensors"),
    ("char_lm", ["--colour", "red"], "--colour"),
])  # fmt: skip
def test_what_is_refused(runs, task, flags, message, tmp_path):
    out = tmp_path / "page.html"
    with pytest.raises(InputError, match=message):
        inspect.main([str(runs(task)[1]), *flags, "--out", str(out)])
    assert not out.exists()


def test_a_page_that_would_be_too_large(runs, monkeypatch):
    monkeypatch.setattr(inspect, "MOST", 6 * 16 * 9 - 1)
    with pytest.raises(
        InputError, match=r"9 steps have 864 values .* holds at most 863; choose fewer"
    ):
        make_page(runs("char_lm")[1], text="one tiger")


@pytest.mark.full
def test_the_command(runs, tmp_path):
    """It writes the page into the run's folder, and says so."""
    run = runs("char_lm")[1]
    process = run_command(str(run), "--text", "one tiger", module="train.inspect")
    assert process.returncode == 0, process.stderr
    page = (run / "inspect.html").read_text(encoding="utf-8")
    assert content_of(page)["text"] == "one tiger"
    assert f"9 steps of 16 units are in {run / 'inspect.html'} (" in process.stdout
    out = tmp_path / "no" / "page.html"
    with pytest.raises(RunError, match=f"cannot write {out}: No such file or directory"):
        inspect.main([str(run), "--text", "one tiger", "--out", str(out)])


@pytest.mark.slow
def test_changed_data_are_not_shown_in_silence(runs, tmp_path):
    config, run = runs("char_lm")
    (run / "result.json").write_text(json.dumps({"data_sha256": "other"}))
    try:
        with pytest.raises(InputError, match="name the data to show"):
            make_page(run)
    finally:
        digest = char_lm.load(config).sha256
        (run / "result.json").write_text(json.dumps({"data_sha256": digest}))


@pytest.mark.slow
def test_a_marker(runs):
    """The feature "marker seen" is among those that units may follow."""
    _, run = runs("char_lm")
    names = {one["name"] for one in content_of(make_page(run, marker="Bären"))["followed"]}
    assert "marker seen" in names


@pytest.mark.slow
def test_layers_of_other_kinds(tmp_path, runs):
    """Other layer types have h only."""
    config, _ = runs("char_lm")
    config = replace(config, model=replace(config.model, cell="gru", hidden=(8, 5)))
    run = untrained(config, tmp_path / "run")
    content = content_of(make_page(run, text="one tiger, zwei"))
    assert [sorted(block["values"]) for block in content["blocks"]] == [["h"], ["h"]]
    tokens = char_lm.encode("one tiger, zwei", load_run(run).about["vocabulary"])
    params = load_run(run).params
    _, hs = jlstm.stack_scan(params.layers, None, params.embedding[tokens])
    same(content["blocks"][1], {"h": hs})
