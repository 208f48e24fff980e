"""Pages whose examples need other libraries are read where these are: `make test-peers`."""

import os
from importlib.util import find_spec

os.environ.setdefault("KERAS_BACKEND", "jax")

LIBRARIES = ("torch", "flax", "haiku", "equinox", "keras", "onnx", "onnxruntime",
             "safetensors")  # fmt: skip
collect_ignore = [] if all(map(find_spec, LIBRARIES)) else ["coming-from.md"]
