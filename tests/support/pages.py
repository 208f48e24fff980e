"""Pages of `train.inspect`, and their content: JSON, base64, deflate."""

import base64
import json
import re
import zlib

import numpy as np
from rich.console import Console

from train import inspect
from train.config.command import DataFile

NASTY = (
    "</script><img src=x onerror=alert(1)>\t\x01 e\u0301 \u05e9\u05dc\u05d5\u05dd \u202e \u4f60 "
    "\U0001f422\u200d <!-- &amp; @CONTENT@ \u2028\x0b\n" + "long" * 99 + "\n"
)


def make_page(run, **options) -> str:
    """The page of a run as text; `path` is the data."""
    if "path" in options:
        options["data"] = DataFile(str(options.pop("path")))
    return inspect.inspect(inspect.Command(run, **options), Console(quiet=True))[0]


def content_of(page: str) -> dict:
    """The content of a page; each quantity of a block is `(time, units)` by letter."""
    text = re.search(r'<script type="application/json" id="content">(.*?)</script>', page)[1]
    content = _revived(json.loads(text))
    stored = dict(re.findall(r'<script type="text/plain" id="array-(\d+)">(.*?)</script>', page))
    for block in content["blocks"]:
        block["values"], block["bound"] = {}, {}
        for one in block["quantities"]:
            data = zlib.decompress(base64.b64decode(stored.pop(str(one["array"]))), wbits=-15)
            low, high = (one[name].astype(np.float64) for name in ("low", "high"))
            codes = np.frombuffer(data, np.uint8).reshape(len(low), content["steps"]).T
            block["values"][one["name"]] = low + codes * (high - low) / 255
            block["bound"][one["name"]] = (high - low) / 510 + 1e-6  # and float32
    assert not stored
    return content


def _revived(value):
    if isinstance(value, list):
        return [_revived(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value and "data" in value:
        data = base64.b64decode(value["data"])
        return np.frombuffer(data, value["array"]).reshape(value["shape"])
    return {key: _revived(item) for key, item in value.items()}
