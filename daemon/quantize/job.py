"""Converts one model to int8: calibrates it, compares it with fp32, and stores it under a name of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sightd.daemon.quantize.drift import drift
from sightd.daemon.quantize.pictures import CalibrationPictures
from sightd.engines.custom_models import CustomModelMetadata, file_of, put
from sightd.engines.digest import digest_of
from sightd.engines.engine import Engine
from sightd.engines.lock import locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.onnx_session import OnnxRuntimeSession
from sightd.engines.progress import Progress
from sightd.engines.quantize import quantize
from sightd.engines.store import ModelStore


def make_int8(
    model: Model,
    store: ModelStore,
    sources: Sequence[Path],
    wanted: int,
    progress: Progress,
    report: Callable[[str], None],
) -> Model:
    """Returns the int8 version of a stored model, in the store. `progress` counts images; `report` receives a line for
    each file of the sources that is left out, and why.

    Raises MediaError if the sources cannot be read, EngineError if the model is not stored or cannot be quantised or
    stored.
    """
    name = f"{model.name}-int8"
    file = store.verify(model)
    folder = file_of(name, store.directory).parent
    with locked(folder / ".lock", name), scratch_folder(folder, ".int8-") as scratch:
        made = scratch / "made.onnx"
        pictures = CalibrationPictures(sources, wanted, report)
        quantize(model, file, made, pictures, total=pictures.expected, progress=progress)
        progress(f"{name}: comparing with fp32", 0, None)
        lost = _compared(model, file, made, pictures)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        origin = CustomModelMetadata(
            model.name, digest_of(file).sha256, f"int8, calibrated on {pictures.used} images", lost, now
        )
        return put(model, name, made, origin, store.directory)


def _compared(model: Model, reference: Path, made: Path, pictures: CalibrationPictures) -> str:
    one, two = (Engine(model, OnnxRuntimeSession(path, 1), "") for path in (reference, made))
    try:
        return drift(one, two, pictures.held_out)
    finally:
        one.close()
        two.close()
