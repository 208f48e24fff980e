"""Text, splits and batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.runs import write_text_file
from train.config import Data
from train.data import (
    batch_at,
    decode,
    encode,
    load_text,
    read_text,
    steps_per_epoch,
    unigram_bits,
)
from train.errors import InputError


@given(st.text(min_size=1))
def test_encode_and_decode_are_inverse(text):
    vocabulary = "".join(sorted(set(text)))
    assert decode(encode(text, vocabulary), vocabulary) == text


def test_the_language_reference():
    text = load_text(Data())
    assert 300_000 < len(text.train) + len(text.validation) + len(text.test) < 1_000_000
    whole = decode(np.concatenate(text[1:4]), text.vocabulary)
    assert 'The "try" statement' in whole
    assert set(whole) == set(text.vocabulary)
    assert text.train.dtype == np.uint8


def test_splits_are_by_position(tmp_path):
    path = write_text_file(tmp_path, 10_000)
    text = load_text(Data(path=str(path), rows=4, chunk=16, validation=0.1, test=0.2))
    assert [len(part) for part in text[1:4]] == [7000, 1000, 2000]
    whole = decode(np.concatenate(text[1:4]), text.vocabulary)
    assert whole == path.read_text(encoding="utf-8")


def test_a_byte_order_mark_is_no_character(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_text("abc", encoding="utf-8-sig")
    assert read_text(str(path))[1] == "abc"


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot read data.path .*: No such file"),
    (b"", "data.path .* is empty"),
    (b"abc\xff\xfe", "data.path .* is not UTF-8 text: byte 3 is 0xff"),
    (b"abc" * 20, r"is too short: 54 characters to train on, .* 4 \* 16 \+ 1 = 65 are needed"),
    (b"ab" * 36, "its validation and test splits have 3 and 1 characters, 2 are needed"),
])  # fmt: skip
def test_files_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    test = 0.02 if b"ab" * 36 == content else 0.05
    with pytest.raises(InputError, match=message):
        load_text(Data(path=str(path), rows=4, chunk=16, test=test))


def test_an_epoch_reads_the_text_once_and_rows_go_on():
    data = Data(rows=4, chunk=16)
    tokens = jnp.arange(1000)  # each token is its own place
    steps = steps_per_epoch(tokens.size, data)
    assert steps == 999 // 64
    batches = [batch_at(tokens, data, 0, jnp.int32(step)) for step in range(2 * steps)]
    for epoch in range(2):
        part = batches[epoch * steps : (epoch + 1) * steps]
        assert [bool(batch.first) for batch in part] == [True] + [False] * (steps - 1)
        places = np.concatenate([batch.inputs.T for batch in part], axis=1)  # (row, time)
        np.testing.assert_array_equal(places.ravel(), places[0, 0] + np.arange(places.size))
        for batch in part:
            np.testing.assert_array_equal(batch.targets, batch.inputs + 1)
    starts = {int(batches[k].inputs[0, 0]) for k in (0, steps)}
    assert len(starts) == 2
    assert max(starts) <= 999 - steps * 64


def test_batches_are_a_function_of_seed_and_step():
    data = Data(rows=4, chunk=16)
    tokens = jnp.arange(1000)
    eager = batch_at(tokens, data, 3, jnp.int32(17))
    jitted = jax.jit(batch_at, static_argnums=(1, 2))(tokens, data, 3, jnp.int32(17))
    jax.tree.map(np.testing.assert_array_equal, eager, jitted)
    other = batch_at(tokens, data, 4, jnp.int32(17))
    assert (eager.inputs != other.inputs).any()


def test_unigram_bits():
    train = np.repeat(np.arange(4), 1000)
    assert unigram_bits(train, train, 4) == pytest.approx(2)
    assert unigram_bits(train, np.array([4]), 5) == pytest.approx(np.log2(4005))
