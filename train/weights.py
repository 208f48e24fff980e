"""Trained weights on disk: one safetensors file with all that is needed to use them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pydantic
import safetensors
import safetensors.numpy

from jlstm.interop.files import write_bytes
from train.config import Count, Model
from train.errors import InputError
from train.model import CharLM, init_model


@dataclass(frozen=True)
class About:
    """What is needed to use the weights, beside the weights."""

    kind: Literal["char_lm"]
    gates: Literal["ifgo"]
    embedding: Count
    hidden: Count
    vocabulary: str


ABOUT = pydantic.TypeAdapter(About)


def save_weights(path: Path, params: CharLM, vocabulary: str, model: Model) -> None:
    """Write the weights, the vocabulary and the sizes; equal weights give equal files."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    tensors = {_name(key): np.asarray(leaf) for key, leaf in leaves}
    about = About("char_lm", "ifgo", model.embedding, model.hidden, vocabulary)
    # One key: safetensors does not keep the order of several.
    write_bytes(path, safetensors.numpy.save(tensors, {"jlstm": ABOUT.dump_json(about).decode()}))


def load_weights(path: Path) -> tuple[CharLM, str]:
    """The weights and the vocabulary of a file of `save_weights`.

    Raises:
      InputError: no such file, or not one of these.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            about = ABOUT.validate_json((file.metadata() or {})["jlstm"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except OSError as error:
        raise InputError(f"cannot read the weights {path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        fault = " ".join(str(error).split("[type=")[0].split())
        raise InputError(f"{path} holds no character language model: {fault}") from None
    model = Model(embedding=about.embedding, hidden=about.hidden)
    size = len(about.vocabulary)
    like = jax.eval_shape(lambda: init_model(jax.random.key(0), model, size))

    def fill(key: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        tensor = tensors.get(_name(key))
        if tensor is None or tensor.shape != leaf.shape:
            found = "nothing" if tensor is None else tensor.shape
            raise InputError(f"{path}: {_name(key)} should be {leaf.shape}, found {found}")
        return jax.numpy.asarray(tensor)

    return jax.tree_util.tree_map_with_path(fill, like), about.vocabulary


def _name(key: Any) -> str:
    return jax.tree_util.keystr(key, simple=True, separator=".")
