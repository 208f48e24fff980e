"""One HTML file that needs no other: the page, its style and its program, and the numbers."""

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

from train.viewer import Block, Subject
from train.viewer.packed import Quantised, deflated, packed
from train.viewer.scores import Followed

EARLIEST = 30  # the step that is shown at first: the memory has filled by then
FOLDER = Path(__file__).parent / "page"
SCRIPTS = (  # in this order one program: what a later file does at once may need an earlier one
    "data", "characters", "colours", "canvas", "text", "lines", "roll", "series", "overview",
    "cell", "moment", "units", "search", "player", "main", "start",
)  # fmt: skip


def page(
    title: str,
    source: str,
    subject: Subject,
    blocks: Sequence[Block],
    units: Sequence[dict[str, Quantised]],
    followed: Sequence[Followed],
) -> str:
    """The page as text.

    Args:
      title: what stands above it.
      source: of the data, in words.
      subject: the sequence.
      blocks: what the layers did.
      units: the same as bytes, by letter.
      followed: what units follow.
    """
    arrays: list[str] = []
    content = {
        "title": title,
        "source": source,
        "facts": subject.facts,
        "kind": subject.kind,
        "steps": len(subject.inputs),
        **subject.shown,
        "blocks": [
            {"layer": b.layer, "direction": b.direction, "kind": b.kind,
             "quantities": [_stored(name, u[name], arrays) for name in b.values]}
            for b, u in zip(blocks, units, strict=True)
        ],
        "followed": [_followed(one) for one in followed],
        "first": first_view(followed, len(subject.inputs)),
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
    """JSON that can stand in a script element: nothing in it can end that."""
    text = json.dumps(packed(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def first_view(followed: Sequence[Followed], steps: int) -> dict[str, Any]:
    """What is shown at first: a unit, what it follows, and a step.

    What takes memory comes before what does not, and yes and no before numbers; of yes and no, the
    step says yes.
    """
    beyond = [k for k, one in enumerate(followed) if one.best[0].score > one.chance]
    memory = [k for k in beyond if followed[k].feature.memory]
    yes = [k for k in memory if followed[k].feature.values.dtype == np.bool_]
    step = min(EARLIEST, steps - 1)
    chosen = next(iter(yes or memory or beyond), None)
    if chosen is None:
        return {"block": 0, "quantity": "c", "unit": 0, "feature": None, "step": step}
    if chosen in yes:
        places = np.flatnonzero(followed[chosen].feature.values[step:])
        step += int(places[0]) if places.size else 0
    best = followed[chosen].best[0]
    return {"block": best.block, "quantity": best.quantity, "unit": best.unit, "feature": chosen,
            "step": step}  # fmt: skip


def _stored(name: str, units: Quantised, arrays: list[str]) -> dict[str, Any]:
    arrays.append(deflated(units.bytes.tobytes()))
    return {"name": name, "array": len(arrays) - 1, "low": units.low, "high": units.high}


def _followed(one: Followed) -> dict[str, Any]:
    values = one.feature.values
    low, high = float(values.min()), float(values.max())
    line = np.rint((values - np.float64(low)) / (high - low) * 255).astype(np.uint8)  # to be drawn
    return {
        "name": one.feature.name, "about": one.feature.about, "memory": one.feature.memory,
        "chance": one.chance, "yes": values.dtype == np.bool_, "values": line,
        "least": low, "highest": high,
        "best": [follower._asdict() for follower in one.best],
    }  # fmt: skip


def _hash(text: str) -> str:
    """Of an element's content, for the page's policy: nothing else runs, or is fetched."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
