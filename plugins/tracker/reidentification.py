"""Finds lost tracks again by how they look, if motion did not lead to them.

In the rounds of matching, looks decide between several candidates (`look_bonus`). The rest works on what the rounds
left over. A track that was just confirmed may be one that is lost or, at most `remember` seconds ago, was. It is, if
both look more alike than different objects of this camera do, if neither another lost object nor one in sight looks
nearly as much like it, and if the object can have moved that far. The track then gets the old id instead of a new one,
so no object is ever shown with two ids.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sightd.plugins.api import Appearances, BoolArray, IntArray
from sightd.plugins.appearance.population import NEW_LOOKS
from sightd.plugins.tracker.association import Indices, Pairs
from sightd.plugins.tracker.camera_tracks import (
    BORN_AT,
    CENTRE,
    CLASS_ID,
    CLASS_VOTES,
    HEIGHT,
    ID,
    LOOK,
    OBSERVED_SIZE,
    PROVEN,
    SEEN_AT,
    VISIBLE,
    CameraTracks,
)
from sightd.plugins.tracker.looks import Looks
from sightd.plugins.tracker.motion import Rows

_DEVIATIONS = 2.5
"""Two looks are alike if their similarity is this many standard deviations above that of different objects."""
_WEIGHT, _MOST_DEVIATIONS = 0.05, 3.0
"""If a detection could be several tracks, each standard deviation counts like so much overlap (IoU), up to so many: a
clear overlap is never overridden."""
_LEAD = 0.5
"""The least lead over the next candidate, in the same unit."""
_AROUND, _SPEED = 1.0, 1.5
"""Greatest distance from the last observation, in the object's greater side: anyway, and per second out of sight."""
_SIZES = 1.8
"""Greatest factor by which its height can have changed."""
_MOST_GONE = 100
"""Ended tracks that are remembered; those that ended first are dropped."""


def reidentified(
    before: CameraTracks,
    after: CameraTracks,
    detection: IntArray,
    seen: Appearances | None,
    remember: float,
) -> tuple[CameraTracks, BoolArray]:
    """Returns the tracks after objects that returned have got their old id, and which rows of `after` they are: a lost
    track is left out once its object continues under its id. `before` and `after` are the tracks before and after the
    frame; `detection` comes from `lifecycle.step`."""
    kept = np.ones(len(after.rows), np.bool_)
    if seen is None and before.looks is None:
        return after, kept
    after = replace(after, gone=_gone(before, after, remember), looks=before.looks)
    if seen is not None:
        after = _with_looks(after, detection, seen)
    after, kept = _with_old_ids(before, after, detection)
    assert after.looks is not None
    return replace(after, looks=after.looks.only(_numbers(after.rows) + _numbers(after.gone))), kept


def look_bonus(before: CameraTracks, columns: Indices, seen: Appearances | None) -> Rows | None:
    """Returns the bonus [n, m] for how alike the tracks and the detections `columns` [m] look, in units of overlap: 0
    for pairs of which it is not known, None if it is for none."""
    looks = before.looks
    if seen is None or looks is None or not len(seen) or looks.model != seen.model or not len(before.rows):
        return None
    vectors = looks.vectors(_numbers(before.rows))
    alike = looks.population.deviations(vectors, seen.vectors).clip(0, _MOST_DEVIATIONS)
    alike[before.rows[:, LOOK] == 0] = 0
    bonus = np.zeros((len(before.rows), len(columns)))
    which, of = np.nonzero(columns[:, None] == seen.detection)
    bonus[:, which] = _WEIGHT * alike[:, of]
    return bonus


def _gone(before: CameraTracks, after: CameraTracks, remember: float) -> Rows:
    """Returns the tracks that have ended and are remembered."""
    ended = before.rows[(before.rows[:, ID] > 0) & (before.rows[:, LOOK] > 0)]
    ended = ended[~np.isin(ended[:, ID], after.rows[:, ID])]
    gone = np.concatenate((before.gone, ended))
    return gone[after.at - gone[:, SEEN_AT] <= remember][-_MOST_GONE:]


def _with_looks(after: CameraTracks, detection: IntArray, seen: Appearances) -> CameraTracks:
    """Returns the tracks with the looks of this frame, each of which has a number then."""
    rows, gone, looks = after.rows.copy(), after.gone, after.looks
    if looks is None or looks.model != seen.model:
        looks, gone = Looks(seen.model), gone[:0]
        rows[:, LOOK] = 0
    tracks, of = np.nonzero(detection[:, None] == seen.detection)
    unnumbered = tracks[rows[tracks, LOOK] == 0]
    rows[unnumbered, LOOK] = looks.next_number + np.arange(len(unnumbered))
    looks = replace(looks, next_number=looks.next_number + len(unnumbered))
    looks = looks.with_vectors(_numbers(rows[tracks]), seen.vectors[of])
    return replace(after, rows=rows, gone=gone, looks=_learnt(looks, rows, detection, tracks))


