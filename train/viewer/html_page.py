"""The page as one self-contained HTML file: markup, style, program and numbers."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.viewer import LayerActivations, SequenceView
from train.viewer.encoding import Quantised, deflate, to_json
from train.viewer.scores import Followed

EARLIEST = 30  # the first step to show: by then the memory is no longer near zero
FOLDER = Path(__file__).parent / "page"
SCRIPTS = (  # joined in this order: later files use names of earlier ones at the top level
    "data", "characters", "colours", "canvas", "text", "lines", "roll", "series", "overview",
    "cell", "moment", "units", "search", "player", "main", "start",
)  # fmt: skip


def page(
    title: str,
    source: str,
    view: SequenceView,
    activations: Sequence[LayerActivations],
    units: Sequence[dict[str, Quantised]],
    followed: Sequence[Followed],
) -> str:
    """The page as text.

    Args:
      title: the heading.
      source: the source of the data, in words.
      view: the sequence.
      activations: the values of each layer and direction.
      units: the same values as bytes, by letter.
      followed: the features that units follow.
    """
    arrays: list[str] = []
    content = {
        "title": title,
        "source": source,
        "facts": view.facts,
        "kind": view.kind,
        "steps": len(view.inputs),
        **view.content,
        "blocks": [
            {"layer": one.layer, "direction": one.direction, "type": one.layer_type,
             "quantities": [_store(name, quantised[name], arrays) for name in one.values]}
            for one, quantised in zip(activations, units, strict=True)
        ],
        "followed": [_followed_content(one) for one in followed],
        "first": first_view(followed, len(view.inputs)),
    }  # fmt: skip
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    scripts = (f"{name}.js" for name in SCRIPTS)
    program = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in scripts)
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    parts = {
        "POLICY": f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(program)}'",
        "TITLE": html.escape(title),
        "STYLE": style,
        "CONTENT": as_script(content),
        "ARRAYS": "".join(
            f'<script type="text/plain" id="array-{k}">{data}</script>\n'
            for k, data in enumerate(arrays)
        ),
        "PROGRAM": program,
    }
    return re.sub("@([A-Z]+)@", lambda mark: parts[mark[1]], template)


def as_script(content: Any) -> str:
    """Serialise to JSON that cannot end the script element that holds it."""
    text = json.dumps(to_json(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def first_view(followed: Sequence[Followed], steps: int) -> dict[str, Any]:
    """The first unit, feature and step to show.

    Features that need memory come first, and among those the ones of true and false; the step is
    one at which such a feature is true.
    """
    above_chance = [k for k, one in enumerate(followed) if one.best[0].score > one.chance]
    memory = [k for k in above_chance if followed[k].feature.memory]
    boolean = [k for k in memory if followed[k].feature.values.dtype == np.bool_]
    step = min(EARLIEST, steps - 1)
    chosen = next(iter(boolean or memory or above_chance), None)
    if chosen is None:
        return {"block": 0, "quantity": "c", "unit": 0, "feature": None, "step": step}
    if chosen in boolean:
        places = np.flatnonzero(followed[chosen].feature.values[step:])
        step += int(places[0]) if places.size else 0
    best = followed[chosen].best[0]
    return {"block": best.block, "quantity": best.quantity, "unit": best.unit, "feature": chosen,
            "step": step}  # fmt: skip


def _store(name: str, units: Quantised, arrays: list[str]) -> dict[str, Any]:
    arrays.append(deflate(units.bytes.tobytes()))
    return {"name": name, "array": len(arrays) - 1, "low": units.low, "high": units.high}


def _followed_content(one: Followed) -> dict[str, Any]:
    values = one.feature.values
    low, high = float(values.min()), float(values.max())
    curve = np.rint((values - np.float64(low)) / (high - low) * 255).astype(np.uint8)
    return {
        "name": one.feature.name, "about": one.feature.about, "memory": one.feature.memory,
        "chance": one.chance, "boolean": values.dtype == np.bool_, "values": curve,
        "low": low, "high": high,
        "best": [follower._asdict() for follower in one.best],
    }  # fmt: skip


def _hash(text: str) -> str:
    """The hash of an element for the content security policy, which allows nothing else."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
