"""A canary password passes through every kind of error and must never appear in a message."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from sightd.daemon.config.load import load_text
from sightd.daemon.config.problems import ConfigError
from tests.support.stub_plugins import STUBS

CANARY = "Kanari3nvogel"
ADDRESS = f"rtsp://admin:{CANARY}@192.0.2.1/1"


@pytest.mark.parametrize(
    "text",
    [
        f"cameras: {{a: {{source: '{ADDRESS}', outptu: 1}}}}",
        f"cameras: {{a: '{ADDRESS}'}}",
        f"cameras: '{ADDRESS}'",
        f"cameras: ['{ADDRESS}']",
        f"cameras: {{a: {{source: ['{ADDRESS}']}}}}",
        f"cameras: {{a: {{source: 'gopher://u:{CANARY}@h'}}}}",
        f"cameras: {{a: {{source: '{ADDRESS}', width: '{ADDRESS}'}}}}",
        f"cameras: {{a: {{source: '{ADDRESS}', timeout: '{CANARY}'}}}}",
        f"cameras: {{'{ADDRESS}': {{source: x}}}}",
        f"'{ADDRESS}'",
        f"rtsp: {{auth: {{username: u, password: [{CANARY}]}}}}",
        f"rtsp: {{auth: {{username: u, password: !{CANARY}}}}}",
        f"rtsp: {{auth: {{username: u, password: *{CANARY}}}}}",
        f"rtsp: {{auth: {{username: u, password: @{CANARY}}}}}",
        f"rtsp: {{auth: {{username: u, password: '{CANARY}}}}}",
        f'rtsp: {{auth: {{username: u, password: "\\q{CANARY}"}}}}',
        f"rtsp: {{auth: {{username: u, password: '${{{CANARY}}}'}}}}",
        f"rtsp: {{auth: '{CANARY}'}}",
        f"plugins: {{uploader: {{key: [{CANARY}]}}}}",
        f"plugins: {{uploader: {{key: {CANARY}, kee: {CANARY}}}}}",
        "plugins: {'${env:PW}': {}}\nchain: ['${env:PW}']",
        "cameras: {a: {source: x, transport: '${env:PW}', width: '${env:PW}', chain: ['${env:PW}']}}",
        "plugins: {x: {use: '${env:PW}'}}",
        "log: {level: '${env:PW}'}",
        "rtsp: {tls: {certificate: '${env:PW}', key: '${file:${env:PW}}'}}",
    ],
)
def test_no_fault_tells_a_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text, Path("site.yaml"), environ={"PW": CANARY}, plugins=STUBS)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    assert CANARY not in repr(caught.value)


def test_a_configuration_that_is_printed_tells_no_secret() -> None:
    text = (
        f"cameras: {{a: {{source: '{ADDRESS}'}}, b: {{source: 'rtsp://u:${{env:PW}}@h'}}}}\nchain: [uploader]\n"
        f"plugins: {{uploader: {{key: {CANARY}}}}}\nrtsp: {{auth: {{username: u, password: {CANARY}}}}}"
    )
    loaded = load_text(text, Path("site.yaml"), environ={"PW": CANARY}, plugins=STUBS)
    assert CANARY not in f"{loaded} {loaded!r} {loaded.config.model_dump()} {loaded.config.model_dump_json()}"
