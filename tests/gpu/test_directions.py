"""Both directions in one loop: the oracle's values, the stack's gradients, and that it is one."""

import re

import jax
import jax.numpy as jnp
import pytest

import jlstm
from tests.conftest import quick
from tests.support.problems import assert_close, make_problem, tolerance
from tests.support.reference import lstm

pytestmark = pytest.mark.full


def draw(lengths, resets, batch=(3,)):
    """The two directions as problems of one layer each, which share inputs, lengths and resets."""
    options = {"lengths": lengths, "resets": resets, "batch": batch, "sizes": (4, 6)}
    there = make_problem(61, **options)
    back = make_problem(62, **options)
    back.options.update({k: v for k, v in there.options.items() if k != "reset_state"})
    return there, back._replace(xs=there.xs, options=back.options | {"reverse": True})


def arrays(there, back):
    """Arguments of `bidirectional_scan`."""
    (params, state, xs, options), (other, other_state, _, more) = there.arrays(), back.arrays()
    found = {name: options[name] for name in ("lengths", "resets") if name in options}
    if "reset_state" in options:
        found["reset_state"] = jlstm.BiLSTMState(options["reset_state"], more["reset_state"])
    state = jlstm.BiLSTMState(state, other_state)
    return jlstm.BiLSTMParams(params, other), state, xs, found


@pytest.mark.parametrize("lengths", quick([False, True], {True}))
@pytest.mark.parametrize("resets", quick([False, True], {True}))
@pytest.mark.parametrize("batch", quick([(), (3,), (2, 2)], {(3,)}))
def test_values_agree_with_the_oracle_and_gradients_with_the_stack(lengths, resets, batch):
    there, back = draw(lengths, resets, batch)
    layer, state, xs, options = arrays(there, back)
    found = jlstm.gpu.bidirectional_scan(layer, state, xs, **options)
    ends, hs = zip(*(lstm(*p[:3], **p.options)[:2] for p in (there, back)), strict=True)
    assert_close(found[0], ends, tolerance(jnp.float32))
    hidden = layer.forward.weight_hh.shape[0]
    for wanted, shown in zip(hs, (found[1][..., :hidden], found[1][..., hidden:]), strict=True):
        assert_close(shown, wanted, tolerance(jnp.float32))

    def gradient(scan):
        def loss(layer, state, xs):
            (h, c), hs = scan(layer, state, xs)
            return (hs**2).sum() + sum((a * h[0]).sum() for a in (*h, *c))

        return jax.grad(loss, (0, 1, 2))(layer, state, xs)

    def one_loop(layer, state, xs):
        return jlstm.gpu.bidirectional_scan(layer, state, xs, **options)

    def two_loops(layer, state, xs):
        more = dict(options)
        resets_to = more.pop("reset_state", None)
        more["reset_states"] = None if resets_to is None else (resets_to,)
        (states,), hs = jlstm.stack_scan((layer,), (state,), xs, **more)
        return states, hs

    close = tolerance(jnp.float32, "gradients")
    assert_close(gradient(one_loop), gradient(two_loops), close)


def test_padding_may_be_nan():
    there, back = draw(lengths=True, resets=False)
    layer, state, xs, options = arrays(there, back)
    valid = (jnp.arange(len(xs))[:, None] < options["lengths"])[..., None]

    def loss(layer, xs):
        return (jlstm.gpu.bidirectional_scan(layer, state, xs, **options)[1] ** 2).sum()

    gradient = jax.grad(loss, (0, 1))
    assert_close(gradient(layer, jnp.where(valid, xs, jnp.nan)), gradient(layer, xs), 0)


@pytest.mark.parametrize("lengths", [False, True])
def test_a_gpu_has_one_loop_where_a_stack_has_two(lengths):
    layer, _, xs, options = arrays(*draw(lengths, resets=False))

    def loops(function):
        program = jax.jit(jax.grad(function)).trace(layer).lower(lowering_platforms=("cuda",))
        return _whiles(program.as_text(), "main")

    def one(layer):
        return (jlstm.gpu.bidirectional_scan(layer, None, xs, **options)[1] ** 2).sum()

    def two(layer):
        return (jlstm.stack_scan((layer,), None, xs, **options)[1] ** 2).sum()

    assert loops(one) > 0
    assert loops(two) == 2 * loops(one)


def _whiles(text, name):
    """Loops that a function of the module runs, those of the functions that it calls included."""
    bodies = dict(re.findall(r"func\.func \w* ?@(\w+)\((.*?)(?=func\.func|\Z)", text, re.S))
    body = bodies[name]
    called = re.findall(r"call @(\w+)", body)
    return body.count("stablehlo.while") + sum(_whiles(text, other) for other in called)


def test_no_steps():
    layer, state, _, _ = arrays(*draw(lengths=False, resets=False))
    ends, hs = jlstm.gpu.bidirectional_scan(layer, state, jnp.ones((0, 3, 4)))
    assert_close(ends, state, 0)
    assert hs.shape == (0, 3, 12)


def test_layers_that_it_does_not_take():
    layer, _, xs, _ = arrays(*draw(lengths=False, resets=False))
    with pytest.raises(TypeError, match="layer must be BiLSTMParams of two directions, got LSTMP"):
        jlstm.gpu.bidirectional_scan(layer.forward, None, xs)
    with pytest.raises(TypeError, match="layer must be BiLSTMParams of two directions"):
        jlstm.gpu.bidirectional_scan(layer._replace(backward=None), None, xs)
    other = jlstm.init_params(jax.random.key(0), 4, 7)
    with pytest.raises(ValueError, match=r"equal arrays, got \['float32\[4, 24\]'.*\[4, 28\]"):
        jlstm.gpu.bidirectional_scan(layer._replace(backward=other), None, xs)
