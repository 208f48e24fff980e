"""Trained weights on disk: one self-contained safetensors file."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy

from train.config.load import check_config, to_values
from train.config.settings import Config
from train.errors import InputError
from train.model import Params, init_model
from train.output.files import write_bytes
from train.tasks import Shape, Task, find_task

KIND = "train"
UNREADABLE = (safetensors.SafetensorError, AttributeError)  # the second of an unknown dtype


class Trained(NamedTuple):
    """A trained model."""

    config: Config
    task: Task
    about: dict[str, Any]  # `Data.about` of its task
    params: Params


def save_weights(
    path: Path, config: Config, shape: Shape, about: dict[str, Any], params: Params
) -> None:
    """Write the weights, the config and `about`; equal weights give equal files."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    # safetensors has no strides: it writes the bytes of an array in their order in memory.
    tensors = {_name(key): np.asarray(leaf, order="C") for key, leaf in leaves}
    values = to_values(config)
    for key in ("path", "test_path"):  # the weights do not depend on the data's location
        values["data"].pop(key, None)
    content = {"kind": KIND, "config": values, "shape": shape, "about": about}
    # One key: safetensors does not keep the order of several.
    write_bytes(path, safetensors.numpy.save(tensors, {"jlstm": json.dumps(content)}))


def load_weights(path: Path) -> Trained:
    """Load a file of `save_weights`.

    Raises:
      InputError: the file does not exist, or is not of this kind.
    """
    try:
        metadata, tensors = _read_tensors(path)
        content = json.loads(metadata["jlstm"])
        if content["kind"] != KIND:
            raise ValueError(f"its kind is {content['kind']!r}")
        config = check_config(content["config"], str(path))
        shape, about = Shape(*content["shape"]), dict(content["about"])
        like = jax.eval_shape(lambda: init_model(jax.random.key(0), config.model, shape))
    except OSError as error:
        raise InputError(f"cannot read the weights {path}: {error.strerror or error}") from None
    except (KeyError, ValueError, TypeError, InputError, *UNREADABLE) as error:
        raise InputError(f"{path} holds no trained model: {error}") from None

    def fill(key: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        tensor = tensors.get(_name(key))
        if tensor is None or tensor.shape != leaf.shape:
            actual = "nothing" if tensor is None else tensor.shape
            raise InputError(f"{path}: {_name(key)} should be {leaf.shape}, found {actual}")
        return jax.numpy.asarray(tensor)

    params = jax.tree_util.tree_map_with_path(fill, like)
    return Trained(config, find_task(config.task), about, params)


def load_run(folder: Path, best: bool = False) -> Trained:
    """Load the weights of a finished run: the last ones, or the best by validation."""
    path = folder / ("best.safetensors" if best else "params.safetensors")
    if not path.exists():
        raise InputError(f"{folder} holds no finished run: there is no {path.name}")
    return load_weights(path)


def _name(key: Any) -> str:
    return jax.tree_util.keystr(key, simple=True, separator=".")


def _read_tensors(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of a safetensors file."""
    with safetensors.safe_open(path, framework="np") as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
