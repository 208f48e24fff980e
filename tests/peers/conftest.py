"""Other libraries as oracles: `make test-peers` installs them; without one its tests skip."""

import os
import warnings

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")


def library(name):
    """An import that may warn as it likes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


@pytest.fixture(scope="session")
def torch():
    torch = library("torch")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def keras():
    return library("keras")
