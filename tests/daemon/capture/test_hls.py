"""HLS: of several variants only the one that is needed is requested, live and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.hls import address_to_read
from tests.support.clips import write_clip
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually
from tests.support.web_camera import Answer, Request, WebCamera, answer, web_camera

MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x240,CODECS="avc1.42e00a,mp4a.40.2",AUDIO="a"
small.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS="mp4a.40.2"
sound.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=640x480
large.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=480x360
low/middle.m3u8?a=1,2
#EXT-X-STREAM-INF:BANDWIDTH=1500000,RESOLUTION=480x360
middle.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x480,URI="key-frames.m3u8"
"""


@pytest.mark.parametrize(
    ("height", "name"),
    [(None, "large"), (1080, "large"), (480, "large"), (361, "large"), (360, "middle"), (240, "small"), (64, "small")],
)
def test_the_smallest_variant_that_is_large_enough_is_read(height: int | None, name: str) -> None:
    assert address_to_read("http://camera/live/all.m3u8", MASTER, height) == f"http://camera/live/{name}.m3u8"


def test_a_playlist_without_variants_is_read_itself() -> None:
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n"
    assert address_to_read("http://camera/a.m3u8", playlist, None) == "http://camera/a.m3u8"


def test_without_sizes_the_variant_with_most_bits_is_read() -> None:
    master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n"
    assert address_to_read("http://camera/a.m3u8", master, 360) == "http://camera/b.m3u8"


def test_a_variant_of_more_pixels_than_are_decoded_is_left_out() -> None:
    master = MASTER.replace("640x480", "60000x40000")
    assert address_to_read("http://camera/a.m3u8", master, None) == "http://camera/middle.m3u8"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("attributes", ["A" * 1_000_000, 'A="' * 300_000, "A=," * 300_000, "," * 1_000_000])
def test_a_line_of_any_length_is_read_in_time_that_grows_with_it(attributes: str) -> None:
    master = f"#EXTM3U\n#EXT-X-STREAM-INF:{attributes}\na.m3u8\n"
    assert address_to_read("http://camera/all.m3u8", master, None) == "http://camera/a.m3u8"


def test_blanks_between_attributes_are_taken() -> None:
    master = MASTER.replace("BANDWIDTH=1000000,", "BANDWIDTH=1000000, ")
    assert address_to_read("http://camera/a.m3u8", master, 360) == "http://camera/middle.m3u8"


def test_a_variant_whose_address_cannot_be_read_is_the_reason() -> None:
    with pytest.raises(SourceError, match="invalid URL") as refused:
        address_to_read("http://camera/a.m3u8", MASTER.replace("large.m3u8", "http://[large"), None)
    assert refused.value.reason is Reason.NO_VIDEO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("small", (320, 240)), ("middle", (480, 360)), ("large", (640, 480))):
        write_clip(tmp_path / f"{name}.m3u8", size=size, frames=250)
    return tmp_path


def served(folder: Path, playlist: Callable[[str], str]) -> Answer:
    """Serves the files of a folder; playlists pass through `playlist`."""

    def give(request: Request) -> Iterator[bytes]:
        path = folder / request.path.lstrip("/")
        if request.path == "/all.m3u8":
            yield answer(MASTER.encode(), "application/vnd.apple.mpegurl")
        elif not path.is_file():
            yield answer(b"", "text/plain", "404 Not Found")
        elif path.suffix == ".m3u8":
            yield answer(playlist(path.read_text()).encode(), "application/vnd.apple.mpegurl")
        else:
            yield answer(path.read_bytes(), "video/mp2t")

    return give


def asked_for(camera: WebCamera) -> set[str]:
    """Returns the variants that were requested."""
    return {path.strip("/").rstrip("0123456789.mtsu") for path in camera.paths} - {"all"}


def test_of_a_recording_only_the_variant_that_is_needed_is_downloaded(folder: Path) -> None:
    with (
        web_camera(served(folder, lambda text: text)) as camera,
        RunningFeed(camera.url("/all.m3u8"), wanted_height=300) as running,
    ):
        running.wait_for(30)
        numbers = [bar.number for bar in running.bars()]
        frames = [frame for _, frame in running.frames]
    assert {(frame.width, frame.height) for frame in frames} == {(480, 360)}
    assert numbers[:30] == list(range(30))
    assert asked_for(camera) == {"middle"}


def test_of_a_live_stream_too_and_it_is_not_late(folder: Path) -> None:
    began = time.monotonic()

    def window(text: str) -> str:
        """Returns a window of three segments, with a new segment each time one has ended."""
        lines = text.splitlines()
        segments = [lines[at : at + 2] for at, line in enumerate(lines) if line.startswith("#EXTINF")]
        seconds = float(segments[0][0].removeprefix("#EXTINF:").rstrip(","))
        first = min(int((time.monotonic() - began) / seconds), len(segments) - 3)
        shown = [line for segment in segments[first : first + 3] for line in segment]
        head = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{round(seconds)}"]
        return "\n".join([*head, f"#EXT-X-MEDIA-SEQUENCE:{first}", *shown, ""])

    with (
        web_camera(served(folder, window)) as camera,
        RunningFeed(camera.url("/all.m3u8"), late_after="1s") as running,
    ):
        running.wait_for(100)
        received = [at for at, _ in running.frames]
        size = running.feed.status.size
    assert size == (640, 480)
    assert asked_for(camera) == {"large"}
    assert received[99] - received[0] == pytest.approx(99 / 25, abs=1.5)
    assert max(running.record.ages) < 1.0
    assert running.record.losses == []


@pytest.mark.parametrize(
    "address", ["http://localhost:{port}/a.ts", "//localhost:{port}/a.ts", "ftp://127.0.0.1/a.ts", "crypto+http://127.0.0.1:{port}/a.ts"]
)  # fmt: skip
def test_segments_lead_only_where_the_source_may(address: str) -> None:
    def give(request: Request) -> Iterator[bytes]:
        segment = address.format(port=camera.port)
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n"
        yield answer(text.encode(), "application/vnd.apple.mpegurl")

    with web_camera(give) as camera, RunningFeed(camera.url("/list.m3u8")) as running:
        eventually(lambda: running.record.losses != [], 10)
    assert running.record.losses[0] in (Reason.REDIRECT, Reason.NO_VIDEO)
    assert set(camera.paths) == {"/list.m3u8"}


def test_a_segment_that_has_expired_is_left_out(folder: Path) -> None:
    (folder / "large1.ts").unlink()
    with web_camera(served(folder, lambda text: text)) as camera, RunningFeed(camera.url("/large.m3u8")) as running:
        running.wait_for(60)
        numbers = [bar.number for bar in running.bars()]
    assert numbers[49:51] == [49, 100]
    assert running.record.losses == []
