"""Text, its splits, batches and losses, and the text that a model generates."""

import gzip
import os
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import TINY, tiny, write_text_file
from train.config.tasks import CharLM, Text
from train.engine.measure import evaluate
from train.engine.measure import run as run_batches
from train.errors import InputError
from train.model import apply, init_model
from train.tasks import Shape
from train.tasks.char_lm import (
    TASK,
    batch_at,
    decode,
    encode,
    generate,
    in_order,
    load,
    read,
    read_text,
    steps_per_epoch,
    unigram_bits,
)

SIZE = 7
SHAPE = Shape(SIZE, 0, SIZE)
TOKENS = np.random.default_rng(0).integers(0, SIZE, 2000)


@pytest.mark.full
@given(st.text(min_size=1))
def test_encode_and_decode_are_inverse(text):
    vocabulary = "".join(sorted(set(text)))
    assert decode(encode(text, vocabulary), vocabulary) == text


def test_the_language_reference():
    text = load(CharLM())
    assert 300_000 < len(text.train) + len(text.validation) + len(text.test) < 1_000_000
    whole = decode(np.concatenate(text[:3]), text.about["vocabulary"])
    assert 'The "try" statement' in whole
    assert set(whole) == set(text.about["vocabulary"])
    assert text.train.dtype == np.uint8


def test_splits_are_by_position(tmp_path):
    path = write_text_file(tmp_path, 10_000)
    data = replace(TINY.data, path=str(path), validation=0.1, test=0.2)
    text = load(replace(TINY, data=data))
    assert [len(part) for part in text[:3]] == [7000, 1000, 2000]
    whole = decode(np.concatenate(text[:3]), text.about["vocabulary"])
    assert whole == path.read_text(encoding="utf-8")


def test_a_byte_order_mark_is_no_character(tmp_path):
    path = tmp_path / "bom.txt"
    path.write_text("abc", encoding="utf-8-sig")
    assert read_text(str(path))[1] == "abc"


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot read data.path .*: No such file"),
    (b"", "data.path .* is empty"),
    (b"abc\xff\xfe", "data.path .* is not UTF-8 text: byte 3 is 0xff"),
    (b"\xef\xbb\xbf", "data.path .* is empty"),
    (b"a", "holds no character but 'a': nothing to learn"),
    (b"a" * 500, "holds no character but 'a': nothing to learn"),
    ("Bären\n".encode("latin-1") * 50, "byte 1 is 0xe4; convert it, .*: iconv -f LATIN1 -t UTF-8"),
    ("tiger\n".encode("utf-16") * 50, "not UTF-8 text but UTF-16: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff" + "tiger\n".encode("utf-16-be") * 50, "not UTF-8 text but UTF-16"),
    ("tiger\n".encode("utf-16-le") * 50, "byte 1 is 0x00, as in UTF-16 or a binary file; convert"),
    ("tiger\n".encode("utf-32") * 50, "not UTF-8 text but UTF-32"),
    (b"one tiger\0" * 50, "byte 9 is 0x00, as in UTF-16 or a binary file"),
    (gzip.compress(b"one tiger", mtime=0), "compressed by gzip: unpack it first, by gunzip"),
    (b"PK\x03\x04" + b"a" * 500, "a zip archive, as .docx and .xlsx are: save it as plain text"),
    (b"%PDF-1.7\n" + b"a" * 500, "a PDF: save its text as plain text"),
    (b"abc" * 20, r"is too short: 54 characters to train on, .* 4 \* 16 \+ 1 = 65 are needed"),
    (b"ab" * 36, "its validation and test splits have 3 and 1 characters, 2 are needed"),
])  # fmt: skip
def test_files_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    test = 0.02 if b"ab" * 36 == content else 0.05
    with pytest.raises(InputError, match=message):
        load(replace(TINY, data=replace(TINY.data, path=str(path), test=test)))


def test_line_ends_of_any_system_are_the_same_text(tmp_path):
    texts = []
    for k, end in enumerate(("\n", "\r\n", "\r")):
        path = tmp_path / f"{k}.txt"
        path.write_bytes(f"one tiger,{end}zwei Bären{end}{end}".encode() * 100)
        texts.append(load(replace(TINY, data=replace(TINY.data, path=str(path)))))
    assert "\r" not in texts[0].about["vocabulary"]
    for text in texts[1:]:
        assert (text.sha256, text.about) == (texts[0].sha256, texts[0].about)
        np.testing.assert_array_equal(text.train, texts[0].train)


def test_one_long_line_is_a_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"ab" * 1_000_000)
    text = load(replace(TINY, data=replace(TINY.data, path=str(path))))
    assert sum(map(len, text[:3])) == 2_000_000


