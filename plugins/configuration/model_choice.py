"""The `model:` option: a model name, a user's own file with its labels, or a list of both in order of preference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from sightd.engines.errors import ModelFileError
from sightd.engines.files import expanded, require_regular
from sightd.engines.model import ColourOrder, Model, Resize
from sightd.engines.models.catalog import AUTO, GPU_DETECTORS, Catalog
from sightd.engines.models.custom_file import Stated, is_file_name, model_from_file
from sightd.engines.models.label_files import ClassNames, LabelsError, read_class_names
from sightd.engines.models.onnx_file import files_of
from sightd.engines.sessions.onnxruntime.trial import require_bounded
from sightd.engines.text import did_you_mean
from sightd.plugins.api import ConfigProblem, PluginError


def labels_in(path: Path) -> list[str]:
    """Returns the names of a labels file in order. Raises PluginError if it cannot be read or has no names."""
    return list(_names_in(path).in_order())


def _names_in(path: Path) -> ClassNames:
    try:
        return read_class_names(path)
    except LabelsError as error:
        raise PluginError(str(error)) from None


Three = tuple[float, float, float]
HeadName: TypeAlias = Literal[
    "ssd",
    "yolox",
    "yolox-decoded",
    "nanodet",
    "yolo",
    "yolov5",
    "yolo-end-to-end",
    "yolo-obb",
    "yolo-obb-end-to-end",
    "yolo-nas",
    "detr",
    "rf-detr",
    "detr-labelled",
    "ultralytics-detr",
    "tf-ssd",
    "mmdeploy",
]
CatalogueName = Annotated[
    str,
    Field(
        min_length=1,
        description="Name of a model (see `sightd models list`), `auto`, or the path of an ONNX file.",
    ),
]


def _form(value: object) -> str:
    """Returns which form a value has, by its type only, so that errors are reported for that form and not for all."""
    if isinstance(value, list):
        return "list"
    return "file" if isinstance(value, (dict, BaseModel)) else "name"


def _file_or_name(value: object) -> object:
    """The path of an ONNX file stands for a file of which nothing else is stated."""
    return {"file": value} if isinstance(value, str) and is_file_name(value) else value


class OwnFile(BaseModel):
    """A custom ONNX file. Options that are not set come from the file, or have the values usual for its head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(description="The ONNX file; ~ is the home directory.", examples=["/srv/models/own.onnx"])
    head: HeadName | None = Field(
        None,
        description="Format of the model output; by default recognised from the file (`sightd models inspect`).",
        examples=["yolox"],
    )
    labels: (
        Annotated[
            Annotated[Annotated[list[str], Field(min_length=1)], Tag("list")] | Annotated[Path, Tag("name")],
            Discriminator(_form),
        ]
        | None
    ) = Field(
        None,
        description="Class names in the order of the model output, by default those in the file: a list, or a file "
        "with one name per line, `id name` per line, a YOLO data.yaml, COCO JSON or pbtxt. A class named background "
        "is never reported.",
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

    def problems(self) -> Iterator[ConfigProblem]:
        """Yields missing or unreadable files, a file whose format is not recognised or contradicts these options, and a
        model that exceeds the memory or time limit."""
        file = expanded(self.file)
        try:
            require_regular(file)
        except OSError as error:
            hint = "correct the path (relative to the configuration file), or let the service's user read the file"
            yield ConfigProblem(("file",), f"cannot read {file}: {error.strerror}", hint)
            return
        try:
            require_bounded(self.model())
        except PluginError as error:
            yield ConfigProblem(("labels",), str(error))
        except ModelFileError as error:
            yield ConfigProblem(("file",), str(error))

    def files(self) -> Iterator[Path]:
        """Yields the file, those that hold its weights, and that of the labels. Raises ModelFileError."""
        yield from sorted(files_of(expanded(self.file)))
        if isinstance(self.labels, Path):
            yield expanded(self.labels)

    def model(self) -> Model:
        """Reads the labels and the file. Raises PluginError or EngineError, which say what to do."""
        return model_from_file(expanded(self.file), self.stated())

    def stated(self) -> Stated:
        """Returns what these options state about the file. Raises PluginError if the labels file is unreadable."""
        return Stated(
            self.head,
            self._names(),
            (self.width, self.height) if self.width and self.height else None,
            self.colour,
            self.resize,
            self.scale,
            self.mean,
            self.std,
        )

    def _names(self) -> ClassNames | None:
        if self.labels is None:
            return None
        return _names_in(expanded(self.labels)) if isinstance(self.labels, Path) else ClassNames.listed(self.labels)


ModelPreference = Annotated[
    Annotated[CatalogueName, Tag("name")] | Annotated[OwnFile, Tag("file")],
    Discriminator(_form),
    BeforeValidator(_file_or_name),
]
ModelPreferences = Annotated[list[ModelPreference], Field(min_length=1)]


class ModelChoice(
    RootModel[
        Annotated[
            Annotated[CatalogueName, Tag("name")]
            | Annotated[OwnFile, Tag("file")]
            | Annotated[ModelPreferences, Tag("list")],
            Discriminator(_form),
            BeforeValidator(_file_or_name),
        ]
    ]
):
    """A model name, a custom file (its path, or `file` with options), or a list, of which the first available one is
    used."""

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
            elif preference not in (AUTO, *networks.models):
                message = f'unknown model "{preference}"{did_you_mean(preference, networks.models)}'
                found.append(ConfigProblem(path, message, _known(networks)))
        return found

    def files(self, networks: Catalog) -> Iterator[Path]:
        """Yields the files of the user's own models, including those that were made on this machine. The choice must
        have no `problems`."""
        for _, preference in self._preferences():
            if isinstance(preference, OwnFile):
                yield from preference.files()
            else:
                yield from files_of_named(preference, networks)

    def own_models(self) -> Iterator[tuple[tuple[int, ...], Model]]:
        """Yields the models of the user's own files with their paths relative to `model`. The choice must have no
        `problems`."""
        for path, preference in self._preferences():
            if isinstance(preference, OwnFile):
                yield path, preference.model()

    def labels(self, networks: Catalog) -> list[tuple[str, ...]]:
        """Returns the labels of each model named here, in order. The choice must have no `problems`."""
        found: list[tuple[str, ...]] = []
        for _, preference in self._preferences():
            if isinstance(preference, OwnFile):
                found.append(preference.model().labels)
            else:
                names = GPU_DETECTORS if preference == AUTO else (preference,)
                found += [networks.get(name).labels for name in names]
        return found

    def _preferences(self) -> Iterator[tuple[tuple[int, ...], str | OwnFile]]:
        """Yields each preference with its path relative to `model`."""
        if isinstance(self.root, list):
            yield from (((index,), preference) for index, preference in enumerate(self.root))
        else:
            yield (), self.root


def files_of_named(name: str, networks: Catalog) -> Iterator[Path]:
    """Yields the file of a model that was made on this machine. Those of the catalogue never change."""
    model = networks.models.get(name)
    if model is not None and model.path is not None:
        yield model.path


def _known(networks: Catalog) -> str:
    return f"known models: {', '.join(networks.models)}; your own file: its path, or {{file, head, labels}}"
