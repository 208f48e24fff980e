"""`implementation="pallas"` on a jax that is too old for it."""

import jax
import jax.numpy as jnp
import pytest

import jlstm

pytestmark = pytest.mark.full


def test_an_older_jax_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "__version_info__", (0, 11, 1))
    params = jlstm.init_params(jax.random.key(0), 3, 64, dtype=jnp.bfloat16)
    with pytest.raises(ValueError, match=r"'pallas' needs jax 0\.11\.2 or newer, this is 0\."):
        jlstm.lstm_scan(params, None, jnp.ones((4, 2, 3), jnp.bfloat16), implementation="pallas")
