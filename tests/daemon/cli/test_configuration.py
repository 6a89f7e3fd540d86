"""`sightd check`, `schema` and `doctor` as a user calls them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx
import pytest

from sightd.daemon.cli import check, doctor, schema
from sightd.daemon.tools.doctor.finding import Finding
from tests.support.hostile_networks import HUNGRY

CAMERAS = "cameras: {a: {source: 'testpattern://'}, b: {source: 'testpattern://'}}\n"


def call(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="sightd")
    commands = parser.add_subparsers()
    for command in (check, doctor, schema):
        command.add(commands)
    args = parser.parse_args(words)
    code: int = args.run(args)
    return code


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(CAMERAS + "chain: [detector, tracker]\nrtsp: {port: 0}\nhttp: {port: 0}\n")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(CAMERAS + "chian: []\nchain: [tracker]\n")
    return path


def test_a_good_file_is_summed_up_in_a_line(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", str(good)) == 0
    assert capsys.readouterr().out == "ok: 2 cameras, chain detector → tracker\n"


def test_all_faults_of_a_bad_file_are_reported_and_the_code_is_2(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", "-c", str(bad)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f'{bad}:2:1: chian: unknown option; did you mean "chain"?' in told.err
    assert f"{bad}:3:8: chain: tracker requires Detections" in told.err


@pytest.mark.parametrize("plugin", ["classifier", "detector"])
def test_a_network_that_takes_endless_memory_is_refused_before_anything_runs_it(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb = HUNGRY["ConstantOfShape"](tmp_path / "bomb.onnx")
    head = ""
    if plugin == "detector":
        head = ", head: nanodet"
        network = onnx.load(str(bomb))
        network.graph.output[0].type.tensor_type.ClearField("shape")  # otherwise it shows that this is no detector
        onnx.save(network, str(bomb))
    path = tmp_path / "sightd.yaml"
    path.write_text(
        f"{CAMERAS}chain: [{plugin}]\nplugins:\n  {plugin}:\n    model:\n      {{file: {bomb}, labels: [a, b]{head}}}\n"
    )
    assert call("check", str(path)) == 2
    told = capsys.readouterr().err
    assert (
        f"{path}:6:14: plugins.{plugin}.model.file: {bomb} needs more than 4.0 GiB of memory to process one image"
        in told
    )


def test_an_option_under_its_previous_name_passes_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(f"{CAMERAS}events: {{most: 500}}\n")
    assert call("check", str(path)) == 0
    assert f"warning: {path}:2:10: events.most: was renamed to max_count" in capsys.readouterr().err


def test_of_several_files_each_is_reported(good: Path, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("check", str(bad), str(good)) == 2
    assert f"{good}: ok: " in capsys.readouterr().out


def test_no_file_is_a_fault() -> None:
    assert call("check") == 2


def test_the_schema_is_printed_as_it_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema") == 0
    stored = Path(__file__).resolve().parents[3] / "config/sightd.schema.json"
    assert capsys.readouterr().out == stored.read_text()


def test_the_doctor_tells_as_json_and_as_a_table(
    good: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path))
    code = call("doctor", "-c", str(good), "--json")
    findings = json.loads(capsys.readouterr().out)
    missing = [finding["name"] for finding in findings if finding["state"] == "missing"]
    assert (code == 0) == (not missing)
    assert call("doctor", "-c", str(good)) == code
    table = capsys.readouterr().out
    assert "onnxruntime" in table
    assert [line for line in table.splitlines() if line != line.rstrip()] == []


def test_the_doctor_sums_up_what_is_missing_and_what_is_in_use(
    good: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [Finding("opencv", "missing", "no"), Finding("rtsp port", "in use", "x"), Finding("cores", "ok", "2")]
    monkeypatch.setattr(doctor, "checks", lambda *_: [lambda one=one: one for one in findings])
    assert call("doctor", "-c", str(good)) == 1
    assert capsys.readouterr().out.endswith("\nmissing: opencv; in use: rtsp port\n")


def test_the_doctor_refuses_a_bad_file(bad: Path) -> None:
    assert call("doctor", "-c", str(bad)) == 2
