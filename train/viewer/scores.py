"""Which units follow what: by ranks alone, and held against what chance gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from train.viewer import Feature
from train.viewer.encoding import Quantised

SHIFTS = 20  # times that a feature is moved against the units, to see what chance gives
BEST = 6  # units that are kept of each feature
MOST = 24  # features that are kept
FEWEST = 3  # steps that say yes, and that say no
DIGITS = 5  # of a score: the rest is rounding, which differs from one processor to the next


class Follower(NamedTuple):
    """A unit that follows a feature."""

    block: int  # place among the blocks
    quantity: str  # i, f, g, o, c or h
    unit: int
    score: float
    rises: bool  # whether it is higher where the feature is, and not lower


class Followed(NamedTuple):
    """A feature, and the units that follow it best: each at most once, by its best quantity."""

    feature: Feature
    chance: float  # the best score that any unit reaches when the feature is moved in time
    best: list[Follower]


def rank(blocks: Sequence[dict[str, Quantised]], features: Sequence[Feature]) -> list[Followed]:
    """The features, those first that need memory, and of them what units follow furthest.

    The score of numbers is Spearman's rank correlation, without its sign; that of yes and no is the
    area under the ROC curve, or 1 less it: how often a step with yes has the higher value than one
    with no. Both are of the bytes that the page shows. For chance, each feature is moved around the
    sequence by `SHIFTS` random amounts: it keeps its own pattern and loses any tie to the units.

    Args:
      blocks: the units, by letter.
      features: to follow. Those that do not change, or almost never, are left out.

    Example:
      >>> import numpy as np
      >>> from train.viewer.encoding import quantise
      >>> rng = np.random.default_rng(0)
      >>> noise, on = rng.normal(size=(400, 5)), rng.random(400) < 0.2
      >>> noise[:, 3] += 9 * on
      >>> (found,) = rank([{"c": quantise(noise)}], [Feature("on", on)])
      >>> found.best[0].unit, found.best[0].score, found.chance < 0.8
      (3, 1.0, True)
    """
    features = [feature for feature in features if _changes(feature)]
    if not features:
        return []
    columns = [_moved(feature) for feature in features]
    weights = np.concatenate(columns, axis=1).astype(np.float32)
    offsets = np.array([0.5 if f.values.dtype == bool else 0.0 for f in features])
    chance = np.zeros(len(features))
    found: list[list[Follower]] = [[] for _ in features]
    for block, quantities in enumerate(blocks):
        for name, units in quantities.items():
            products = _products(units, weights, offsets == 0)
            scores = np.round(np.abs(products) + offsets[:, None], DIGITS)
            chance = np.maximum(chance, scores[:, :, 1:].max((0, 2)))
            for k in range(len(features)):
                for unit in np.argsort(-scores[:, k, 0], kind="stable")[:BEST]:
                    rises = bool(products[unit, k, 0] > 0)
                    score = float(scores[unit, k, 0])
                    found[k].append(Follower(block, name, int(unit), score, rises))
    ranked = [
        Followed(f, float(c), list(_once(some)))
        for f, c, some in zip(features, chance, found, strict=True)
    ]
    ranked.sort(key=lambda one: (one.chance - one.best[0].score) / max(1 - one.chance, 1e-3))
    return sorted(ranked[:MOST], key=lambda one: not one.feature.memory)


def midranks(codes: np.ndarray) -> np.ndarray:
    """The rank of each byte in its row, from 1; equal ones share the mean of theirs."""
    rows = len(codes)
    places = codes + 256 * np.arange(rows)[:, None]
    counts = np.bincount(places.ravel(), minlength=256 * rows).reshape(rows, 256)
    middle = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return np.take(middle.ravel(), places)


def _changes(feature: Feature) -> bool:
    values = feature.values
    if values.dtype == bool:
        return FEWEST <= values.sum() <= len(values) - FEWEST
    return bool(np.ptp(values) > 0) if len(values) else False


def _moved(feature: Feature) -> np.ndarray:
    """The feature as it is, and moved around by random amounts, `(time, 1 + SHIFTS)`.

    Scaled so that its product with centred ranks is the score, or twice the norm of the ranks.
    """
    values, time = feature.values, len(feature.values)
    if values.dtype == bool:
        yes = values.sum()
        column = (values - yes / time) / (yes * (time - yes))
    else:
        _, places = np.unique(values, return_inverse=True)
        counts = np.bincount(places)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
        column = ranks - ranks.mean()
        column = column / np.linalg.norm(column)
    moves = np.random.default_rng(0).integers(time // 4, max(time - time // 4, 1), SHIFTS)
    return np.stack([column, *(np.roll(column, move) for move in moves)], axis=1)


def _products(units: Quantised, weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Scores with their signs, less a half for yes and no: `(units, features, 1 + SHIFTS)`."""
    ranks = midranks(units.bytes)
    centred = (ranks - (ranks.shape[1] + 1) / 2).astype(np.float32)
    norms = np.linalg.norm(centred, axis=1)
    products = (centred @ weights).reshape(len(centred), -1, 1 + SHIFTS)
    products[:, numbers] /= np.maximum(norms, 1e-6)[:, None, None]
    return products


def _once(some: Sequence[Follower]) -> Iterator[Follower]:
    """The best, each unit of a layer once."""
    seen: set[tuple[int, int]] = set()
    for one in sorted(some, key=lambda one: -one.score):
        if (one.block, one.unit) not in seen and len(seen) < BEST:
            seen.add((one.block, one.unit))
            yield one
