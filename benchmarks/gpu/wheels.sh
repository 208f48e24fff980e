#!/usr/bin/env bash
# Wheels for a machine with a GPU and without a network: benchmarks/gpu/wheels.sh FOLDER [PYTHON]
# There: python3 -m pip install --no-index --no-deps --target SITE FOLDER/*.whl
# and PYTHONPATH=SITE. It has JAX, PyTorch, NumPy and Flax; Haiku and what it needs are brought.
set -euo pipefail
folder=${1:?name a folder for the wheels}
version=${2:-3.12}
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version "$version" \
  --implementation cp --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
  --dest "$folder" dm-haiku jmp tabulate matplotlib contourpy cycler fonttools kiwisolver \
  pyparsing python-dateutil six pillow
ls "$folder"
