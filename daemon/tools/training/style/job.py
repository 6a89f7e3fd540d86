"""Turns a painting into a style that a configuration can name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from sightd.daemon.tools.training.checkpoint import Checkpoint
from sightd.daemon.tools.training.images import squares, write_preview
from sightd.daemon.tools.training.preflight import TrainingError
from sightd.daemon.tools.training.style.network import TrainableStyle, Trunk
from sightd.daemon.tools.training.style.trainer import Distances, Plan, Trainer, example_of, nearest_style, to_tensor
from sightd.engines.files import digest_of, locked, scratch_folder
from sightd.engines.labels import STYLES, WITH_OWN
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.convert import style_network, vgg
from sightd.engines.models.convert.style_network import StyleLayer
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put, with_custom_models
from sightd.engines.models.store import ModelStore
from sightd.engines.progress import Progress
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Image

_SHOWN = 3
"""Images in a preview."""
_TOLERANCE = 1e-3
"""Largest difference allowed, of 0-1, between the learnt style's output and the written model's."""
_RECENT = 25
"""Steps over which distances are averaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The painting with the digest of its file, and the images to train with, BGR."""

    painting: Image
    painting_sha256: str
    pictures: Sequence[Image]


class StyleJob:
    """Learns one style. `run` may be interrupted at any time; called again with the same material and plan, it resumes
    from its last checkpoint."""

    def __init__(self, material: Material, plan: Plan, store: ModelStore, work: Path, every: int) -> None:
        """`work` is an existing folder; every `every` steps a preview and a checkpoint are written to it. Raises
        EngineError if the models are not stored."""
        catalog = Catalog.load()
        self._base, trunk = catalog.get("style26"), catalog.get("vgg16")
        self._base_file = store.verify(self._base)
        self._layers = style_network.read(self._base_file)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        trunk_file = store.verify(trunk)
        self._trunk = Trunk(vgg.read(trunk_file), trunk.input, self._device)
        self._material, self._plan, self._store, self._work, self._every = material, plan, store, work, every
        settings = {
            **asdict(plan),
            "painting": material.painting_sha256,
            "pictures": hashlib.sha256(b"".join(one.tobytes() for one in material.pictures)).hexdigest(),
            "networks": [digest_of(file).sha256 for file in (self._base_file, trunk_file)],
        }
        self._checkpoint = Checkpoint(work, settings)

    def run(self, name: str, progress: Progress, told: Callable[[str], None]) -> Model:
        """Trains it, stores it as the style `name`, and returns the model that contains it. Raises TrainingError if a
        checkpoint belongs to another training, or the written model's output differs from what was learnt; OSError if
        the folder cannot be written; EngineError if the model cannot be stored."""
        plan, shown = self._plan, squares(self._material.pictures, self._plan.side, _SHOWN, (self._plan.seed,))
        if not plan.whole:
            self._known()  # fail before the work
        trainer = self._begun(shown, told)
        recent: list[Distances] = []
        while trainer.step < plan.steps:
            recent = [*recent, trainer.advance()][-_RECENT:]
            progress(f"learning {name}", trainer.step, plan.steps)
            if trainer.step % self._every == 0 or trainer.step == plan.steps:
                self._keep(trainer, shown)
                told(f"step {trainer.step}: {_text(recent)}")
        learnt = self._stored(name, shown[0])
        self._checkpoint.remove()
        return learnt

    def _begun(self, shown: Sequence[Image], told: Callable[[str], None]) -> Trainer:
        """Returns the trainer at its checkpoint or, without one, at the model's style that is nearest to the
        painting."""
        plan, material, state = self._plan, self._material, self._checkpoint.load()
        row = 0
        if state is None:
            styles = [TrainableStyle(self._layers, n, self._device, whole=False) for n in range(len(STYLES))]
            example = example_of(self._trunk, material.painting, plan, self._device)
            row = nearest_style(styles, self._trunk, example, shown[:2], self._device)
            told(f"starting from {STYLES[row]!r}, the most similar style")
        style = TrainableStyle(self._layers, row, self._device, whole=plan.whole)
        trainer = Trainer(style, self._trunk, material.painting, material.pictures, plan, self._device)
        if state is not None:
            try:
                trainer.restore(state)
            except (KeyError, ValueError) as error:
                raise TrainingError(f"{self._checkpoint.path} does not match: remove it to start over") from error
            told(f"resuming from step {trainer.step}")
        self._style = style
        return trainer

    def _keep(self, trainer: Trainer, shown: Sequence[Image]) -> None:
        self._checkpoint.save(trainer.state())
        preview = self._work / f"preview-{trainer.step:06}.jpg"
        write_preview(preview, self._material.painting, shown, trainer.painted(shown))

    def _stored(self, name: str, picture: Image) -> Model:
        """Stores it as a model of its own, or with the other custom styles."""
        network = name if self._plan.whole else WITH_OWN
        learnt, directory = self._style.layers(), self._store.directory
        folder = file_of(network, directory).parent
        with locked(folder / ".lock", network), scratch_folder(folder, ".style-") as scratch:
            layers, labels = (learnt, (name,)) if self._plan.whole else self._joined(name, learnt)
            made = scratch / "made.onnx"
            style_network.write(layers, made, f"{network}, created by sightd")
            self._require_faithful(made, labels.index(name), len(labels), picture)
            origin = CustomModelMetadata(
                base=self._base.name,
                base_sha256=digest_of(self._base_file).sha256,
                made="fully trained on a painting" if self._plan.whole else f"{len(labels) - len(STYLES)} more",
                accuracy="as trained (maximum difference 1e-3 of 0-1)",
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                labels=labels,
            )
            return put(self._base, network, made, origin, directory)

    def _joined(self, name: str, learnt: Sequence[StyleLayer]) -> tuple[Sequence[StyleLayer], tuple[str, ...]]:
        """Returns the model of all styles with this one appended, or replacing the one of the same name."""
        layers, labels = self._known()
        row = labels.index(name) if name in labels else len(labels)
        joined = [old.with_style(row, new.scale[0], new.shift[0]) for old, new in zip(layers, learnt, strict=True)]
        return joined, (*labels[:row], name, *labels[row + 1 :])

    def _known(self) -> tuple[Sequence[StyleLayer], tuple[str, ...]]:
        """Returns the model with the custom styles, or the published one. Raises TrainingError if the custom one was
        made from another published model: its styles would be joined to weights they were not learnt for."""
        own = with_custom_models(Catalog.load(), self._store.directory).models.get(WITH_OWN)
        if own is None or own.path is None:
            return self._layers, STYLES
        layers = style_network.read(own.path)
        alike = all(np.array_equal(one.kernel, two.kernel) for one, two in zip(layers, self._layers, strict=True))
        if not alike or own.labels[: len(STYLES)] != STYLES:
            raise TrainingError(
                f"{own.path} was created from another {self._base.name}: move it away with its metadata and "
                "train its styles again"
            )
        return layers, own.labels

    def _require_faithful(self, made: Path, row: int, styles: int, picture: Image) -> None:
        """Raises TrainingError unless the file's output is that of the learnt style."""
        tensor, session = to_tensor([picture], "cpu").numpy(), OnnxRuntimeSession(made, 1)
        try:
            weights = np.eye(styles, dtype=np.float32)[[row]]
            (found,) = session.run({self._base.input.tensor: tensor, "style_weights": weights}).values()
        finally:
            session.close()
        with torch.no_grad():  # on the CPU: reduced precision on a GPU would look like a difference of weights
            copy = TrainableStyle(self._style.layers(), 0, "cpu", whole=False)
            expected = copy.painted(to_tensor([picture], "cpu")).numpy()
        off = float(np.abs(found - expected).max())
        if not off < _TOLERANCE:
            raise TrainingError(
                f"the exported model differs from the trained one (by {off:.2g} of 0-1): not stored. This is "
                "a bug in sightd; please report it"
            )


def _mean(recent: Sequence[Distances]) -> Distances:
    if not recent:
        return Distances(float("nan"), float("nan"))
    return Distances(sum(one.content for one in recent) / len(recent), sum(one.style for one in recent) / len(recent))


def _text(recent: Sequence[Distances]) -> str:
    mean = _mean(recent)
    return f"{mean.style:.3f} from the style of the painting, {mean.content:.2f} from the content of the images"
