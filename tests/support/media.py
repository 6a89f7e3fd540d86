"""Real videos and photographs for tests: downloaded once into the user's cache, then available offline."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError
from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent


@cache
def path(name: str) -> Path:
    """Returns the path of a sample listed in `engines/models/samples.yaml` ("bikes.mp4"). Skips the test if it is not
    available.

    It is cached in $SIGHTD_CACHE_DIR or ~/.cache/sightd; SIGHTD_MODEL_MIRROR may name a folder that holds it.
    """
    fetcher = Fetcher(silent, default_mirror(os.environ))
    try:
        return SampleStore(cache_directory(os.environ) / "samples").ensure(name, fetcher)
    except EngineError as error:
        pytest.skip(f"{name} is not available here: {error}")
