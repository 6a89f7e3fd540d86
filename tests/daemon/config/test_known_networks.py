"""A model that was made on this machine can be named in the configuration like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import CustomModelMetadata, put
from sightd.plugins.detector.config import DetectorConfig

TEXT = """
cameras: {a: {source: 'testpattern://'}}
chain: [detector]
plugins: {detector: {model: yolox-nano-int8, classes: [person]}}
"""


def check(text: str, folder: Path) -> LoadedConfig:
    return load_text(text, folder / "site.yaml", environ={"SIGHTD_CACHE_DIR": str(folder)}, plugins=installed_plugins())


def made(directory: Path) -> None:
    directory.mkdir()
    file = directory / "made.onnx"
    file.touch()
    put(
        Catalog.load().get("yolox-nano"),
        "yolox-nano-int8",
        file,
        CustomModelMetadata("yolox-nano", "", "int8", "", ""),
        directory,
    )


@pytest.mark.parametrize(("section", "folder"), [("", "models"), ("models: {directory: here}", "here")])
def test_a_network_made_here_can_be_named(tmp_path: Path, section: str, folder: str) -> None:
    made(tmp_path / folder)
    loaded = check(TEXT + section, tmp_path)
    options = loaded.plugin_configs["detector"]
    assert isinstance(options, DetectorConfig)
    assert options.model.root == "yolox-nano-int8"


def test_it_cannot_where_it_was_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='unknown model "yolox-nano-int8"; did you mean "yolox-nano"'):
        check(TEXT, tmp_path)
