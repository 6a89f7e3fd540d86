"""How a camera is moved: its options, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import PluginSource
from sightd.daemon.config.problems import ConfigError
from sightd.plugins.configuration.registry import check_chain
from tests.support.stub_plugins import Finder, Follower

pytestmark = pytest.mark.computing

ONVIF = {"address": "10.0.0.7", "username": "admin", "password": "${env:PASSWORD}"}
FOLLOW = {"classes": ["person"], "zone": [[0, 0], [1, 0], [1, 1]]}
CLASSES: dict[str, Any] = {"detector": Finder, "tracker": Follower}


def loaded(chain: list[str] | None = None, **camera: Any) -> LoadedConfig:
    text = yaml.safe_dump({"cameras": {"gate": {"source": "rtsp://camera/1", **camera}}, "chain": chain or []})
    source = PluginSource(CLASSES.__getitem__, check_chain)
    return load_text(text, Path("site.yaml"), environ={"PASSWORD": "a secret"}, plugins=source)


def problems(chain: list[str] | None = None, **camera: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(chain, **camera)
    return str(caught.value)


def test_a_camera_has_an_onvif_service_with_a_secret_password() -> None:
    camera = loaded(["detector", "tracker"], onvif=ONVIF, ptz={"follow": FOLLOW}).config.cameras["gate"]
    assert camera.onvif is not None
    assert camera.onvif.password.get_secret_value() == "a secret"
    assert "a secret" not in repr(camera)
    assert camera.ptz is not None
    assert camera.ptz.follow is not None
    assert camera.ptz.follow.home_after == 10


@pytest.mark.parametrize(
    ("camera", "message", "hint"),
    [
        ({"ptz": {}}, "cameras.gate.ptz: the camera cannot be moved without onvif", "add onvif: {address: HOST"),
        ({"onvif": {**ONVIF, "address": "rtsp://10.0.0.7"}}, "onvif.address: is not", "write HOST, HOST:PORT"),
        ({"onvif": {**ONVIF, "address": "a:b@10.0.0.7"}}, "onvif.address: is not", "as username and password"),
        ({"onvif": {**ONVIF, "username": ""}}, "onvif.password: has no effect", "add onvif.username"),
        ({"onvif": ONVIF, "ptz": {"follow": {**FOLLOW, "home_after": 0}}}, "never returns", "home_after: 10s"),
        ({"onvif": ONVIF, "ptz": {"follow": {"classes": []}}}, "cameras.gate.ptz.follow.classes", ""),
        ({"onvif": ONVIF, "ptz": {"follow": {"classes": ["a"], "zone": [[0, 0], [1, 1], [2, 2]]}}}, "follow.zone", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_write(camera: dict[str, Any], message: str, hint: str) -> None:
    told = problems(["detector", "tracker"], **camera)
    assert message in told
    assert hint in told
    assert "a secret" not in told


def test_a_camera_that_follows_needs_a_tracker() -> None:
    told = problems(["detector"], onvif=ONVIF, ptz={"follow": FOLLOW})
    assert "ptz.follow: needs a plug-in that tracks objects" in told
    assert "write chain: [detector, tracker]" in told
