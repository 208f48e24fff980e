"""Distributions of the initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jlstm
from jlstm import initializers as init

HIDDEN = 64


def gates_of(array):
    return np.split(np.asarray(array, np.float64), 4, axis=-1)


def test_recurrent_weights_are_orthogonal_gate_by_gate():
    params = jlstm.init_params(jax.random.key(0), 3, HIDDEN)
    for gate in gates_of(params.weight_hh):
        np.testing.assert_allclose(gate @ gate.T, np.eye(HIDDEN), atol=1e-5)


def test_input_weights_are_glorot_uniform_gate_by_gate():
    params = jlstm.init_params(jax.random.key(0), 100, HIDDEN)
    bound = np.sqrt(6 / (100 + HIDDEN))
    for gate in gates_of(params.weight_ih):
        assert stats.kstest(gate.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_torch_weights_and_bias():
    params = jlstm.init_params(
        jax.random.key(0), 100, HIDDEN, weight_init=init.torch_uniform,
        recurrent_init=init.torch_uniform, bias_init=init.torch_bias,
    )  # fmt: skip
    bound = HIDDEN**-0.5
    for weight in (params.weight_ih, params.weight_hh):
        uniform = stats.uniform(-bound, 2 * bound)
        assert stats.kstest(np.asarray(weight).ravel(), uniform.cdf).pvalue > 1e-3
    # The sum of two uniforms is triangular.
    triangle = stats.triang(0.5, -2 * bound, 4 * bound)
    assert stats.kstest(np.asarray(params.bias), triangle.cdf).pvalue > 1e-3


def test_chrono_covers_the_time_scales():
    zeros = jax.nn.initializers.zeros
    params = jlstm.init_params(
        jax.random.key(0), 3, 2000, recurrent_init=zeros, bias_init=init.chrono(100)
    )
    i, f, g, o = gates_of(params.bias)
    np.testing.assert_array_equal(i, -f)
    assert not g.any()
    assert not o.any()
    # exp(b_f) is uniform in [1, 99], so the memory 1 / (1 - sigmoid(b_f)) is uniform in [2, 100].
    memory = 1 / (1 - 1 / (1 + np.exp(-f)))
    assert stats.kstest(memory, stats.uniform(2, 98).cdf).pvalue > 1e-3


@pytest.mark.parametrize("jax_init", [jax.nn.initializers.normal(0.1), jax.nn.initializers.zeros])
def test_jax_initialisers_fit(jax_init):
    params = jlstm.init_params(
        jax.random.key(0), 3, 5, weight_init=jax_init, recurrent_init=jax_init, bias_init=jax_init
    )
    assert [p.shape for p in params] == [(3, 20), (5, 20), (20,)]
    assert all((jnp.abs(p) < 1).all() for p in params)
