"""Scores of units that follow features, by ranks, compared with a chance level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from train.viewer import Feature
from train.viewer.encoding import Quantised

SHIFTS = 20  # random shifts of a feature in time, for the chance level
BEST = 6  # units to keep for each feature
MOST = 24  # features to keep
FEWEST = 3  # true steps, and false steps, of a boolean feature
DIGITS = 5  # of a score: further digits are rounding, which differs between processors


class Follower(NamedTuple):
    """A unit that follows a feature."""

    block: int  # index of the layer and direction
    quantity: str  # i, f, g, o, c or h
    unit: int
    score: float
    rises: bool  # whether the unit rises with the feature


class Followed(NamedTuple):
    """A feature, and the units that follow it best, each with its best quantity."""

    feature: Feature
    chance: float  # the best score of any unit when the feature is shifted in time
    best: list[Follower]


def rank(blocks: Sequence[dict[str, Quantised]], features: Sequence[Feature]) -> list[Followed]:
    """Rank features by how far their best unit exceeds chance; those that need memory come first.

    The score of a numeric feature is the absolute value of Spearman's rank correlation; the score
    of a boolean one is the area A under the ROC curve, or 1 - A if larger: how often the value at a
    true step is above that at a false step. Both are computed from the bytes that the page shows.
    For the chance level, each feature is shifted around the sequence by `SHIFTS` random amounts: it
    keeps its pattern, and loses any relation to the units.

    Args:
      blocks: the units of each layer and direction, by letter.
      features: the features. Those that never change, or almost never, are left out.

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
    columns = [_shifted(feature) for feature in features]
    weights = np.concatenate(columns, axis=1).astype(np.float32)
    offsets = np.array([0.5 if f.values.dtype == bool else 0.0 for f in features])
    chance = np.zeros(len(features))
    followers: list[list[Follower]] = [[] for _ in features]
    for block, quantities in enumerate(blocks):
        for name, units in quantities.items():
            products = _products(units, weights, offsets == 0)
            scores = np.round(np.abs(products) + offsets[:, None], DIGITS)
            chance = np.maximum(chance, scores[:, :, 1:].max((0, 2)))
            for k in range(len(features)):
                for unit in np.argsort(-scores[:, k, 0], kind="stable")[:BEST]:
                    rises = bool(products[unit, k, 0] > 0)
                    score = float(scores[unit, k, 0])
                    followers[k].append(Follower(block, name, int(unit), score, rises))
    ranked = [
        Followed(f, float(c), list(_best_units(one)))
        for f, c, one in zip(features, chance, followers, strict=True)
    ]
    ranked.sort(key=lambda one: (one.chance - one.best[0].score) / max(1 - one.chance, 1e-3))
    return sorted(ranked[:MOST], key=lambda one: not one.feature.memory)


def midranks(codes: np.ndarray) -> np.ndarray:
    """The rank of each byte in its row, from 1; equal bytes share the mean of their ranks."""
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


def _shifted(feature: Feature) -> np.ndarray:
    """The feature and its random shifts, `(time, 1 + SHIFTS)`.

    They are scaled so that the product with centred ranks is the score, for numeric features times
    the norm of the ranks.
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
    shifts = np.random.default_rng(0).integers(time // 4, max(time - time // 4, 1), SHIFTS)
    return np.stack([column, *(np.roll(column, shift) for shift in shifts)], axis=1)


def _products(units: Quantised, weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Signed scores, minus a half for booleans: `(units, features, 1 + SHIFTS)`."""
    ranks = midranks(units.bytes)
    centred = (ranks - (ranks.shape[1] + 1) / 2).astype(np.float32)
    norms = np.linalg.norm(centred, axis=1)
    products = (centred @ weights).reshape(len(centred), -1, 1 + SHIFTS)
    products[:, numbers] /= np.maximum(norms, 1e-6)[:, None, None]
    return products


def _best_units(followers: Sequence[Follower]) -> Iterator[Follower]:
    """The best followers, with each unit of a layer once."""
    seen: set[tuple[int, int]] = set()
    for follower in sorted(followers, key=lambda follower: -follower.score):
        if (follower.block, follower.unit) not in seen and len(seen) < BEST:
            seen.add((follower.block, follower.unit))
            yield follower
