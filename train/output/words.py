"""The names in `result.json`, explained for readers who do not know this program."""

from typing import Any

# A name, and an explanation that ends with the better direction.
FIGURES = {
    "bits_per_char": (
        "Bits per character",
        "Mean of -log2 of the probability that the model gave to the next character; lower is "
        "better.",
    ),
    "accuracy": ("Accuracy", "Share of sequences whose class is predicted; higher is better."),
    "cross_entropy": (
        "Cross-entropy",
        "Nats per sequence, -log of the probability of its class; lower is better.",
    ),
    "mae": (
        "Mean absolute error",
        "In standard deviations of each column over the training part; lower is better.",
    ),
    "mse": (
        "Mean squared error",
        "In squared standard deviations of each column; lower is better.",
    ),
    "nll_per_step": (
        "Negative log-likelihood",
        "Nats per time step, summed over the 88 keys; lower is better.",
    ),
    "frame_accuracy": (
        "Frame-level accuracy",
        "Keys that are both predicted and played, as a share of those that are either "
        "(Bay et al. 2009); higher is better.",
    ),
}

BASELINES = {
    "unigram_bits_per_char": "a model that knows only how often each character occurs",
    "majority_accuracy": "always predicting the most frequent class",
    "persistence_mae": "a forecast that repeats the last value",
    "frequencies_nll_per_step": "a model that knows only how often each key is played",
}

FACTS = {
    "vocabulary": "Different characters",
    "train_characters": "Characters in the training split",
    "test_characters": "Characters in the test split",
    "classes": "Classes",
    "train_sequences": "Sequences in the training split",
    "validation_sequences": "Sequences in the validation split",
    "test_sequences": "Sequences in the test split",
    "columns": "Columns that are forecast",
    "rows": "Rows in the file",
    "gaps": "Missing rows, filled in as gaps",
    "steps_of_time": "Time steps, gaps included",
    "time": "Column of times",
    "step_of_time": "Time between two steps",
    "date_order": "Order of day and month",
    "missing": "Missing values",
    "missing_spellings": "Cells read as missing",
    "left_out": "Columns left out",
    "train_windows": "Windows in the training split",
    "test_windows": "Windows in the test split",
    "train_pieces": "Pieces in the training split",
    "valid_pieces": "Pieces in the validation split",
    "test_pieces": "Pieces in the test split",
    "test_steps": "Time steps in the test split",
}


def figure_name(name: str) -> str:
    """The name of a figure in words; an unknown name without underscores."""
    return FIGURES.get(name, (spelled(name), ""))[0]


def baseline_words(name: str) -> str:
    """A description of a baseline."""
    return BASELINES.get(name, spelled(name))


def fact_name(name: str) -> str:
    """A row of the table about the data."""
    return FACTS.get(name, spelled(name))


def spelled(name: str) -> str:
    """Spell out an internal name."""
    return name.replace("_", " ").capitalize()


def value_text(value: Any) -> str:
    """Format a value for a table: digits in groups of three, lists with commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {value_text(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    return str(value)
