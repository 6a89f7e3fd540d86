"""The appearance plug-in's options, including a user's own embedder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import Field

from sightd.engines.errors import ModelFileError
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import embedder_from_file
from sightd.engines.models.onnx_file import files_of
from sightd.engines.sessions.onnxruntime.trial import require_bounded
from sightd.engines.text import did_you_mean
from sightd.plugins.api import ConfigProblem, Duration, PluginConfig
from sightd.plugins.configuration.model_choice import files_of_named
from sightd.plugins.configuration.own_image_model import OwnImageModel


class OwnEmbedder(OwnImageModel):
    """An ONNX file with one image input and one vector per image as output. Options that are not set have the values
    usual for ImageNet models, which those for re-identification share."""

    def model(self) -> Model:
        """Returns the model. Raises ModelFileError for unreadable or unsuitable files."""
        return embedder_from_file(self.file, **self.preprocessing())

    def files(self) -> list[Path]:
        """Returns the file and those that hold its weights. Raises ModelFileError."""
        return sorted(files_of(self.file))

    def problems(self) -> Iterator[ConfigProblem]:
        """Yields a problem if the file is unusable or the model exceeds the memory or time limit."""
        try:
            require_bounded(self.model())
        except ModelFileError as error:
            hint = "the model must have one image input and one vector per image as output"
            yield ConfigProblem(("file",), str(error), hint)


class AppearanceConfig(PluginConfig):
    """Embeds detected objects, for the tracker and for `identity`. Every option has a default: `appearance: {}`
    works."""

    model: str | OwnEmbedder = Field(
        "mobilenet-v2-embedder",
        description="Name of an embedder (see `sightd models list`), or your own file: {file, width, height}.",
        examples=[{"file": "/srv/models/osnet.onnx", "width": 128, "height": 256}],
    )
    classes: list[str] | None = Field(
        None, min_length=1, description="Embed only objects of these detector classes.", examples=[["person"]]
    )
    max_objects: int = Field(
        4,
        ge=1,
        le=64,
        description="Maximum number of objects to embed per frame: first those without a look, then those with the "
        "oldest.",
    )
    refresh: Duration = Field(1.0, description="Embed an object again when its last look is older than this.")
    min_score: float = Field(0.4, ge=0, le=1, description="Embed only detections with at least this score.")
    min_height: int = Field(
        32, ge=1, description="Embed only objects of at least this height in pixels: smaller ones look alike."
    )

    def files(self, networks: Catalog) -> Iterable[Path]:
        """Returns the files of the user's own model, or of one that was made on this machine."""
        return self.model.files() if isinstance(self.model, OwnEmbedder) else files_of_named(self.model, networks)

    def for_embeddings(self) -> Self:
        """Embeds every object of every frame, however many there are."""
        return self.model_copy(update={"refresh": 0.0, "max_objects": 10_000, "min_score": 0.0, "min_height": 1})

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns models that do not exist or do not embed objects."""
        if isinstance(self.model, OwnEmbedder):
            return [problem.within("model") for problem in self.model.problems()]
        return list(_misnamed(self.model, networks))


_INSTEAD = {
    "face-embedder": "embeds aligned faces, which the plug-in `face` compares, and not objects",
    "classifier": "returns the scores of its classes, which do not show which object it is",
}


def _misnamed(name: str, networks: Catalog) -> Iterator[ConfigProblem]:
    names = [model.name for model in networks if model.role == "embedder"]
    if name in names:
        return
    hint = f"known embedders: {', '.join(names)}; your own file: {{file, width, height}}"
    model = networks.models.get(name)
    if model is None:
        yield ConfigProblem(("model",), f'unknown embedder "{name}"{did_you_mean(name, names)}', hint)
    else:
        reason = _INSTEAD.get(model.role, f"is a {model.role}")
        yield ConfigProblem(("model",), f'"{name}" {reason}', hint)
