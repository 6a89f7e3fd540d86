"""Salvages what is valid in a faulty file, so that one error does not hide those that only show across options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from sightd.daemon.config.interpolation import Resolved
from sightd.daemon.config.model import Config, Name
from sightd.daemon.config.problems import PathKey
from sightd.daemon.config.validate import salvage

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class SalvagedConfig:
    """The valid parts of a file. Options at or below a path in `lost` have their default value instead of the file's.

    Cameras keep the name they have in the file, even if it is not valid.
    """

    config: Config
    lost: frozenset[PathKey]


def salvage_config(values: Mapping[str, object], resolved: Resolved) -> SalvagedConfig:
    """Returns everything except the invalid options. A camera without a usable source is left out."""
    cameras = values.get("cameras")
    stand_ins = _stand_ins(cameras) if isinstance(cameras, dict) else {}
    sections = {key: value for key, value in values.items() if key != "plugins"}
    if isinstance(cameras, dict):
        sections["cameras"] = {stand_ins.get(name, name): camera for name, camera in cameras.items()}
    salvaged = salvage(Config, sections, resolved)
    if salvaged.model is None:
        return SalvagedConfig(Config(), salvaged.lost)
    names = {stand_in: name for name, stand_in in stand_ins.items()}
    renamed = {names.get(name, name): camera for name, camera in salvaged.model.cameras.items()}
    lost = frozenset(_renamed(path, names) for path in salvaged.lost)
    return SalvagedConfig(salvaged.model.model_copy(update={"cameras": renamed}), lost)


def _stand_ins(cameras: Mapping[str, object]) -> dict[str, str]:
    """Returns valid names for the cameras whose own is not valid."""
    bad = [name for name in cameras if not _is_valid(name)]
    free = (name for name in map("unnamed-{}".format, range(len(cameras) + len(bad))) if name not in cameras)
    return dict(zip(bad, free, strict=False))


def _is_valid(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _renamed(path: PathKey, names: Mapping[str, str]) -> PathKey:
    if len(path) > 1 and path[0] == "cameras" and isinstance(path[1], str):
        return (path[0], names.get(path[1], path[1]), *path[2:])
    return path
