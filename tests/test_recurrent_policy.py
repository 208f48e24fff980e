"""Acting step by step and learning from the stored sequence: the same numbers."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import jlstm
from examples import recurrent_policy
from tests.support.problems import assert_close, tolerance

TIME, ENVIRONMENTS = 20, 6
PARAMS = jlstm.init_params(jax.random.key(0), 3, 5)
XS = jax.random.normal(jax.random.key(1), (TIME, ENVIRONMENTS, 3))
RESETS = jax.random.bernoulli(jax.random.key(2), 0.2, (TIME, ENVIRONMENTS))
BEFORE = jlstm.LSTMState(*jax.random.normal(jax.random.key(3), (2, ENVIRONMENTS, 5)))


def rollout(params, before, xs, resets):
    """`lax.scan` over time of `vmap` over environments of one step of one of them."""

    def one(memory, x, starts):
        return jlstm.lstm_step(params, memory, x, reset=starts)

    return jax.lax.scan(lambda memory, step: jax.vmap(one)(memory, *step), before, (xs, resets))


def test_a_rollout_is_the_scan_of_what_was_stored():
    stored = jlstm.lstm_scan(PARAMS, BEFORE, XS, resets=RESETS)
    close = tolerance(jnp.float32)
    assert_close(rollout(PARAMS, BEFORE, XS, RESETS), stored, close)
    assert_close(jax.jit(rollout)(PARAMS, BEFORE, XS, RESETS), stored, close)

    def alone(before, xs, resets):
        return jlstm.lstm_scan(PARAMS, before, xs, resets=resets)

    assert_close(jax.vmap(alone, (0, 1, 1), (0, 1))(BEFORE, XS, RESETS), stored, close)


def test_their_gradients_are_the_same():
    def loss(scan, params, before):
        memory, hs = scan(params, before)
        return (hs**2).sum() + (memory.c**2).sum()

    by_rollout = jax.grad(
        lambda p, b: loss(lambda p, b: rollout(p, b, XS, RESETS), p, b), argnums=(0, 1)
    )(PARAMS, BEFORE)
    by_scan = jax.grad(
        lambda p, b: loss(lambda p, b: jlstm.lstm_scan(p, b, XS, resets=RESETS), p, b),
        argnums=(0, 1),
    )(PARAMS, BEFORE)
    assert_close(by_rollout, by_scan, tolerance(jnp.float32, "gradients"))


def test_segments_inside_a_scan_continue():
    """Rollouts of 5 steps, one after the other inside `lax.scan`, as an RL loop makes them."""

    def segment(memory, part):
        xs, resets = part
        last, hs = jlstm.lstm_scan(PARAMS, memory, xs, resets=resets)
        return last, (hs, rollout(PARAMS, memory, xs, resets)[1])

    parts = XS.reshape(4, 5, ENVIRONMENTS, 3), RESETS.reshape(4, 5, ENVIRONMENTS)
    last, (hs, by_steps) = jax.lax.scan(segment, BEFORE, parts)
    whole, expected = jlstm.lstm_scan(PARAMS, BEFORE, XS, resets=RESETS)
    close = tolerance(jnp.float32)
    assert_close(last, whole, close)
    assert_close(hs.reshape(expected.shape), expected, close)
    assert_close(by_steps.reshape(expected.shape), expected, close)


def test_what_the_example_stored_is_what_it_learns_from():
    policy = recurrent_policy.init_policy(jax.random.key(0))
    agent = recurrent_policy.init_agent(jax.random.key(1), policy)

    def act(agent, key):
        agent, step = recurrent_policy.act(policy, False, agent, key)
        return agent, (step, agent.memory.h)

    before = agent.memory
    agent, (steps, acted) = jax.lax.scan(act, agent, jax.random.split(jax.random.key(2), 64))
    assert steps.starts.sum() > 64  # several episodes each, of different lengths
    last, hs = jlstm.lstm_scan(policy.memory, before, steps.seen, resets=steps.starts)
    assert_close(hs, acted, tolerance(jnp.float32))
    assert_close(last, agent.memory, tolerance(jnp.float32))


def test_returns_stop_at_the_end_of_an_episode():
    reward = jnp.array([0.0, 1.0, 0.0, 0.0])[:, None]
    ends = jnp.array([False, True, False, False])[:, None]
    steps = recurrent_policy.Step(None, None, None, reward, ends)
    found = recurrent_policy.returns(steps, jnp.array([2.0]))
    gamma = recurrent_policy.DISCOUNT
    assert_close(found[:, 0], jnp.array([gamma, 1, 2 * gamma**2, 2 * gamma]), 1e-6)


@pytest.mark.slow
def test_the_policy_learns_to_remember():
    _, shares = recurrent_policy.train(jax.random.key(1), 250)
    assert sum(shares[-20:]) / 20 > 0.95


@pytest.mark.slow
def test_the_example_as_a_program():
    path = Path(recurrent_policy.__file__)
    run = subprocess.run(
        [sys.executable, path, "--updates", "300"], capture_output=True, text=True, check=True
    )
    with_memory, without = (float(line.split()[-1]) for line in run.stdout.splitlines()[-2:])
    assert with_memory > 0.95
    assert 0.4 < without < 0.6
    bad = subprocess.run(
        [sys.executable, path, "--updates", "0"], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 2
    assert "--updates must be 1 or more, got 0" in bad.stderr