def _learnt(looks: Looks, rows: Rows, detection: IntArray, tracks: Indices) -> Looks:
    """Returns the looks with the similarities of the `tracks` embedded on this frame to the others in sight, which are
    different objects."""
    counts = [looks.by_number[number].count for number in _numbers(rows[tracks])]
    new = tracks[np.array(counts, np.int64) <= NEW_LOOKS]
    if not len(new):
        return looks
    others = np.flatnonzero((detection >= 0) & (rows[:, LOOK] > 0))
    different = (rows[new, CLASS_ID, None] == rows[others, CLASS_ID]) & (new[:, None] != others)
    vectors, other_vectors = (looks.vectors(_numbers(rows[of])) for of in (new, others))
    return replace(looks, population=looks.population.learnt(vectors, other_vectors, different))


def _with_old_ids(before: CameraTracks, after: CameraTracks, detection: IntArray) -> tuple[CameraTracks, BoolArray]:
    rows, gone = after.rows, after.gone
    kept = np.ones(len(rows), np.bool_)
    new = np.flatnonzero((rows[:, ID] >= before.next_id) & (rows[:, LOOK] > 0))
    if not len(new):
        return after, kept
    lost = np.flatnonzero((rows[:, ID] > 0) & (rows[:, ID] < before.next_id) & (detection < 0) & (rows[:, LOOK] > 0))
    candidates = np.concatenate((rows[lost], gone))
    chosen, old = _pairs(after, new, detection, candidates)
    rows = rows.copy()
    for row, candidate in zip(new[chosen].tolist(), candidates[old], strict=True):
        rows[row] = _continued(rows[row], candidate)
    kept[lost[old[old < len(lost)]]] = False
    still_gone = np.ones(len(gone), np.bool_)
    still_gone[old[old >= len(lost)] - len(lost)] = False
    return replace(after, rows=rows[kept], gone=gone[still_gone]), kept


def _pairs(after: CameraTracks, new: Indices, detection: IntArray, candidates: Rows) -> Pairs:
    """Returns which of the `new` rows are which of the `candidates`: each pair is the best of both, and leads clearly
    over all others and over the objects in sight."""
    alike = _alike(after, after.rows[new], candidates)
    in_sight = np.flatnonzero((detection >= 0) & (after.rows[:, LOOK] > 0))
    others = _alike(after, after.rows[new], after.rows[in_sight])
    others[in_sight == new[:, None]] = -np.inf
    alike[~_possible(after.rows[new], candidates)] = -np.inf
    rivals = np.maximum(others.max(axis=1, initial=-np.inf)[:, None], _best_other(alike))
    rivals = np.maximum(rivals, _best_other(alike.T).T)
    chosen, old = np.nonzero((alike >= _DEVIATIONS) & (alike >= rivals + _LEAD))
    return chosen, old


def _alike(after: CameraTracks, some: Rows, others: Rows) -> Rows:
    """Returns how alike tracks look [n, m], in standard deviations above different objects."""
    assert after.looks is not None
    looks = after.looks
    return looks.population.deviations(looks.vectors(_numbers(some)), looks.vectors(_numbers(others)))


def _best_other(alike: Rows) -> Rows:
    """Returns for each pair [n, m] the greatest value of the row's other pairs."""
    if alike.shape[1] < 2:
        return np.full(alike.shape, -np.inf)
    rows, first = np.arange(len(alike)), alike.argmax(axis=1)
    best = np.repeat(alike.max(axis=1)[:, None], alike.shape[1], axis=1)
    others = alike.copy()
    others[rows, first] = -np.inf
    best[rows, first] = others.max(axis=1)
    return best


def _possible(new: Rows, candidates: Rows) -> BoolArray:
    """Returns which of the candidates [m] each of the new tracks [n] can be, by class, time, place and size."""
    out_of_sight = new[:, BORN_AT, None] - candidates[:, SEEN_AT]
    reach = candidates[:, OBSERVED_SIZE].max(axis=1) * (_AROUND + _SPEED * out_of_sight)
    way = np.linalg.norm(new[:, None, CENTRE] - candidates[:, CENTRE], axis=2)
    larger = np.abs(np.log(np.maximum(new[:, HEIGHT, None], 1) / np.maximum(candidates[:, HEIGHT], 1)))
    same_class = new[:, CLASS_ID, None] == candidates[:, CLASS_ID]
    possible: BoolArray = same_class & (out_of_sight > 0) & (way <= reach) & (larger <= np.log(_SIZES))
    return possible


def _numbers(rows: Rows) -> list[int]:
    numbers: list[int] = rows[:, LOOK].astype(np.int64).tolist()
    return numbers


def _continued(new: Rows, old: Rows) -> Rows:
    """Returns the row of a new track as the continuation of an old one."""
    row = new.copy()
    row[[ID, BORN_AT, CLASS_ID, CLASS_VOTES]] = old[[ID, BORN_AT, CLASS_ID, CLASS_VOTES]]
    row[[PROVEN, VISIBLE]] = 1
    return row
