"""Rows of the tables, small: what can be learned is, what cannot be is not; files and the page."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jlstm
from jlstm.variants import init_no_forget
from papers import layers, page, run
from papers.experiments import ROWS, copying, gradients, hochreiter1997
from papers.experiments.final_answer import Blocks, measure_blocks, measure_layer
from papers.experiments.next_symbol import lag_of_layer, reber_of_layer
from papers.layers.model import Layer, init_model
from papers.layers.streams import Source
from papers.problems import is_correct, lags, reber
from papers.row import Measured, Row, mean_and_std, solved_line

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]


def quiet(line):
    """Log nothing."""


def test_names_are_file_names_and_each_row_is_measured_by_somebody():
    assert all(name.replace("-", "").isalnum() for name in ROWS)
    assert all(row.trials >= 1 and row.budget >= 1 for row in ROWS.values())


def test_a_row_without_its_data_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.delenv("JLSTM_DATA", raising=False)
    rows = [ROWS["jsb-36"], ROWS["shakespeare-1"]]
    found = dict(run.measure_all(rows, tmp_path, 1))
    assert found.keys() == {"jsb-36", "shakespeare-1"}
    assert "needs JSB_Chorales.mat in the folder" in str(found["jsb-36"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_layer_learns_to_add():
    task = hochreiter1997.adding(20)
    found = measure_layer(task, Layer(2, 12, 1, rate=0.02), 2, 60_000, quiet)
    assert found.figures["solved"] == [True, True]
    assert max(found.figures["wrong"]) < 0.05 * found.figures["tested"]


@pytest.mark.slow
def test_a_net_of_1997_learns_temporal_order():
    net = Blocks(hochreiter1997.TWO_RELEVANT, 0.5, input_bias=(-2.0, -4.0))
    found = measure_blocks(hochreiter1997.TWO_LETTERS, net, 3, 150_000, quiet)
    assert any(found.figures["solved"])
    assert found.figures["weights"] == 156
    solved = [
        n for n, yes in zip(found.figures["wrong"], found.figures["solved"], strict=True) if yes
    ]
    assert max(solved) < 0.01 * found.figures["tested"]


def test_a_net_that_learns_nothing_solves_nothing():
    net = Blocks(hochreiter1997.MARKED, rate=0.0)
    found = measure_blocks(hochreiter1997.adding(10), net, 2, 3000, quiet)
    assert found.figures["solved"] == [False, False]
    assert found.figures["sequences"] == [3000, 3000]
    assert min(found.figures["wrong"]) > 0.8 * found.figures["tested"]


@pytest.mark.slow
def test_a_layer_learns_the_embedded_grammar():
    found = reber_of_layer(Layer(7, 12, 7, rate=0.01, batch=8), 2, 20_000, quiet)
    assert found.figures["solved"] == [True, True]


@pytest.mark.slow
def test_a_layer_predicts_the_end_of_short_sequences():
    draw = partial(lags.in_turn, 5)
    learns, stays = (Layer(6, 16, 6, rate=rate, batch=8) for rate in (0.01, 0.0))
    assert lag_of_layer(draw, learns, 2, 30_000, quiet).figures["solved"] == [True, True]
    assert lag_of_layer(draw, stays, 2, 30_000, quiet).figures["solved"] == [False, False]


@pytest.mark.slow
def test_a_layer_learns_a_lag_that_the_simple_network_does_not():
    task = hochreiter1997.very_long_lag(50)
    lstm = measure_layer(task, Layer(54, 16, 2, init=hochreiter1997.CHRONO), 2, 30_000, quiet)
    assert lstm.figures["solved"] == [True, True]
    assert max(lstm.figures["wrong"]) < 0.01 * lstm.figures["tested"]
    rnn = measure_layer(task, Layer(54, 16, 2, init=jlstm.variants.init_rnn), 2, 30_000, quiet)
    assert rnn.figures["solved"] == [False, False]
    assert min(rnn.figures["wrong"]) > 0.25 * rnn.figures["tested"]


@pytest.mark.slow
def test_resets_from_outside_let_the_lstm_of_1997_predict_the_continual_grammar():
    """Without a forget gate it predicts a string's last T or P if its memory is reset before.

    If it is not, that symbol is a guess: half of them are wrong, while the others are predicted.
    """
    wrong, others = {}, {}
    for resets in (True, False):
        layer = Layer(7, 16, 7, rate=0.01, batch=8, init=init_no_forget)
        source = Source(reber.start, partial(reber.continual, steps=100), resets)
        model = jax.vmap(partial(init_model, layer))(jax.random.split(jax.random.key(0), 1))
        init = jax.vmap(partial(layers.streams.init_learner, layer, source))
        learners = init(model, jax.random.split(jax.random.key(1), 1))
        learners = layers.streams.learn(layer, source, learners, jax.random.key(2), 1000)
        _, seen = reber.continual(reber.start(jax.random.key(3)), jax.random.key(4), 20_000)
        net = jax.tree.map(lambda a: a[0], learners.net)
        stream = jax.tree.map(lambda a: a[None], seen)
        right = is_correct(layers.streams.predict(net, None, stream, resets)[1], stream)[0]
        ends = jnp.roll(seen.starts, -3)  # before T or P, E, and the first symbol of the next
        assert set(seen.following[ends].tolist()) == {reber.SYMBOLS.index(c) for c in "TP"}
        wrong[resets] = float((~right)[ends].mean())
        others[resets] = float(right[~ends].mean())
    assert wrong[True] < 0.02
    assert 0.4 < wrong[False] < 0.6
    assert min(others.values()) > 0.99


@pytest.mark.slow
def test_gradients_vanish_in_this_order():
    """By the cell ever more reaches the end: forget bias 0, 1, chrono, and no forget gate.

    With a forget bias of 0 it is less than in the simple network, whose matrix is orthogonal: a
    gate of one half keeps nothing over a hundred steps.
    """
    found = {}
    for name, (_, init) in gradients.LAYERS.items():
        layer = Layer(2, gradients.UNITS, 1, init=init)
        models = jax.vmap(partial(init_model, layer))(jax.random.split(jax.random.key(0), 3))
        norms = gradients.norms(models, jax.random.key(1))
        found[name] = norms.get("c", norms["h"])[gradients.STEPS]
    order = ["forget-0", "rnn", "forget-1", "chrono", "no-forget"]
    assert sorted(found, key=found.get) == order
    assert found["forget-0"] < 1e-10
    assert found["rnn"] < 1e-3
    assert found["chrono"] > 0.05


def test_the_best_answer_without_memory_costs_its_baseline():
    """Blanks with certainty, then eight symbols with equal probability: a model of biases alone."""
    gap, sure = 30, 30.0
    model = init_model(Layer(copying.MARK + 1, 4, copying.MARK), jax.random.key(0))
    blank = jnp.zeros(copying.MARK).at[-1].set(sure)
    xs, due = jax.vmap(partial(copying.copying, gap))(jax.random.split(jax.random.key(1), 64))
    still = model._replace(weight=jnp.zeros_like(model.weight), bias=blank)
    of_blanks = float(copying.loss(still, xs[:, :-10], due[:, :-10]))
    guess = still._replace(bias=blank.at[-1].set(-sure))
    of_symbols = float(copying.loss(guess, xs[:, -10:], due[:, -10:]))
    mean = (of_blanks * (gap + 10) + of_symbols * 10) / (gap + 20)
    assert mean == pytest.approx(copying.without_memory(gap), rel=1e-5)


@pytest.mark.slow
def test_less_is_lost_in_copying_while_it_is_learned():
    found = copying.copied(5, jlstm.init_params, 32, 1, 32 * 1200, quiet)
    assert found.figures["nats"][0] < 0.9 * copying.without_memory(5)


def test_what_is_half_written_is_no_result(tmp_path):
    (tmp_path / "a.json").write_text('{"name": "a", "line": "3 of 3"}')
    (tmp_path / ".a.json.tmp").write_text("half")
    assert list(run.results(tmp_path)) == ["a"]


def test_the_page_holds_every_row_once(tmp_path):
    rows = [
        Row("one", "First", "setting 1", "5 solved", lambda *_: Measured(""), 3, 10),
        Row("two", "Second", "setting 2", "", lambda *_: Measured(""), 3, 10, deviations="Adam"),
    ]
    machine = {"cpu": "a cpu", "python": "3", "date": "2020-01-01", "packages": {"jax": "1"}}
    one = {"name": "one", "line": "4 solved", "budget": 2000, "core_seconds": 7}
    found = {"one": {**one, "machine": machine}}
    page.write_page(tmp_path / "page.md", rows, found)
    text = (tmp_path / "page.md").read_text()
    assert "| setting 1 | 5 solved | 4 solved | `one`, 2,000, 7 s |" in text
    assert "| setting 2 |  | not measured | `two` |" in text
    assert "`two`: Adam." in text
    assert "Measured 2020-01-01" in text


def test_figures_of_trials():
    assert mean_and_std([1.0, 2.0, 3.0]) == "2 ± 1"
    assert mean_and_std([1000, 3000]) == "2,000 ± 1,414"
    assert solved_line([True, False], [500, 900]) == "1 of 2 solved, 500 ± 0 sequences"
    assert solved_line([False], [900]) == "0 of 1 solved"


@pytest.mark.parametrize(("flags", "message"), [
    (["nothing"], "there is no row nothing; the rows are hs97-1-four-blocks"),
    (["--jobs", "0"], "--jobs must be 1 or more, got 0"),
])  # fmt: skip
def test_errors_are_one_line(flags, message):
    command = [sys.executable, "-m", "papers", *flags]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr.startswith(f"papers: {message}")
    assert found.stderr.count("\n") == 1


def test_committed_results_are_of_rows_that_are_there():
    for path in (ROOT / "papers" / "results").glob("*.json"):
        found = json.loads(path.read_text())
        assert path.stem == found["name"]
        row = ROWS[found["name"]]
        assert (found["trials"], found["budget"]) == (row.trials, row.budget)
