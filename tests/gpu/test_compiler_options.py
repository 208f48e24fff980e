"""Loops as CUDA graphs: XLA knows the options, here too, and a program under them is the same."""

import jax
import jax.numpy as jnp
import pytest

import jlstm
from tests.support.problems import assert_close

pytestmark = pytest.mark.full


def test_xla_knows_the_options_and_the_results_are_the_same():
    params = jlstm.init_params(jax.random.key(0), 3, 8)
    xs = jax.random.normal(jax.random.key(1), (12, 4, 3))

    def loss(params, xs):
        return (jlstm.lstm_scan(params, None, xs)[1] ** 2).sum()

    gradient = jax.value_and_grad(loss, (0, 1))
    graphs = jax.jit(gradient, compiler_options=jlstm.gpu.COMPILER_OPTIONS)
    assert_close(graphs(params, xs), jax.jit(gradient)(params, xs), 0)


def test_an_option_that_xla_does_not_know_is_an_error():
    """So that the test above can fail."""
    for wrong in ({"xla_gpu_no_such_option": 1}, {"xla_gpu_enable_command_buffer": "NO_SUCH"}):
        options = {**jlstm.gpu.COMPILER_OPTIONS, **wrong}
        with pytest.raises((jax.errors.JaxRuntimeError, ValueError)):
            jax.jit(lambda a: a + 1, compiler_options=options)(jnp.ones(3))


def test_the_loops_are_among_what_becomes_a_graph():
    commands = jlstm.gpu.COMPILER_OPTIONS["xla_gpu_enable_command_buffer"].split(",")
    assert {"FUSION", "CUBLAS", "WHILE"} <= set(commands)
