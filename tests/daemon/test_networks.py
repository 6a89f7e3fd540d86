"""What the configuration says of networks reaches the loader."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.model import Models
from daemon.networks import engine_loading
from engines.errors import ModelUnavailableError


def told(models: Models) -> str:
    with pytest.raises(ModelUnavailableError) as caught:
        engine_loading(models)(["ssd-mobilenet-v2"], 1)
    return str(caught.value)


def test_the_mirror_folder_of_the_environment_stands_where_the_configuration_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTD_MODEL_MIRROR", str(tmp_path / "mirror"))
    options = Models(directory=tmp_path, max_download=0)
    assert f"mirror folder {tmp_path / 'mirror'}" in told(options)
    assert f"mirror folder {tmp_path / 'own'}" in told(options.model_copy(update={"mirror": tmp_path / "own"}))


def test_nothing_is_fetched_where_fetching_is_off(tmp_path: Path) -> None:
    assert "fetching is off" in told(Models(directory=tmp_path, fetch=False))
