"""The example files load, and the JSON schema accepts what the loader accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sightd.daemon.config.load import load_text
from sightd.daemon.config.plugin_entries import installed_plugins, plugin_configs
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.config.schema import as_text, config_schema
from sightd.daemon.config.yaml import parse
from tests.daemon.config.examples import ENVIRON, EXAMPLES, FOLDER, write_exported, write_parts

SCHEMA = FOLDER / "sightd.schema.json"


def schema_takes(text: str) -> bool:
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    return bool(jsonschema.Draft202012Validator(schema).is_valid(parse(text).value))


def loader_takes(text: str) -> bool:
    try:
        load_text(text, FOLDER / "x.yaml", environ=ENVIRON, plugins=installed_plugins())
    except ConfigError:
        return False
    return True


def test_there_are_examples() -> None:
    assert {path.name for path in EXAMPLES} >= {"sightd.yaml", "demo.yaml", "cameras.yaml", "own-model.yaml"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_can_be_used(path: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_parts(tmp_path / "models/parts.onnx")  # the model that only a reader of own-model.yaml has
    loaded = load_text(path.read_text(), tmp_path / path.name, environ=ENVIRON, plugins=installed_plugins())
    assert loaded.config.cameras
    assert all("no such file" in warning.message for warning in loaded.warnings)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_names_the_schema_and_satisfies_it(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=./sightd.schema.json\n")
    assert schema_takes(text)


def test_what_the_reference_file_has_commented_out_can_be_used_too(tmp_path: Path) -> None:
    """Uncomments every `# option: value` line of sightd.yaml; lines of prose without a colon stay comments."""
    lines = (FOLDER / "sightd.yaml").read_text().split("# ── Cameras", 1)[1].splitlines()[1:]
    text = "\n".join(line.replace("# ", "", 1) if line.startswith("  # ") else line for line in lines)
    for name in re.findall(r"/run/credentials/sightd\.service/(\w+)", text):
        (tmp_path / name).write_text(f"a-secret-for-the-{name}")
    text = text.replace("/run/credentials/sightd.service", str(tmp_path))
    text = text.replace("  tls: {certificate: tls/cert.pem, key: tls/key.pem}", "")
    problems = ""
    try:
        load_text(text, FOLDER / "x.yaml", environ=ENVIRON, plugins=installed_plugins())
    except ConfigError as error:
        problems = str(error)
    assert problems == ""


def test_the_committed_schema_is_fresh() -> None:
    fresh = as_text(config_schema(plugin_configs(others=False)))
    assert SCHEMA.read_text() == fresh, "make it again: sightd schema > config/sightd.schema.json"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


CAMERA = "cameras: {a: {source: 'testpattern://'}}\n"
REFUSED = [
    "cameras: 5",
    "cameras: {Front Door: {source: x}}",
    "cameras: {a: {}}",
    "cameras: {a: {source: 5}}",
    "cameras: {a: {source: x, outptu: {}}}",
    "cameras: {a: {source: x, loop: yes}}",
    "cameras: {a: {source: x, loop: 1}}",
    "cameras: {a: {source: x, width: '5'}}",
    "cameras: {a: {source: x, width: 15.5}}",
    "cameras: {a: {source: x, width: 0x100}}",
    "cameras: {a: {source: x, timeout: 3}}",
    "cameras: {a: {source: x, timeout: 3 parsecs}}",
    "cameras: {a: {source: x, output: {crf: 99}}}",
    "cameras: {a: {source: x, output: {preset: slowest}}}",
    "cameras: {a: {source: x, title: 5}}",
    "cameras: {a: {source: x, reconnect: }}",
    "cameras: {a: }",
    CAMERA + "zzz: 1",
    CAMERA + "version: 2",
    CAMERA + "chain: detector",
    CAMERA + "chain: [Detector]",
    CAMERA + "chain: [5]",
    CAMERA + "rtsp: {port: 70000}",
    CAMERA + "rtsp: {auth: {username: ''}}",
    CAMERA + "rtsp: {tls: {certificate: x}}",
    CAMERA + "plugins: {detector: {min_scroe: 0.5}}",
    CAMERA + "plugins: {detector: {min_score: 5}}",
    CAMERA + "plugins: {detector: 5}",
    CAMERA + "plugins: {detector: {use: tracker, min_score: 0.5}}",
    CAMERA + "plugins: {parts: {use: detector, every: 0}}",
    CAMERA + "plugins: {parts: {use: detector, model: {head: yolox}}}",
    CAMERA + "plugins: {tracker: {max_lost: 2}}",
    CAMERA + "models: {max_download: 5}",
    CAMERA + "log: {level: loud}",
    CAMERA + "log: {x-shared: 1}",
    CAMERA + "xshared: 1",
    "cameras: {a: {source: x, allowed_hosts: ['http://a/']}}",
    "cameras: {a: {source: x, poll_interval: 0}}",
]
TAKEN = [
    CAMERA,
    CAMERA + "x-shared: {a: 1}\nx-: 5",
    "cameras: {a: {source: 'http://h/a', allowed_hosts: [cdn.lan, '::1'], poll_interval: 1m, late_after: 0}}",
    CAMERA + "rtsp:\nhttp:\nplugins:\n  detector:\nchain:\n",
    CAMERA + "rtsp: {port: '${env:YES}', tls: null}",
    CAMERA + "chain: [detector]\nplugins: {detector: {min_score: 1, max_wait: 0}}",
    CAMERA + "chain: [d]\nplugins: {d: {use: detector, model: {file: parts.onnx, head: yolox, labels: [a, b, c]}}}",
    CAMERA + "chain: [d]\nplugins: {d: {use: detector, model: [{file: parts.onnx, labels: [a, b, c]}, yolox-s]}}",
    CAMERA + "chain: [d]\nplugins: {d: {use: detector, model: ./exported.onnx}}",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_schema_refuses_the_loader_refuses(text: str) -> None:
    assert not schema_takes(text)
    assert not loader_takes(text)


@pytest.mark.parametrize("text", TAKEN)
def test_what_the_loader_takes_the_schema_takes(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(ENVIRON, "YES", "9000")
    text = text.replace("parts.onnx", str(write_parts(tmp_path / "parts.onnx")))
    text = text.replace("./exported.onnx", str(write_exported(tmp_path / "exported.onnx")))
    assert schema_takes(text)
    assert loader_takes(text)
