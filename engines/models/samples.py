"""Sample videos and photographs, fetched on demand for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from sightd.engines.errors import EngineError
from sightd.engines.files import digest_of, locked, scratch_folder
from sightd.engines.model import PackageSource
from sightd.engines.models.fetch import Fetcher
from sightd.engines.text import did_you_mean


@dataclass(frozen=True, slots=True)
class Sample:
    """A video or photograph. `name` is its file name."""

    name: str
    summary: str
    licence: str
    source: PackageSource


def samples() -> Mapping[str, Sample]:
    """Returns all samples by name, in the order of `samples.yaml`."""
    document = yaml.safe_load(
        resources.files("sightd.engines.models").joinpath("samples.yaml").read_text(encoding="utf-8")
    )
    return {
        name: Sample(name, entry["summary"], entry["licence"], PackageSource(**entry["source"]))
        for name, entry in document["samples"].items()
    }


@dataclass(frozen=True, slots=True)
class SampleStore:
    """The samples stored on this machine, as plain files in `directory`, which is created on first use."""

    directory: Path

    def find(self, sample: Sample) -> Path | None:
        """Returns the stored file if its hash matches the pin, else None."""
        path = self.directory / sample.name
        return path if path.is_file() and digest_of(path).sha256 == sample.source.sha256 else None

    def ensure(self, name: str, fetcher: Fetcher) -> Path:
        """Returns the stored file, and fetches it first if needed. Needs no network once it is stored. Raises
        EngineError on failure."""
        sample = _named(name)
        if path := self.find(sample):
            return path
        with locked(self.directory / ".lock", name):
            return self.find(sample) or self._fetch(sample, fetcher)

    def _fetch(self, sample: Sample, fetcher: Fetcher) -> Path:
        with scratch_folder(self.directory, ".fetch-") as scratch:
            fetched = fetcher.fetch(sample.name, [sample.source], scratch)
            return fetched.path.replace(self.directory / sample.name)


def _named(name: str) -> Sample:
    known = samples()
    if sample := known.get(name):
        return sample
    raise EngineError(f"unknown sample {name!r}" + (did_you_mean(name, known) or f". Known: {', '.join(known)}"))
