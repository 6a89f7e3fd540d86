"""`sightd clips` lists, saves, joins, protects and deletes recordings, without a daemon from their folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.recording.index import ClipIndex, ClipReader
from tests.daemon.recording.packets import FPS, GOP
from tests.daemon.recording.test_joined import write

pytestmark = pytest.mark.computing

_BEGIN = 1_700_000_000.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of two segments of 2 s and a clip."""
    monkeypatch.setenv("SIGHTD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "clips"
    write(path, 0.0, 0, GOP)
    write(path, 2.0, GOP, 2 * GOP)
    index = ClipIndex(path)
    number, name = index.begin("gate", _BEGIN, "gate/x", "h264", [812], audio="aac")
    (path / name).write_bytes(b"clip")
    index.finish(number, _BEGIN + 20, 4, [813])
    index.close()
    return path


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def at(seconds: float) -> str:
    return datetime.fromtimestamp(_BEGIN + seconds, UTC).isoformat()


@pytest.mark.usefixtures("folder")
def test_they_are_listed_by_kind_event_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clips", "list"]) == 0
    titles, row = printed(capsys).splitlines()
    assert titles.split()[:4] == ["ID", "CAMERA", "BEGIN", "LENGTH"]
    assert row.split()[-4:] == ["h264+aac", "-", "812,", "813"]
    assert main(["clips", "list", "--segments", "--since", at(2.5), "--until", at(3.0), "--json"]) == 0
    assert json.loads(printed(capsys))["id"] == 2
    assert main(["clips", "list", "--event", "9"]) == 0
    assert printed(capsys) == "there are no clips\n"


def test_one_is_shown_with_its_file_and_saved(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clips", "show", "3"]) == 0
    shown = json.loads(printed(capsys))
    assert Path(shown["file"]).read_bytes() == b"clip"
    assert main(["clips", "save", "3", str(tmp_path / "a.mp4")]) == 0
    assert (tmp_path / "a.mp4").read_bytes() == b"clip"
    assert main(["clips", "save", "9", str(tmp_path / "b.mp4")]) == 1
    assert not (tmp_path / "b.mp4").exists()
    assert folder.is_dir()


@pytest.mark.usefixtures("folder")
def test_segments_are_joined_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "a.mp4")
    assert main(["clips", "export", "gate", file, "--since", at(0.5), "--until", at(3.0)]) == 0
    with av.open(file, "r") as container:
        assert sum(1 for _ in container.decode(video=0)) == 3 * FPS
    assert main(["clips", "export", "gate", file, "--since", at(3.0), "--until", at(0.0)]) == 2
    assert main(["clips", "export", "door", file, "--since", at(0.0), "--until", at(1.0)]) == 2
    assert "camera door has no segments of that time" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["clips", "export", "gate", file, "--since", "yesterday"])
    assert "write how long ago" in capsys.readouterr().err


def test_what_is_protected_is_not_deleted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clips", "protect", "1", "3"]) == 0
    assert printed(capsys) == "recording 1: protected\nrecording 3: protected\n"
    assert main(["clips", "delete", "1", "2"]) == 1
    output = capsys.readouterr()
    assert output.out == "recording 2: deleted\n"
    assert "unprotect it first" in output.err
    assert main(["clips", "unprotect", "1"]) == 0
    assert main(["clips", "delete", "1", "7"]) == 1
    assert "There is no recording 7" in capsys.readouterr().err
    assert [path.name for path in (folder / "gate").iterdir()] == ["x-3.mp4"]
    assert ClipReader(folder).segments("gate", 0.0, 1e12) == []
