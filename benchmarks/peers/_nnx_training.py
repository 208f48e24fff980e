"""Training and forward pass with the transformations and optimiser of NNX."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx


def calls(model, problem):
    """Calls without arguments of a module that takes `(batch, time, input)`."""
    xs = jnp.asarray(problem.xs.swapaxes(0, 1))
    optimizer = nnx.Optimizer(model, optax.sgd(0.0), wrt=nnx.Param)

    @nnx.jit
    def train(model, optimizer, xs):
        loss, gradient = nnx.value_and_grad(lambda model: (model(xs) ** 2).mean())(model)
        optimizer.update(model, gradient)
        return loss

    forward = nnx.jit(lambda model, xs: model(xs))
    return {
        "train": lambda: jax.block_until_ready(train(model, optimizer, xs)),
        "forward": lambda: jax.block_until_ready(forward(model, xs)),
    }
