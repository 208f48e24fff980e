"""A run from its first step, or its newest checkpoint, to its report."""

import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
from rich.console import Console

from train.config.load import to_toml
from train.config.settings import Config
from train.engine import checkpoint, trials
from train.engine.devices import flops_limit, make_mesh, place_rows, whole
from train.engine.measure import evaluate
from train.engine.processes import asked_to_end, first_does, is_first
from train.engine.state import TrainState, init_train_state, shapes, step_of, trained
from train.engine.step import next_loss, train_step
from train.engine.window import Run, Window, check_finite
from train.errors import InputError, RunError, Terminated
from train.model import Params, check_fits, flops_per_step
from train.output import metrics
from train.output.files import write_text
from train.output.folder import finished_step, open_folder
from train.output.progress import in_short, left_out, say, show_progress
from train.output.report import write_report
from train.output.weights import save_weights
from train.tasks import Batch, Data, Task, find_task

SHOWN = 200  # characters of a sample on the screen; samples.txt has it whole
AHEAD = 4  # batches that threads have ready


class Progress(NamedTuple):
    """What a run has spent and found over all its starts; kept in its checkpoints."""

    seconds: float = 0.0
    seconds_in_steps: float = 0.0
    best: float | None = None  # the best headline on the validation split
    best_step: int = 0
    worse: int = 0  # validations in a row without a better one


def train(config: Config, out: Path, console: Console) -> dict[str, Any] | None:
    """Train, or go on with a run that was stopped; None says that it had finished before.

    Raises:
      InputError: data that cannot be used, or a folder that holds something else.
      RunError: a failure under way: a full disk, a loss that is not finite.
      Terminated: somebody asked the process to end; what was done is saved.
    """
    task = find_task(config.task)
    check_fits(config, task.per_step)
    check_processes(config)
    data = task.load(config)
    if data.sha256 != first_does(lambda: data.sha256):
        raise InputError(f"{data.source} is not what the first process of the run reads")
    with open_folder(out, config):
        try:
            state, progress = resume(out, config, task, data, console)
            if step_of(state) == first_does(lambda: finished_step(out, config.steps)):
                say(console, f"{out} has finished its {config.steps} steps; more --steps go on")
                return None
            first_does(lambda: prepare(out, config, step_of(state)))
            with metrics.recorder(out, step_of(state), config.log.tensorboard) as record:
                flops = flops_per_step(trials.apart(config, state.params)[0])
                limit = flops_limit(config.data.rows)
                run = Run(config, task, data, out, console, record, flops, limit)
                return finish(run, state, progress)
        except BrokenPipeError:  # of the screen, not of the folder
            raise
        except OSError as error:
            raise RunError(f"cannot use {out}: {error.strerror or error}") from None
        except jax.errors.JaxRuntimeError as error:
            raise RunError(f"JAX gave up: {str(error).splitlines()[0]}") from None


def check_processes(config: Config) -> None:
    """Every process has a part of the rows.

    Raises:
      InputError: the rows cannot be shared evenly by the devices of several processes.
    """
    rows, devices = config.data.rows, jax.device_count()
    if jax.process_count() > 1 and rows % devices:
        raise InputError(
            f"data.rows = {rows} cannot be shared evenly by the {devices} devices of "
            f"{jax.process_count()} processes"
        )


def prepare(out: Path, config: Config, step: int) -> None:
    """Make the folder ready for what comes after a step."""
    (out / "checkpoints").mkdir(exist_ok=True)
    metrics.rewind(out, step)
    write_text(out / "config.toml", to_toml(config))  # steps and logging may have changed


def resume(
    out: Path, config: Config, task: Task, data: Data, console: Console
) -> tuple[TrainState, Progress]:
    """The state to go on from, and what was spent on it."""
    found, complaints = first_does(lambda: checkpoint.newest(out / "checkpoints"))
    start = f"going on from checkpoint {found.step}" if found else "starting from step 0"
    for complaint in complaints:
        say(console, f"{complaint}; {start}")
    if found is None:
        return init_train_state(config, task, data.shape), Progress()
    if found.notes["data_sha256"] != data.sha256:
        raise InputError(
            f"{data.source} does not hold the data that the run in {out} began with; choose "
            "another --out or the same data"
        )
    if not complaints and found.step < config.steps:
        say(console, start)
    state = checkpoint.load(found, shapes(config, task, data.shape))
    return state, Progress(*found.notes["progress"])


def finish(run: Run, state: TrainState, progress: Progress) -> dict[str, Any]:
    """Take the remaining steps and write the report."""
    config, data = run.config, run.data
    say(
        run.console,
        f"{data.source}: {in_short(data.facts)}; writing to {run.out}; devices: "
        f"{make_mesh(config.data.rows).size} ({jax.default_backend().upper()})"
        + (f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""),
    )
    if data.facts.get("left_out"):
        say(run.console, f"left out: {left_out(data.facts['left_out'])}")
    state, progress = take_steps(run, state, progress)
    params = trials.apart(config, trained(state))
    result = write_report(
        run.out, config, run.task, data, params, step_of(state), progress._asdict()
    )
    headline = run.task.headline
    say(
        run.console,
        f"{headline} {result['test'][headline]:.4g} on the test split "
        f"({run.task.baseline} {data.facts[run.task.baseline]:.4g}) after {result['steps']} steps "
        f"and {result['seconds']:.0f} s; report.html is in {run.out}",
    )
    return result


