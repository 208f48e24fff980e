"""A run from its first step, or its newest checkpoint, to its report."""

import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import PartitionSpec as P
from rich.console import Console

from train import checkpoint, metrics
from train.config import Config, to_toml
from train.data import Text, decode, encode, line_start, load_text
from train.devices import make_mesh, on_one_device, place
from train.errors import InputError, RunError
from train.files import write_text
from train.folder import open_folder, reported_steps
from train.model import CharLM, generate
from train.progress import Report, say, show_progress
from train.report import write_report
from train.step import TrainState, evaluate, init_train_state, next_loss, run_steps, spread

SHOWN = 200  # characters of a sample on the screen; samples.txt has it whole


class Spent(NamedTuple):
    """Seconds that went into a run, over all its starts; kept in its checkpoints."""

    in_all: float = 0.0
    in_steps: float = 0.0


def train(config: Config, out: Path, console: Console) -> dict[str, Any] | None:
    """Train, or go on with a run that was stopped; None says that it had finished before.

    Raises:
      InputError: a text that cannot be used, or a folder that holds something else.
      RunError: a failure under way: a full disk, a loss that is not finite.
    """
    text = load_text(config.data)
    with open_folder(out, config):
        try:
            state, spent = resume(out, config, text, console)
            if int(state.step) == config.steps == reported_steps(out):
                say(console, f"{out} has finished its {config.steps} steps; more --steps go on")
                return None
            return finish(config, text, state, spent, out, console)
        except BrokenPipeError:  # of the screen, not of the folder
            raise
        except OSError as error:
            raise RunError(f"cannot use {out}: {error.strerror or error}") from None
        except jax.errors.JaxRuntimeError as error:
            raise RunError(f"JAX gave up: {str(error).splitlines()[0]}") from None


def resume(out: Path, config: Config, text: Text, console: Console) -> tuple[TrainState, Spent]:
    """The state to go on from, and what was spent on it."""
    fresh = init_train_state(config, len(text.vocabulary))
    found, complaints = checkpoint.newest(out / "checkpoints")
    start = f"going on from checkpoint {found.step}" if found else "starting from step 0"
    for complaint in complaints:
        say(console, f"{complaint}; {start}")
    if found is None:
        return fresh, Spent()
    if found.notes["text_sha256"] != text.sha256:
        raise InputError(
            f"{text.source} is not the text that the run in {out} began with; choose another --out "
            "or the same text"
        )
    if not complaints and found.step < config.steps:
        say(console, start)
    return checkpoint.load(found, fresh), Spent(*found.notes["spent"])


def finish(
    config: Config, text: Text, state: TrainState, spent: Spent, out: Path, console: Console
) -> dict[str, Any]:
    """Take the remaining steps and write the report."""
    say(
        console,
        f"{text.source}: {len(text.train):,} characters to train on, "
        f"{len(text.vocabulary)} distinct; writing to {out}; devices: "
        f"{make_mesh(config.data.rows).size} ({jax.default_backend().upper()})",
    )
    (out / "checkpoints").mkdir(exist_ok=True)
    metrics.rewind(out, int(state.step))
    write_text(out / "config.toml", to_toml(config))  # steps and logging may have changed
    with show_progress(console, int(state.step), config.steps) as report:
        state, spent = take_steps(config, text, state, spent, out, console, report)
    rate = characters(config, config.steps) / spent.in_steps
    result = write_report(out, config, text, state.params, spent.in_all, rate)
    say(
        console,
        f"{result['bits_per_char']:.3f} bits per character on the test split "
        f"({result['unigram_bits_per_char']:.3f} by character frequencies alone) after "
        f"{result['seconds']:.0f} s at {result['chars_per_second']:,} characters a second; "
        f"the weights, curves.png and samples.txt are in {out}",
    )
    return result


