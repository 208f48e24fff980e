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
     "must be None or one of 'fused', 'native', 'scan', 'cudnn', 'pallas'; got 'fast'"),
    ({"reverse": "no"}, TypeError, "reverse must be True or False, got 'no'"),
    ({"save": "all"}, ValueError,
     r"""save must be "gates", "states" or a number of steps, got 'all'"""),
    ({"implementation": ["scan"]}, ValueError,
     r"one of 'fused', 'native', 'scan', 'cudnn', 'pallas'; got \['scan'\]"),
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


class Tensor:
    """A tensor of PyTorch, as far as errors look at it."""

    def __init__(self, device="cpu", requires_grad=False, dtype="torch.float32"):
        self.device = type("Device", (), {"type": device})()
        self.requires_grad, self.dtype, self.shape = requires_grad, dtype, (7, 3, 4)

    def numpy(self):
        raise AssertionError("errors convert nothing")


Tensor.__module__ = "torch"


class Frame:
    def to_numpy(self):
        raise AssertionError("errors convert nothing")


Frame.__module__ = "polars.dataframe.frame"
STACK = (PARAMS, PARAMS)
BOTH = jlstm.BiLSTMParams(PARAMS, PARAMS)
TAKERS = "stack_scan, stack_step, stack_trace and init_stack_state take"
X = XS[0]
RNN = jlstm.variants.RNNParams(np.zeros((4, 5)), np.zeros((5, 5)), np.zeros(5))


