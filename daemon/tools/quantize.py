"""Converts a model to int8, calibrated on a user's own images, and measures what accuracy it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sightd.daemon.tools.media import Item, MediaError, MediaSequence, contents, frames, length
from sightd.engines.files import digest_of, locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.models.custom_file import is_own_file, with_input_name
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put
from sightd.engines.models.quantize import quantize
from sightd.engines.models.store import ModelStore
from sightd.engines.progress import Progress
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Frame, Image
from sightd.plugins.configuration import registry

HELD_OUT = 5
"""Every n-th image is held out."""


class CalibrationPictures:
    """About `wanted` images from the sources, evenly spread.

    Iterating, once, yields those to calibrate with; every fifth is added to `held_out` instead. `report` receives a
    line for each file that is left out or cannot be read to its end, and why. Raises MediaError if a source is missing,
    or if too few images can be read.
    """

    def __init__(self, sources: Sequence[Path], wanted: int, report: Callable[[str], None]) -> None:
        held = [contents(source) for source in sources]
        self._sequences = [sequence for one in held for sequence in one.sequences]
        self._report = report
        for line in (line for one in held for line in one.left_out):
            report(line)
        total = sum(length(one) or _frame_count(one) for one in self._sequences)
        self.step = max(1, total // wanted)
        self.expected = -(-total // self.step)
        self.used = 0
        """Number of images that the iteration has yielded."""
        self.held_out: list[Frame] = []

    def __iter__(self) -> Iterator[Image]:
        seen = taken = 0
        for sequence in self._sequences:
            for item in frames(sequence):
                if isinstance(item, MediaError):
                    self._report(str(item))
                    continue
                if seen % self.step == 0:
                    taken += 1
                    if taken % HELD_OUT == 0:
                        self.held_out.append(item.frame)
                    else:
                        self.used += 1
                        yield item.frame.host()
                seen += 1
        if not self.held_out:
            raise MediaError(
                f"only {seen} readable images: calibration requires at least {HELD_OUT}, and 100 for good results"
            )


def _frame_count(sequence: MediaSequence) -> int:
    return sum(isinstance(item, Item) for item in frames(sequence))


def drift(reference: Engine, other: Engine, pictures: Sequence[Frame]) -> str:
    """Returns a sentence: how far the results of both agree, as a package measures it for the model's role; for other
    roles how similar the outputs are (cosine)."""
    measure = registry.drift_for(reference.model.role) or _drift_of_outputs
    return f"compared with fp32 on {len(pictures)} images: {measure(reference, other, pictures)}"


def _drift_of_outputs(reference: Engine, other: Engine, pictures: Sequence[Frame]) -> str:
    cosine = min(_cosine(reference, other, picture) for picture in pictures)
    return f"cosine of the outputs at least {cosine:.4f}"


def _cosine(reference: Engine, other: Engine, picture: Frame) -> float:
    """Returns the lowest cosine of all outputs."""
    one, two = (engine.run([picture.host()])[0] for engine in (reference, other))
    return min(_between(one[name].ravel(), two[name].ravel()) for name in one)


def _between(a: np.ndarray, b: np.ndarray) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else float(not a.any() and not b.any())


def make_int8(
    model: Model,
    store: ModelStore,
    sources: Sequence[Path],
    wanted: int,
    progress: Progress,
    report: Callable[[str], None],
) -> Model:
    """Returns the int8 version of a model: in the store, or, of a user's own file, beside it. `progress` counts images;
    `report` receives a line for each file of the sources that is left out, and why.

    Raises MediaError if the sources cannot be read, EngineError if the model is not stored or cannot be quantised or
    stored, PluginError if the function that compares models of its role fails.
    """
    name = f"{model.name}-int8"
    file = store.verify(model)
    model = with_input_name(model, file)
    stored = file_of(name, store.directory).parent
    is_own = is_own_file(model)
    folder = file.parent if is_own else stored
    pictures = CalibrationPictures(sources, wanted, report)
    with locked(stored / ".lock", name), scratch_folder(folder, ".int8-") as scratch:
        made = scratch / "made.onnx"
        quantize(model, file, made, pictures, total=pictures.expected, progress=progress)
        progress(f"{name}: comparing with fp32", 0, None)
        lost = _compared(model, file, made, pictures)
        how = f"int8, calibrated on {pictures.used} images"
        if is_own:
            target = made.replace(file.with_name(f"{file.stem}-int8.onnx"))
            return replace(model, name=name, path=target, summary=f"{file.name}, {how}", accuracy=lost)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        origin = CustomModelMetadata(model.name, digest_of(file).sha256, how, lost, now)
        return put(model, name, made, origin, store.directory)


def _compared(model: Model, reference: Path, made: Path, pictures: CalibrationPictures) -> str:
    one, two = (Engine(model, OnnxRuntimeSession(path, 1), "") for path in (reference, made))
    try:
        return drift(one, two, pictures.held_out)
    finally:
        one.close()
        two.close()
