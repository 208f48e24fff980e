"""A run, from its first step or newest checkpoint to its report."""

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
from train.engine.devices import flops_limit, make_mesh, place_rows, to_host
from train.engine.measure import evaluate
from train.engine.processes import is_first, on_first_process, watch_for_sigterm
from train.engine.state import TrainState, init_train_state, shapes, step_of, trained
from train.engine.step import next_loss, train_step
from train.engine.window import Run, Window, check_finite
from train.errors import InputError, RunError, Terminated
from train.model import Params, check_fits, flops_per_step
from train.output import metrics
from train.output.files import write_text
from train.output.folder import finished_step, open_folder
from train.output.progress import left_out, say, show_progress, summary
from train.output.report import write_report
from train.output.weights import save_weights
from train.tasks import Batch, Data, Task, find_task

SHOWN = 200  # characters of a sample to print; samples.txt has all of it
PREFETCHED = 4  # batches


class Progress(NamedTuple):
    """Time spent and best validation over all starts of a run; saved in its checkpoints."""

    seconds: float = 0.0
    seconds_in_steps: float = 0.0
    best: float | None = None  # the best headline on the validation split
    best_step: int = 0
    validations_without_improvement: int = 0  # in a row


def train(config: Config, out: Path, console: Console) -> dict[str, Any] | None:
    """Train, or resume a stopped run; None if it had already finished.

    Raises:
      InputError: unusable data, or a folder that holds something else.
      RunError: a failure during the run: a full disk, a loss that is not finite.
      Terminated: the process received SIGTERM; a checkpoint is saved.
    """
    task = find_task(config.task)
    check_fits(config, task.per_step)
    check_processes(config)
    data = task.load(config)
    if data.sha256 != on_first_process(lambda: data.sha256):
        raise InputError(f"{data.source} differs from the data of the first process")
    with open_folder(out, config):
        try:
            state, progress = resume(out, config, task, data, console)
            if step_of(state) == on_first_process(lambda: finished_step(out, config.steps)):
                steps = f"{out} has already finished its {config.steps} steps"
                say(console, f"{steps}; pass a larger --steps to continue")
                return None
            on_first_process(lambda: prepare(out, config, step_of(state)))
            with metrics.recorder(out, step_of(state), config.log.tensorboard) as record:
                flops = flops_per_step(trials.unstack(config, state.params)[0])
                limit = flops_limit(config.data.rows)
                run = Run(config, task, data, out, console, record, flops, limit)
                return finish(run, state, progress)
        except BrokenPipeError:  # of stdout, not of the folder
            raise
        except OSError as error:
            raise RunError(f"cannot use {out}: {error.strerror or error}") from None
        except jax.errors.JaxRuntimeError as error:
            raise RunError(f"JAX runtime error: {str(error).splitlines()[0]}") from None


def check_processes(config: Config) -> None:
    """Check that every process gets rows.

    Raises:
      InputError: the rows cannot be divided evenly among the devices of several processes.
    """
    rows, devices = config.data.rows, jax.device_count()
    if jax.process_count() > 1 and rows % devices:
        raise InputError(
            f"data.rows = {rows} cannot be divided evenly among the {devices} devices of "
            f"{jax.process_count()} processes"
        )


def prepare(out: Path, config: Config, step: int) -> None:
    """Prepare the folder for the steps after this one."""
    (out / "checkpoints").mkdir(exist_ok=True)
    metrics.rewind(out, step)
    write_text(out / "config.toml", to_toml(config))  # steps and logging may have changed


def resume(
    out: Path, config: Config, task: Task, data: Data, console: Console
) -> tuple[TrainState, Progress]:
    """The state and progress of the newest checkpoint, or of step 0."""
    newest, complaints = on_first_process(lambda: checkpoint.newest(out / "checkpoints"))
    start = f"resuming from checkpoint {newest.step}" if newest else "starting from step 0"
    for complaint in complaints:
        say(console, f"{complaint}; {start}")
    if newest is None:
        return init_train_state(config, task, data.shape), Progress()
    if newest.notes["data_sha256"] != data.sha256:
        raise InputError(
            f"{data.source} does not hold the data that the run in {out} started with; choose "
            "another --out or the same data"
        )
    if not complaints and newest.step < config.steps:
        say(console, start)
    state = checkpoint.load(newest, shapes(config, task, data.shape))
    return state, Progress(*newest.notes["progress"])


