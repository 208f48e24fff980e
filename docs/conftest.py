"""Pages whose examples need other libraries are read where these are: `make test-peers`."""

import os
from importlib.util import find_spec

os.environ.setdefault("KERAS_BACKEND", "jax")

LIBRARIES = ("torch", "flax", "haiku", "equinox", "keras", "onnx", "onnxruntime",
             "safetensors")  # fmt: skip
collect_ignore = ["_build", "conf.py", "machinery"]  # of `make docs`
if not all(map(find_spec, LIBRARIES)):
    collect_ignore.append("coming-from.md")
