"""Configs: TOML files and flags over defaults, validated before anything runs."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pydantic
import tomli_w

from train.config.settings import Config
from train.config.tasks import CONFIGS
from train.errors import InputError

# Keys that may change when a run resumes. Data are compared by content.
FREE = {
    "checkpoint_every", "log", "sample", "shard_weights", "steps", "data.path", "data.test_path",
}  # fmt: skip


def read_config(path: Path) -> Config:
    """Read a config from a TOML file, with defaults filled in.

    Raises:
      InputError: a missing file, invalid TOML, an unknown key, a wrong type, a value out of range.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    return check_config(values, str(path))


def check_config(values: dict[str, Any], where: str) -> Config:
    """Validate nested values as a config; errors start with `where`, the source of the values."""
    task = values.get("task")
    if not isinstance(task, str) or task not in CONFIGS:
        known = ", ".join(CONFIGS)
        raise InputError(f"{where}: task must be one of {known}; got {task!r}")
    try:
        adapter = pydantic.TypeAdapter(CONFIGS[task])
        return adapter.validate_json(json.dumps(values, default=str))
    except pydantic.ValidationError as error:
        errors = error.errors()  # a tuple with a bad item is not too short as well
        inside = {item["loc"][: len(item["loc"]) - 1] for item in errors}
        errors = [
            item for item in errors if item["type"] != "too_short" or item["loc"] not in inside
        ]
        raise InputError(f"{where}: {'; '.join(map(_complaint, errors))}") from None


def to_values(config: Config) -> dict[str, Any]:
    """The config as nested values, without None: TOML has no null."""

    def present(values: dict[str, Any]) -> dict[str, Any]:
        return {
            key: present(value) if isinstance(value, dict) else value
            for key, value in values.items()
            if value is not None
        }

    return present(dataclasses.asdict(config))


def not_set(config: Config) -> list[str]:
    """The keys that are None."""
    parts = dataclasses.asdict(config)
    keys = [name for name, value in parts.items() if value is None]
    for part, values in parts.items():
        if isinstance(values, dict):
            keys += [f"{part}.{name}" for name, value in values.items() if value is None]
    return keys


def to_toml(config: Config) -> str:
    """The resolved config as a TOML file."""
    return tomli_w.dumps(to_values(config))


def differences(old: Config, new: Config) -> list[str]:
    """The changed keys that make `new` a different run from `old`, with both values."""
    if old.task != new.task:
        return [f"task ({old.task} before, {new.task} now)"]
    changes = [] if new.steps >= old.steps else [f"steps ({old.steps} before, {new.steps} now)"]
    for part in dataclasses.fields(old):
        before, after = getattr(old, part.name), getattr(new, part.name)
        if part.name in FREE or before == after:
            continue
        if not dataclasses.is_dataclass(before):
            changes.append(f"{part.name} ({before} before, {after} now)")
            continue
        for key in dataclasses.fields(before):
            a, b = getattr(before, key.name), getattr(after, key.name)
            if a != b and f"{part.name}.{key.name}" not in FREE:
                changes.append(f"{part.name}.{key.name} ({a} before, {b} now)")
    return changes


def _complaint(error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "json_invalid":
        return "a value holds text that is not UTF-8"
    if error["type"] == "unexpected_keyword_argument":
        return f"unknown key {key}"
    return f"{key}: {error['msg'].removeprefix('Input ')}, got {error['input']!r}"
