"""The location of cached files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.engines.models.store import default_directory


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/.cache/sightd/models"),
        ({"HOME": "/home/ada", "XDG_CACHE_HOME": "/fast"}, "/fast/sightd/models"),
        ({"XDG_CACHE_HOME": "/fast", "CACHE_DIRECTORY": "/var/cache/sightd:/other"}, "/var/cache/sightd/models"),
        ({"CACHE_DIRECTORY": "/var/cache/sightd", "SIGHTD_CACHE_DIR": "/srv/sightd"}, "/srv/sightd/models"),
    ],
)
def test_the_nearest_statement_about_the_cache_wins(environ: dict[str, str], directory: str) -> None:
    assert default_directory(environ) == Path(directory)
