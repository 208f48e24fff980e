"""Every setting with its default and range: frozen dataclasses, one config a task."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1, le=2**20)]
Rows = Annotated[int, Field(ge=1, le=2**16)]
Bucket = Annotated[int, Field(ge=1, le=256)]
Whole = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, lt=0.5)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Cell = Literal[
    "lstm", "projected", "peephole", "coupled", "layer_norm", "no_forget", "gru", "cho_gru", "rnn"
]
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Model:
    """The layers between the inputs and the outputs."""

    __pydantic_config__ = STRICT

    embedding: Size = 64
    """Features of a token's embedding; inputs that are numbers have none."""
    hidden: Annotated[tuple[Size, ...], Field(min_length=1)] = (256,)
    """Units of each layer."""
    cell: Cell = "lstm"
    """The kind of all layers: see docs/layers.md."""
    projection: Size | None = None
    """Numbers that a projected layer shows; of `cell = "projected"` alone."""
    bidirectional: bool = False
    """Whether each layer reads in both directions; for tasks with one output a sequence."""
    residual: bool = False
    """Whether what a layer reads is added to what it shows, after the first layer."""
    tie_weights: bool = False
    """Whether the output layer of a language model is its embedding (Press and Wolf 2017)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the computation; the weights are float32."""
    save: Literal["gates", "states"] | Count = "gates"
    """What is kept for the backward pass: 6 or 2 floats a step and unit, or 2/K for a number K."""
    implementation: Literal["fused", "scan"] | None = None
    """Of the LSTM's recurrence, by name; without one the best for the platform."""


@dataclass(frozen=True)
class Regularize:
    """What is done in training alone, against learning the data by heart."""

    __pydantic_config__ = STRICT

    inputs: Rate = 0.0
    """Dropout of what the first layer reads, one mask a sequence (Gal and Ghahramani 2016)."""
    layers: Rate = 0.0
    """Dropout between layers, at every step anew."""
    outputs: Rate = 0.0
    """Dropout of what the last layer shows, at every step anew."""
    weights: Rate = 0.0
    """Weight drop: of the recurrent weights, for all steps alike (Merity et al. 2018)."""
    zoneout_h: Rate = 0.0
    """Share of h that stays as it was, at every step anew (Krueger et al. 2017)."""
    zoneout_c: Rate = 0.0
    """Share of c that stays as it was."""
    activation: NotNegative = 0.0
    """Weight of the mean square of what the last layer shows (Merity et al. 2017)."""
    temporal: NotNegative = 0.0
    """Weight of the mean square of its change from step to step."""


@dataclass(frozen=True)
class Optimizer:
    """AdamW with warm-up, cosine decay and clipping."""

    __pydantic_config__ = STRICT

    learning_rate: Positive = 3e-3
    """The highest learning rate, reached after the warm-up."""
    final_learning_rate: NotNegative = 3e-5
    """The learning rate at the last step."""
    warmup: Whole = 50
    """Steps of warm-up, from a learning rate of 0."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay (Loshchilov and Hutter 2019), of matrices alone."""
    clip: Positive = 1.0
    """Largest global norm of the gradient."""
    accumulate: Count = 1
    """Steps whose gradients are averaged into one change of the weights."""
    average: Rate = 0.0
    """Decay of a running average of the weights, which is then what is measured and saved."""


@dataclass(frozen=True)
class Log:
    """What is shown, and how often, in steps. None of it changes the training."""

    __pydantic_config__ = STRICT

    every: Count = 10
    """Steps between two lines of metrics."""
    validate_every: Count = 100
    """Steps between two validations."""
    tensorboard: bool = False
    """Whether the metrics are written for TensorBoard as well."""


@dataclass(frozen=True)
class Distributed:
    """The processes of a run on several hosts, where SLURM or Kubernetes do not tell of them."""

    coordinator: str | None = None
    """HOST:PORT of the first process, where all of them can reach it."""
    processes: Count | None = None
    """How many they are; the same command runs in each."""
    process: Whole | None = None
    """Which of them this is, from 0."""
    timeout: Count = 300
    """Seconds to wait for the others at the beginning."""


@dataclass(frozen=True)
class Config:
    """What every task has."""

    __pydantic_config__ = STRICT

    task: str = ""
    """What is learned: char_lm, classification, forecasting or piano_roll."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of weights, of the order of the data and of samples."""
    steps: Count = 1000
    """Training steps in all. The learning rate falls over them: to ask for more later goes on, with
    the learning rate raised again, and is not the same as to ask for them at first."""
    checkpoint_every: Count = 100
    """Steps between two checkpoints: what a kill can cost at most."""
    stop_after: Whole = 0
    """Validations in a row without a better one that end the run early; 0 is never."""
    trials: Count = 1
    """Seeds that are trained at once, by one `vmap`: `seed`, `seed + 1`, and so on. Figures are
    their mean, with the spread beside it."""
    shard_weights: bool = False
    """Whether each device keeps a part of the weights, of the optimizer's state and of the average
    (FSDP), for models that are too large for one. Figures are the same, to rounding."""
    data: Any = None
    """Of the task."""
    model: Model = field(default_factory=Model)
    regularize: Regularize = field(default_factory=Regularize)
    optimizer: Optimizer = field(default_factory=Optimizer)
    log: Log = field(default_factory=Log)
