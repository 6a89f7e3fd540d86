"""Reports how good a trained detector is, before and after, and what it confuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sightd.daemon.tools.training.detector.evaluation import SHOWN, Evaluation
from sightd.daemon.tools.training.detector.job import Trained
from sightd.daemon.tools.training.report import picture, png
from sightd.engines.files import write_whole

_NOTHING = "(nothing)"


def table(trained: Trained) -> Iterator[str]:
    """Yields lines for people: per class its objects on the frames of the test, and its average precision."""
    before, after = trained.before, trained.after
    width = max(len(label) for label in (*after.labels, "CLASS"))
    yield f"{'CLASS':{width}}  OBJECTS    AP50  AP50-95  AP50 BEFORE"
    for number, label in enumerate(after.labels):
        row = after.precision[number]
        cells = [f"{after.objects[number]:7}", _share(row[0], 6), _share(row.mean(), 7)]
        yield f"{label:{width}}  {'  '.join(cells)}  {_share(before.precision[number, 0], 11)}"
    yield f"{after} on {after.frames} held-out frames; before: {before}"


def _share(value: float, width: int) -> str:
    return f"{'-':>{width}}" if np.isnan(value) else f"{value:{width}.3f}"


def write_report(folder: Path, trained: Trained) -> None:
    """Writes the confusion matrix as an image, the figures as JSON, the model and its labels. Raises OSError if they
    cannot be written."""
    model, after = trained.model, trained.after
    assert model.path is not None
    write_whole(folder / f"{model.name}.onnx", model.path.read_bytes())
    write_whole(folder / f"{model.name}.txt", ("\n".join(model.labels) + "\n").encode())
    figures = {
        "name": model.name,
        "made": model.summary,
        "kept_step": trained.step,
        "steps": trained.steps,
        "labels": list(after.labels),
        "before": _figures(trained.before),
        "after": _figures(after),
        "confusion_least_score": SHOWN,
        "confusion": after.confusion.tolist(),
    }
    write_whole(folder / "report.json", (json.dumps(figures, indent=2, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "confusion.png", png(picture([*after.labels, _NOTHING], after.confusion)))


def _figures(found: Evaluation) -> dict[str, Any]:
    return {
        "frames": found.frames,
        "map50": _number(found.map50),
        "map50_95": _number(found.map50_95),
        "classes": [
            {"label": label, "objects": int(count), "ap50": _number(row[0]), "ap50_95": _number(row.mean())}
            for label, count, row in zip(found.labels, found.objects, found.precision, strict=True)
        ],
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
