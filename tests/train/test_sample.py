"""`python -m train.sample`: the text of a run, and files that hold no trained model."""

import math
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from train.errors import InputError
from train.sample import Command, sample


def test_sampling(finished):
    out = finished[1]
    written = sample(Command(out, prompt="one t", length=50, temperature=0.5))
    assert written.startswith("one t")
    assert len(written) == 55
    assert sample(Command(out, prompt="one t", length=50, temperature=0.5)) == written
    assert sample(Command(out, prompt="one t", length=50, temperature=0.5, seed=1)) != written


@pytest.mark.parametrize(("change", "message"), [
    ({"prompt": "QX"}, "--prompt holds 'QX', which the run's text does not"),
    ({"prompt": ""}, "--prompt must have at least one character"),
    ({"seed": -1}, r"--seed must be 0 or more and below 2\*\*32, got -1"),
    ({"length": 0}, "--length must be 1 or more, got 0"),
    ({"temperature": -1.0}, "--temperature must be 0 or more, got -1.0"),
    ({"temperature": math.nan}, "--temperature must be 0 or more, got nan"),
])  # fmt: skip
def test_sampling_complaints(finished, change, message):
    with pytest.raises(InputError, match=message):
        sample(replace(Command(finished[1]), **change))


def test_sampling_without_a_finished_run(tmp_path):
    with pytest.raises(InputError, match=r"holds no finished run: there is no params.safetensors"):
        sample(Command(tmp_path))


@pytest.mark.parametrize("about", [
    None, "[]", "{", "5", '{"kind": "train"}', '{"kind": "train", "config": {}, "shape": []}',
    '{"kind": "other", "config": {"task": "char_lm"}, "shape": [2, 0, 2], "about": {}}',
    '{"kind": "train", "config": {"task": "char_lm"}, "shape": [2, 0], "about": {}}',
])  # fmt: skip
def test_sampling_from_a_foreign_file(tmp_path, about):
    metadata = None if about is None else {"jlstm": about}
    data = safetensors.numpy.save({"a": np.zeros(3)}, metadata)
    for content in (data, data[:20], b""):
        (tmp_path / "params.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="holds no trained model") as caught:
            sample(Command(tmp_path))
        assert "\n" not in str(caught.value)


def test_sampling_from_weights_of_another_shape(finished, tmp_path):
    whole = (finished[1] / "params.safetensors").read_bytes()
    with safetensors.safe_open(finished[1] / "params.safetensors", framework="np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    rows = len(tensors["embedding"])
    tensors["embedding"] = tensors["embedding"][:-1]
    assert whole == (finished[1] / "params.safetensors").read_bytes()
    (tmp_path / "params.safetensors").write_bytes(safetensors.numpy.save(tensors, metadata))
    message = rf"embedding should be \({rows}, 8\), found \({rows - 1}, 8\)"
    with pytest.raises(InputError, match=message):
        sample(Command(tmp_path))
