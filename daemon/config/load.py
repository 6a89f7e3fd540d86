"""Loads a configuration file: resolves its relative paths and reports all its problems at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, SecretStr

from sightd.daemon.config.checks import NO_CAMERAS, Checks
from sightd.daemon.config.diff import chain_of, enabled
from sightd.daemon.config.interpolation import Resolved, resolve
from sightd.daemon.config.model import Camera, Config, Models
from sightd.daemon.config.overrides import Override, apply
from sightd.daemon.config.plugin_entries import EntryReader, PluginSource
from sightd.daemon.config.problems import START, ConfigError, LocatedProblem, PathKey, Positions
from sightd.daemon.config.recording import RecordingChecks
from sightd.daemon.config.renamed_options import RenamedOptions
from sightd.daemon.config.rule_checks import RuleChecks
from sightd.daemon.config.validate import SalvagedConfig, salvage_config, validate
from sightd.daemon.config.yaml import MAX_BYTES, Document, YamlSyntaxError, parse
from sightd.engines.files import Version, open_regular
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.store import default_directory
from sightd.plugins.api import PluginConfig

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


def known_networks(models: Models, environ: Mapping[str, str]) -> Catalog:
    """Returns the built-in catalogue plus the custom models in the directory set by `models` or `environ`.

    Loads no model.
    """
    return with_custom_models(Catalog.load(), models.directory or default_directory(environ))


_CAMERA_SECTIONS = ("cameras", "access", "rtsp", "http", "delivery")
_LEAST_SECRET = 4
"""Shorter texts from references are not redacted in messages: that would black out parts of words."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration. `plugin_configs` has an entry for each plug-in instance, including those that only a chain
    names; `config.plugins` keeps only their names, because raw options may be secrets. Paths are absolute. `warnings`
    are problems that do not keep it from running. `plugin_files` are the versions of the files that each plug-in reads
    when it is opened, as they were before. `hiding` are the plug-ins on whose results the redaction of an enabled
    camera depends."""

    path: Path
    config: Config
    plugin_configs: dict[str, PluginConfig]
    positions: Positions
    warnings: tuple[LocatedProblem, ...]
    plugin_files: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    hiding: frozenset[str] = frozenset()


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    plugins: PluginSource,
    overrides: Sequence[Override] = (),
    cameras: bool = True,
    files: Mapping[Path, Path] | None = None,
) -> LoadedConfig:
    """Reads a file. Raises ConfigError with every problem found.

    `overrides` replace what the file says. Without `cameras` the file is read only for its plug-ins: its cameras,
    servers and sinks are left out, whatever is wrong with them. `files` maps paths that references name to files read
    instead.
    """
    return load_text(
        read_text(path), path, environ=environ, plugins=plugins, overrides=overrides, cameras=cameras, files=files
    )


def load_text(
    text: str,
    path: Path,
    *,
    environ: Mapping[str, str],
    plugins: PluginSource,
    overrides: Sequence[Override] = (),
    cameras: bool = True,
    files: Mapping[Path, Path] | None = None,
) -> LoadedConfig:
    """Like `load`, for text already read. `path` is its name; relative paths are resolved from the folder of `path`."""
    folder = path.absolute().parent
    document = _parse(text, path)
    if isinstance(document.value, dict):
        left_out = () if cameras else _CAMERA_SECTIONS
        document.value = {key: item for key, item in document.value.items() if _is_read(key, left_out)}
    renaming = RenamedOptions(plugins.find)
    overrides = renaming.rename(document, str(path), overrides)
    resolved = resolve(document.value, document.positions, folder=folder, environ=environ, files=files or {})
    report = _Report(path, resolved, overrides)
    report.add(document.problems, renaming.problems, resolved.problems)
    report.warn(renaming.warnings)
    value = apply(_as_mapping(document, resolved, report), overrides)
    validated = validate(Config, value, document.positions, resolved)
    reader = EntryReader(document.positions, resolved, plugins)
    entries = reader.read(value)
    configs = {name: absolute(entry, folder, environ) for name, entry in entries.configs.items()}
    partial = {name: absolute(entry, folder, environ) for name, entry in entries.partial.items()}
    readable = (
        SalvagedConfig(validated.model, frozenset(resolved.failed))
        if validated.model
        else salvage_config(value, resolved)
    )
    config = with_sources(absolute(readable.config, folder, environ), folder, environ)
    report.add(validated.problems, entries.problems)
    versions: Mapping[str, tuple[Version, ...]] = {}
    if not any(path[:1] == ("models",) for path in readable.lost):
        networks = known_networks(config.models, environ)
        versions = reader.files(configs, networks)
        problems = reader.problems(configs | partial, networks)
        report.add(problem for problem in problems if not report.tells_of(problem.path))
    if cameras:
        checks = Checks(config, document.positions, readable.config, readable.lost, reader.tracks)
        report.add(problem for problem in checks.problems() if not report.tells_of(problem.path))
        report.warn(warning for warning in checks.warnings() if not report.tells_of(warning.path))
        recording = RecordingChecks(config, document.positions, reader.redacting, readable.lost)
        report.add(problem for problem in recording.problems() if not report.tells_of(problem.path))
        report.warn(warning for warning in recording.warnings() if not report.tells_of(warning.path))
        rules = RuleChecks(config, document.positions, entries.classes, configs | partial, readable.lost)
        report.add(problem for problem in rules.problems() if not report.tells_of(problem.path))
        report.warn(warning for warning in rules.warnings() if not report.tells_of(warning.path))
    if report.problems:
        raise report.error()
    names_only = config.model_copy(update={"plugins": {name: {} for name in config.plugins}})
    chains = [chain_of(config, camera) for camera in enabled(config).values()]
    hiding = frozenset[str]().union(*map(reader.hiding, chains))
    return LoadedConfig(path, names_only, configs, document.positions, tuple(report.warnings), versions, hiding)


class _Report:
    """Collects problems; adds the file's name to each that has none, and redacts texts that came from a reference."""

    def __init__(self, path: Path, resolved: Resolved, overrides: Sequence[Override]) -> None:
        self._file = str(path)
        self._set: dict[PathKey, str] = {override.path: override.given_by for override in overrides}
        self._secrets = sorted((text for text in resolved.secrets if len(text) >= _LEAST_SECRET), key=len, reverse=True)
        self.problems: list[LocatedProblem] = []
        self.warnings: list[LocatedProblem] = []

    def tells_of(self, path: PathKey) -> bool:
        """Whether a problem was reported at this path, above or below it, so that its value is unknown."""
        return any(
            path == other.path or _below(other.path, path) or (_below(path, other.path) and not other.name_only)
            for other in self.problems
            if other.path
        )

    def add(self, *groups: Iterable[LocatedProblem]) -> None:
        self.problems += [self.finished(problem) for group in groups for problem in group]

    def warn(self, warnings: Iterable[LocatedProblem]) -> None:
        self.warnings += map(self.finished, warnings)

    def finished(self, problem: LocatedProblem) -> LocatedProblem:
        message, hint = self._without(problem.message), self._without(problem.hint)
        if problem.file:
            return replace(problem, message=message, hint=hint)
        for path, given_by in self._set.items():
            if problem.path == path or _below(problem.path, path):
                return replace(problem, file=given_by, line=0, column=0, message=message, hint=hint)
        return replace(problem, file=self._file, message=message, hint=hint)

    def error(self) -> ConfigError:
        return ConfigError(self.problems, self.warnings)

    def _without(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _is_read(key: object, left_out: Collection[object]) -> bool:
    """Whether a section is read. Keys that begin with "x-" only hold what anchors share, as in a Compose file."""
    return key not in left_out and not (isinstance(key, str) and key.startswith("x-"))


def _below(path: PathKey, above: PathKey) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def read_text(path: Path) -> str:
    """Returns the file's text. Raises ConfigError if it cannot be read."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "pass a readable file, for example: sightd run -c FILE"
        raise ConfigError([LocatedProblem((), f"cannot be read: {error.strerror}", hint, file=str(path))]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([LocatedProblem((), f"is larger than {MAX_BYTES // 2**20} MiB", file=str(path))])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [LocatedProblem((), "this line is not UTF-8", "save the file as UTF-8", line, 1, str(path))]
        ) from None


def _parse(text: str, path: Path) -> Document:
    if len(text) > MAX_BYTES:
        raise ConfigError([LocatedProblem((), f"is larger than {MAX_BYTES // 2**20} MiB", file=str(path))])
    try:
        return parse(text)
    except YamlSyntaxError as error:
        raise ConfigError([replace(error.problem, file=str(path))]) from None


def _as_mapping(document: Document, resolved: Resolved, report: _Report) -> dict[str, object]:
    """Returns the values without empty sections: one whose content is commented out means the defaults."""
    value = resolved.value
    if document.value is None and not document.problems:
        return {}
    if not isinstance(value, dict):
        if not document.problems:
            report.add([LocatedProblem((), "the file must be a mapping of sections", f"write {NO_CAMERAS}", *START)])
        raise report.error()
    filled = {key: item for key, item in value.items() if item is not None or key not in Config.model_fields}
    plugins = filled.get("plugins")
    if isinstance(plugins, dict):
        filled["plugins"] = {name: {} if options is None else options for name, options in plugins.items()}
    return filled
