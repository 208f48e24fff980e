"""Returned values and functions survive pickle and deepcopy, as workers need."""

import copy
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import initializers, regularize, variants

KEY = jax.random.key(0)
PARAMS = jlstm.init_params(KEY, 3, 4)
STATE = jlstm.init_state(PARAMS, (2,))
XS = jax.random.normal(jax.random.key(1), (5, 2, 3))
STACK = jlstm.init_stack(KEY, 3, (4, 4), bidirectional=True)
COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
}

# Returned values, and their use.
FUNCTIONS = {
    "truncated scan": (jlstm.truncated(jlstm.lstm_scan, 2), lambda f: f(PARAMS, None, XS)),
    "truncated cell": (
        jlstm.truncated(partial(jlstm.scan_cell, jlstm.lstm_step), 2),
        lambda f: f(PARAMS, STATE, XS),
    ),
    "hidden_dropout": (
        regularize.hidden_dropout(jlstm.lstm_step, KEY, STATE, 0.5),
        lambda step: step(PARAMS, STATE, XS[0]),
    ),
    "candidate_dropout": (
        regularize.candidate_dropout(0.5),
        lambda step: step(PARAMS, STATE, (XS[0], KEY)),
    ),
    "zoneout": (
        regularize.zoneout(jlstm.lstm_step, jlstm.LSTMState(0.5, 0.0)),
        lambda step: step(PARAMS, STATE, (XS[0], KEY)),
    ),
    "zoneout of nothing": (
        regularize.zoneout(jlstm.lstm_step, 0.0),
        lambda step: step(PARAMS, STATE, (XS[0], KEY)),
    ),
    "expected_zoneout": (
        regularize.expected_zoneout(jlstm.lstm_step, 0.5),
        lambda step: step(PARAMS, STATE, XS[0]),
    ),
    "chrono": (initializers.chrono(9), lambda init: init(KEY, (8,), jnp.float32)),
    "orthogonal": (initializers.orthogonal, lambda init: init(KEY, (3, 3), jnp.float32)),
    "glorot_uniform": (initializers.glorot_uniform, lambda init: init(KEY, (3, 2), jnp.float32)),
    "zeros": (initializers.zeros, lambda init: init(KEY, (2,), jnp.float32)),
    "forget_gate_bias": (
        initializers.forget_gate_bias(2.0),
        lambda init: init(KEY, (8,), jnp.float32),
    ),
    **{
        layer_type.step.__name__: (partial(layer_type.step), lambda step: step.func.__doc__)
        for layer_type in jlstm.LAYER_TYPES.values()
    },
}
VALUES = {
    "layer": PARAMS,
    "projected layer": variants.init_projected(KEY, 3, 4, projection_size=2),
    "stack": STACK,
    "states": jlstm.init_stack_state(STACK, (2,)),
    "trace": jlstm.lstm_trace(PARAMS, None, XS)[2],
    "traces": jlstm.stack_trace(STACK, None, XS)[2],
    "norms": jlstm.gradient_norms(variants.init_rnn(KEY, 3, 4), None, XS),
    "packing": jlstm.plan_packing([3, 5, 2]),
    "dropped weights": regularize.weight_drop(KEY, PARAMS, 0.5),
    "one sequence of a packed batch": jlstm.unpack(jlstm.plan_packing([2, 3]), XS[:3, :2])[0],
}


@pytest.mark.sampled
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, copied):
    function, use = FUNCTIONS[name]
    found, expected = use(copied(function)), use(function)
    if isinstance(expected, str):
        assert found == expected
        return
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.sampled
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", VALUES)
def test_values(name, copied):
    found = copied(VALUES[name])
    assert jax.tree.structure(found) == jax.tree.structure(VALUES[name])  # the types too
    jax.tree.map(np.testing.assert_array_equal, found, VALUES[name])


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_modules_of_flax(copied):
    nnx = pytest.importorskip("flax.nnx")
    from jlstm.nnx import LSTM

    model = LSTM(3, 4, rngs=nnx.Rngs(0))
    jax.tree.map(np.testing.assert_array_equal, copied(model)(XS), model(XS))