def take_steps(run: Run, state: TrainState, progress: Progress) -> tuple[TrainState, Progress]:
    """All remaining steps. The metrics of a step are fetched while the next one runs."""
    config, out = run.config, run.out
    step = step_of(state)
    batches = trials.batches(config, run.task, run.data)
    ahead = read_ahead(batches, step, config)
    sample = run.task.sample
    began = time.monotonic() - progress.seconds
    window = Window(run, step, time.monotonic())
    with (
        show_progress(run.console, step, config.steps, run.task.unit) as show,
        asked_to_end() as ending,
    ):
        while step < config.steps and not stopped_early(config, progress):
            batch = next(ahead)
            state, taken = train_step(config, run.task, state, batch)
            window.add(taken, batch)
            step += 1
            ends = ending(step)  # what comes later is of the next step
            if step != next_stop(step - 1, config) and not ends:
                continue
            figures = window.close()
            progress = progress._replace(
                seconds_in_steps=progress.seconds_in_steps + window.seconds
            )
            keep = due(step, config.checkpoint_every, config) or ends
            if keep:
                following: Any = batches[step]
                loss = next_loss(config, run.task, state, place_batch(following, config))
                check_finite(np.atleast_1d(np.mean(loss)), step, out)
            show(step, figures)
            run.record(step, **figures)
            if due(step, config.log.validate_every, config):
                progress = validate(run, state, step, progress)
            if sample and due(step, config.sample.every, config):
                write_sample(run, sample, state, step)
            progress = progress._replace(seconds=time.monotonic() - began)
            if keep or stopped_early(config, progress):
                save(run, step, state, progress)
            if ends and step < config.steps:
                raise Terminated(f"step {step} is saved; the same command goes on from there")
            window = Window(run, step, time.monotonic())
    if stopped_early(config, progress):
        say(run.console, f"no better validation since step {progress.best_step}: stopped early")
    return state, progress


def stopped_early(config: Config, progress: Progress) -> bool:
    """Whether there were too many validations in a row without a better one."""
    return 0 < config.stop_after <= progress.worse


def due(step: int, every: int, config: Config) -> bool:
    """Whether what happens every so many steps, and at the end, happens now."""
    return step % every == 0 or step == config.steps


def read_ahead(batches: grain.MapDataset, step: int, config: Config) -> Iterator[Batch]:
    """The batches from a step on, on the devices; threads have the next ones ready."""
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=AHEAD)
    for batch in batches[step:].to_iter_dataset(options):
        yield place_batch(batch, config)


def place_batch(batch: Batch, config: Config) -> Batch:
    """The batch on the devices that share its rows."""
    return place_rows(batch, config.data.rows, axis=int(config.trials > 1))


def next_stop(step: int, config: Any) -> int:
    """The next step after this one at which anything is due."""
    intervals = [config.log.every, config.log.validate_every, config.checkpoint_every]
    if hasattr(config, "sample"):
        intervals.append(config.sample.every)
    return min(config.steps, *((step // every + 1) * every for every in intervals))


def validate(run: Run, state: TrainState, step: int, progress: Progress) -> Progress:
    """Measure the validation split; keep the weights if they are the best so far."""
    config, task, data = run.config, run.task, run.data
    params = trials.apart(config, trained(state))
    each = [evaluate(config, task, one, data.validation) for one in params]
    mean, spread = trials.mean_and_spread(each)
    run.record(
        step,
        **{f"validation_{name}": value for name, value in mean.items()},
        **{f"spread_of_validation_{name}": value for name, value in spread.items()},
    )
    value = mean[task.headline]
    better = progress.best is None or task.best(value, progress.best) != progress.best
    if not better:
        return progress._replace(worse=progress.worse + 1)
    for k, (one, alone) in enumerate(zip(params, trials.configs_of(config), strict=True)):
        path, found = run.out / trials.file_name("best", k), whole(one)
        first_does(lambda path=path, alone=alone, found=found: keep_best(path, alone, data, found))
    return progress._replace(best=value, best_step=step, worse=0)


def keep_best(path: Path, config: Config, data: Data, params: Params) -> None:
    """Write the weights, or say in one line why not."""
    try:
        save_weights(path, config, data.shape, data.about, params)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; checkpoints are untouched"
        ) from None


def write_sample(run: Run, write: Callable, state: TrainState, step: int) -> None:
    """What the model writes now, in the metrics and on the screen."""
    alone = trials.configs_of(run.config)[0]
    params = whole(trials.apart(run.config, trained(state))[0])
    if not is_first():
        return
    sample = write(alone, run.data, params, step)
    run.record(step, sample=sample)
    say(run.console, f"step {step} writes:\n{textwrap.indent(sample[:SHOWN], '  | ')}")


def save(run: Run, step: int, state: TrainState, progress: Progress) -> None:
    """Write a checkpoint, or say in one line why not."""
    notes = {"data_sha256": run.data.sha256, "progress": list(progress)}
    folder = run.out / "checkpoints"
    try:
        checkpoint.save(folder, step, state, notes)
    except Exception as error:  # orbax wraps a full disk in errors of many kinds
        raise RunError(
            f"cannot write checkpoint {step} to {folder}: {checkpoint.reason(error)}; "
            "earlier checkpoints are untouched"
        ) from error