def take_steps(
    config: Config,
    text: Text,
    state: TrainState,
    spent: Spent,
    out: Path,
    console: Console,
    report: Report,
) -> tuple[TrainState, Spent]:
    """All remaining steps. A dispatch ends where something is due, so that it sees that step."""
    state = spread(config, state)
    tokens = place(text.train, make_mesh(config.data.rows), P())
    step = int(state.step)
    programs = {}  # compiled by the number of their steps, apart from their time
    began = time.monotonic() - spent.in_all
    while step < config.steps:
        count = next_stop(step, config) - step
        if count not in programs:
            programs[count] = run_steps.lower(config, count, state, tokens).compile()
        start = time.monotonic()
        state, taken = jax.block_until_ready(programs[count](state, tokens))
        spent = spent._replace(in_steps=spent.in_steps + time.monotonic() - start)
        losses = np.asarray(taken.loss)
        if due(step + count, config.checkpoint_every, config):
            losses = np.append(losses, next_loss(config, state, tokens))
        check_finite(losses, step, out)
        step += count
        bits = float(taken.loss.mean() / np.log(2))
        rate = characters(config, step) / spent.in_steps
        report(step, bits, rate)
        metrics.append(
            out,
            step,
            train_bits_per_char=bits,
            gradient_norm=float(taken.gradient_norm.mean()),
            chars_per_second=round(rate),
        )
        if due(step, config.log.validate_every, config):
            rows, chunk = config.data.rows, config.data.chunk
            bits = evaluate(state.params, text.validation, rows, chunk)
            metrics.append(out, step, validation_bits_per_char=bits)
        if due(step, config.log.sample_every, config):
            sample = draw_sample(config, text, state.params, step)
            metrics.append(out, step, sample=sample)
            say(console, f"step {step} writes:\n{textwrap.indent(sample[:SHOWN], '  | ')}")
        spent = spent._replace(in_all=time.monotonic() - began)
        if due(step, config.checkpoint_every, config):
            save(out, step, state, spent, text)
    return state, spent


def characters(config: Config, step: int) -> int:
    """Characters read up to a step."""
    return step * config.data.rows * config.data.chunk


def next_stop(step: int, config: Config) -> int:
    """The next step at which anything is due."""
    log = config.log
    intervals = (log.dispatch, log.validate_every, log.sample_every, config.checkpoint_every)
    return min(config.steps, *((step // every + 1) * every for every in intervals))


def due(step: int, every: int, config: Config) -> bool:
    """Whether what happens every so many steps, and at the end, happens now."""
    return step % every == 0 or step == config.steps


def check_finite(losses: np.ndarray, step: int, out: Path) -> None:
    """Stop at the first loss after `step` that is not finite; none of these steps is saved."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        saved = checkpoint.steps(out / "checkpoints")
        kept = f"checkpoint {saved[0]} is untouched" if saved else "there is no checkpoint yet"
        raise RunError(
            f"the loss is {losses[bad[0]]} at step {step + bad[0] + 1}; {kept}; "
            "a smaller optimizer.learning_rate may help"
        )


def save(out: Path, step: int, state: TrainState, spent: Spent, text: Text) -> None:
    """Write a checkpoint, or say in one line why not."""
    notes = {"text_sha256": text.sha256, "spent": list(spent)}
    try:
        checkpoint.save(out / "checkpoints", step, on_one_device(state), notes)
    except Exception as error:  # orbax wraps a full disk in errors of many kinds
        raise RunError(
            f"cannot write checkpoint {step} to {out / 'checkpoints'}: "
            f"{checkpoint.reason(error)}; earlier checkpoints are untouched"
        ) from error


def draw_sample(config: Config, text: Text, params: CharLM, step: int) -> str:
    """Text by the model as it is now, from a line's beginning."""
    key = jax.random.fold_in(jax.random.key(config.seed), step)
    tokens = generate(
        on_one_device(params),
        key,
        encode(line_start(text.vocabulary), text.vocabulary),
        config.log.sample_length,
        config.log.temperature,
    )
    return decode(tokens, text.vocabulary)
