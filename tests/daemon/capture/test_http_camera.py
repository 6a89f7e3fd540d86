"""HTTP cameras: MJPEG in its dialects, single images, logins, redirects, and hostile data."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import pytest

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.reconnect import FeedState
from sightd.daemon.capture.web import WebClient
from tests.support.certificates import self_signed
from tests.support.clips import Scene, write_clip
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually
from tests.support.web_camera import Answer, Request, answer, endless, web_camera

USER, PASSWORD = "viewer", "p@ss#w/rd?%41:&+"
CREDENTIALS = f"{USER}:{quote(PASSWORD, safe='')}@"
MULTIPART = "multipart/x-mixed-replace; boundary=b"


@functools.cache
def jpeg(number: int) -> bytes:
    picture = cv2.cvtColor(Scene(320, 240).planes(number), cv2.COLOR_YUV2BGR_I420)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def part(picture: bytes) -> bytes:
    return b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(picture), picture)


def live(content_type: str, parts: Callable[[int], bytes]) -> Answer:
    """Serves an endless response, 25 parts a second."""

    def give(_request: Request) -> Iterator[bytes]:
        yield endless(content_type)
        for number in range(2000):
            yield parts(number)
            time.sleep(0.04)  # the camera's frame interval

    return give


DIALECTS = {
    "as it should be": (MULTIPART, part),
    "mixed": ("multipart/mixed; boundary=b", part),
    "a boundary that is another": ('multipart/x-mixed-replace; boundary="--other"', part),
    "no first boundary": (MULTIPART, lambda picture: part(picture)[5:] + b"--b\r\n"),
    "no length": (MULTIPART, lambda picture: b"--b\r\n\r\n" + picture),
    "called something else": ("application/octet-stream", part),
    "called a picture": ("image/jpeg", lambda picture: picture),
    "called a page": ("text/html", part),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_of_mjpeg_is_live(dialect: str) -> None:
    content_type, of = DIALECTS[dialect]
    with (
        web_camera(live(content_type, lambda number: of(jpeg(number % 50)))) as camera,
        RunningFeed(camera.url("/")) as running,
    ):
        running.wait_for(20)
        numbers = [bar.number for bar in running.bars()][:20]
    assert numbers == sorted(set(numbers))
    assert (running.record.losses, running.record.damaged) == ([], 0)
    assert len(camera.requests) == 1


def test_cut_pictures_are_held_back_and_counted() -> None:
    def parts(number: int) -> bytes:
        picture = jpeg(number % 50)
        return part(picture[: len(picture) // 2] if number % 3 == 2 else picture)

    with web_camera(live(MULTIPART, parts)) as camera, RunningFeed(camera.url("/")) as running:
        eventually(lambda: running.record.damaged >= 10, 15)
        frames = running.wait_for(20)
        bars = running.bars()
    assert len(bars) >= len(frames), "every picture that is shown is whole"
    assert all(bar.number % 3 != 2 for bar in bars)
    assert running.record.losses == []


def test_a_camera_whose_pictures_are_all_cut_is_never_live() -> None:
    with (
        web_camera(live(MULTIPART, lambda number: part(jpeg(1)[: 1000 + number]))) as camera,
        RunningFeed(camera.url("/")) as running,
    ):
        eventually(lambda: running.record.damaged >= 20, 15)
        assert running.feed.status.state is not FeedState.LIVE
    assert running.frames == []


@pytest.mark.parametrize("length", [True, False], ids=["with a length", "without"])
def test_an_address_of_a_single_picture_is_asked_at_the_stated_rate(length: bool) -> None:
    def give(request: Request) -> Iterator[bytes]:
        picture = jpeg(len(camera.requests))
        yield answer(picture) if length else endless("image/jpeg") + picture

    with web_camera(give) as camera, RunningFeed(camera.url("/snap.jpg"), poll_interval="300ms") as running:
        running.wait_for(6)
        numbers = [bar.number for bar in running.bars()]
    asked = [request.at for request in camera.requests]
    assert numbers[:6] == [1, 2, 3, 4, 5, 6]
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) > 0.2
    assert (len({request.client for request in camera.requests}) == 1) is length, "a kept connection is used again"
    assert running.record.losses == []


def test_a_slow_single_picture_is_asked_once_a_second_by_default_and_not_lost_in_between() -> None:
    with (
        web_camera(lambda _request: [answer(jpeg(1))]) as camera,
        RunningFeed(camera.url("/snap.jpg"), timeout="200ms") as running,
    ):
        running.wait_for(4)
    asked = [request.at for request in camera.requests]
    assert asked[3] - asked[0] == pytest.approx(3.0, abs=0.3)
    assert running.record.losses == []


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_single_pictures_of_other_kinds_are_shown(suffix: str) -> None:
    picture = cv2.imencode(suffix, cv2.cvtColor(Scene(320, 240).planes(7), cv2.COLOR_YUV2BGR_I420))[1].tobytes()
    with (
        web_camera(lambda _request: [answer(picture, f"image/{suffix[1:]}")]) as camera,
        RunningFeed(camera.url("/snap"), poll_interval="100ms") as running,
    ):
        running.wait_for(3)
    assert {bar.number for bar in running.bars()} == {7}


def challenge(text: str) -> bytes:
    return answer(b"log in", "text/plain", "401 Unauthorized", [f"WWW-Authenticate: {text}"])


def digest_is_right(request: Request, algorithm: str, nonce: str) -> bool:
    """Checks a digest response according to RFC 7616, for qop=auth."""
    name = {"MD5": "md5", "SHA-256": "sha256", "SHA-256-sess": "sha256"}[algorithm]

    def hashed(*parts: str) -> str:
        return hashlib.new(name, ":".join(parts).encode()).hexdigest()

    header = request.headers.get("Authorization", "")
    said = {key: quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', header)}
    if not header.startswith("Digest ") or said["nonce"] != nonce or said["uri"] != request.path:
        return False
    secret = hashed(USER, "cam", PASSWORD)
    if algorithm.endswith("-sess"):
        secret = hashed(secret, nonce, said["cnonce"])
    right = hashed(secret, nonce, said["nc"], said["cnonce"], "auth", hashed("GET", request.path))
    return bool(said["response"] == right)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-256-sess"])
def test_a_digest_login_is_answered_whatever_the_password_holds(algorithm: str) -> None:
    nonce = os.urandom(8).hex()

    def give(request: Request) -> Iterator[bytes]:
        if digest_is_right(request, algorithm, nonce):
            yield answer(jpeg(1))
        else:
            yield challenge(f'Digest realm="cam", nonce="{nonce}", qop="auth", opaque="", algorithm={algorithm}')

    with (
        web_camera(give) as camera,
        RunningFeed(camera.url("/snap?a=1", CREDENTIALS), poll_interval="100ms") as running,
    ):
        running.wait_for(3)
    assert len(camera.requests) <= len(running.frames) + 2, "it is challenged once"


def test_a_basic_login_is_answered_and_digest_preferred() -> None:
    offers: dict[str, str] = {
        "/basic": 'Basic realm="cam"',
        "/both": 'Basic realm="cam", Digest realm="cam", nonce="n"',
    }

    def give(request: Request) -> Iterator[bytes]:
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        said = request.headers.get("Authorization", "")
        right = said == basic if request.path == "/basic" else said.startswith("Digest ")
        yield answer(jpeg(1)) if right else challenge(offers[request.path])

    with web_camera(give) as camera:
        for path in offers:
            with RunningFeed(camera.url(path, CREDENTIALS)) as running:
                running.wait_for(1)


@pytest.mark.parametrize(
    ("offer", "credentials", "told"),
    [
        ('Basic realm="cam"', CREDENTIALS, "login rejected"),
        ('Digest realm="cam", nonce="n"', CREDENTIALS, "login rejected"),
        ('Basic realm="cam"', "", "no user and password"),
        ("Negotiate", CREDENTIALS, "asks for 'negotiate', which is not supported"),
        ("", CREDENTIALS, "login rejected"),
        ("Digest nonsense", CREDENTIALS, "login rejected"),
        (", ,", CREDENTIALS, "login rejected"),
    ],
)
def test_a_login_that_fails_says_why_and_shows_no_password(
    offer: str, credentials: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with (
        web_camera(lambda _request: [challenge(offer)]) as camera,
        RunningFeed(camera.url("/", credentials)) as running,
    ):
        eventually(lambda: running.record.losses != [], 5)
        status = running.feed.status
    assert running.record.losses[0] is Reason.UNAUTHORISED
    assert told in (status.last_error or "")
    for secret in (PASSWORD, quote(PASSWORD, safe=""), base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()):
        assert secret not in caplog.text + str(status) + repr(running.feed.source)
    assert len(camera.requests) <= 3 * len(running.record.losses)


@pytest.mark.parametrize(("stale", "sent"), [("", 1), (", stale=false", 1), (", stale=true", 2)])
def test_a_password_is_sent_once_per_attempt_unless_the_camera_says_that_the_nonce_was_stale(
    stale: str, sent: int
) -> None:
    """Cameras lock an account after about five wrong passwords."""
    numbers = itertools.count()

    def give(_request: Request) -> Iterator[bytes]:
        yield challenge(f'Digest realm="cam", nonce="{next(numbers)}", qop="auth"{stale}')

    with web_camera(give) as camera:
        client = WebClient(camera.url("/", CREDENTIALS), timeout=5, opening=5)
        with pytest.raises(SourceError) as refused:
            client.get()
        client.close()
    assert refused.value.reason is Reason.UNAUTHORISED
    assert ["Authorization" in request.headers for request in camera.requests] == [False] + [True] * sent


def test_a_camera_whose_nonce_expires_without_a_word_is_logged_in_to_again() -> None:
    numbers = itertools.count()
    nonces = [os.urandom(8).hex() for _ in range(3)]

    def give(request: Request) -> Iterator[bytes]:
        nonce = nonces[next(numbers) // 3]
        right = digest_is_right(request, "MD5", nonce)
        yield answer(jpeg(1)) if right else challenge(f'Digest realm="cam", nonce="{nonce}", qop="auth"')

    with web_camera(give) as camera:
        client = WebClient(camera.url("/", CREDENTIALS), timeout=5, opening=5)
        for _ in range(3):
            assert client.get().read()
        client.close()
    assert len(camera.requests) == 5


def redirect(to: str) -> bytes:
    return answer(b"", "text/plain", "302 Found", [f"Location: {to}"])


def test_a_redirect_on_the_same_host_is_followed_with_the_login() -> None:
    def give(request: Request) -> Iterator[bytes]:
        if request.path == "/":
            yield redirect("/snap.jpg")
        elif "Authorization" in request.headers:
            yield answer(jpeg(1))
        else:
            yield challenge('Basic realm="cam"')

    with web_camera(give) as camera, RunningFeed(camera.url("/", CREDENTIALS)) as running:
        running.wait_for(2)


def test_a_redirect_to_another_host_is_followed_only_if_it_is_allowed_and_without_the_login() -> None:
    def give(request: Request) -> Iterator[bytes]:
        if request.path == "/other":
            yield answer(jpeg(1))
        elif "Authorization" in request.headers:
            yield redirect(camera.url("/other", host="localhost"))
        else:
            yield challenge('Basic realm="cam"')

    with web_camera(give) as camera:
        address = camera.url("/", CREDENTIALS)
        with RunningFeed(address) as running:
            eventually(lambda: running.record.losses != [], 5)
            error = running.feed.status.last_error or ""
        assert running.record.losses[0] is Reason.REDIRECT
        assert "'localhost'; add it to `allowed_hosts`" in error
        assert set(camera.paths) == {"/"}
        with RunningFeed(address, allowed_hosts=["localhost"]) as running:
            running.wait_for(1)
    asked = [request for request in camera.requests if request.path == "/other"]
    assert asked
    assert all("Authorization" not in request.headers for request in asked)


def test_another_host_that_asks_for_a_login_gets_none() -> None:
    def give(request: Request) -> Iterator[bytes]:
        lead = redirect(camera.url("/other", host="localhost"))
        yield challenge('Basic realm="other"') if request.path == "/other" else lead

    with web_camera(give) as camera:
        with RunningFeed(camera.url("/", CREDENTIALS), allowed_hosts=["localhost"]) as running:
            eventually(lambda: running.record.losses != [], 5)
        assert running.record.losses[0] is Reason.UNAUTHORISED
    assert all("Authorization" not in request.headers for request in camera.requests)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://[", "//[::1]:1/", "/"])
def test_a_redirect_to_what_no_camera_is_or_round_and_round_ends_with_a_reason(to: str) -> None:
    with web_camera(lambda _request: [redirect(to)]) as camera, RunningFeed(camera.url("/")) as running:
        eventually(lambda: running.record.losses != [], 5)
    assert running.record.losses[0] is Reason.REDIRECT
    assert len(camera.requests) <= 6 * (len(running.record.losses) + 1)


def certificate(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = self_signed(folder)
    context.load_cert_chain(pair["certificate"], pair["key"])
    return context


def test_a_camera_with_a_certificate_of_its_own_is_read_over_tls(tmp_path: Path) -> None:
    with (
        web_camera(live(MULTIPART, lambda number: part(jpeg(number % 50))), certificate(tmp_path)) as camera,
        RunningFeed(camera.url("/")) as running,
    ):
        running.wait_for(10)
    assert running.record.losses == []


def test_a_login_for_https_is_never_led_to_plain_http(tmp_path: Path) -> None:
    with web_camera(lambda _request: [answer(jpeg(1))]) as plain:
        lead = redirect(plain.url("/"))
        with (
            web_camera(lambda _request: [lead], certificate(tmp_path)) as camera,
            RunningFeed(camera.url("/", CREDENTIALS)) as running,
        ):
            eventually(lambda: running.record.losses != [], 5)
            error = running.feed.status.last_error or ""
        assert plain.requests == []
    assert running.record.losses[0] is Reason.REDIRECT
    assert "from https to http" in error


def test_a_camera_that_speaks_no_tls_is_reported_as_such() -> None:
    with (
        web_camera(lambda _request: [answer(jpeg(1))]) as camera,
        RunningFeed(camera.url("/").replace("http:", "https:")) as running,
    ):
        eventually(lambda: running.record.losses != [], 5)
        error = running.feed.status.last_error or ""
    assert "TLS connection failed" in error


def pump(begin: bytes, more: bytes) -> Answer:
    """Sends `begin`, and then `more` without end."""

    def give(_request: Request) -> Iterator[bytes]:
        yield begin
        while True:
            yield more

    return give


_PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
ENDLESS: dict[str, tuple[bytes, bytes, int]] = {
    "a header": (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 1000 + b"\r\n", 1),
    "a line of a header": (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536, 1),
    "a picture that is announced": (
        endless(MULTIPART) + b"--b\r\nContent-Length: 2000000000\r\n\r\n\xff\xd8\xff",
        bytes(65536),
        1,
    ),
    "a picture": (endless(MULTIPART) + b"--b\r\n\r\n\xff\xd8\xff\xda\0\2", bytes(65536), 40),
    "a PNG": (endless("image/png") + b"\x89PNG\r\n\x1a\n", bytes(65536), 40),
    "what stands between pictures": (endless(MULTIPART), b"x" * 65536, 1),
    "a playlist": (endless("application/vnd.apple.mpegurl") + _PLAYLIST, b"#EXTINF:1,\nseg.ts\n" * 4096, 4),
    "chunks of nothing": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: image/jpeg\r\n\r\n0\r\n",
        b"X-A: " + b"a" * 1000 + b"\r\n",
        1,
    ),
    "an element of Matroska": (
        endless("video/x-matroska")
        + bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282886d6174726f736b61")
        + bytes.fromhex("42878104428581021853806701ffffffffffffff1549a96608000000773593f0"),
        bytes(1 << 20),
        70,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_given_up_within_a_budget(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    begin, more, mib = ENDLESS[what]
    once = {"initial_delay": "60s", "max_delay": "60s"}
    with (
        web_camera(pump(begin, more)) as camera,
        RunningFeed(camera.url("/"), reconnect=once, timeout="5s") as running,
    ):
        eventually(lambda: running.record.losses != [], 20)
        status = running.feed.status
    assert running.record.losses == [Reason.TOO_LARGE], status.last_error
    assert camera.sent < (mib << 20) + (8 << 20), "what waits in the network's buffers included"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", endless(MULTIPART), endless("video/mp2t")])
def test_a_camera_that_sends_a_byte_now_and_then_does_not_hold_its_feed(begin: bytes) -> None:
    def give(_request: Request) -> Iterator[bytes]:
        yield begin
        while True:
            yield b"G"
            time.sleep(0.1)  # long before the timeout

    with web_camera(give) as camera, RunningFeed(camera.url("/"), timeout="500ms", open_timeout="1s") as running:
        eventually(lambda: running.record.losses != [], 5)
    assert running.record.losses[0] is Reason.TIMEOUT


def test_the_page_that_goes_with_a_refused_login_does_not_hold_the_feed() -> None:
    def give(_request: Request) -> Iterator[bytes]:
        yield challenge('Basic realm="cam"').replace(b"Content-Length: 6", b"Content-Length: 60000")
        while True:
            yield b"x"
            time.sleep(0.1)  # long before the timeout

    with (
        web_camera(give) as camera,
        RunningFeed(camera.url("/", CREDENTIALS), timeout="500ms", open_timeout="1s") as running,
    ):
        eventually(lambda: running.record.losses != [], 5)
    assert running.record.losses[0] is Reason.TIMEOUT


def test_a_camera_that_falls_silent_is_lost_after_its_timeout() -> None:
    def give(_request: Request) -> Iterator[bytes]:
        yield endless(MULTIPART) + part(jpeg(1))
        time.sleep(5)  # beyond the timeout

    with web_camera(give) as camera, RunningFeed(camera.url("/"), timeout="500ms") as running:
        running.wait_for(1)
        eventually(lambda: running.record.losses != [], 10)
    assert running.record.losses[0] is Reason.TIMEOUT
    assert "GET" not in (running.feed.status.last_error or "")


def test_a_snapshot_address_that_stops_answering_is_lost_after_the_timeout() -> None:
    def give(_request: Request) -> Iterator[bytes]:
        if len(camera.requests) > 1:
            time.sleep(5)  # beyond the timeout
        yield answer(jpeg(1))

    options = {"poll_interval": "100ms", "timeout": "500ms", "open_timeout": "60s"}
    with web_camera(give) as camera, RunningFeed(camera.url("/"), **options) as running:  # type: ignore[arg-type]
        running.wait_for(1)
        eventually(lambda: running.record.losses != [], 10)
    assert running.record.losses[0] is Reason.TIMEOUT


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile private.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 47110 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>private.mp4</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "https://example.com/\n",
    ],
    ids=["concat", "SDP", "DASH", "a page"],
)
def test_what_names_other_files_or_ports_is_no_video(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg would open them: local files, and ports to which anybody may send."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "private.ts", size=(320, 240), frames=25)
    write_clip(tmp_path / "private.mp4", size=(320, 240), frames=25)
    with (
        web_camera(lambda _request: [answer(text.encode(), "text/plain")]) as camera,
        RunningFeed(camera.url("/")) as running,
    ):
        eventually(lambda: running.record.losses != [], 5)
        error = running.feed.status.last_error or ""
    assert running.frames == []
    assert running.record.losses[0] is Reason.NO_VIDEO
    assert "the server sends text/plain" in error


@pytest.mark.parametrize("path", ["/bild%20ä.jpg", "/a b.jpg", "/?p=ä&q=a|b", "/%E4"])
def test_an_address_is_sent_as_http_wants_it(path: str) -> None:
    with web_camera(lambda _request: [answer(jpeg(1))]) as camera:
        feed_path = path.replace(" ", "%20")  # the configuration rejects spaces
        with RunningFeed(camera.url(feed_path)) as running:
            running.wait_for(1)
    assert camera.paths[0] == quote(feed_path, safe="/?=&%|")


def test_what_is_no_http_is_reported_as_such() -> None:
    with (
        web_camera(lambda _request: [b"RTSP/1.0 200 OK\r\n\r\n"]) as camera,
        RunningFeed(camera.url("/")) as running,
    ):
        eventually(lambda: running.record.losses != [], 5)
    assert running.record.losses[0] is Reason.NO_VIDEO
