"""`implementation="scan"`: `lax.scan` of any step, under JAX's own derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import lax

from jlstm.checks.calls import check_outputs
from jlstm.masks import Masks, select
from jlstm.recurrence.carry import sum_gradients_in_float32

if TYPE_CHECKING:
    from jlstm.recurrence.call import Inputs
    from jlstm.types import PyTree, Step


def plain_scan(
    step: Step, inputs: Inputs, masks: Masks, reverse: bool, keep: str
) -> tuple[PyTree, PyTree]:
    """The recurrence of any cell.

    `keep` is what the backward pass is given: the residuals of every step ("gates"), or the state
    before every step ("states"), from which the step is computed again.
    """
    step, params = sum_gradients_in_float32(step, inputs.params)

    def body(state: PyTree, step_inputs: tuple) -> tuple[PyTree, PyTree]:
        x, (valid, entered) = step_inputs
        if entered is not None:
            state = select(entered, inputs.reset_state, state)
        new_state, y = step(params, state, x)
        if valid is None:
            return new_state, y
        check_outputs(y, valid)
        return select(valid, (new_state, y), (state, jax.tree.map(jnp.zeros_like, y)))

    if keep == "states":
        body = jax.checkpoint(body, prevent_cse=False)
    return lax.scan(body, inputs.state, (inputs.xs, masks), reverse=reverse)