@pytest.mark.parametrize(("call", "message"), [
    # a stack for a layer, a layer for a stack
    (lambda: jlstm.init_state(STACK), f"{TAKERS} a stack of layers, and params[0] is"),
    (lambda: jlstm.init_state(list(STACK)), f"got list; {TAKERS} a stack of layers"),
    (lambda: jlstm.init_state(BOTH), f"got BiLSTMParams; {TAKERS} a bidirectional layer"),
    (lambda: jlstm.lstm_scan(STACK, None, XS), f"got tuple; {TAKERS}"),
    (lambda: jlstm.lstm_scan(BOTH, None, XS), f"got BiLSTMParams; {TAKERS}"),
    (lambda: jlstm.lstm_trace(STACK, None, XS), f"got tuple; {TAKERS}"),
    (lambda: jlstm.lstm_step(STACK, STATE, X), f"got tuple; {TAKERS}"),
    (lambda: jlstm.gradient_norms(STACK, None, XS), f"got tuple; {TAKERS}"),
    (lambda: jlstm.lstm_scan(RNN, None, XS), "scan_cell and stack_scan take other cells"),
    (lambda: jlstm.init_stack_state(PARAMS),
     "layers must be a tuple of layers, got LSTMParams; (layers,) is a stack of one"),
    (lambda: jlstm.init_stack_state(BOTH), "got BiLSTMParams; (layers,) is a stack of one"),
    (lambda: jlstm.stack_scan(PARAMS, None, XS), "got LSTMParams; (layers,) is a stack of one"),
    (lambda: jlstm.stack_step(PARAMS, STATE, X), "got LSTMParams; (layers,) is a stack of one"),
    (lambda: jlstm.stack_scan(STACK, STATE, XS), "states must be a tuple of one entry per layer"),
    # arrays that are none
    (lambda: scan(xs=Tensor()), "xs must be an array, got a tensor of PyTorch; xs.numpy() is one"),
    (lambda: scan(xs=Tensor("cuda", True)), "PyTorch; xs.detach().cpu().numpy() is one"),
    (lambda: scan(xs=Tensor(dtype="torch.bfloat16")), "PyTorch; xs.float().numpy() is one"),
    (lambda: scan(xs=Tensor("meta")), "PyTorch on the meta device, which holds no numbers"),
    (lambda: scan(lengths=Tensor()), "lengths must be an array, got a tensor of PyTorch"),
    (lambda: scan(params=PARAMS._replace(bias=Tensor())), "params.bias must be an array, got a"),
    (lambda: scan(state=STATE._replace(h=Tensor())), "state.h must be an array, got a tensor of"),
    (lambda: scan(xs=Frame()), "xs must be an array, got Frame of polars; xs.to_numpy() is one"),
    (lambda: scan(xs=XS.tolist()), "xs must be an array, got list; jax.numpy.asarray(xs)"),
    (lambda: scan(xs=None), "xs must be an array, got NoneType"),
    (lambda: scan(xs="text"), "xs must be an array, got str"),
    (lambda: scan(xs=XS.astype(object)), "xs must be an array of numbers, got dtype object"),
    (lambda: scan(xs=XS.astype(str)), "xs must be an array of numbers, got dtype <U"),
    (lambda: scan(xs=XS > 0), "xs must be real numbers, got bool; xs.astype(float) are"),
    (lambda: scan(xs=np.zeros((7, 3), int)),
     "xs has 3 features, the weights take 4; of tokens, jax.nn.one_hot(xs, 4)"),
    (lambda: jlstm.lstm_scan(PARAMS._replace(weight_ih=np.zeros((1, 20))), None, np.zeros((7, 3))),
     "xs has 3 features, the weights take 1; xs[..., None] adds an axis of 1 feature"),
    # the batch first
    (lambda: scan(xs=XS.swapaxes(0, 1)), "xs must be (time, *batch, input), got shape (3, 7, 4), "
     "and state has batch axes (3,); of xs that lead with the batch, xs.swapaxes(0, 1) is time-fi"),
    (lambda: scan(xs=XS.swapaxes(0, 1), state=None, lengths=np.array([7, 1, 2])),
     "and lengths has batch axes (3,); of xs that lead with the batch, xs.swapaxes(0, 1)"),
    (lambda: scan(resets=np.zeros((3, 7), bool)),
     "got shape (3, 7); resets.swapaxes(0, 1) is time-first"),
    # lengths and resets
    (lambda: scan(lengths=[7, 0, 3]), "got list; jax.numpy.asarray(lengths) is one"),
    (lambda: scan(lengths=np.ones((7, 3), bool)), "got bool; of a mask, mask.sum(0) are"),
    (lambda: scan(lengths=np.ones(3)), "; lengths.astype(int) are"),
    (lambda: scan(lengths=np.ones((3, 1), int)), "lengths has batch axes (3, 1), xs has (3,)"),
    (lambda: scan(resets=np.zeros((7, 3))), "; resets > 0 are"),
    (lambda: scan(resets=np.zeros((7, 3), int)), "; resets > 0 are"),
    (lambda: jlstm.lstm_step(PARAMS, STATE, X, reset=np.zeros(3)),
     "; reset > 0 are"),
    (lambda: jlstm.lstm_step(PARAMS, STATE, X, reset=np.zeros(2, bool)),
     "reset has batch axes (2,), x has (3,)"),
    (lambda: jlstm.lstm_step(PARAMS, STATE, X, reset=True), "reset has batch axes (), x has (3,)"),
    (lambda: jlstm.lstm_step(PARAMS, STATE, X, reset_state=STATE.h),
     "reset_state must be LSTMState(h, c), got an array"),
    (lambda: jlstm.variants.rnn_step(RNN, STATE.h, X, reset_state=STATE.h[:2]),
     "reset_state has batch axes (2,), x has (3,)"),
    (lambda: jlstm.stack_step((PARAMS,), (STATE,), X, reset=np.zeros(3)), "; reset > 0 are"),
    # states
    (lambda: scan(state=tuple(STATE)), "got tuple; jlstm.LSTMState(*state) where it is (h, c),"),
    (lambda: jlstm.lstm_step(PARAMS, None, X), "got None; jlstm.init_state makes zeros"),
    (lambda: jlstm.init_state(PARAMS, 4), "must be a tuple of sizes, got 4; (4,) is one"),
    (lambda: jlstm.init_state(PARAMS, [4]), "got [4]; tuple(batch_shape) is one"),
    # numbers, words and keys
    (lambda: jlstm.init_params(KEY, 4, 8.0), "must be an integer, got 8.0; 8 is one"),
    (lambda: jlstm.init_params(0, 4, 8), "a random key, as jax.random.key(0); got int"),
    (lambda: jlstm.init_params(jax.random.split(jax.random.key(0)), 4, 8),
     "key must be one random key, got (2,); jax.vmap takes many"),
    (lambda: jlstm.init_stack(0, 4, (8,)), "a random key, as jax.random.key(0); got int"),
    (lambda: jlstm.init_stack(KEY, 4, 8), "must be a sequence of sizes, one per layer, "),
    (lambda: jlstm.stack_scan(STACK, None, XS, dropout_rate=30, key=KEY),
     "dropout_rate must lie in [0, 1), got 30; 30 percent are 0.3"),
    (lambda: jlstm.stack_scan(STACK, None, XS, dropout_rate=0.3),
     "dropout_rate=0.3 needs a key, as key=jax.random.key(0)"),
    (lambda: scan(save="gate"), "got 'gate'; was 'gates' meant?"),
    (lambda: scan(save=8.0), "or a number of steps, got 8.0; 8 is one"),
    (lambda: scan(implementation="Fussed"), "got 'Fussed'; was 'fused' meant?"),
    (lambda: jlstm.truncated(PARAMS, 3), "scan must be a function, as jlstm.lstm_scan"),
    (lambda: jlstm.truncated(jlstm.lstm_scan, 3.0), "must be an integer, got 3.0; 3 is one"),
    (lambda: jlstm.scan_cell(PARAMS, jlstm.lstm_step, STATE, XS),
     "step must be a function (params, state, x) -> (state, y), got LSTMParams"),
    (lambda: jlstm.init_params(KEY, 4, 8, forget_bais=2.0), "forget_bais"),
])  # fmt: skip
def test_what_people_bring(call, message):
    """Each error says what to write instead, in one line."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


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
