"""The `model:` option: a model name, a user's own file with its labels, or a list of both in order of preference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from sightd.engines.errors import ModelFileError
from sightd.engines.files import expanded, read_regular, require_regular
from sightd.engines.model import ColourOrder, Model, Resize
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import model_from_file
from sightd.engines.sessions.onnxruntime.trial import require_bounded
from sightd.engines.text import did_you_mean
from sightd.plugins.api import ConfigProblem, PluginError

_MOST_BYTES = 2**20


def labels_in(path: Path) -> list[str]:
    """Returns the names in order. Raises PluginError if the file cannot be read or is empty, or if a line is empty."""
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise PluginError(
            f"cannot read labels file {path} ({why}): it must be a UTF-8 text file with one name per line"
        ) from None
    labels = [line.strip() for line in text.rstrip().splitlines()]
    if "" in labels:
        raise PluginError(f"labels file {path}: line {labels.index('') + 1} is empty; write one name per line")
    if not labels:
        raise PluginError(f"labels file {path} is empty: write one name per line, in the order of the model output")
    return labels


Three = tuple[float, float, float]
CatalogueName = Annotated[str, Field(min_length=1, description="Name of a model: see `sightd models list`.")]


def _form(value: object) -> str:
    """Returns which form a value has, by its type only, so that errors are reported for that form and not for all."""
    if isinstance(value, list):
        return "list"
    return "file" if isinstance(value, (dict, BaseModel)) else "name"


class OwnFile(BaseModel):
    """A custom ONNX file. Options that are not set have the values usual for its head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(description="The ONNX file; ~ is the home directory.", examples=["/srv/models/own.onnx"])
    head: Literal["ssd", "yolox", "yolox-decoded", "nanodet"] = Field(
        description="Format of the model output.", examples=["yolox"]
    )
    labels: Annotated[
        Annotated[Annotated[list[str], Field(min_length=1)], Tag("list")] | Annotated[Path, Tag("name")],
        Discriminator(_form),
    ] = Field(
        description="Class names in the order of the model output: a list, or a text file with one name per "
        "line. A class named background is never reported.",
        examples=[["bolt", "nut"], "/srv/models/own.txt"],
    )
    width: int | None = Field(None, ge=1, description="Input width in pixels, for a file with a dynamic size.")
    height: int | None = Field(None, ge=1, description="Input height in pixels, for a file with a dynamic size.")
    colour: ColourOrder | None = Field(None, description="Order of the colour channels of the input.")
    resize: Resize | None = Field(None, description="How an image is resized to the input size of the model.")
    scale: float | None = Field(
        None, gt=0, description="Factor applied to each pixel value (0-255), before mean and std."
    )
    mean: Three | None = Field(None, description="Mean to subtract from each channel, in the order of `colour`.")
    std: Three | None = Field(
        None, description="Standard deviation to divide each channel by, in the order of `colour`."
    )

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("set both width and height, or neither")
        return self

    def names(self) -> list[str]:
        """Returns the labels, read from the labels file if one is given. Raises PluginError if the file is invalid."""
        return labels_in(expanded(self.labels)) if isinstance(self.labels, Path) else self.labels

    def problems(self) -> Iterator[ConfigProblem]:
        """Yields missing or unreadable files, and a model that exceeds the memory or time limit."""
        file = expanded(self.file)
        try:
            require_regular(file)
        except OSError as error:
            hint = "correct the path (relative to the configuration file), or let the service's user read the file"
            yield ConfigProblem(("file",), f"cannot read {file}: {error.strerror}", hint)
            return
        try:
            model = self.model()
        except PluginError as error:
            yield ConfigProblem(("labels",), str(error))
            return
        except ModelFileError:  # a model of the wrong form is reported when it is opened
            return
        try:
            require_bounded(model)
        except ModelFileError as error:
            yield ConfigProblem(("file",), str(error))

    def model(self) -> Model:
        """Reads the labels and the file's input. Raises PluginError or EngineError, which say what to do."""
        return model_from_file(
            expanded(self.file),
            self.head,
            self.names(),
            size=(self.width, self.height) if self.width and self.height else None,
            colour=self.colour,
            resize=self.resize,
            scale=self.scale,
            mean=self.mean,
            std=self.std,
        )


ModelPreference = Annotated[
    Annotated[CatalogueName, Tag("name")] | Annotated[OwnFile, Tag("file")], Discriminator(_form)
]
ModelPreferences = Annotated[list[ModelPreference], Field(min_length=1)]


class ModelChoice(
    RootModel[
        Annotated[
            Annotated[CatalogueName, Tag("name")]
            | Annotated[OwnFile, Tag("file")]
            | Annotated[ModelPreferences, Tag("list")],
            Discriminator(_form),
        ]
    ]
):
    """A model name, a custom file (`file`, `head`, `labels`), or a list, of which the first available one is used."""

    model_config = ConfigDict(frozen=True)

    def resolve(self) -> list[str | Model]:
        """Returns the argument for `Context.engine`. Raises PluginError or EngineError if an own file is unreadable."""
        return [
            preference.model() if isinstance(preference, OwnFile) else preference
            for _, preference in self._preferences()
        ]

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns unknown model names and unreadable files, with paths relative to `model`."""
        found: list[ConfigProblem] = []
        for path, preference in self._preferences():
            if isinstance(preference, OwnFile):
                found += [problem.within(*path) for problem in preference.problems()]
            elif preference not in networks.models:
                message = f'unknown model "{preference}"{did_you_mean(preference, networks.models)}'
                found.append(ConfigProblem(path, message, _known(networks)))
        return found

    def labels(self, networks: Catalog) -> list[tuple[str, ...]]:
        """Returns the labels of each model named here, in order. The choice must have no `problems`."""
        return [
            tuple(preference.names()) if isinstance(preference, OwnFile) else networks.get(preference).labels
            for _, preference in self._preferences()
        ]

    def _preferences(self) -> Iterator[tuple[tuple[int, ...], str | OwnFile]]:
        """Yields each preference with its path relative to `model`."""
        if isinstance(self.root, list):
            yield from (((index,), preference) for index, preference in enumerate(self.root))
        else:
            yield (), self.root


def _known(networks: Catalog) -> str:
    return f"known models: {', '.join(networks.models)}; your own file: {{file, head, labels}}"
