"""Cameras of the network are found within a bounded time, and nothing that a stranger answers is trusted."""

from __future__ import annotations

import time

import pytest

from sightd.daemon.config.model import Camera
from sightd.daemon.onvif.discovery import FoundDevice, NoInterfaceError, answered, discover, interfaces
from sightd.daemon.onvif.finder import known_as
from tests.support.onvif_responder import TDS, Responder, matches
from tests.support.waiting import BUSY

pytestmark = pytest.mark.waiting

SCOPES = (
    "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20door "
    "onvif://www.onvif.org/hardware/D4 onvif://www.onvif.org/location/Yard_North"
)
XADDR = "http://127.0.0.1:8000/onvif/device_service"


def test_a_camera_is_found_with_its_name_hardware_and_place() -> None:
    with Responder(lambda asked: [matches(asked, XADDR, SCOPES)]) as camera:
        found = discover(0.5, ["lo"], port=camera.port)
    assert found == [FoundDevice("127.0.0.1", XADDR, "Front door", "D4", "Yard North")]


def test_old_and_new_devices_are_asked_for_and_each_question_is_repeated() -> None:
    with Responder(lambda asked: [matches(asked, XADDR)], [f"{{{TDS}}}Device"]) as camera:
        found = discover(0.6, ["lo"], port=camera.port)
    assert [one.address for one in found] == [XADDR]
    assert len(camera.questions) == 4
    assert len(set(camera.questions)) == 2


def test_a_search_ends_in_time_if_nobody_answers_and_if_answers_do_not_end() -> None:
    def flood(asked: str) -> list[bytes]:
        return [matches(asked, f"http://127.0.0.1:{port}/") for port in range(1, 300)] + [b"\0" * 60_000] * 20

    def silence(_asked: str) -> list[bytes]:
        return []

    for answer in (silence, flood):
        with Responder(answer) as camera:
            began = time.monotonic()
            found = discover(0.5, ["lo"], port=camera.port)
            assert time.monotonic() - began < 0.5 + BUSY
            assert len(found) <= 8


def test_an_answer_to_another_question_does_not_count() -> None:
    data = matches("urn:uuid:another", XADDR)
    assert list(answered(data, "127.0.0.1", ["urn:uuid:ours"])) == []
    assert list(answered(data, "127.0.0.1", ["urn:uuid:another"]))


@pytest.mark.parametrize(
    ("stated", "used"),
    [
        ("http://10.0.0.7/onvif/device_service", "http://10.0.0.7/onvif/device_service"),
        ("http://[fe80::1]/a http://10.0.0.7:81/b", "http://10.0.0.7:81/b"),
        ("http://192.168.1.2:8000/onvif/device_service", "http://10.0.0.7:8000/onvif/device_service"),
        ("http://user:password@10.0.0.7/x?a=b#c", "http://10.0.0.7/x"),
        ("file:///etc/passwd", None),
        ("javascript:alert(1) ftp://10.0.0.7/", None),
        ("http://10.0.0.7:99999/", None),
        ("", None),
    ],
)
def test_the_address_of_a_device_is_on_the_host_that_answered(stated: str, used: str | None) -> None:
    found = list(answered(matches("q", stated), "10.0.0.7", ["q"]))
    assert [one.address for one in found] == ([] if used is None else [used])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<a>" * 100 + b"</a>" * 100,
        b"\xff\xfe\x00",
        b"<Envelope><Header><RelatesTo>q</RelatesTo></Header></Envelope>",
    ],
)
def test_what_is_no_answer_is_ignored(data: bytes) -> None:
    assert list(answered(data, "10.0.0.7", ["q"])) == []


def test_what_a_device_says_about_itself_is_cut_and_printable() -> None:
    name = "onvif://www.onvif.org/name/" + "%1b%5b31m%00" + "x" * 500
    (found,) = answered(matches("q", "http://10.0.0.7/", name), "10.0.0.7", ["q"])
    assert found.name.isprintable()
    assert len(found.name) <= 80


def test_an_interface_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(NoInterfaceError, match=r"no interface 'eth77'.*there are: .*lo"):
        discover(0.5, ["eth77"])


def test_the_loopback_is_not_asked_unless_it_is_named() -> None:
    (loopback,) = [one for one in interfaces() if one.name == "lo"]
    assert (loopback.address, loopback.usual) == ("127.0.0.1", False)


def test_devices_are_known_by_the_host_of_a_cameras_source_or_onvif_address() -> None:
    def device(host: str) -> FoundDevice:
        return FoundDevice(host, f"http://{host}/", "", "", "")

    cameras = {
        "gate": Camera.model_validate({"source": "rtsp://user:pass@10.0.0.7:554/main"}),
        "yard": Camera.model_validate({"source": "/dev/video0", "onvif": {"address": "10.0.0.8:8000"}}),
    }
    found = known_as([device("10.0.0.7"), device("10.0.0.8"), device("10.0.0.9")], cameras)
    assert [name for _, name in found] == ["gate", "yard", None]
