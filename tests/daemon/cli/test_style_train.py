"""`sightd style train`: from a painting to a style that a configuration can name."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.cli.main import main
from sightd.engines.labels import STYLES, WITH_OWN
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.store import default_directory
from tests.support.faces import photo
from tests.support.networks import stored

pytestmark = [pytest.mark.computing, pytest.mark.timeout(900)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a painting and photographs, and a store with what training needs."""
    monkeypatch.chdir(tmp_path)
    files = [stored(name) for name in ("style26", "vgg16")]
    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path / "cache"))
    store = default_directory(os.environ)
    store.mkdir(parents=True)
    for file in files:
        shutil.copy(file, store)
        shutil.copy(file.with_suffix(".json"), store)
    random = np.random.default_rng(0)
    painting = cv2.resize(random.integers(0, 256, (12, 16, 3), np.uint8), (160, 120), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite("Red Blocks.png", painting)
    (tmp_path / "photos").mkdir()
    for name in ("astronaut.png", "coffee.png"):
        cv2.imwrite(f"photos/{name}", photo(name))
    return store


def train(*more: str) -> int:
    quick = ["--steps", "2", "--side", "32", "--every", "1"]
    return main(["style", "train", "Red Blocks.png", "--content", "photos", *quick, *more])


def painted(option: str, out: str) -> bytes:
    assert main(["analyze", "--chain", "style", "--set", option, "photos/coffee.png", "--annotated", out]) == 0
    return Path(out, "coffee.png").read_bytes()


@pytest.mark.slow
def test_a_painting_becomes_a_style_that_can_be_named_and_mixed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    assert train() == 0
    told = capsys.readouterr()
    assert "to use it: plugins: {style: {style: red-blocks}}" in told.out
    assert "starting from '" in told.err
    assert "step 2: " in told.err
    previews = sorted(path.name for path in Path("red-blocks-training").iterdir())
    assert previews == ["preview-000001.jpg", "preview-000002.jpg"], "and no checkpoint: it is done"
    assert train("--name", "other") == 0
    assert train() == 0, "again: it is replaced"
    model = with_custom_models(Catalog.load(), folder).get(WITH_OWN)
    assert model.labels == (*STYLES, "red-blocks", "other")
    capsys.readouterr()
    assert main(["style", "list"]) == 0
    assert capsys.readouterr().out.split() == list(model.labels)
    results = {
        painted("style.style=red-blocks", "a"),
        painted("style.style={red-blocks: 1, starry: 1}", "b"),
        painted("style.style=starry", "c"),
    }
    assert len(results) == 3
    assert main(["models", "verify", WITH_OWN]) == 0


def test_one_that_is_interrupted_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    from sightd.daemon.tools.training.style.trainer import Distances, Trainer

    advance = Trainer.advance

    def interrupted(self: Trainer) -> Distances:
        if self.step == 1:
            raise KeyboardInterrupt
        return advance(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", interrupted)
        assert train() == 130
    assert "run the same command to resume from the last checkpoint" in capsys.readouterr().err
    assert train("--likeness", "3") == 1
    assert "belongs to other images, other options or another model" in capsys.readouterr().err
    assert train() == 0
    assert "resuming from step 1" in capsys.readouterr().err


def test_a_network_of_its_own_is_named_as_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    assert train("--all", "--name", "blocks", "--steps", "1") == 0
    assert "to use it: plugins: {style: {model: blocks}}" in capsys.readouterr().out
    assert with_custom_models(Catalog.load(), folder).get("blocks").labels == ("blocks",)
    assert painted("style.model=blocks", "a") != painted("style.style=starry", "b")


def test_without_pytorch_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert train() == 1
    assert "requires PyTorch, which is not installed: .venv/bin/pip install 'sightd[train]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jpg", "--content", "photos"], "none.jpg: No such file"),
        (["broken.jpg", "--content", "photos"], "broken.jpg: not a readable image"),
        (["Red Blocks.png", "--content", "nowhere"], "nowhere: no such file or folder"),
        (["Red Blocks.png", "--content", "photos", "--name", "starry"], "'starry' is built in"),
        (["Red Blocks.png", "--content", "photos", "--name", "sface"], "'sface' is built in"),
        (["Red Blocks.png", "--content", "photos", "--name", "style26-own"], "'style26-own' is built in"),
        (["Red Blocks.png", "--content", "photos", "--scale", "0.1", "--side", "64"], "use another --scale"),
    ],
)
def test_what_cannot_be_used_is_told(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    Path("broken.jpg").write_bytes(b"no picture")
    assert main(["style", "train", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--steps", "0"], ["--likeness", "-1"], ["--scale", "nan"], ["--every", "x"], ["--side", "50"]]
)
def test_numbers_that_mean_nothing_are_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["style", "train", "a.jpg", "--content", "b", *option])
    assert ended.value.code == 2
    assert option[0] in capsys.readouterr().err
