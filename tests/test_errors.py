"""Bad arguments: each raises while tracing, and names the argument and both values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm.initializers import chrono

PARAMS = jlstm.LSTMParams(np.zeros((4, 20)), np.zeros((5, 20)), np.zeros(20))
STATE = jlstm.LSTMState(np.zeros((3, 5)), np.zeros((3, 5)))
XS = np.zeros((7, 3, 4))
KEY = np.zeros(2, np.uint32)


def scan(params=PARAMS, state=STATE, xs=XS, **more):
    return jlstm.lstm_scan(params, state, xs, **more)


def trace(params=PARAMS, state=STATE, xs=XS, **more):
    return jlstm.lstm_trace(params, state, xs, **more)


SHARED = [
    ({"xs": np.zeros((7, 3, 6))}, ValueError, "xs has 6 features, the weights take 4"),
    ({"xs": np.zeros(4)}, ValueError, r"xs must be \(time, \*batch, input\), got shape \(4,\)"),
    ({"xs": np.zeros((7, 3, 4), complex)}, TypeError, "xs must be real numbers, got complex"),
    ({"xs": np.zeros((7, 3, 4), bool)}, TypeError, "xs must be real numbers, got bool"),
    ({"xs": np.zeros((7, 2, 4))}, ValueError,
     r"state.h has batch axes \(3,\), xs has \(2,\); they must be equal, nothing broadcasts"),
    ({"state": (STATE.h, STATE.c)}, TypeError, r"state must be LSTMState\(h, c\), got tuple"),
    ({"state": STATE._replace(c=np.zeros((1, 5)))}, ValueError,
     r"state.c has batch axes \(1,\), xs has \(3,\)"),
    ({"state": STATE._replace(h=np.zeros((3, 6)))}, ValueError,
     "state.h has 6 units, the weights have 5"),
    ({"state": STATE._replace(h=np.zeros(5))}, ValueError,
     r"state.h must be \(\*batch, hidden\) with the batch axes .* of xs, got shape \(5,\)"),
    ({"state": STATE._replace(h=np.zeros((3, 5), int))}, TypeError,
     "state.h must be floating point of 16 bits or more, got int"),
    ({"reset_state": STATE.h}, TypeError, r"reset_state must be LSTMState\(h, c\), got "),
    ({"reset_state": STATE._replace(h=np.zeros((1, 5)))}, ValueError,
     r"reset_state.h has batch axes \(1,\), xs has \(3,\)"),
    ({"params": tuple(PARAMS)}, TypeError,
     r"params must be LSTMParams\(weight_ih, weight_hh, bias\), got tuple"),
    ({"params": PARAMS._replace(weight_hh=np.zeros((5, 15)))}, ValueError,
     r"params.weight_hh must be \(hidden, 4\*hidden\), got shape \(5, 15\)"),
    ({"params": PARAMS._replace(weight_ih=np.zeros((4, 24)))}, ValueError,
     r"params.weight_ih must be \(input, 4\*hidden\) with hidden=5, got shape \(4, 24\)"),
    ({"params": PARAMS._replace(bias=np.zeros(24))}, ValueError,
     r"params.bias must be \(4\*hidden,\) with hidden=5, got shape \(24,\)"),
    ({"params": PARAMS._replace(bias=np.zeros((2, 20)))}, ValueError,
     r"params.bias must be \(4\*hidden,\) with hidden=5, got shape \(2, 20\)"),
    ({"params": PARAMS._replace(bias=np.zeros(20, complex))}, TypeError,
     "params.bias must be floating point of 16 bits or more, got complex"),
    ({"xs": XS.tolist()}, TypeError, "xs must be an array, got list"),
    ({"lengths": [7, 0, 3]}, TypeError, "lengths must be an array, got list"),
    ({"params": PARAMS._replace(bias=None)}, TypeError,
     "params.bias must be an array, got NoneType"),
    ({"lengths": np.ones(3)}, TypeError, "lengths must be integers, got float"),
    ({"lengths": np.ones(3, bool)}, TypeError, "lengths must be integers, got bool"),
    ({"lengths": np.ones(2, int)}, ValueError,
     r"lengths has batch axes \(2,\), xs has \(3,\); they must be equal, nothing broadcasts"),
    ({"lengths": np.int64(3)}, ValueError, r"lengths has batch axes \(\), xs has \(3,\)"),
    ({"lengths": np.array([1, 8, 2])}, ValueError,
     r"lengths must lie in \[0, 7\], the steps of xs; got 8"),
    ({"lengths": np.array([1, -2, 2])}, ValueError, r"lengths must lie in \[0, 7\].*got -2"),
    ({"resets": np.zeros((7, 3))}, TypeError, "resets must be booleans, got float"),
    ({"resets": np.zeros((7, 3), int)}, TypeError, "resets must be booleans, got int"),
    ({"resets": np.zeros((6, 3), bool)}, ValueError,
     r"resets must be \(time, \*batch\) with the 7 steps of xs, got shape \(6, 3\)"),
    ({"resets": np.zeros((7, 2), bool)}, ValueError,
     r"resets has batch axes \(2,\), xs has \(3,\)"),
    ({"resets": np.zeros((7,), bool)}, ValueError, r"resets has batch axes \(\), xs has \(3,\)"),
]  # fmt: skip


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("function", [scan, trace])
@pytest.mark.parametrize(("arguments", "error", "message"), SHARED)
def test_sequence(function, arguments, error, message, jitted):
    if jitted and "must lie in" in message:  # a traced length has no value: it is clamped
        _, hs = jax.jit(function).eval_shape(**arguments)[:2]
        assert hs.shape == (7, 3, 5)
        return
    call = jax.jit(function).eval_shape if jitted else function  # raised while tracing
    with pytest.raises(error, match=message):
        call(**arguments)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"implementation": "fast"}, ValueError,
     "implementation must be None or one of 'fused', 'scan', 'cudnn', 'pallas'; got 'fast'"),
    ({"reverse": "no"}, TypeError, "reverse must be True or False, got 'no'"),
    ({"save": "all"}, ValueError,
     r"""save must be "gates", "states" or a number of steps, got 'all'"""),
    ({"implementation": ["scan"]}, ValueError,
     r"one of 'fused', 'scan', 'cudnn', 'pallas'; got \['scan'\]"),
    ({"save": 2.0}, TypeError, "or a number of steps, got 2.0"),
    ({"save": True}, TypeError, "or a number of steps, got True"),
    ({"save": 0}, ValueError, "save must be 1 step between checkpoints or more, got 0"),
])  # fmt: skip
def test_scan_alone(arguments, error, message):
    with pytest.raises(error, match=message):
        scan(**arguments)


@pytest.mark.parametrize(("x", "state", "error", "message"), [
    (np.zeros((3, 6)), STATE, ValueError, "x has 6 features, the weights take 4"),
    (np.float64(1), STATE, ValueError, r"x must be \(\*batch, input\), got shape \(\)"),
    (np.zeros((2, 4)), STATE, ValueError, r"state.h has batch axes \(3,\), x has \(2,\)"),
    (np.zeros((3, 4)), None, TypeError, r"state must be LSTMState\(h, c\), got None; jlstm"),
])  # fmt: skip
def test_step(x, state, error, message):
    with pytest.raises(error, match=message):
        jlstm.lstm_step(PARAMS, state, x)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"input_size": 0}, ValueError, "input_size must be 1 or more, got 0"),
    ({"hidden_size": -2}, ValueError, "hidden_size must be 1 or more, got -2"),
    ({"hidden_size": 2.5}, TypeError, "hidden_size must be an integer, got 2.5"),
    ({"dtype": jnp.int32}, TypeError, "dtype must be floating point of 16 bits or more, got int32"),
    ({"dtype": jnp.complex64}, TypeError, "of 16 bits or more, got complex64"),
    ({"dtype": jnp.float8_e4m3fn}, TypeError, "of 16 bits or more, got float8_e4m3fn"),
    ({"hidden_size": True}, TypeError, "hidden_size must be an integer, got True"),
    ({"forget_bias": 2.0, "bias_init": chrono(10)}, ValueError,
     "forget_bias=2.0 and bias_init were both given"),
    ({"weight_init": lambda *_: jnp.zeros((4, 6))}, ValueError,
     r"params.weight_ih must be \(input, 4\*hidden\) with hidden=5, got shape \(4, 24\)"),
])  # fmt: skip
def test_init_params(arguments, error, message):
    with pytest.raises(error, match=message):
        jlstm.init_params(KEY, **({"input_size": 4, "hidden_size": 5} | arguments))


def test_init_state():
    with pytest.raises(TypeError, match="batch_shape must be a tuple of sizes, got 4"):
        jlstm.init_state(PARAMS, 4)


def test_chrono():
    with pytest.raises(ValueError, match="max_length must be above 2 steps, got 2"):
        chrono(2)


def counting(params, state, x):
    return state + 1, x


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"xs": {}}, ValueError, "xs has no arrays, so the sequence has no time axis"),
    ({"xs": np.float64(1)}, ValueError, "xs must lead with the time axis, got a scalar"),
    ({"xs": (np.zeros((7, 3)), np.zeros((6, 3)))}, ValueError,
     "xs holds arrays of 7 and of 6 steps"),
    ({"reset_state": (np.zeros(3), np.zeros(3))}, ValueError,
     r"reset_state has the structure PyTreeDef\(\(\*, \*\)\), state has PyTreeDef\(\*\)"),
    ({"reset_state": np.zeros(1)}, ValueError,
     r"reset_state has an array of shape \(1,\), state has \(3,\)"),
    ({"lengths": np.ones(2, int)}, ValueError, r"lengths has batch axes \(2,\), state has \(3,\)"),
    ({"xs": np.zeros((7, 2)), "lengths": np.ones(3, int)}, ValueError,
     r"lengths has batch axes \(3,\), xs has \(2,\)"),
    ({"step": lambda params, state, x: state}, TypeError,
     r"the step must return \(state, y\), got "),
    ({"state": jax.random.split(jax.random.key(0), 3), "resets": np.zeros((7, 3), bool)}, TypeError,
     "reset_state is needed: state holds random keys, which have no zero"),
    ({"step": lambda params, state, x: ((state, state), x)}, ValueError,
     r"the step takes a state of structure PyTreeDef\(\*\) and returns PyTreeDef\(\(\*, \*\)\)"),
    ({"step": lambda params, state, x: (state, x.sum()), "lengths": np.ones(3, int)}, ValueError,
     r"an output of the step has shape \(\), lengths has batch axes \(3,\)"),
])  # fmt: skip
def test_scan_cell(arguments, error, message):
    given = {"step": counting, "params": None, "state": np.zeros(3), "xs": np.zeros((7, 3))}
    with pytest.raises(error, match=message):
        jlstm.scan_cell(**(given | arguments))
