"""Each GPU is opened once, with its kernels; nothing is opened if kernels cannot be compiled."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from sightd.engines.cuda import gpus
from sightd.engines.cuda.compile import CompilerUnavailableError
from sightd.engines.cuda.gpus import Gpu, Gpus
from sightd.engines.cuda.image import batches
from tests.support.device_engine import HostCompiler
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive


@pytest.mark.timeout(600)
@on_stand_in("clean at exit")
def test_threads_that_ask_at_once_get_the_same_gpu(kernels: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpus, "find_library", lambda: Path("none"))
        patch.setattr(gpus, "Nvrtc", lambda library: HostCompiler())
        known, found = Gpus(), list[Gpu]()
        threads = [threading.Thread(target=lambda: found.append(known.get("cuda:0"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(found) == 4
        assert all(gpu is found[0] for gpu in found)
        assert known.device("cuda:0") is found[0].device, "who needs no kernels gets the same device"
        assert alive()["contexts"] == 1


def test_without_a_compiler_the_device_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> NoReturn:
        raise CompilerUnavailableError("install it")

    def opened(which: str) -> NoReturn:
        raise AssertionError("opened")

    monkeypatch.setattr(gpus, "find_library", missing)
    monkeypatch.setattr(gpus, "open_device", opened)
    with pytest.raises(CompilerUnavailableError):
        Gpus().get("cuda:0")


def test_pictures_go_up_in_bounded_batches() -> None:
    images = [np.zeros((10, 10, 3), np.uint8)] * 7 + [np.zeros((100, 100, 3), np.uint8)] * 2

    def sizes(most: int, most_bytes: int) -> list[int]:
        return [len(batch) for batch in batches(images, most, most_bytes)]

    assert sizes(4, 10**9) == [4, 4, 1]
    assert sizes(16, 900) == [3, 3, 1, 1, 1], "an image that is too large goes by itself"
    assert sizes(16, 10**9) == [9]
    assert list(batches([], 4)) == []
