"""The next steps of columns of numbers over time; values may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from train.config.tasks import Forecasting, Table
from train.errors import InputError
from train.readers.columns import digits, read_columns, times_after
from train.tasks import ALL_ROWS, Batch, Data, Run, Shape, Sums, Task
from train.tasks import batches as by_length
from train.tasks.batches import drawn_by_length, every_step
from train.tasks.normalize import mean_and_deviation
from train.viewer import views

if TYPE_CHECKING:
    import grain
    from jaxtyping import Array
    from matplotlib.figure import Figure


DRAWN = 500  # steps of the picture, if forecasts are short


class Windows(NamedTuple):
    """Windows of one table: each has `context` steps of input and `horizon` steps to forecast."""

    values: np.ndarray  # (time, columns), normalised, NaN if missing
    starts: np.ndarray  # the first step of each window
    context: int
    horizon: int
    times: list[str] | None = None  # one per step, in the format of the table


class Targets(NamedTuple):
    """The values after each window."""

    values: np.ndarray  # (batch, horizon, columns), minus the last value of the window
    known: np.ndarray  # true where the value is not missing


def load(config: Forecasting) -> Data:
    """Read the table and split it by time; normalise by statistics of the training part.

    Raises:
      InputError: a file that cannot be read, or is too short.
    """
    settings = config.data
    table = read_columns(settings.path, settings.time, settings.columns, settings)
    steps = len(table.values)
    test, validation = int(steps * settings.test), int(steps * settings.validation)
    ends = np.array([steps - test - validation, steps - test, steps])
    needed = settings.context + settings.horizon
    if ends[0] < needed or min(test, validation) < settings.horizon:
        raise InputError(
            f"{table.source} is too short: of {steps} steps, {ends[0]} are to train on, "
            f"{validation} for validation and {test} for the test; --data.context "
            f"{settings.context} and --data.horizon {settings.horizon} need {needed}, "
            f"{settings.horizon} and {settings.horizon}; "
            + _sizes_that_fit(settings, int(ends[0]), min(test, validation))
        )
    part = table.values[: ends[0]]
    mean, deviation = mean_and_deviation(
        table.source, part, [f"column {name!r}" for name in table.names]
    )
    about = {
        "columns": table.names, "time": table.time, "date_order": table.date_order,
        "mean": mean.tolist(), "spread": deviation.tolist(),
    }  # fmt: skip
    values = normalised(table.values, about)
    firsts = np.array([0, ends[0] - settings.context, ends[1] - settings.context])
    sizes = (settings.context, settings.horizon, table.times)
    splits = [
        Windows(values, np.arange(first, end - needed + 1), *sizes)
        for first, end in zip(firsts, ends, strict=True)
    ]  # fmt: skip
    train, valid, tested = nonempty = [_drop_empty(split) for split in splits]
    for name, split in zip(("training", "validation", "test"), nonempty, strict=True):
        if not len(split.starts):
            raise InputError(f"{table.source}: all values of the {name} part are missing")
    facts = {
        "persistence_mae": persistence(tested), "columns": table.names,
        "rows": steps - table.gaps, "gaps": table.gaps, "steps_of_time": steps,
        "time": table.time, "step_of_time": table.step,
        "missing": int(np.isnan(table.values).sum()), "missing_spellings": table.missing,
        "left_out": table.left_out,
        "train_windows": len(train.starts), "test_windows": len(tested.starts),
    }  # fmt: skip
    count = len(table.names)
    shape = Shape(0, 2 * count, settings.horizon * count)
    return Data(train, valid, tested, shape, about, facts, table.source, table.sha256)


def _sizes_that_fit(settings: Table, train: int, least: int) -> str:
    """The flags of sizes that leave several windows to train on, if there are any."""
    horizon = min(settings.horizon, least, train // 2)
    if horizon < 1:
        return "a forecast needs more rows"
    context = min(settings.context, max(1, (train - horizon) // 2))
    return f"these would fit: --data.context {context} --data.horizon {horizon}"


def read(config: Forecasting, about: dict[str, Any], path: str) -> Windows:
    """Read all windows of another file; `table` forecasts from its end.

    Raises:
      InputError: as `load`, or columns that are missing.
    """
    settings = config.data
    order = settings.date_order or about.get("date_order")  # a short table may leave it open
    how = replace(settings, date_order=order)
    table = read_columns(path, about["time"], tuple(about["columns"]), how)
    if len(table.values) < settings.context:
        raise InputError(
            f"{path} is too short: {len(table.values)} steps, data.context = {settings.context} "
            "are needed"
        )
    starts = np.arange(len(table.values) - settings.context - settings.horizon + 1)
    values = normalised(table.values, about)
    return _drop_empty(Windows(values, starts, settings.context, settings.horizon, table.times))


def normalised(values: np.ndarray, about: dict[str, Any]) -> np.ndarray:
    """Normalise by the mean and deviation of each column in the training part."""
    return ((values - about["mean"]) / about["spread"]).astype(np.float32)


def _drop_empty(split: Windows) -> Windows:
    """Drop the windows without a value to forecast or as input."""
    known = ~np.isnan(split.values).all(1)
    seen = np.concatenate([[0], np.cumsum(known)])
    middle = split.starts + split.context
    good = (seen[middle] > seen[split.starts]) & (seen[middle + split.horizon] > seen[middle])
    return split._replace(starts=split.starts[good])


def _seen(split: Windows, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The windows' inputs, `(batch, context, columns)`, and the last known value of each column.

    For a column without a known value it is 0, the mean of the training part.
    """
    context = split.values[starts[:, None] + np.arange(split.context)]
    known = ~np.isnan(context)
    last = split.context - 1 - known[:, ::-1].argmax(1)
    values = np.take_along_axis(context, last[:, None], 1)[:, 0]
    return context, np.where(known.any(1), values, 0)


