"""Maps class names from the configuration to ids of a model's labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sightd.engines.suggest import did_you_mean
from sightd.plugins.api import PluginError
from sightd.plugins.types import FloatArray

_BACKGROUND = frozenset({"background", "__background__"})


def least_scores(labels: Sequence[str], min_score: float, of_classes: dict[str, float]) -> FloatArray:
    """Returns the least score of each class, float32 [c]; infinite for the background, which is not an object."""
    scores = np.full(len(labels), min_score, np.float32)
    for name, score in of_classes.items():
        scores[ids_of([name], labels, "class_min_score")] = score
    scores[[label.casefold() in _BACKGROUND for label in labels]] = np.inf
    return scores


def ids_of(names: Iterable[str], labels: Sequence[str], option: str) -> list[int]:
    """Returns the ids of all classes with one of the names, ignoring case. Raises PluginError for unknown names."""
    folded = [label.casefold() for label in labels]
    ids = []
    for name in names:
        found = [i for i, label in enumerate(folded) if label == name.casefold()]
        if not found:
            raise PluginError(f"{option}: {'; '.join(unknown_class(name, labels))}")
        ids += found
    return ids


def unknown_class(name: str, labels: Sequence[str]) -> tuple[str, str]:
    """Returns message and hint for a class that is not among a model's labels."""
    some = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
    return f"the model has no class {name!r}{did_you_mean(name, labels, 3)}", f"its classes are {some}"
