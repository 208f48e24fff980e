"""Settings that all tasks share, each with its default and range, as frozen dataclasses."""

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
    """Size of a token's embedding; inputs that are numbers have none."""
    hidden: Annotated[tuple[Size, ...], Field(min_length=1)] = (256,)
    """Units of each layer."""
    cell: Cell = "lstm"
    """The layer type: see docs/layers.md."""
    projection: Size | None = None
    """Output size of each layer; for `cell = "projected"` only."""
    bidirectional: bool = False
    """Run each layer in both directions; for tasks with one output per sequence."""
    residual: bool = False
    """Add each layer's input to its output, from the second layer."""
    tie_weights: bool = False
    """Use the embedding of a language model as its output layer too (Press and Wolf 2017)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """The type of the computation; weights are float32."""
    save: Literal["gates", "states"] | Count = "gates"
    """Values saved for the backward pass: gates, states, or a number K for one state every K steps.
    They take 6, 2, or 2/K floats per step and unit."""
    implementation: Literal["fused", "scan"] | None = None
    """Implementation of the LSTM's recurrence; without one the default of jlstm."""


@dataclass(frozen=True)
class Regularize:
    """Regularisation, applied in training only."""

    __pydantic_config__ = STRICT

    inputs: Rate = 0.0
    """Dropout of the first layer's input, one mask per sequence (Gal and Ghahramani 2016)."""
    layers: Rate = 0.0
    """Dropout between layers, with a new mask at every time step."""
    outputs: Rate = 0.0
    """Dropout of the last layer's output, with a new mask at every time step."""
    weights: Rate = 0.0
    """Dropout of the recurrent weights, one mask for all steps (Merity et al. 2018)."""
    zoneout_h: Rate = 0.0
    """Zoneout of h: the rate of units that keep their old value (Krueger et al. 2017)."""
    zoneout_c: Rate = 0.0
    """Zoneout of c."""
    activation: NotNegative = 0.0
    """Weight of the penalty on the mean square of the last layer's output (Merity et al. 2017)."""
    temporal: NotNegative = 0.0
    """Weight of the penalty on the mean square of the output's change between steps."""


@dataclass(frozen=True)
class Optimizer:
    """AdamW with warm-up, cosine decay and clipping."""

    __pydantic_config__ = STRICT

    learning_rate: Positive = 3e-3
    """The peak learning rate, reached after the warm-up."""
    final_learning_rate: NotNegative = 3e-5
    """The learning rate at the last step."""
    warmup: Whole = 50
    """Steps of warm-up, from a learning rate of 0."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay (Loshchilov and Hutter 2019), of matrices only."""
    clip: Positive = 1.0
    """The largest global norm of the gradient."""
    accumulate: Count = 1
    """Steps whose gradients are averaged into one update of the weights."""
    average: Rate = 0.0
    """Decay of an exponential moving average of the weights; 0 for none.
    The average is then measured and saved in place of the weights."""


@dataclass(frozen=True)
class Log:
    """Intervals of logging and validation, in steps. They do not change the training."""

    __pydantic_config__ = STRICT

    every: Count = 10
    """Steps between two lines of metrics."""
    validate_every: Count = 100
    """Steps between two validations."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard as well."""


@dataclass(frozen=True)
class Distributed:
    """The processes of a run on several hosts, when not detected from SLURM or Kubernetes."""

    coordinator: str | None = None
    """HOST:PORT of the first process, which all processes must reach."""
    processes: Count | None = None
    """The number of processes; each runs the same command."""
    process: Whole | None = None
    """The index of this process, from 0."""
    timeout: Count = 300
    """Seconds to wait for the other processes at the start."""


@dataclass(frozen=True)
class Config:
    """The settings of every task."""

    __pydantic_config__ = STRICT

    task: str = ""
    """The name of a task in `train.config.tasks.CONFIGS`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the weights, the order of the data and the samples."""
    steps: Count = 1000
    """Training steps in total, over which the learning rate decays.
    Resuming with a larger value raises the rate again, and differs from one longer run."""
    checkpoint_every: Count = 100
    """Steps between two checkpoints: the most work that a killed run can lose."""
    stop_after: Whole = 0
    """Stop early after this many validations in a row without improvement; 0 for never."""
    trials: Count = 1
    """Seeds to train at once, by one `vmap`: `seed`, `seed + 1`, and so on.
    Figures are their mean, with the standard deviation."""
    shard_weights: bool = False
    """Shard the weights, the optimizer state and the average over the devices (FSDP).
    For models too large for one device; figures are the same, to rounding."""
    data: Any = None
    """The data of the task."""
    model: Model = field(default_factory=Model)
    regularize: Regularize = field(default_factory=Regularize)
    optimizer: Optimizer = field(default_factory=Optimizer)
    log: Log = field(default_factory=Log)
