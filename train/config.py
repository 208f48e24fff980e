"""Configs: frozen dataclasses hold every default, TOML files and flags what differs from them."""

import dataclasses
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic
import tomli_w
from pydantic import ConfigDict, Field

from train.errors import InputError

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=0.5)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Data:
    """The text, and how it is read."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    path: str | None = None
    """A UTF-8 text file. Without one: the Python language reference that ships inside Python."""
    rows: Count = 32
    """Places in the text that are read side by side: the batch."""
    chunk: Count = 128
    """Characters read, and steps the gradient flows back, in one training step."""
    validation: Fraction = 0.05
    """Share of the text, before the test split, that validation uses."""
    test: Fraction = 0.05
    """Share of the text, at its end, that the final figure is measured on."""


@dataclass(frozen=True)
class Model:
    """Sizes of embedding and LSTM."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    embedding: Count = 64
    """Features of a character's embedding."""
    hidden: Count = 256
    """Units of the LSTM."""


@dataclass(frozen=True)
class Optimizer:
    """AdamW with warm-up, cosine decay and clipping."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    learning_rate: Positive = 3e-3
    """The highest learning rate, reached after the warm-up."""
    final_learning_rate: NotNegative = 3e-5
    """The learning rate at the last step."""
    warmup: Annotated[int, Field(ge=0)] = 50
    """Steps of warm-up, from a learning rate of 0."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay (Loshchilov and Hutter 2019), of matrices alone."""
    clip: Positive = 1.0
    """Largest global norm of the gradient."""


@dataclass(frozen=True)
class Log:
    """What is shown, and how often, in steps. None of it changes the training."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    dispatch: Count = 10
    """Steps that run on the device between two looks at the loss."""
    validate_every: Count = 100
    """Steps between two validations."""
    sample_every: Count = 200
    """Steps between two samples of text."""
    sample_length: Count = 300
    """Characters of a sample."""
    temperature: NotNegative = 0.8
    """Temperature of samples: 0 takes the likeliest character, 1 samples the model as it is."""


@dataclass(frozen=True)
class Config:
    """Train a character language model on a text."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of weights, of the order of the data and of samples."""
    steps: Count = 1000
    """Training steps in all. The learning rate falls over them: to ask for more later goes on, with
    the learning rate raised again, and is not the same as to ask for them at first."""
    checkpoint_every: Count = 100
    """Steps between two checkpoints: what a kill can cost at most."""
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    log: Log = field(default_factory=Log)


def read_config(path: Path) -> Config:
    """The config of a TOML file, defaults filled in.

    Raises:
      InputError: no such file, no TOML, an unknown key, a wrong type, a value out of range.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    return check_config(values, str(path))


def check_config(values: dict[str, Any], where: str) -> Config:
    """The config of nested values; `where` they come from stands before each complaint."""
    try:
        return pydantic.TypeAdapter(Config).validate_json(json.dumps(values, default=str))
    except pydantic.ValidationError as error:
        raise InputError(f"{where}: {'; '.join(map(_complaint, error.errors()))}") from None


def to_values(config: Config) -> dict[str, Any]:
    """The config as nested values; what is None is left out, as TOML has no null."""

    def present(values: dict[str, Any]) -> dict[str, Any]:
        return {
            key: present(value) if isinstance(value, dict) else value
            for key, value in values.items()
            if value is not None
        }

    return present(dataclasses.asdict(config))


def to_toml(config: Config) -> str:
    """The resolved config as a TOML file."""
    return tomli_w.dumps(to_values(config))


def differences(old: Config, new: Config) -> list[str]:
    """Keys whose change would make `new` another run than `old`; those of logging do not.

    Nor does the path of the text: the text itself is compared.
    """
    kept = {"checkpoint_every", "log", "steps", "data.path"}
    found = [] if new.steps >= old.steps else [f"steps ({old.steps} before, {new.steps} now)"]
    for part in dataclasses.fields(Config):
        before, after = getattr(old, part.name), getattr(new, part.name)
        if part.name in kept or before == after:
            continue
        if not dataclasses.is_dataclass(before):
            found.append(f"{part.name} ({before} before, {after} now)")
            continue
        for key in dataclasses.fields(before):
            a, b = getattr(before, key.name), getattr(after, key.name)
            if a != b and f"{part.name}.{key.name}" not in kept:
                found.append(f"{part.name}.{key.name} ({a} before, {b} now)")
    return found


def _complaint(error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "json_invalid":
        return "a value holds text that is not UTF-8"
    if error["type"] == "unexpected_keyword_argument":
        return f"unknown key {key}"
    return f"{key}: {error['msg'].removeprefix('Input ')}, got {error['input']!r}"