def finish(run: Run, state: TrainState, progress: Progress) -> dict[str, Any]:
    """Take the remaining steps and write the report."""
    config, data = run.config, run.data
    say(
        run.console,
        f"{data.source}: {summary(data.facts)}; writing to {run.out}; devices: "
        f"{make_mesh(config.data.rows).size} ({jax.default_backend().upper()})"
        + (f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""),
    )
    if data.facts.get("left_out"):
        say(run.console, f"left out: {left_out(data.facts['left_out'])}")
    state, progress = take_steps(run, state, progress)
    params = trials.unstack(config, trained(state))
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
    """Take the remaining steps. The metrics of a step are fetched while the next step runs."""
    config, out = run.config, run.out
    step = step_of(state)
    batches = trials.batches(config, run.task, run.data)
    prefetched = prefetch(batches, step, config)
    sample = run.task.sample
    began = time.monotonic() - progress.seconds
    window = Window(run, step, time.monotonic())
    with (
        show_progress(run.console, step, config.steps, run.task.unit) as show,
        watch_for_sigterm() as terminated,
    ):
        while step < config.steps and not should_stop_early(config, progress):
            batch = next(prefetched)
            state, taken = train_step(config, run.task, state, batch)
            window.add(taken, batch)
            step += 1
            ends = terminated(step)  # a later signal counts for the next step
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
            if keep or should_stop_early(config, progress):
                save(run, step, state, progress)
            if ends and step < config.steps:
                raise Terminated(f"step {step} is saved; repeat the command to resume")
            window = Window(run, step, time.monotonic())
    if should_stop_early(config, progress):
        say(run.console, f"no better validation since step {progress.best_step}: stopping early")
    return state, progress


def should_stop_early(config: Config, progress: Progress) -> bool:
    """Return whether there were too many validations in a row without improvement."""
    return 0 < config.stop_after <= progress.validations_without_improvement


def due(step: int, every: int, config: Config) -> bool:
    """Return whether something that is due every `every` steps, and at the end, is due now."""
    return step % every == 0 or step == config.steps


def prefetch(batches: grain.MapDataset, step: int, config: Config) -> Iterator[Batch]:
    """The batches from a step on, on the devices; threads prefetch them."""
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=PREFETCHED)
    for batch in batches[step:].to_iter_dataset(options):
        yield place_batch(batch, config)


def place_batch(batch: Batch, config: Config) -> Batch:
    """Place a batch on the devices that share its rows."""
    return place_rows(batch, config.data.rows, axis=int(config.trials > 1))


def next_stop(step: int, config: Any) -> int:
    """The next step at which anything is due."""
    intervals = [config.log.every, config.log.validate_every, config.checkpoint_every]
    if hasattr(config, "sample"):
        intervals.append(config.sample.every)
    return min(config.steps, *((step // every + 1) * every for every in intervals))


def validate(run: Run, state: TrainState, step: int, progress: Progress) -> Progress:
    """Evaluate on the validation split; save the weights if they are the best so far."""
    config, task, data = run.config, run.task, run.data
    params = trials.unstack(config, trained(state))
    figures = [evaluate(config, task, weights, data.validation) for weights in params]
    mean, std = trials.mean_and_std(figures)
    run.record(
        step,
        **{f"validation_{name}": value for name, value in mean.items()},
        **{f"spread_of_validation_{name}": value for name, value in std.items()},
    )
    value = mean[task.headline]
    better = progress.best is None or task.best(value, progress.best) != progress.best
    if not better:
        count = progress.validations_without_improvement + 1
        return progress._replace(validations_without_improvement=count)
    for k, (weights, trial) in enumerate(zip(params, trials.trial_configs(config), strict=True)):
        path, host = run.out / trials.file_name("best", k), to_host(weights)
        on_first_process(
            lambda path=path, trial=trial, host=host: save_best(path, trial, data, host)
        )
    return progress._replace(best=value, best_step=step, validations_without_improvement=0)


def save_best(path: Path, config: Config, data: Data, params: Params) -> None:
    """Write the weights; an error is one line."""
    try:
        save_weights(path, config, data.shape, data.about, params)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; checkpoints are not affected"
        ) from None


def write_sample(run: Run, generate: Callable, state: TrainState, step: int) -> None:
    """Generate text, and record and print it."""
    first = trials.trial_configs(run.config)[0]
    params = to_host(trials.unstack(run.config, trained(state))[0])
    if not is_first():
        return
    sample = generate(first, run.data, params, step)
    run.record(step, sample=sample)
    say(run.console, f"sample at step {step}:\n{textwrap.indent(sample[:SHOWN], '  | ')}")


def save(run: Run, step: int, state: TrainState, progress: Progress) -> None:
    """Write a checkpoint; an error is one line."""
    notes = {"data_sha256": run.data.sha256, "progress": list(progress)}
    folder = run.out / "checkpoints"
    try:
        checkpoint.save(folder, step, state, notes)
    except Exception as error:  # orbax wraps a full disk in errors of many kinds
        raise RunError(
            f"cannot write checkpoint {step} to {folder}: {checkpoint.reason(error)}; "
            "earlier checkpoints are not affected"
        ) from error
