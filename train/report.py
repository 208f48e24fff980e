"""What a finished run leaves: weights, curves, samples and the final figures."""

import io
import json
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure

from jlstm.interop.files import write_bytes
from train import metrics
from train.config import Config
from train.data import Text, unigram_bits
from train.files import write_text
from train.model import CharLM
from train.step import evaluate
from train.weights import save_weights


def write_report(
    out: Path, config: Config, text: Text, params: CharLM, seconds: float, rate: float
) -> dict[str, Any]:
    """Measure the test split and write the results, `result.json` last.

    Args:
      out: the run's folder.
      config: its config.
      text: its text.
      params: its final weights.
      seconds: wall time of the run so far.
      rate: characters a second in training, compilation aside.

    Returns:
      The figures of `result.json`.
    """
    lines = metrics.read(out, config.steps)
    unigram = unigram_bits(text.train, text.test, len(text.vocabulary))
    save_weights(out / "params.safetensors", params, text.vocabulary, config.model)
    write_text(out / "samples.txt", _samples(lines))
    write_bytes(out / "curves.png", _curves(lines, unigram))
    result = {
        "bits_per_char": evaluate(params, text.test, config.data.rows, config.data.chunk),
        "unigram_bits_per_char": unigram,
        "validation_bits_per_char": _last(lines, "validation_bits_per_char"),
        "steps": config.steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "vocabulary": len(text.vocabulary),
        "train_characters": len(text.train),
        "test_characters": len(text.test),
        "seconds": round(seconds, 2),
        "chars_per_second": round(rate),
        "text": text.source,
        "text_sha256": text.sha256,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
    write_text(out / "result.json", json.dumps(result, indent=2) + "\n")
    return result


def _last(lines: list[dict[str, Any]], name: str) -> Any:
    return next((line[name] for line in reversed(lines) if name in line), None)


def _samples(lines: list[dict[str, Any]]) -> str:
    samples = [line for line in lines if "sample" in line]
    return "".join(f"=== step {line['step']} ===\n{line['sample']}\n\n" for line in samples)


def _curves(lines: list[dict[str, Any]], unigram: float) -> bytes:
    """Bits per character over steps: training, validation, and the baseline."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, label, color, marker in (
        ("train_bits_per_char", "training", "#9ab5d9", ""),
        ("validation_bits_per_char", "validation", "#c2410c", "."),
    ):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            label = f"{label}, {points[-1][1]:.2f} at the end"
            axes.plot(*zip(*points, strict=True), label=label, color=color, marker=marker)
    axes.axhline(
        unigram, color="gray", linestyle=":", label=f"character frequencies alone, {unigram:.2f}"
    )
    axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    return image.getvalue()
