"""The nets of the papers: their numbers of weights, and the truncated gradient in both forms."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from papers.experiments.hochreiter1997 import (
    MARKED,
    NOISY,
    THREE_RELEVANT,
    TWO_RELEVANT,
    adding,
    store,
    very_long,
)
from papers.nets import final_answer, streams
from papers.nets.blocks import (
    Layout,
    activate,
    connections,
    count,
    hidden_weights,
    init_net,
    outputs,
    with_shortcuts_of,
)
from papers.problems import lags, reber

pytestmark = pytest.mark.full

FOUR_BLOCKS = Layout(7, 7, 4, 1, biases="gates")
THREE_BLOCKS = Layout(7, 7, 3, 2, biases="gates")
CONTINUAL = Layout(
    7, 7, 4, 2, sent_back="cells", forget_gates=True, biases="gates", output_biases=True,
    shortcuts=True,
)  # fmt: skip
STORE = Layout(
    101, 101, 1, sent_back="nothing", output_gates=False, biases="none", shortcuts=True,
    squashed=False,
)  # fmt: skip


@pytest.mark.parametrize(("layout", "weights"), [
    (FOUR_BLOCKS, 264), (THREE_BLOCKS, 276), (STORE, 10_504), (very_long(100), 664),
    (very_long(1000), 6064), (NOISY, 102), (MARKED, 93), (TWO_RELEVANT, 156),
    (THREE_RELEVANT, 308), (CONTINUAL, 424),
])  # fmt: skip
def test_weights_are_as_many_as_in_the_papers(layout, weights):
    assert count(layout) == weights


def net_of(layout, seed=0):
    return init_net(jax.random.key(seed), layout, 1.0)


def unrolled(layout, net, xs):
    """The textbook's way: a loop over time, with what is sent back taken as a constant."""
    s, back, ys = jnp.zeros(layout.memory), jnp.zeros(layout.back), []
    for x in xs:
        u = jnp.concatenate([x, jax.lax.stop_gradient(back), jnp.ones(1)])
        units = activate(layout, u @ hidden_weights(net), s)
        s, back = units.s, units.back
        v = jnp.concatenate([units.h, x, jnp.ones(1)])
        ys.append(jax.nn.sigmoid(v @ (net.output * connections(layout).output)))
    return jnp.stack(ys)


@pytest.mark.parametrize("layout", [THREE_BLOCKS, CONTINUAL], ids=["1997", "2000"])
def test_derivatives_carried_forward_are_the_truncated_gradient(layout):
    net = net_of(layout)
    string = jax.tree.map(lambda a: a[0, :12], reber.strings(jax.random.key(1), 1))
    xs, targets = (jax.nn.one_hot(a, 7) for a in (string.symbols, string.following))
    expected = jax.grad(lambda net: ((unrolled(layout, net, xs) - targets) ** 2).sum() / 2)(net)
    memory, found = streams.init_memory(layout), jax.tree.map(jnp.zeros_like, net)
    for symbol, following in zip(string.symbols, string.following, strict=True):
        memory, _, gradient = streams.learn_step(layout, net, memory, symbol, following)
        found = jax.tree.map(jnp.add, found, gradient)
    jax.tree.map(
        lambda a, b, there: np.testing.assert_allclose(a * there, b * there, atol=2e-5),
        found, expected, connections(layout),
    )  # fmt: skip


def test_the_gradient_without_a_loop_is_the_truncated_one():
    net, sequence = net_of(MARKED), adding(20).draw(jax.random.key(3))
    start = int(np.argmax(np.asarray(sequence.valid)))

    def error(answered):
        return ((answered - sequence.target) ** 2).sum()

    expected = jax.grad(lambda net: error(unrolled(MARKED, net, sequence.xs[start:])[-1]))(net)
    found = jax.grad(lambda net: error(final_answer.answer(MARKED, net, sequence)))(net)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, expected)


def test_strings_follow_the_grammar():
    seen = reber.strings(jax.random.key(0), 300)
    for symbols, scored in zip(np.asarray(seen.symbols), np.asarray(seen.scored), strict=True):
        string = "".join(reber.SYMBOLS[k] for k in symbols[: scored.sum() + 1])
        state, grammar = 0, reber.embedded()
        for symbol in string:
            state = grammar[state][symbol]
        assert state == 0
        assert string[1] == string[-2]
        assert string.startswith("B")
        assert string.endswith("E")


def test_outputs_of_a_symbol_are_those_of_its_vector():
    net = net_of(CONTINUAL)
    h = jnp.linspace(-1, 1, 8)
    np.testing.assert_allclose(
        outputs(CONTINUAL, net, h, jnp.array(3)),
        outputs(CONTINUAL, net, h, jax.nn.one_hot(3, 7)),
        rtol=1e-6,
    )


def test_a_cell_added_later_keeps_what_the_shortcuts_have_learned():
    layout = store(5)
    small = replace(layout, blocks=0)
    stream = lags.as_stream(partial(lags.at_random, 5), jax.random.key(0))
    alone = init_net(jax.random.key(1), small, 0.2)
    assert count(small) == 6 * 6
    learner, _, _ = streams.learn(small, streams.init_learner(small, alone), stream, jnp.ones(()))
    assert not np.allclose(learner.net.output, alone.output)
    grown = with_shortcuts_of(init_net(jax.random.key(2), layout, 0.2), learner.net)
    both = [streams.predict(layout, grown, None, stream)[1]]
    silent = grown._replace(output=grown.output.at[0].set(0.0))
    both.append(streams.predict(layout, silent, None, stream)[1])
    expected = streams.predict(small, learner.net, None, stream)[1]
    np.testing.assert_allclose(both[1], expected, rtol=1e-6)
    assert not np.allclose(both[0], expected, rtol=1e-3)
