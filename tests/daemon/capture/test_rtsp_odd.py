"""A feed from unusual RTSP cameras: their login challenges, session descriptions and redirects."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightd.daemon.capture import rtsp, rtsp_challenges, rtsp_gstreamer
from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.rtsp_dialogue import CODECS, Dialogue, address_of
from tests.support.camera import need_rtsp_server
from tests.support.certificates import self_signed
from tests.support.feeds import RunningFeed
from tests.support.odd_camera import AUDIO, FPS, VIDEO, OddCamera, Packets
from tests.support.waiting import eventually

ONCE = {"initial_delay": "60s", "max_delay": "60s"}
"""Retry delays so long that no second attempt comes within a test."""


@pytest.fixture(autouse=True)
def _gstreamer() -> None:
    need_rtsp_server()


_CONNECTS = """
import sys
from sightd.daemon.capture.rtsp_gstreamer import load
gstreamer = load()
client = gstreamer.gio.SocketClient.new()
client.set_tls(True)
client.set_tls_validation_flags(gstreamer.gio.TlsCertificateFlags.NO_FLAGS)
try:
    client.connect_to_host("127.0.0.1", int(sys.argv[1]), None)
except gstreamer.glib.Error as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_1", False), ("TLSv1_2", True)])
def test_cameras_too_must_speak_tls_1_2_or_newer(version: str, accepted: bool, tmp_path: Path) -> None:
    """Also in a process that does not serve RTSP itself."""
    pair, context = self_signed(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair["certificate"], pair["key"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion[version]

    def serve() -> None:
        with suppress(OSError), listening.accept()[0] as plain, context.wrap_socket(plain, server_side=True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        environ = {name: value for name, value in os.environ.items() if name != "G_TLS_GNUTLS_PRIORITY"}
        command = [sys.executable, "-W", "ignore", "-c", _CONNECTS, str(listening.getsockname()[1])]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
        thread.join(10)
    assert (done.returncode == 0) is accepted, done.stderr
    assert accepted or "refused: " in done.stderr


@pytest.mark.parametrize(
    "algorithms", [["Basic"], ["MD5"], ["MD5", "SHA-256"], ["SHA-256", "MD5"], ["Basic", "MD5"], ["SHA-256"]]
)
def test_every_common_login_is_known(algorithms: list[str]) -> None:
    with (
        OddCamera(algorithms=algorithms) as camera,
        RunningFeed(camera.address(credentials="viewer:secret@")) as running,
    ):
        running.wait_for(2)
        assert running.record.losses == []


@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth, auth-int"])
@pytest.mark.parametrize("algorithms", [["MD5"], ["SHA-256"], ["Basic", "SHA-256"]])
def test_a_digest_may_protect_more_than_the_oldest_kind_does(algorithms: list[str], qop: str) -> None:
    with (
        OddCamera(algorithms=algorithms, qop=qop) as camera,
        RunningFeed(camera.address(credentials="viewer:secret@")) as running,
    ):
        running.wait_for(2)
        assert running.record.losses == []


@pytest.mark.parametrize(("algorithm", "qop"), [("MD5", "auth"), ("SHA-256", None), ("SHA-256", "auth")])
def test_an_answer_that_came_too_late_for_its_nonce_is_given_again(algorithm: str, qop: str | None) -> None:
    with (
        OddCamera(algorithms=[algorithm], qop=qop, stale=True) as camera,
        RunningFeed(camera.address(credentials="viewer:secret@")) as running,
    ):
        running.wait_for(2)
        assert running.record.losses == []


@pytest.mark.parametrize("algorithm", ["Basic", "MD5", "SHA-256"])
def test_each_attempt_sends_a_wrong_password_once(algorithm: str) -> None:
    """Once it is known which login method the camera wants."""
    with (
        OddCamera(algorithms=[algorithm]) as camera,
        RunningFeed(camera.address(credentials="viewer:wrong@")) as running,
    ):
        eventually(lambda: len(running.record.losses) >= 4)
        attempts = len(running.record.losses)
        answered = [request for request in list(camera.requests) if "authorization" in request.headers]
    assert attempts <= len(answered) <= attempts + 2
    assert set(running.record.losses) == {Reason.UNAUTHORISED}


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_camera_may_speak_tls(algorithm: str, tmp_path: Path) -> None:
    with OddCamera(algorithms=[algorithm], certificate=self_signed(tmp_path)) as camera:
        address = camera.address(credentials="viewer:secret@")
        assert address.startswith("rtsps://")
        with RunningFeed(address) as running:
            running.wait_for(5)
            assert running.record.losses == []


@pytest.mark.parametrize("algorithm", ["Basic", "MD5", "SHA-256"])
def test_a_wrong_password_is_not_tried_again_and_again(algorithm: str) -> None:
    """Many cameras lock the account after about five wrong passwords."""
    with (
        OddCamera(algorithms=[algorithm]) as camera,
        RunningFeed(camera.address(credentials="viewer:wrong@"), reconnect=ONCE) as running,
    ):
        eventually(lambda: running.record.losses != [])
        tried = [request for request in camera.requests if "authorization" in request.headers]
        assert 1 <= len(tried) <= 3
        assert running.record.losses == [Reason.UNAUTHORISED]


def test_a_login_that_is_not_known_is_the_reason() -> None:
    with (
        OddCamera(algorithms=["SHA-9"]) as camera,
        RunningFeed(camera.address(credentials="viewer:secret@"), reconnect=ONCE) as running,
    ):
        eventually(lambda: running.record.losses != [])
        assert running.record.losses == [Reason.UNAUTHORISED]
        assert "asks for 'digest SHA-9', which is not supported" in (running.feed.status.last_error or "")


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize(
    "challenge", ["Digest", "Digest nonsense", "Digest ,", 'Digest realm="r", nonce="n", Digest', "", ",", "Basic"]
)
def test_a_challenge_that_is_none_is_a_reason_and_ends_no_process(method: str, challenge: str) -> None:
    with OddCamera(challenge=(method, challenge)) as camera:
        with RunningFeed(camera.address(credentials="viewer:secret@")) as running:
            eventually(lambda: running.record.losses != [])
        assert camera.asked(method)


@pytest.mark.parametrize("before", ["", "x" * 55])
def test_a_password_that_a_camera_repeats_is_shown_to_nobody(before: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with OddCamera(status=f"500 {before} s3cret-Word") as camera:
        with RunningFeed(camera.address(credentials="viewer:s3cret-Word@")) as running:
            eventually(lambda: running.record.losses != [])
        assert "the camera answered 500" in (running.feed.status.last_error or "")
    assert "s3c" not in caplog.text + str(running.feed.status)


def plugin_of_rtspsrc() -> Path:
    return Path(rtsp_gstreamer.load().gst.ElementFactory.find("rtspsrc").load().get_plugin().get_filename())


def test_the_guard_against_such_challenges_fits_the_installed_gstreamer() -> None:
    assert rtsp_challenges.install(plugin_of_rtspsrc())


def test_cameras_that_begin_at_the_same_moment_are_all_read_by_gstreamer() -> None:
    """Runs in its own process, because GStreamer is already loaded in this one."""
    done = subprocess.run([sys.executable, "-c", _AT_ONCE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "8 loaded\n"), done.stderr


_AT_ONCE = """
import threading
from sightd.daemon.capture.rtsp_gstreamer import load
barrier, loaded = threading.Barrier(8), []

def begin():
    barrier.wait()
    loaded.append(load())

threads = [threading.Thread(target=begin) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(loaded), "loaded")
"""


def test_the_guard_leaves_no_code_or_pointers_writable_that_were_not() -> None:
    """Runs in its own process, because the guard is already installed in this one."""
    done = subprocess.run([sys.executable, "-c", _GUARDS], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("--")
    assert before.strip() == after.strip() != ""


_GUARDS = """
from pathlib import Path
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
from sightd.daemon.capture import rtsp_challenges
Gst.init(None)
plugin = Path(Gst.ElementFactory.find("rtspsrc").load().get_plugin().get_filename())

def rights():
    return [part.protection for part in rtsp_challenges._mapped(plugin) for _ in range(part.begin, part.end, 4096)]

print(rights(), "--")
assert rtsp_challenges.install(plugin)
print(rights())
"""


def test_a_library_without_that_reference_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"no library")
    (tmp_path / "cut.so").write_bytes(plugin_of_rtspsrc().read_bytes()[:5000])
    other = Path(rtsp_gstreamer.load().gst.ElementFactory.find("queue").get_plugin().get_filename())
    for library in (tmp_path / "library.so", tmp_path / "cut.so", tmp_path / "none.so", other):
        with pytest.raises(rtsp_challenges.GuardError):
            rtsp_challenges.install(library)


def test_a_reference_that_somebody_else_has_changed_is_left_alone() -> None:
    """Here it points to our own function."""
    with pytest.raises(rtsp_challenges.GuardError, match="changed by another library"):
        rtsp_challenges.install.__wrapped__(plugin_of_rtspsrc())


def test_a_guard_whose_memory_cannot_be_protected_again_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([0, -1])
    libc = SimpleNamespace(mprotect=lambda *_: next(results))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: libc)
    reference = ctypes.c_void_p(1234)
    with pytest.raises(rtsp_challenges.GuardError, match="cannot be made read-only again"):
        rtsp_challenges._replace(ctypes.addressof(reference), 1, 5678)
    assert reference.value == 1234


def test_without_the_guard_cameras_are_read_by_ffmpeg_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(plugin: Path) -> bool:
        raise rtsp_challenges.GuardError("another structure")

    monkeypatch.setattr(rtsp_challenges, "install", refuse)
    rtsp_gstreamer._loaded.cache_clear()
    try:
        with OddCamera() as camera, RunningFeed(camera.address(), timeout="3s") as running:
            running.wait_for(2)
    finally:
        rtsp_gstreamer._loaded.cache_clear()
    assert "using FFmpeg for" in caplog.text
    assert "cannot be protected against malformed login challenges: another structure" in caplog.text


def test_audio_is_not_fetched() -> None:
    with OddCamera(media=[*AUDIO, *VIDEO]) as camera, RunningFeed(camera.address()) as running:
        running.wait_for(2)
        assert [request.uri.rpartition("/")[2] for request in camera.asked("SETUP")] == ["video"]


def test_a_codec_that_gstreamer_cannot_read_is_read_by_ffmpeg_and_said_to_be(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(CODECS, "H264")
    with OddCamera() as camera, RunningFeed(camera.address()) as running:
        running.wait_for(2)
    assert re.search("using FFmpeg for .*, which adds a delay of one frame interval: its encoding is H264", caplog.text)


def test_mjpeg_needs_no_name_in_the_description() -> None:
    """RFC 3551 assigns it a static payload type."""
    dialogue = Dialogue(address_of("rtsp://camera/a"), lambda element: True)
    assert dialogue.selects(0, 26, {"media": "video"}.get)
    assert dialogue.codec is CODECS["JPEG"]


def test_a_source_with_audio_only_is_called_so() -> None:
    with OddCamera(media=AUDIO) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
        assert running.record.losses[0] is Reason.NO_VIDEO
        assert "only audio" in (running.feed.status.last_error or "")


def test_a_redirect_on_the_same_host_is_followed() -> None:
    with OddCamera() as target, OddCamera(redirect=target.address("here")) as camera:
        with RunningFeed(camera.address()) as running:
            running.wait_for(2)
        assert target.asked("PLAY")


def test_a_redirect_to_an_address_that_cannot_be_read_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with OddCamera(redirect="rtsp://[camera]/a") as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
    assert running.record.losses[0] is Reason.REDIRECT
    assert capfd.readouterr().err == ""


def test_nothing_is_said_to_another_host_that_a_camera_redirects_to() -> None:
    with OddCamera(algorithms=["Basic"], host="127.0.0.2") as target:
        with (
            OddCamera(algorithms=["Basic"], redirect=target.address("here")) as camera,
            RunningFeed(camera.address(credentials="viewer:secret@")) as running,
        ):
            eventually(lambda: running.record.losses != [])
            assert running.record.losses[0] is Reason.REDIRECT
        assert target.requests == []


def test_a_redirect_to_another_host_is_the_reason_even_if_nobody_listens_there() -> None:
    with OddCamera(host="127.0.0.2") as target:
        address = target.address("here")
    with OddCamera(redirect=address) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
        assert running.record.losses[0] is Reason.REDIRECT


def test_a_redirect_in_a_circle_ends() -> None:
    with OddCamera() as camera:
        camera._redirect = camera.address()
        with RunningFeed(camera.address(), reconnect=ONCE) as running:
            eventually(lambda: running.record.losses != [])
            assert running.record.losses == [Reason.REDIRECT]
        assert len(camera.asked("DESCRIBE")) < 10


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("403 Forbidden", Reason.UNAUTHORISED),
        ("404 Not Found", Reason.NOT_FOUND),
        ("453 Not Enough Bandwidth", Reason.OTHER),
        ("599 evil\x1b[31m", Reason.OTHER),
    ],
)
def test_what_a_camera_refuses_with_is_its_reason(status: str, reason: Reason) -> None:
    with OddCamera(status=status) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
        assert running.record.losses[0] is reason
        error = running.feed.status.last_error or ""
        assert error.isprintable()
        if reason is Reason.OTHER:
            assert status[:3] in error


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_times_are_the_cameras_own_however_its_packets_arrive(transport: str) -> None:
    """Frames come in bursts of five; their times are 40 ms apart."""
    held: Packets = []

    def in_bursts(number: int, packets: Packets) -> Packets:
        held.extend(packets)
        if number % 5:
            return []
        burst, held[:] = list(held), []
        return burst

    with OddCamera(deliver=in_bursts) as camera, RunningFeed(camera.address(), transport=transport) as running:
        frames = running.wait_for(40)
    times = [frame.pts for frame in frames if frame.pts is not None]
    assert len(times) == len(frames)
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx(
        [1 / FPS] * (len(times) - 1), abs=1e-3
    )


def test_a_lost_packet_holds_pictures_back_until_the_next_key_frame() -> None:
    def losing(number: int, packets: Packets) -> Packets:
        return packets[:-1] if number == 30 else packets

    with OddCamera(deliver=losing) as camera, RunningFeed(camera.address(), transport="udp") as running:
        running.wait_for(60)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.damaged > 0
    assert set(range(26, 30)) <= set(numbers)
    assert not set(range(31, 50)) & set(numbers)
    assert set(range(50, 55)) <= set(numbers)


def test_udp_packets_out_of_order_are_put_in_order() -> None:
    def swapped(number: int, packets: Packets) -> Packets:
        return [*packets[1:], packets[0]] if number % 3 == 1 and number % FPS else packets

    with OddCamera(deliver=swapped) as camera, RunningFeed(camera.address(), transport="udp") as running:
        running.wait_for(60)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.damaged == 0
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@contextmanager
def flood(answer: bytes) -> Iterator[tuple[int, list[int]]]:
    """Yields the port of a camera that responds to DESCRIBE with `answer` and never stops sending, and the bytes
    sent."""
    sent: list[int] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30)
            while (request := connection.recv(65536)) and not request.startswith(b"DESCRIBE"):
                sequence = request.partition(b"CSeq: ")[2].partition(b"\r\n")[0]
                public = b"\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n"
                connection.sendall(b"RTSP/1.0 200 OK\r\nCSeq: " + sequence + public)
            sequence = request.partition(b"CSeq: ")[2].partition(b"\r\n")[0]
            connection.sendall(b"RTSP/1.0 200 OK\r\nCSeq: " + sequence + b"\r\n" + answer)
            while sum(sent) < 2 << 30:
                connection.sendall(bytes(1 << 20))
                sent.append(1 << 20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=lambda: serve(listening.accept()[0]), name="flood", daemon=True).start()
        yield listening.getsockname()[1], sent


@pytest.mark.parametrize(
    "answer", [b"Content-Type: application/sdp\r\nContent-Length: 2000000000\r\n\r\n", b"X-Endless: "]
)
def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(answer: bytes) -> None:
    with flood(answer) as (port, sent), RunningFeed(f"rtsp://127.0.0.1:{port}/a", reconnect=ONCE) as running:
        eventually(lambda: running.record.losses != [])
        assert running.record.losses == [Reason.TOO_LARGE]
    assert sum(sent) < 1 << 30, "it was given up while the camera went on"


def test_a_picture_without_end_is_given_up() -> None:
    """Its packets never end, and none is marked as the last."""

    def endless(number: int, packets: Packets) -> Packets:
        if number < FPS:
            return packets
        middle = b"\x7c\x05" + bytes(60000)
        return [
            packets[0][:1] + b"\x60" + (number * 20 + n & 0xFFFF).to_bytes(2, "big") + packets[0][4:12] + middle
            for n in range(20)
        ]

    with OddCamera(deliver=endless) as camera, RunningFeed(camera.address(), reconnect=ONCE, timeout="60s") as running:
        eventually(lambda: running.record.losses != [], 60)
        assert running.record.losses == [Reason.TOO_LARGE]


def test_a_session_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp, "KEEP_ALIVE", 0.2)
    with OddCamera() as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: len(camera.asked("GET_PARAMETER")) >= 3)
        running.wait_for_more(5)
        assert running.record.losses == []


