"""The training program: `python -m train configs/char_lm.toml`."""

from importlib.util import find_spec

NEEDED = (
    "grain", "matplotlib", "optax", "orbax", "pydantic", "rich", "safetensors", "tensorboardX",
    "tomli_w", "tyro",
)  # fmt: skip
if missing := [name for name in NEEDED if find_spec(name) is None]:
    raise ModuleNotFoundError(
        f"train needs {', '.join(missing)}: pip install '.[train,data]' in the clone",
        name=missing[0],
    )
