"""The process of an isolated plug-in is never confused with another that got its number."""

from __future__ import annotations

import pytest

from sightd.daemon.isolation.process import PluginProcess


@pytest.mark.parametrize("end", [PluginProcess.death, PluginProcess.close])
def test_is_reaped_only_while_nobody_can_kill_it(end: object, monkeypatch: pytest.MonkeyPatch) -> None:
    process = PluginProcess("finder", 1)
    reaped, locked = process._process.wait, list[bool]()

    def wait() -> int:
        locked.append(process._ending.locked())
        return reaped()

    monkeypatch.setattr(process._process, "wait", wait)
    process.end("timeout", "was ended")
    assert callable(end)
    end(process)
    process.close()
    assert process._process.returncode is not None
    assert all(locked)
    assert locked
