"""A small recurrent policy learns a task that needs memory.

The T-maze of Bakker (2002), in JAX. A cue, left or right, is visible at the start of a corridor; at
its end the agent has to turn in that direction, and nothing in between repeats the cue. Corridors
have random lengths, so the episodes of a batch start at different steps: `resets`.

The agent acts with `lstm_step`, one step at a time inside `lax.scan`, over many environments under
`vmap`. It learns by actor and critic (Mnih et al. 2016), with one `lstm_scan` over what it stored.

It needs optax, which the environment of `make train` has:
`.venv/bin/python examples/recurrent_policy.py`
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jlstm

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

ENVIRONMENTS, STEPS, HIDDEN = 64, 64, 32
SHORTEST, LONGEST = 5, 30  # corridors, in steps
DISCOUNT, VALUE_WEIGHT, ENTROPY_WEIGHT, LEARNING_RATE = 0.97, 0.5, 0.01, 3e-3


class Maze(NamedTuple):
    """The position of one agent in its maze."""

    cue: Int[Array, ""]  # 0 is left, 1 is right
    length: Int[Array, ""]
    position: Int[Array, ""]


class Policy(NamedTuple):
    """Weights: an LSTM as memory, and linear heads for actions and values."""

    memory: jlstm.LSTMParams
    to_action: Float[Array, "hidden 2"]
    to_value: Float[Array, "hidden"]


class Step(NamedTuple):
    """One stored step of all environments."""

    seen: Float[Array, "time environments 3"]
    starts: Bool[Array, "time environments"]
    action: Int[Array, "time environments"]
    reward: Float[Array, "time environments"]
    ends: Bool[Array, "time environments"]


class Agent(NamedTuple):
    """Everything that changes while the agent acts; `starts` marks new episodes."""

    maze: Maze
    memory: jlstm.LSTMState
    starts: Bool[Array, "environments"]


def new_maze(key: PRNGKeyArray) -> Maze:
    """Draw a corridor of random length with a random cue."""
    key_cue, key_length = jax.random.split(key)
    length = jax.random.randint(key_length, (), SHORTEST, LONGEST + 1)
    return Maze(jax.random.randint(key_cue, (), 0, 2), length, jnp.zeros((), int))


def see(maze: Maze) -> Float[Array, "3"]:
    """Observe the cue (-1 or 1, only at the start), an indicator of the junction, and 1."""
    cue = jnp.where(maze.position == 0, 2.0 * maze.cue - 1, 0.0)
    return jnp.stack([cue, 1.0 * (maze.position == maze.length), 1.0])


def walk(
    key: PRNGKeyArray, maze: Maze, action: Int[Array, ""]
) -> tuple[Maze, Float[Array, ""], Bool[Array, ""]]:
    """Take one step; at the junction turn, with a reward of 1 or -1, and start a new maze."""
    ends = maze.position == maze.length
    reward = jnp.where(ends, jnp.where(action == maze.cue, 1.0, -1.0), 0.0)
    ahead = maze._replace(position=maze.position + 1)
    return jax.tree.map(partial(jnp.where, ends), new_maze(key), ahead), reward, ends


def init_policy(key: PRNGKeyArray) -> Policy:
    """Initialise a memory with long half-lives, and heads near 0."""
    keys = jax.random.split(key, 3)
    return Policy(
        jlstm.init_params(keys[0], 3, HIDDEN, bias_init=jlstm.initializers.chrono(LONGEST)),
        0.1 * jax.random.normal(keys[1], (HIDDEN, 2)),
        0.1 * jax.random.normal(keys[2], (HIDDEN,)),
    )


def init_agent(key: PRNGKeyArray, policy: Policy) -> Agent:
    """Put every agent at the start of a maze, with an empty memory."""
    mazes = jax.vmap(new_maze)(jax.random.split(key, ENVIRONMENTS))
    memory = jlstm.init_state(policy.memory, (ENVIRONMENTS,))
    return Agent(mazes, memory, jnp.ones(ENVIRONMENTS, bool))


def act(policy: Policy, forgets: bool, agent: Agent, key: PRNGKeyArray) -> tuple[Agent, Step]:
    """Take one step in every environment; an episode starts with an empty memory."""
    key_action, key_walk = jax.random.split(key)
    starts = agent.starts | forgets  # without memory, every step is a start
    seen = jax.vmap(see)(agent.maze)
    memory, h = jlstm.lstm_step(policy.memory, agent.memory, seen, reset=starts)
    action = jax.random.categorical(key_action, h @ policy.to_action)
    keys = jax.random.split(key_walk, ENVIRONMENTS)
    maze, reward, ends = jax.vmap(walk)(keys, agent.maze, action)
    return Agent(maze, memory, ends), Step(seen, starts, action, reward, ends)


def returns(steps: Step, last: Float[Array, "environments"]) -> Float[Array, "time environments"]:
    """Discounted rewards up to the end of the episode, or up to the value of the last step."""

    def back(after: Array, step: tuple) -> tuple[Array, Array]:
        reward, ends = step
        total = reward + DISCOUNT * jnp.where(ends, 0.0, after)
        return total, total

    return jax.lax.scan(back, last, (steps.reward, steps.ends), reverse=True)[1]


def loss(
    policy: Policy, before: jlstm.LSTMState, steps: Step, after: Float[Array, "environments 3"]
) -> Float[Array, ""]:
    """The loss of actor and critic, over the stored steps as one sequence with resets."""
    memory, hs = jlstm.lstm_scan(policy.memory, before, steps.seen, resets=steps.starts)
    _, h = jlstm.lstm_step(policy.memory, memory, after)
    values = hs @ policy.to_value
    wanted = returns(steps, jax.lax.stop_gradient(h @ policy.to_value))
    log_p = jax.nn.log_softmax(hs @ policy.to_action)
    chosen = jnp.take_along_axis(log_p, steps.action[..., None], axis=-1)[..., 0]
    better = jax.lax.stop_gradient(wanted - values)
    entropy = -(jnp.exp(log_p) * log_p).sum(-1)
    return (
        -(chosen * better).mean()
        + VALUE_WEIGHT * jnp.square(values - wanted).mean()
        - ENTROPY_WEIGHT * entropy.mean()
    )


OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LEARNING_RATE))


@partial(jax.jit, static_argnames="forgets")
def update(policy: Policy, moments: tuple, agent: Agent, key: PRNGKeyArray, forgets: bool) -> tuple:
    """Act for some steps and learn from them; the last result is the share of right turns."""
    before = agent.memory
    agent, steps = jax.lax.scan(partial(act, policy, forgets), agent, jax.random.split(key, STEPS))
    gradient = jax.grad(loss)(policy, before, steps, jax.vmap(see)(agent.maze))
    moves, moments = OPTIMIZER.update(gradient, moments, policy)
    right = (steps.reward > 0).sum() / steps.ends.sum()
    return optax.apply_updates(policy, moves), moments, agent, right


def train(key: PRNGKeyArray, updates: int, forgets: bool = False) -> tuple[Policy, list[float]]:
    """Train for a number of updates; return the policy and the share of right turns in each."""
    key_policy, key_agent, key_updates = jax.random.split(key, 3)
    policy = init_policy(key_policy)
    moments, agent = OPTIMIZER.init(policy), init_agent(key_agent, policy)
    shares = []
    for k, update_key in enumerate(jax.random.split(key_updates, updates)):
        policy, moments, agent, right = update(policy, moments, agent, update_key, forgets)
        shares.append(right)
        if (k + 1) % 100 == 0:
            recent = float(jnp.stack(shares[-20:]).mean())
            print(f"update {k + 1:5d}   right turns {recent:.3f}", flush=True)
    return policy, [float(share) for share in shares]


def main() -> None:
    """Train with memory and without, and print what each reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--updates", type=int, default=600, help="of 64 steps in 64 mazes each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.updates < 1:
        parser.error(f"--updates must be 1 or more, got {options.updates}")
    reached = {}
    for name, forgets in (("with memory", False), ("without memory", True)):
        print(name)
        _, shares = train(jax.random.key(options.seed), options.updates, forgets)
        reached[name] = sum(shares[-20:]) / len(shares[-20:])
    print("right turns in the last 20 updates:")
    for name, share in reached.items():
        print(f"  {name:15s} {share:.3f}")


if __name__ == "__main__":
    main()