def test_a_session_is_kept_before_the_shortest_usual_timeout() -> None:
    assert rtsp.KEEP_ALIVE < 10


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_stream_that_goes_on_under_another_ssrc_is_no_loss(transport: str, restart: bool) -> None:
    """After a restart of the camera's encoder, sequence numbers and timestamps change, too."""

    def changed(number: int, packets: Packets) -> Packets:
        if number < 2 * FPS:
            return packets
        offset = 30000 if restart else 0
        return [
            packet[:2]
            + (int.from_bytes(packet[2:4], "big") + offset & 0xFFFF).to_bytes(2, "big")
            + (int.from_bytes(packet[4:8], "big") + 4000 * offset & 0xFFFFFFFF).to_bytes(4, "big")
            + (99 + number // (2 * FPS)).to_bytes(4, "big")
            + packet[12:]
            for packet in packets
        ]

    with OddCamera(deliver=changed) as camera, RunningFeed(camera.address(), transport=transport) as running:
        running.wait_for(5 * FPS)
        numbers = {bar.number for bar in running.bars()}
        assert running.record.losses == []
    assert set(range(4 * FPS + 2, 5 * FPS - 5)) <= numbers, "two changes were followed"


def test_ssrcs_without_end_are_a_fault() -> None:
    """The receiver keeps state for each SSRC."""

    def changing(number: int, packets: Packets) -> Packets:
        return [packet[:8] + (1 + number // 5).to_bytes(4, "big") + packet[12:] for packet in packets]

    with OddCamera(deliver=changing) as camera, RunningFeed(camera.address(), reconnect=ONCE) as running:
        eventually(lambda: running.record.losses != [])
        assert len(running.record.losses) == 1


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_numbers_and_times_of_packets_may_wrap(transport: str) -> None:
    with (
        OddCamera(first=(65500, (1 << 32) - 90000)) as camera,
        RunningFeed(camera.address(), transport=transport) as running,
    ):
        frames = running.wait_for(60)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.losses == []
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    times = [frame.pts for frame in frames if frame.pts is not None]
    assert times == sorted(times)
    assert max(running.record.ages) < 1


def test_sizes_may_change_up_and_down_in_mid_stream() -> None:
    sizes = [(320, 180), (640, 360), (320, 480)]
    with OddCamera(sizes=sizes, size_every=FPS) as camera, RunningFeed(camera.address(), timeout="3s") as running:
        running.wait_for(4 * FPS)
        assert running.record.losses == []
        seen = [(frame.width, frame.height) for _, frame in running.frames[: 4 * FPS]]
    assert list(dict.fromkeys(seen)) == sizes
    assert running.size_changes()[:3] == [(640, 360), (320, 480), (320, 180)]


@pytest.mark.parametrize("where", ["base", "control"])
def test_addresses_of_another_host_in_a_description_lead_nowhere(where: str) -> None:
    """All requests go over the connection to the camera itself."""
    with OddCamera(host="127.0.0.2") as other:
        address = other.address("elsewhere/")
        odd = (
            OddCamera(algorithms=["Basic"], base=address)
            if where == "base"
            else OddCamera(algorithms=["Basic"], media=[*VIDEO[:3], f"a=control:{address}video"])
        )
        with odd as camera, RunningFeed(camera.address(credentials="viewer:secret@")) as running:
            running.wait_for(2)
        assert other.requests == []


def test_the_first_video_is_read_and_metadata_are_not() -> None:
    metadata = ["m=application 0 RTP/AVP 107", "a=rtpmap:107 vnd.onvif.metadata/90000", "a=control:metadata"]
    second = ["m=video 0 RTP/AVP 98", "a=rtpmap:98 H264/90000", "a=control:second"]
    with OddCamera(media=[*metadata, *VIDEO, *second]) as camera, RunningFeed(camera.address()) as running:
        running.wait_for(2)
        assert [request.uri.rpartition("/")[2] for request in camera.asked("SETUP")] == ["video"]


def test_a_camera_that_ends_the_session_is_opened_again() -> None:
    with OddCamera(teardown_after=10) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: len(camera.asked("PLAY")) >= 2)
        assert running.record.losses[0] is Reason.EOF


def test_a_camera_may_choose_the_channels() -> None:
    with OddCamera(channels=(4, 5)) as camera, RunningFeed(camera.address()) as running:
        running.wait_for(10)
        assert running.record.losses == []


def test_what_comes_beside_the_pictures_is_bounded() -> None:
    """The frames come over UDP; the TCP connection brings an endless response."""
    with (
        OddCamera(flood_after=10) as camera,
        RunningFeed(camera.address(), transport="udp", reconnect=ONCE) as running,
    ):
        eventually(lambda: running.record.losses != [])
        assert running.record.losses == [Reason.TOO_LARGE]
