"""Keras as the oracle: its masks, its recurrent dropout, its GRU in both forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import regularize, variants
from tests.support.problems import assert_close, tolerance

FEATURES, UNITS, BATCH, TIME = 4, 6, 5, 9
LENGTHS = np.array([9, 0, 4, 7, 2])
XS = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES)).astype(np.float32)
MASK = np.arange(TIME)[:, None] < LENGTHS


def build(layer):
    """The layer, with random weights of a usual size."""
    layer.build((BATCH, TIME, FEATURES))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer


def run(layer, xs, mask=None, **options):
    """Its outputs, time first."""
    mask = None if mask is None else mask.T
    out = layer(jnp.moveaxis(xs, 0, 1), mask=mask, **options)
    return jnp.moveaxis(out, 1, 0)


def close(found, expected):
    assert_close(found, expected, tolerance(jnp.float32, "gradients"))


@pytest.mark.parametrize("backwards", [False, True])
def test_masks(keras, backwards):
    """Valid steps agree, and so does the gradient; at padded ones Keras repeats or blanks."""
    layer = build(
        keras.layers.LSTM(
            UNITS, return_sequences=True, go_backwards=backwards, zero_output_for_mask=True
        )
    )
    params = jlstm.LSTMParams(*map(np.asarray, layer.get_weights()))

    def theirs(xs):
        hs = run(layer, xs, MASK)
        return hs[::-1] if backwards else hs

    def ours(xs):
        return jlstm.lstm_scan(params, None, xs, lengths=LENGTHS, reverse=backwards)[1]

    close(ours(XS), theirs(XS))
    slopes = (jax.grad(lambda xs, f=f: (f(xs) ** 2).sum())(XS) for f in (ours, theirs))
    close(*slopes)


@pytest.mark.parametrize("after", [True, False])
def test_gru(keras, after):
    layer = build(keras.layers.GRU(UNITS, return_sequences=True, reset_after=after))
    kernel, recurrent, bias = map(np.asarray, layer.get_weights())

    def to_r_z_n(a):  # Keras has z, r, n
        z, r, n = np.split(a, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1)

    if after:
        bias_x, bias_h = map(to_r_z_n, bias)
        gated = 2 * UNITS
        folded = bias_x + np.concatenate([bias_h[:gated], np.zeros(UNITS, np.float32)])
        params = variants.GRUParams(to_r_z_n(kernel), to_r_z_n(recurrent), folded, bias_h[gated:])
    else:
        params = variants.ChoGRUParams(*map(to_r_z_n, (kernel, recurrent, bias)))

    def ours(xs):
        return jlstm.stack_scan((params,), None, xs, lengths=LENGTHS)[1]

    def theirs(xs):
        return jnp.where(MASK[..., None], run(layer, xs, MASK), 0)

    close(ours(XS), theirs(XS))
    slopes = (jax.grad(lambda xs, f=f: (f(xs) ** 2).sum())(XS) for f in (ours, theirs))
    close(*slopes)


def test_simple_rnn(keras):
    layer = build(keras.layers.SimpleRNN(UNITS, return_sequences=True))
    params = variants.RNNParams(*map(np.asarray, layer.get_weights()))
    close(jlstm.stack_scan((params,), None, XS)[1], run(layer, XS))


def test_recurrent_dropout(keras):
    """One mask for `h`, handed to Keras for each of its four gates, gives the same outputs."""
    rate, key = 0.4, jax.random.key(2)
    layer = build(keras.layers.LSTM(UNITS, return_sequences=True, recurrent_dropout=rate))
    params = jlstm.LSTMParams(*map(np.asarray, layer.get_weights()))
    state = jlstm.init_state(params, (BATCH,))
    mask = regularize.dropout(key, jnp.ones((BATCH, UNITS)), rate)
    assert 0 < (mask == 0).sum() < mask.size
    step = regularize.hidden_dropout(jlstm.lstm_step, key, state, rate)

    def ours(xs):
        return jlstm.scan_cell(step, params, state, xs)[1]

    def theirs(xs):
        layer.cell.get_recurrent_dropout_mask = lambda _: [mask] * 4
        return run(layer, xs, training=True)

    close(ours(XS), theirs(XS))
    slopes = (jax.grad(lambda xs, f=f: (f(xs) ** 2).sum())(XS) for f in (ours, theirs))
    close(*slopes)
