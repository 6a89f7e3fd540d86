from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.common.redaction import redact

pytestmark = pytest.mark.computing

CANARY = "Kanari3nvogel"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:secret@10.0.0.7:554/stream1", "rtsp://***@10.0.0.7:554/stream1"),
        ("rtsp://token@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:p@ss/wo?rd#@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:pass word@cam/1", "rtsp://***@cam/1"),
        ("rtsp:/admin:secret@cam/1", "rtsp:/***@cam/1"),
        ("admin:secret@cam/1 is no address", "***@cam/1 is no address"),
        ("rtsp://admin:secret%40cam/1", "rtsp://***/1"),
        ("[Errno 111] refused: 'rtsp://a:b@cam/1'", "[Errno 111] refused: 'rtsp://***@cam/1'"),
        ("from rtsp://a:b@one/1 to https://c:d@two/2", "from rtsp://***@one/1 to https://***@two/2"),
        ("rtsp://dvr:554/user=admin_password=tlJw_bo6_channel=1_stream=0.sdp", "rtsp://dvr:554/user=***"),
        ("rtsps://nvr:7441/aBcDeFgH1jKlMnOp?enableSrtp", "rtsps://nvr:7441/***?enableSrtp"),
        ("rtsp://nvr/live/0b9f7c1e-6a52-4c1e-9d55-0d5b0c7d2f11/main", "rtsp://nvr/live/***/main"),
        ("http://cam/cgi?user=admin&pwd=12345&channel=1", "http://cam/cgi?user=***&pwd=***&channel=1"),
        ("http://cam/cgi?user=admin&pwd=12#345&channel=1", "http://cam/cgi?user=***&pwd=***&channel=1"),
        ("rtsp://cam/1?password=se#cret", "rtsp://cam/1?password=***"),
        ("http://cam/v?fps=25#token=abc", "http://cam/v?fps=25#token=***"),
        ("GET /live?token=abc HTTP/1.1", "GET /live?token=*** HTTP/1.1"),
        ("http://cam/v?x=0123456789abcdef01234567", "http://cam/v?x=***"),
        ("Authorization: Basic YWRtaW46c2VjcmV0", "Authorization: ***"),
    ],
)
def test_takes_the_secret_and_leaves_the_rest(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words, 12:30:44, and a mail to bob@example.org",
        "rtsp://127.0.0.1:8554/front-door",
        "listening on http://[::1]:8080, rtsp://cam:554: refused",
        "/dev/video0",
        "testpattern://",
        "http://cam/mjpeg?channel=1&fps=25",
        "rtsp://cam/h264Preview_01_main and rtsp://cam:554/Streaming/Channels/101 and rtsp://cam/axis-media/media.amp",
        "C:\\video.mp4",
        "basic authentication needs TLS, the bearer of bad news",
        "two\nlines\r\n",
        "camera cam4 (rtsp://10.0.0.4/1): write %40 for @ and %2F for /",
        "write rtsp://USER:PASSWORD@HOST:PORT/PATH, and in user and password %40 for @, %2F for /, %23 for #",
        "rtsp://cam:554/1 is late; is '@' or \"@\" (or @) in its password? A name is @, not #.",
    ],
)
def test_leaves_text_without_secrets_alone(text: str) -> None:
    assert redact(text) == text


secrets = st.builds(
    lambda before, after: before + CANARY + after,
    st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12),
    st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12),
)
words = st.text("abcxyz019.-_", max_size=10)


@given(words, secrets, words, st.sampled_from(["rtsp", "rtsps", "http", "https", "rtmp"]), words, words)
def test_no_password_of_an_address_survives(
    user: str, password: str, host: str, scheme: str, before: str, after: str
) -> None:
    text = f"{before} '{scheme}://{user}:{password}@{host}/stream' {after}"
    assert CANARY not in redact(text)


@given(words, secrets, words, secrets, words)
def test_no_password_of_two_addresses_in_a_line_survives(
    user: str, password: str, host: str, other: str, between: str
) -> None:
    text = f'rtsp://{user}:{password}@{host}/1 {between} "http://{user}:{other}@{host}:80/2" (@)'
    assert CANARY not in redact(text)


prose = st.lists(
    st.sampled_from(
        [
            "write",
            "%40",
            "for",
            "@",
            "@,",
            "'@'",
            "(@)",
            "%2F",
            "/",
            "#",
            "?",
            "and:",
            "lost",
            "3.5 s",
            "100 %",
            "in",
            "a",
        ]
    ),
    max_size=12,
).map(" ".join)
addresses = st.sampled_from(
    [
        "rtsp://10.0.0.4/1",
        "rtsp://cam:554/Streaming/Channels/101",
        "https://[::1]:8080/",
        "http://cam.example",
        "rtsp://u:p@cam/1",
        "rtsp://admin:p@ss/w or# d?@10.0.0.4:554/1",
        "rtsp://***@cam/1",
    ]
)


@given(addresses, prose, st.sampled_from([" ", ": ", ") ", ", "]))
def test_prose_after_an_address_survives(address: str, text: str, between: str) -> None:
    assert redact(f"camera a ({address}{between}{text}").endswith(f"{between}{text}")


@given(addresses, prose, addresses, prose)
def test_prose_between_addresses_survives(one: str, text: str, other: str, end: str) -> None:
    found = redact(f"{one} {text} {other} {end}")
    assert f" {text} " in found
    assert found.endswith(f" {end}")


@given(st.text(max_size=200))
def test_any_text_is_taken_and_a_second_time_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    ("piece", "end"),
    [("a:/", ""), ("a:", "@"), ("?a=", ""), ("a ", "b://@ "), ("b:// @ ", ""), ("@.. ", ""), ("b://@.,;:", " @ ")],
)
def test_the_time_for_hostile_text_grows_with_its_length_and_no_faster(piece: str, end: str) -> None:
    def cpu_seconds(pieces: int) -> float:
        text, begun = piece * pieces + end, time.thread_time()
        redact(text)
        return time.thread_time() - begun

    short = min(cpu_seconds(10_000) for _ in range(5))
    long = min(cpu_seconds(100_000) for _ in range(2))
    assert long < 40 * short, "ten times the text; a quadratic algorithm takes a hundred times as long"