def _batch(split: Windows, places: np.ndarray, own: slice = ALL_ROWS) -> Batch:
    """The rows `own` of the windows of these indices; -1 only fills the batch."""
    places = places[own]
    starts = split.starts[places]
    context, last = _seen(split, starts)
    after = split.values[starts[:, None] + split.context + np.arange(split.horizon)]
    known = ~np.isnan(after) & (places >= 0)[:, None, None]
    targets = np.where(known, np.nan_to_num(after) - last[:, None], 0).astype(np.float32)
    missing = np.isnan(context)
    changes = np.where(missing, 0, context - last[:, None])  # a trend stays in the trained range
    inputs = np.concatenate([changes, missing], axis=-1).astype(np.float32)
    lengths = np.where(places >= 0, split.context, 0).astype(np.int32)
    return Batch(inputs, Targets(targets, known), lengths, np.full(len(places), True))


def batches(config: Forecasting, data: Data, own: slice = ALL_ROWS) -> grain.MapDataset:
    """The rows `own` of the training batch of every step."""
    drawn = drawn_by_length([1] * len(data.train.starts), config.data.rows, 1, config.seed)
    return every_step(lambda step: _batch(data.train, drawn(step), own))


def in_order(
    config: Forecasting, split: Windows, rows: int, own: slice = ALL_ROWS
) -> Iterator[Batch]:
    """Every window once."""
    for places in by_length.in_order(len(split.starts), rows):
        yield _batch(split, places, own)


def _errors(outputs: Array, batch: Batch) -> Array:
    """The error of each forecast, in standard deviations of its column; 0 for missing values."""
    targets = batch.targets
    return jnp.where(targets.known, outputs.reshape(targets.values.shape) - targets.values, 0)


def loss(outputs: Array, batch: Batch) -> tuple[Array, Array]:
    """The sum of squared errors of all forecasts, and their number."""
    return (_errors(outputs, batch) ** 2).sum(), batch.targets.known.sum()


def measure(outputs: Array, batch: Batch) -> Sums:
    """Mean absolute and mean squared error, in standard deviations of each column."""
    errors, count = _errors(outputs, batch), batch.targets.known.sum()
    return {"mae": (jnp.abs(errors).sum(), count), "mse": ((errors**2).sum(), count)}


def persistence(split: Windows) -> float:
    """The mean absolute error of the persistence forecast, which repeats the last value."""
    total = count = 0
    for places in by_length.in_order(len(split.starts), 1024):
        targets = _batch(split, places).targets
        total += np.abs(targets.values, dtype=np.float64).sum()
        count += targets.known.sum()
    return float(total / count)


def forecasts(config: Forecasting, about: dict, split: Windows, run: Run) -> np.ndarray:
    """`(windows, horizon, columns)` in the units of the table."""
    parts = []
    size = (split.horizon, len(about["columns"]))
    for places, (batch, outputs) in zip(
        by_length.in_order(len(split.starts), config.data.rows),
        run(in_order(config, split, config.data.rows)),
        strict=True,
    ):
        _, last = _seen(split, split.starts[places])
        changes = np.asarray(outputs).reshape(-1, *size) + last[:, None]
        parts.append(changes[batch.lengths > 0])
    return np.concatenate(parts) * about["spread"] + about["mean"]


def table(config: Forecasting, about: dict, split: Windows, run: Run) -> Iterator[list]:
    """The steps after the end of the table."""
    end, horizon = len(split.values), split.horizon
    after = np.full((horizon, split.values.shape[1]), np.nan, np.float32)
    last = split._replace(
        values=np.concatenate([split.values, after]), starts=np.array([end - split.context])
    )
    (forecast,) = forecasts(config, about, last, run)
    order = config.data.date_order or about.get("date_order")
    times = None if split.times is None else times_after(split.times, horizon, order)
    yield ["step", *([about["time"] or "time"] if times else []), *about["columns"]]
    for k, row in enumerate(forecast):
        yield [k + 1, *([times[k]] if times else []), *digits(row)]


def draw(figure: Figure, config: Forecasting, data: Data, run: Run) -> None:
    """Consecutive forecasts in the test split, in the units of the table."""
    from train.output.pictures import draw_forecasts

    split = data.test
    consecutive = split._replace(starts=split.starts[:: split.horizon])
    forecast_values = forecasts(config, data.about, consecutive, run)
    values = split.values * data.about["spread"] + data.about["mean"]
    first = max(int(consecutive.starts[0]), len(values) - max(DRAWN, 4 * split.horizon))
    starts = consecutive.starts + split.context
    drawn = [
        (start, forecast)
        for start, forecast in zip(starts, forecast_values, strict=True)
        if start >= first
    ]
    whole = first == consecutive.starts[0]
    part = "The test split" if whole else f"The last {len(values) - first} steps"
    title = f"{part}, {split.horizon} steps ahead each time"
    time = (data.about["time"] or "time") if split.times else "time step of the table"
    draw_forecasts(figure, title, data.about["columns"], values, drawn, first, split.times, time)


TASK = Task(
    title="Forecasting",
    load=load, read=read, batches=batches, in_order=in_order, loss=loss, measure=measure,
    table=table, draw=draw,
    headline="mae", unit="mse", baseline="persistence_mae", per_step=False,
    picture=(
        "The columns of the table over the test split, as measured, and the forecasts of the "
        "model, each made from the steps before it."
    ),
    view=views.window_view,
)  # fmt: skip
