"""The variants in float64 NumPy loops, one sequence at a time, each from its paper's equations.

Nothing here takes a conjugate or an absolute value, so that a run with a tiny imaginary part in its
arguments gives the derivative in that direction to the last digit (the complex step).
"""

import numpy as np

from tests.support.reference import sigmoid


def projected(p, state, x):
    """Sak, Senior and Beaufays (2014), equations 1 to 7 without peepholes and second projection."""
    weight_ih, weight_hh, bias, weight_hr = p
    h, c = state
    i, f, g, o = np.split(x @ weight_ih + h @ weight_hh + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = (sigmoid(o) * np.tanh(c)) @ weight_hr
    return (h, c), h


def peephole(p, state, x):
    """Gers and Schmidhuber (2000), equations 1 to 6."""
    weight_ih, weight_hh, bias, peepholes = p
    h, c = state
    i, f, g, o = np.split(x @ weight_ih + h @ weight_hh + bias, 4)
    to_i, to_f, to_o = np.split(peepholes, 3)
    c_new = sigmoid(f + to_f * c) * c + sigmoid(i + to_i * c) * np.tanh(g)
    h = sigmoid(o + to_o * c_new) * np.tanh(c_new)
    return (h, c_new), h


def coupled(p, state, x):
    """Greff et al. (2017), CIFG."""
    weight_ih, weight_hh, bias = p
    h, c = state
    i, g, o = np.split(x @ weight_ih + h @ weight_hh + bias, 3)
    c = c - sigmoid(i) * (c - np.tanh(g))
    h = sigmoid(o) * np.tanh(c)
    return (h, c), h


def layer_norm(p, state, x):
    """Ba, Kiros and Hinton (2016), equations 20 to 22; haste's LayerNormLSTM."""
    weight_ih, weight_hh, bias, scale_ih, scale_hh, scale_c, bias_c = p
    h, c = state

    def norm(a):
        return (a - np.mean(a)) / np.sqrt(np.mean((a - np.mean(a)) ** 2) + 1e-5)

    z = scale_ih * norm(x @ weight_ih) + scale_hh * norm(h @ weight_hh) + bias
    i, f, g, o = np.split(z, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(scale_c * norm(c) + bias_c)
    return (h, c), h


def no_forget(p, state, x):
    """Hochreiter and Schmidhuber (1997), equations 4 to 9, with tanh."""
    weight_ih, weight_hh, bias = p
    h, c = state
    i, g, o = np.split(x @ weight_ih + h @ weight_hh + bias, 3)
    c = c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (h, c), h


def gru(p, state, x):
    """PyTorch's documentation of `torch.nn.GRU`."""
    weight_ih, weight_hh, bias, bias_hn = p
    (h,) = state
    x_r, x_z, x_n = np.split(x @ weight_ih + bias, 3)
    h_r, h_z, h_n = np.split(h @ weight_hh, 3)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * (h_n + bias_hn))
    h = (1 - z) * n + z * h
    return (h,), h


def cho_gru(p, state, x):
    """Cho et al. (2014), equations 5 to 8, with biases."""
    weight_ih, weight_hh, bias = p
    (h,) = state
    size = len(h)
    x_r, x_z, x_n = np.split(x @ weight_ih + bias, 3)
    r = sigmoid(x_r + h @ weight_hh[:, :size])
    z = sigmoid(x_z + h @ weight_hh[:, size : 2 * size])
    n = np.tanh(x_n + (r * h) @ weight_hh[:, 2 * size :])
    h = z * h + (1 - z) * n
    return (h,), h


def rnn(p, state, x):
    """Elman (1990), with tanh."""
    weight_ih, weight_hh, bias = p
    (h,) = state
    h = np.tanh(x @ weight_ih + h @ weight_hh + bias)
    return (h,), h


CELLS = {
    "projected": projected,
    "peephole": peephole,
    "coupled": coupled,
    "layer_norm": layer_norm,
    "no_forget": no_forget,
    "gru": gru,
    "cho_gru": cho_gru,
    "rnn": rnn,
}


def scan(step, params, state, xs, lengths=None, resets=None, reset_state=None, reverse=False):
    """`(state, hs)` of any of these steps; states are tuples of arrays `(*batch, units)`."""
    time, *batch = xs.shape[:-1]
    lengths = np.full(batch, time) if lengths is None else np.asarray(lengths)
    resets = np.zeros((time, *batch), bool) if resets is None else np.asarray(resets)
    if reset_state is None:
        reset_state = [np.zeros_like(s) for s in state]
    last = [np.zeros_like(s) for s in state]
    hs = np.zeros((time, *state[0].shape), np.result_type(xs, *params, *state, *reset_state))
    last = [np.zeros(s.shape, hs.dtype) for s in state]
    for b in np.ndindex(*batch):
        now = tuple(s[b] for s in state)
        order = range(int(lengths[b]))
        for t in reversed(order) if reverse else order:
            entered = t + 1 if reverse else t
            if entered < lengths[b] and resets[(entered, *b)]:
                now = tuple(s[b] for s in reset_state)
            now, hs[(t, *b)] = step(params, now, xs[(t, *b)])
        for array, value in zip(last, now, strict=True):
            array[b] = value
    return tuple(last), hs
