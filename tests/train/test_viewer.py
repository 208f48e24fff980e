"""Parts of the viewer's page: features, scores, bytes and activations."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import scipy.stats

import jlstm
from tests.support import reference
from tests.support.small import make
from train import model
from train.config import settings
from train.errors import InputError, RunError
from train.tasks import find_task
from train.viewer import Feature, features, html_page, scores
from train.viewer.activations import layer_activations
from train.viewer.encoding import quantise

RNG = np.random.default_rng(0)


def text_features(text, **options):
    return {f.name: f.values for f in features.of_text(text, **options)}


def marked(text, open_, close):
    """`(text without marks, whether each character lies between two of them)`."""
    inside, found, plain = False, [], ""
    for character in text:
        if character in open_ + close:
            inside = character in open_
            continue
        plain += character
        found.append(inside)
    return plain, found


@pytest.mark.parametrize("text", [
    "a <(b>) c", "<((a)b[c]>]d", "x) y <(z", "<(open\n>\nclosed", "<{a\n(b)>}\n", ")<(>)", "",
])  # fmt: skip
def test_inside_brackets(text):
    plain, expected = marked(text, "<", ">")
    assert features.inside_brackets(plain).tolist() == expected


@pytest.mark.parametrize("text", [
    'say <"hi>" now', "it's <'fine>' here", "<'don't stop>' it's", '<"open\n>\nclosed',
    "the dogs' <\"x>\"", 'f(<"a>", <`b>`)', "<\u201cit\u2019s so>\u201d it", "5' 6", "a \" b",
])  # fmt: skip
def test_inside_quotes(text):
    plain, expected = marked(text, "<", ">")
    assert features.inside_quotes(plain).tolist() == expected


def test_places_in_a_text():
    text = "ab c9\n  Two_3 (x)\n\nlast"
    found = text_features(text, marker="Two")
    lines = text.split("\n")
    into = [k for line in lines for k in range(1, len(line) + 2)]
    into = [0 if c == "\n" else k for c, k in zip(text, into, strict=False)]
    assert found["characters into the line"].tolist() == into
    letters = [0]
    for character in text:
        letters.append(letters[-1] + 1 if character.isalnum() or character == "_" else 0)
    assert found["letters into the word"].tolist() == letters[1:]
    indent = [0] * 6 + [1] + [2] * 11 + [0] * 5
    assert found["indent of the line"].tolist() == indent
    assert found["digit"].nonzero()[0].tolist() == [4, 12]
    assert found["capital letter"].nonzero()[0].tolist() == [8]
    assert found["at a space"].sum() == sum(c.isspace() for c in text)
    assert found["marker seen"].nonzero()[0].tolist() == list(range(10, len(text)))
    assert found["place in the text"].tolist() == list(range(len(text)))


def test_columns():
    values = RNG.normal(size=(50, 3))
    values[:, 1] = 0
    values[[10, 30], 1] = 1
    values[[0, 20], 2] = np.nan
    found = {f.name: f for f in features.of_columns(["a", "marks", "gaps"], values)}
    means = [np.mean(values[: k + 1, 0]) for k in range(50)]
    np.testing.assert_allclose(found["running mean of a"].values, means)
    known = [np.nanmean(values[: k + 1, 2]) if k else 0 for k in range(50)]
    np.testing.assert_allclose(found["running mean of gaps"].values, known)
    assert found["marker seen: marks"].values.tolist() == [k >= 10 for k in range(50)]
    assert found["gaps is missing"].values.nonzero()[0].tolist() == [0, 20]
    assert found["gaps"].values[20] == values[19, 2]
    assert found["time since the start"].values.tolist() == list(range(50))
    assert {name for name, f in found.items() if f.memory} == {
        "running mean of a", "running mean of gaps", "marker seen: marks", "time since the start",
    }  # fmt: skip


@pytest.mark.parametrize(("call", "message"), [
    (lambda: features.of_text("abc", "x"), "--marker 'x' is not in the text"),
    (lambda: features.of_text("abc", ""), "--marker '' is not in the text"),
    (lambda: features.of_columns(["a"], np.ones((5, 1)), "b"), "'b' is not a column; the columns"),
    (lambda: features.of_columns(["a"], np.ones((5, 1)), "a"), "'a' has no mark"),
    (lambda: features.of_keys(["C4", "D4"], np.eye(2)[[0, 0]], "D4"), "not a key that .*here.*C4"),
])  # fmt: skip
def test_markers_that_are_not_there(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_scores_are_those_of_scipy():
    """Scores of many units, with ties: Spearman's correlation, and Mann and Whitney's U."""
    time = 300
    values = np.round(RNG.normal(size=(time, 40)), 1).astype(np.float32)
    number = Feature("number", np.round(RNG.normal(size=time), 1) + values[:, 7])
    yes = Feature("yes", (RNG.random(time) < 0.2) | (values[:, 11] > 1.5))
    codes = quantise(values)
    found = {one.feature.name: one for one in scores.rank([{"c": codes}], [number, yes])}
    rho = np.array([scipy.stats.spearmanr(row, number.values).statistic for row in codes.bytes])
    for unit in found["number"].best:
        assert unit.score == pytest.approx(abs(rho[unit.unit]), abs=1e-5)
        assert unit.rises == (rho[unit.unit] > 0)
    assert found["number"].best[0].unit == np.abs(rho).argmax() == 7
    on, off = codes.bytes[:, yes.values], codes.bytes[:, ~yes.values]
    area = np.array([
        scipy.stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
        for a, b in zip(on.astype(float), off.astype(float), strict=True)
    ])  # fmt: skip
    for unit in found["yes"].best:
        assert unit.score == pytest.approx(0.5 + abs(area[unit.unit] - 0.5), abs=1e-5)
        assert unit.rises == (area[unit.unit] > 0.5)
    assert found["yes"].best[0].unit == np.abs(area - 0.5).argmax() == 11


def test_the_bracket_unit_is_found():
    """A noisy unit of 200 follows brackets, lower inside, beyond the chance level."""
    text = "".join(RNG.choice(list("ab cd(e) fgh"), 2000))
    inside = features.inside_brackets(text)
    layers = [RNG.normal(size=(2000, 100)).astype(np.float32) for _ in range(4)]
    layers[2][:, 42] -= 3 * inside
    blocks = [{"c": quantise(layers[0]), "h": quantise(layers[1])}, {"h": quantise(layers[2])}]
    found = scores.rank(blocks, features.of_text(text))
    best = found[0].best[0]
    assert found[0].feature.name == "inside brackets"
    assert (best.block, best.quantity, best.unit, best.rises) == (1, "h", 42, False)
    assert best.score > 0.95
    assert found[0].chance < 0.7
    for one in found[1:]:  # noise follows nothing much beyond chance; brackets lean on the rest
        noise = [unit.score for unit in one.best if (unit.block, unit.unit) != (1, 42)]
        assert max(noise, default=0) < one.chance + 0.05
    assert len({(u.block, u.unit) for u in found[0].best}) == scores.BEST


def test_features_that_do_not_change_are_left_out():
    units = [{"h": quantise(RNG.normal(size=(20, 3)))}]
    rare = np.arange(20) < 2
    assert scores.rank(units, [Feature("even", np.ones(20)), Feature("rare", rare)]) == []
    assert scores.rank(units, []) == []
    one = [{"h": quantise(np.ones((1, 3)))}]
    assert scores.rank(one, features.of_text("a")) == []


def test_units_that_do_not_change_score_nothing():
    units = [{"h": quantise(np.ones((50, 3), np.float32))}]
    (found,) = scores.rank(units, [Feature("time", np.arange(50))])
    assert found.best[0].score == found.chance == 0


@pytest.mark.parametrize("low", [-1e-8, 0.0, -3.0, 1e6])
def test_the_bound_of_quantised_values(low):
    values = (low + RNG.random((500, 20)) * RNG.choice([1e-6, 1, 100], 20)).astype(np.float32)
    values[:, 5] = low
    found = quantise(values)
    low, high = found.low.astype(np.float64), found.high.astype(np.float64)
    back = low + found.bytes.T * (high - low) / 255
    assert (np.abs(back - values) <= (high - low) / 510 * (1 + 1e-6)).all()
    assert (back[:, 5] == values[:, 5]).all()


def test_the_first_view():
    """The first view: a boolean feature that needs memory, beyond chance, at a true step."""
    yes = np.arange(100) % 50 > 35
    follower = scores.Follower(1, "h", 7, 0.8, True)

    def followed(name, values, chance, memory=True):
        return scores.Followed(Feature(name, values, "", memory), chance, [follower])

    time, late = followed("time", np.arange(100), 0.5), followed("late", yes, 0.5)
    chance, read = followed("chance", yes, 0.9), followed("read", yes, 0.5, memory=False)
    unit = {"block": 1, "quantity": "h", "unit": 7}
    for some, feature, step in (
        ([chance, time, late, read], 2, 36), ([chance, time, read], 1, 30), ([chance, read], 1, 30),
    ):  # fmt: skip
        assert html_page.first_view(some, 100) == {**unit, "feature": feature, "step": step}
    none = {"block": 0, "quantity": "c", "unit": 0, "feature": None}
    assert html_page.first_view([chance], 20) == {**none, "step": 19}
    assert html_page.first_view([], 1) == {**none, "step": 0}
    ended = followed("ended", np.arange(100) < 5, 0.1)
    assert html_page.first_view([ended], 100)["step"] == 30


# Activations.


def traced(config, inputs):
    data = find_task(config.task).load(config)
    params = model.init_model(jax.random.key(1), config.model, data.shape)
    inputs = data.test[:inputs] if isinstance(inputs, int) else inputs(data)
    return params, inputs, layer_activations(config, params, inputs)


@pytest.mark.full
def test_every_gate_is_that_of_the_textbook(tmp_path):
    config = make("char_lm", tmp_path)
    config = replace(config, model=replace(config.model, hidden=(9, 7)))
    params, inputs, blocks = traced(config, 40)
    xs = np.asarray(params.embedding)[inputs]
    for layer, block in zip(params.layers, blocks, strict=True):
        _, hs, expected = reference.lstm(layer, None, xs)
        assert sorted(block.values) == ["c", "f", "g", "h", "i", "o"]
        for name, values in block.values.items():
            np.testing.assert_allclose(values, {**expected, "h": hs}[name], atol=3e-6)
        xs = hs


@pytest.mark.slow
def test_both_directions(tmp_path):
    config = make("classification", tmp_path)
    params, inputs, blocks = traced(config, lambda data: data.test.sequences[0])
    assert [block.direction for block in blocks] == ["forward", "backward"]
    for layer, block, reverse in zip(params.layers[0], blocks, (False, True), strict=True):
        _, hs, expected = reference.lstm(layer, None, inputs, reverse=reverse)
        np.testing.assert_allclose(block.values["h"], hs, atol=3e-6)
        np.testing.assert_allclose(block.values["f"], expected["f"], atol=3e-6)


CELLS = list(settings.Cell.__args__)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_every_kind_of_layer(cell, tmp_path):
    """The activations are those of the model: the outputs of all steps, the last state."""
    config = make("char_lm", tmp_path)
    projection = 5 if cell == "projected" else None
    layers = replace(config.model, cell=cell, projection=projection, hidden=(8, 8), residual=True)
    params, inputs, blocks = traced(replace(config, model=layers), 30)
    states, hs = jlstm.stack_scan(
        params.layers, None, np.asarray(params.embedding)[inputs], residual=True
    )
    for block, state in zip(blocks, states, strict=True):
        assert block.layer_type == type(params.layers[0]).__name__
        last = state._asdict() if isinstance(state, jlstm.LSTMState) else {"h": state}
        for name, value in last.items():
            np.testing.assert_allclose(block.values[name][-1], value, atol=1e-5)
        gates = {"i", "f", "g", "o"} if cell in ("lstm", "projected") else set()
        assert set(block.values) == gates | set(last)
    shown = blocks[1].values["h"] + blocks[0].values["h"]  # a residual connection
    np.testing.assert_allclose(shown, hs, atol=1e-5)


@pytest.mark.slow
def test_zoneout_shows_what_is_used_without_training(tmp_path):
    config = make("char_lm", tmp_path)
    config = replace(config, regularize=settings.Regularize(zoneout_h=0.3, zoneout_c=0.5))
    params, inputs, (block,) = traced(config, 30)
    memory, _, _ = model.apply(config, params, None, inputs[None])
    np.testing.assert_allclose(block.values["c"][-1], memory[0].c[0], atol=1e-5)
    np.testing.assert_allclose(block.values["h"][-1], memory[0].h[0], atol=1e-5)
    assert set(block.values) == {"c", "h"}


@pytest.mark.slow
def test_values_that_are_not_finite_are_refused(tmp_path):
    config = make("char_lm", tmp_path)
    data = find_task("char_lm").load(config)
    params = model.init_model(jax.random.key(1), config.model, data.shape)
    bad = params.embedding.at[data.test[6]].set(np.nan)
    first = int(np.flatnonzero(data.test == data.test[6])[0])
    message = f"layer 1 gives a value of . that is not finite at step {first + 1}"
    with pytest.raises(RunError, match=message):
        layer_activations(config, params._replace(embedding=bad), data.test[:30])
