"""Resolves relative paths from the folder of the configuration file, not from the working directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, SecretStr

from sightd.daemon.config.model import Camera, Config

M = TypeVar("M", bound=BaseModel)


def absolute(model: M, folder: Path, environ: Mapping[str, str]) -> M:
    """Returns the model with every relative `Path` in it, at any depth, made absolute; `~/` is the user's home."""
    changed = {name: _value(value, folder, environ) for name, value in model}
    return model.model_copy(
        update={name: value for name, value in changed.items() if value is not getattr(model, name)}
    )


def with_sources(config: Config, folder: Path, environ: Mapping[str, str]) -> Config:
    """Returns the configuration with relative files among its cameras' sources made absolute."""
    cameras = {name: _with_source(camera, folder, environ) for name, camera in config.cameras.items()}
    return config.model_copy(update={"cameras": cameras})


def _with_source(camera: Camera, folder: Path, environ: Mapping[str, str]) -> Camera:
    source = camera.source.get_secret_value()
    if "://" in source or not source.strip():
        return camera
    return camera.model_copy(update={"source": SecretStr(str(_path(Path(source), folder, environ)))})


def _value(value: object, folder: Path, environ: Mapping[str, str]) -> object:
    if isinstance(value, Path):
        return _path(value, folder, environ)
    if isinstance(value, BaseModel):
        return absolute(value, folder, environ)
    if isinstance(value, dict):
        return {key: _value(item, folder, environ) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_value(item, folder, environ) for item in value)
    return value


def _path(path: Path, folder: Path, environ: Mapping[str, str]) -> Path:
    if path.parts[:1] == ("~",) and "HOME" in environ:
        return Path(environ["HOME"], *path.parts[1:])
    return folder / path