def test_paths_that_are_no_text(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "Is a directory"),
        (tmp_path / "pipe", "it is a pipe or a device; write its content to a file"),
        ("/dev/null", "it is a pipe or a device"),
        ("a\0b", "embedded null byte"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(InputError, match=f"cannot read data.path .*{message}"):
            read_text(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_must_not_be_read(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one tiger")
    path.chmod(0)
    with pytest.raises(InputError, match=r"cannot read data.path .*: Permission denied"):
        read_text(str(path))


def test_one_character_is_nothing_to_measure(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("o")
    with pytest.raises(InputError, match="is too short: it has one character, 2 are needed"):
        read(TINY, {"vocabulary": "no"}, str(path))


def test_an_epoch_reads_the_text_once_and_rows_go_on():
    data = Text(rows=4, chunk=16)
    tokens = np.arange(1000)  # each token is its own place
    steps = steps_per_epoch(tokens.size, data)
    assert steps == 999 // 64
    batches = [batch_at(tokens, data, 0, step) for step in range(2 * steps)]
    for epoch in range(2):
        part = batches[epoch * steps : (epoch + 1) * steps]
        assert [batch.first.tolist() for batch in part] == [[k == 0] * 4 for k in range(steps)]
        places = np.concatenate([batch.inputs for batch in part], axis=1)  # (row, time)
        np.testing.assert_array_equal(places.ravel(), places[0, 0] + np.arange(places.size))
        for batch in part:
            np.testing.assert_array_equal(batch.targets, batch.inputs + 1)
            assert (batch.lengths == 16).all()
    starts = {int(batches[k].inputs[0, 0]) for k in (0, steps)}
    assert len(starts) == 2
    assert max(starts) <= 999 - steps * 64


def test_batches_are_a_function_of_seed_and_step():
    data = Text(rows=4, chunk=16)
    tokens = np.arange(1000)
    once, again = (batch_at(tokens, data, 3, 17) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, once, again)
    other = batch_at(tokens, data, 4, 17)
    assert (once.inputs != other.inputs).any()


def test_unigram_bits():
    train = np.repeat(np.arange(4), 1000)
    assert unigram_bits(train, train, 4) == pytest.approx(2)
    assert unigram_bits(train, np.array([4]), 5) == pytest.approx(np.log2(4005))


def params_of(seed=0, config=TINY):
    return init_model(jax.random.key(seed), config.model, SHAPE)


@pytest.mark.full
@pytest.mark.parametrize("characters", [2, 17, 500, 1999])
@pytest.mark.parametrize(("rows", "chunk"), [(1, 16), (4, 16), (8, 128)])
def test_every_character_counts_once(characters, rows, chunk):
    """Weights of 0: each character costs `log2(SIZE)`, and with a bias its own cost."""
    config = replace(TINY, data=Text(rows=rows, chunk=chunk))
    params = jax.tree.map(jnp.zeros_like, params_of())
    tokens = TOKENS[:characters]
    targets = [
        batch.targets[batch.lengths > k, k]
        for batch in in_order(config, tokens, rows)
        for k in range(chunk)
    ]
    assert sorted(np.concatenate(targets)) == sorted(tokens[1:])
    found = evaluate(config, TASK, params, tokens)["bits_per_char"]
    assert found == pytest.approx(np.log2(SIZE), rel=1e-5)
    bias = jnp.arange(SIZE) / 3.0
    cost = -np.asarray(jax.nn.log_softmax(bias)) / np.log(2)
    found = evaluate(config, TASK, params._replace(output_bias=bias), tokens)["bits_per_char"]
    assert found == pytest.approx(cost[tokens[1:]].mean(), rel=1e-5)


@pytest.mark.full
def test_evaluation_in_one_row_is_the_whole_sequence():
    config = replace(TINY, data=Text(rows=1, chunk=64))
    params = params_of(1)
    _, logits, _ = apply(config, params, None, TOKENS[None, :-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits[0], TOKENS[1:])
    found = evaluate(config, TASK, params, TOKENS)["bits_per_char"]
    assert found == pytest.approx(float(losses.mean()) / np.log(2), rel=1e-5)


@pytest.mark.full
def test_generate_at_temperature_zero_takes_the_likeliest():
    params = jax.tree.map(lambda p: 3 * p, params_of(2))
    prompt = TOKENS[:5]
    drawn = generate(TINY, params, jax.random.key(0), prompt, 5, 0.0)
    seen = list(prompt)
    for token in drawn:
        _, logits, _ = apply(TINY, params, None, np.array([seen]))
        assert token == logits[0, -1].argmax()
        seen.append(int(token))


@pytest.mark.full
def test_generate_draws_from_the_prediction():
    params = jax.tree.map(jnp.zeros_like, params_of())
    bias = jnp.arange(SIZE) / 3.0
    params = params._replace(output_bias=bias)
    drawn = generate(TINY, params, jax.random.key(0), TOKENS[:1], 20_000, 0.5)
    frequencies = np.bincount(drawn, minlength=SIZE) / 20_000
    np.testing.assert_allclose(frequencies, jax.nn.softmax(bias / 0.5), atol=0.015)


@pytest.mark.sampled
def test_a_process_makes_its_rows_alone():
    config = replace(TINY, data=Text(rows=4, chunk=16))
    for whole, *parts in (
        [batch_at(TOKENS, config.data, 0, 3, own) for own in (slice(None), slice(3), slice(3, 4))],
        *zip(*(in_order(config, TOKENS[:300], 4, own)
               for own in (slice(None), slice(3), slice(3, 4))), strict=True),
    ):  # fmt: skip
        jax.tree.map(
            lambda a, *b: np.testing.assert_array_equal(a, np.concatenate(b)), whole, *parts
        )


def test_the_table_has_the_bits_of_every_character(tmp_path):
    config = tiny(write_text_file(tmp_path))
    data = load(config)
    tokens = data.test[:50]
    params = init_model(jax.random.key(0), config.model, data.shape)
    run = lambda batches: run_batches(config, TASK, params, batches)  # noqa: E731
    head, *rows = TASK.table(config, data.about, tokens, run)
    assert head == ["place", "character", "bits", "likeliest", "probability"]
    assert "".join(row[1] for row in rows) == decode(tokens[1:], data.about["vocabulary"])
    mean = np.mean([float(row[2]) for row in rows])
    alone = replace(config, data=replace(config.data, rows=1))
    found = evaluate(alone, TASK, params, tokens)["bits_per_char"]
    assert mean == pytest.approx(found, abs=1e-3)


def test_another_text_with_other_characters_is_refused(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("abcX")
    with pytest.raises(InputError, match=r"other.txt holds 'X', which the run's text does not; it"):
        TASK.read(TINY, {"vocabulary": "abc"}, str(path))
