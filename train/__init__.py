"""The training program: `python -m train configs/char_lm.toml`."""

import sys
from importlib.util import find_spec

NEEDED = (
    "grain", "matplotlib", "optax", "orbax", "pydantic", "rich", "safetensors", "tensorboardX",
    "tomli_w", "tyro",
)  # fmt: skip
if missing := [name for name in NEEDED if find_spec(name) is None]:
    message = f"train needs {', '.join(missing)}: pip install '.[train,data]' in the clone"
    if sys.argv[:1] == ["-m"]:  # a command, `python -m train...`: one line
        print(message, file=sys.stderr)
        sys.exit(2)
    raise ModuleNotFoundError(message, name=missing[0])
