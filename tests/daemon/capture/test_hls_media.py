"""HLS media playlists as servers write them: encryption, byte ranges, gaps, variables, redirects, jumps and stalls."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from sightd.daemon.capture import web_files
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.hls import media_playlist, with_variables
from sightd.daemon.capture.reconnect import FeedState
from tests.support.clips import write_clip
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually
from tests.support.web_camera import Answer, Request, answer, web_camera

SECOND = {"hls_time": "1", "hls_list_size": "0"}
FRAMES = 75
KEY = bytes(range(16))
PLAYLIST = "application/vnd.apple.mpegurl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with list.m3u8 and its three segments of one second: list0.ts, list1.ts and list2.ts."""
    return write_clip(
        tmp_path_factory.mktemp("hls") / "list.m3u8", size=(320, 240), frames=FRAMES, container_options=SECOND
    ).parent


def encrypted(content: bytes, key: bytes, vector: int) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector.to_bytes(16, "big"))).encryptor()
    return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()


def served(files: dict[str, bytes]) -> Answer:
    """Serves files by path, ignoring the query; a byte range if one is requested."""

    def give(request: Request) -> Iterator[bytes]:
        path = request.path.partition("?")[0]
        if path not in files:
            yield answer(b"", "text/plain", "404 Not Found")
            return
        content = files[path]
        kind = PLAYLIST if content.startswith(b"#EXTM3U") else "video/mp2t"
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers["Range"] or ""):
            part = content[int(found[1]) : int(found[2]) + 1 if found[2] else None]
            yield answer(part, kind, "206 Partial Content")
        else:
            yield answer(content, kind)

    return give


def files_of(folder: Path, change: Callable[[str], str] = lambda text: text) -> dict[str, bytes]:
    """Returns the files of a folder by path; the playlist passes through `change`."""
    files = {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}
    return files | {"/list.m3u8": change(files["/list.m3u8"].decode()).encode()}


def with_key(attributes: str) -> Callable[[str], str]:
    return lambda text: text.replace("#EXTINF", f"#EXT-X-KEY:{attributes}\n#EXTINF", 1)


def numbers_of(files: dict[str, bytes], count: int = FRAMES, path: str = "/list.m3u8") -> list[int]:
    """Returns the numbers of the first frames that a feed reads."""
    with web_camera(served(files)) as camera, RunningFeed(camera.url(path), loop=False) as running:
        running.wait_for(count)
        assert running.record.losses == []
        return [bar.number for bar in running.bars()][:count]


def loss_of(files: dict[str, bytes]) -> tuple[Reason, str, list[str]]:
    """Returns why a feed gets no frames, as a reason and as text, and the paths it requested."""
    with web_camera(served(files)) as camera, RunningFeed(camera.url("/list.m3u8")) as running:
        eventually(lambda: running.record.losses != [], 10)
        return running.record.losses[0], running.feed.status.last_error or "", camera.paths


@pytest.mark.parametrize(
    ("attribute", "vectors"), [("", [5, 6, 7]), (f",IV=0x{77:032x}", [77] * 3), (f",IV=0X{77:032X}", [77] * 3)]
)
def test_segments_encrypted_with_aes_128_are_decrypted(folder: Path, attribute: str, vectors: list[int]) -> None:
    """If the playlist states no initialisation vector, it is the segment's number."""
    files = files_of(folder, with_key(f'METHOD=AES-128,URI="keys/a.key?user=1"{attribute}'))
    files["/list.m3u8"] = files["/list.m3u8"].replace(b"SEQUENCE:0", b"SEQUENCE:5")
    files["/keys/a.key"] = KEY
    for number, vector in enumerate(vectors):
        files[f"/list{number}.ts"] = encrypted(files[f"/list{number}.ts"], KEY, vector)
    assert numbers_of(files) == list(range(FRAMES))


def test_the_key_may_change_and_encryption_may_end(folder: Path) -> None:
    other = bytes(16)

    def change(text: str) -> str:
        keys = iter(['METHOD=AES-128,URI="a.key"', 'METHOD=AES-128,URI="b.key"', "METHOD=NONE"])
        return re.sub("#EXTINF", lambda _: f"#EXT-X-KEY:{next(keys)}\n#EXTINF", text)

    files = files_of(folder, change) | {"/a.key": KEY, "/b.key": other}
    files["/list0.ts"] = encrypted(files["/list0.ts"], KEY, 0)
    files["/list1.ts"] = encrypted(files["/list1.ts"], other, 1)
    assert numbers_of(files) == list(range(FRAMES))


@pytest.mark.parametrize("size", [0, 15, 17, 1 << 20])
def test_a_key_of_another_size_is_refused(folder: Path, size: int) -> None:
    files = files_of(folder, with_key('METHOD=AES-128,URI="a.key"')) | {"/a.key": bytes(size)}
    reason, why, paths = loss_of(files)
    assert reason is Reason.NO_VIDEO
    assert "key of its HLS segments does not have 16 bytes" in why
    assert not any(path.endswith(".ts") for path in paths)


def test_a_key_that_is_not_there_is_the_reason(folder: Path) -> None:
    reason, why, _ = loss_of(files_of(folder, with_key('METHOD=AES-128,URI="a.key"')))
    assert reason is Reason.NOT_FOUND
    assert "the key of its HLS segments" in why


def test_a_key_on_another_host_is_not_asked_for(folder: Path) -> None:
    with web_camera(lambda request: [answer(KEY)]) as other:
        address = other.url("/a.key", host="localhost")
        reason, why, _ = loss_of(files_of(folder, with_key(f'METHOD=AES-128,URI="{address}"')))
        assert reason is Reason.REDIRECT
        assert "the key of its HLS segments: to the host 'localhost'" in why
        assert other.paths == []


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ('METHOD=SAMPLE-AES,URI="a.key"', "encrypted with 'SAMPLE-AES'; only AES-128 is supported"),
        ('METHOD=SAMPLE-AES-CTR,URI="a.key"', "encrypted with 'SAMPLE-AES-CTR'"),
        ('METHOD=AES-256,URI="a.key"', "encrypted with 'AES-256'"),
        (
            'METHOD=AES-128,URI="a.key",KEYFORMAT="com.apple.streamingkeydelivery"',
            "requires the unsupported key system 'com.apple",
        ),
        ("METHOD=AES-128", "names no key"),
    ],
)
def test_other_encryption_is_refused_with_the_reason(folder: Path, attributes: str, why: str) -> None:
    reason, told, paths = loss_of(files_of(folder, with_key(attributes)))
    assert reason is Reason.NO_VIDEO
    assert why in told
    assert set(paths) == {"/list.m3u8"}


@pytest.mark.parametrize("encryption", [False, True])
def test_fragmented_mp4_is_read_with_its_initialisation_section(tmp_path: Path, encryption: bool) -> None:
    """The initialisation section is encrypted, too, if a key precedes it; its vector must be stated."""
    options = {**SECOND, "hls_segment_type": "fmp4"}
    write_clip(tmp_path / "list.m3u8", size=(320, 240), frames=FRAMES, container_options=options)
    files = files_of(tmp_path)
    assert "#EXT-X-MAP:" in files["/list.m3u8"].decode()
    if encryption:
        key = f'#EXT-X-KEY:METHOD=AES-128,URI="a.key",IV=0x{9:032x}\n#EXT-X-MAP'
        files["/list.m3u8"] = files["/list.m3u8"].replace(b"#EXT-X-MAP", key.encode())
        parts = {path: encrypted(data, KEY, 9) for path, data in files.items() if not path.endswith(".m3u8")}
        files |= parts | {"/a.key": KEY}
    assert numbers_of(files) == list(range(FRAMES))


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_segments_may_be_ranges_of_one_file(tmp_path: Path, kind: str) -> None:
    options = {**SECOND, "hls_segment_type": kind, "hls_flags": "single_file"}
    write_clip(tmp_path / "list.m3u8", size=(320, 240), frames=FRAMES, container_options=options)
    files = files_of(tmp_path)
    assert files["/list.m3u8"].count(b"#EXT-X-BYTERANGE") == 3
    assert numbers_of(files) == list(range(FRAMES))


def test_time_may_begin_again_and_the_size_change_at_a_discontinuity(folder: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "other.m3u8", size=(480, 360), frames=25, first=FRAMES, container_options=SECOND)
    files = files_of(
        folder,
        lambda text: text.replace("#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY\n#EXTINF:1,\nother0.ts\n#EXT-X-ENDLIST"),
    )
    files["/other0.ts"] = (tmp_path / "other0.ts").read_bytes()
    with web_camera(served(files)) as camera, RunningFeed(camera.url("/list.m3u8"), loop=False) as running:
        running.wait_for(FRAMES + 25)
        numbers = [bar.number for bar in running.bars()]
        times = [frame.pts for _, frame in running.frames if frame.pts is not None]
    assert numbers == list(range(FRAMES + 25))
    assert running.size_changes() == [(480, 360)]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.2
    assert running.record.losses == []


def test_a_segment_that_is_declared_a_gap_is_not_asked_for(folder: Path) -> None:
    files = files_of(folder, lambda text: text.replace("list1.ts", "#EXT-X-GAP\nlist1.ts"))
    with web_camera(served(files)) as camera, RunningFeed(camera.url("/list.m3u8"), loop=False) as running:
        running.wait_for(50)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.losses == []
    assert numbers == [*range(25), *range(50, 75)]
    assert "/list1.ts" not in camera.paths


def test_parts_of_a_low_latency_playlist_are_left_to_those_who_need_them(folder: Path) -> None:
    extra = (
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=12.0\n#EXT-X-PART-INF:PART-TARGET=0.33\n"
        '#EXT-X-PART:DURATION=0.33,URI="part0.ts",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.33,URI="part1.ts"\n#EXTINF'
    )
    hint = '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part2.ts"\n#EXT-X-RENDITION-REPORT:URI="../b.m3u8",LAST-MSN=3\n'
    files = files_of(
        folder, lambda text: text.replace("#EXTINF", extra, 1).replace("#EXT-X-ENDLIST", hint + "#EXT-X-ENDLIST")
    )
    assert numbers_of(files) == list(range(FRAMES))


@pytest.mark.parametrize(
    "name",
    ["/cam/seg?n={}&t=a%2Fb", "/cam/{}", "../cam/{}.ts", "/cam/a b/{}.ts", "/cam/{}.ts#t=1", "seg.asp?n={}"],
)
def test_segments_have_any_address(folder: Path, name: str) -> None:
    """FFmpeg 8 rejects unknown suffixes by default."""

    def give(request: Request) -> Iterator[bytes]:
        if request.path.startswith("/live/list.m3u8"):
            yield answer(text.encode(), PLAYLIST)
            return
        number = re.sub("%2Fb|%20", "", request.path)
        yield answer((folder / f"list{re.sub('[^0-2]', '', number)}.ts").read_bytes(), "video/mp2t")

    text = re.sub(r"list(\d)\.ts", lambda found: name.format(found[1]), (folder / "list.m3u8").read_text())
    with web_camera(give) as camera, RunningFeed(camera.url("/live/list.m3u8?token=1"), loop=False) as running:
        running.wait_for(FRAMES)
        assert [bar.number for bar in running.bars()] == list(range(FRAMES))
        assert running.record.losses == []


def test_addresses_are_relative_to_where_a_playlist_came_from(folder: Path) -> None:
    """The variant is redirected to another folder, which contains its segments and key."""
    files = {f"/there{path}": data for path, data in files_of(folder, with_key('METHOD=AES-128,URI="a.key"')).items()}
    for number in range(3):
        files[f"/there/list{number}.ts"] = encrypted(files[f"/there/list{number}.ts"], KEY, number)
    files["/there/a.key"] = KEY
    files["/all.m3u8"] = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x240\nlist.m3u8\n"
    give_file = served(files)

    def give(request: Request) -> Iterator[bytes]:
        if request.path == "/list.m3u8":
            yield answer(b"", "text/plain", "302 Found", ["Location: /there/list.m3u8"])
        else:
            yield from give_file(request)

    with web_camera(give) as camera, RunningFeed(camera.url("/all.m3u8"), loop=False) as running:
        running.wait_for(FRAMES)
        assert [bar.number for bar in running.bars()] == list(range(FRAMES))
        assert running.record.losses == []


def test_variables_are_replaced_and_imported(folder: Path) -> None:
    definitions = (
        '#EXT-X-DEFINE:NAME="kind",VALUE="ts"\n#EXT-X-DEFINE:IMPORT="folder"\n#EXT-X-DEFINE:QUERYPARAM="auth"\n'
    )

    def change(text: str) -> str:
        text = text.replace("#EXT-X-VERSION:3\n", "#EXT-X-VERSION:11\n" + definitions)
        return re.sub(r"list(\d)\.ts", r"/{$folder}/list\1.{$kind}?{$auth}", text)

    files = {f"/a{path}": data for path, data in files_of(folder, change).items()}
    files["/all.m3u8"] = (
        b'#EXTM3U\n#EXT-X-DEFINE:NAME="folder",VALUE="a"\n'
        b"#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x240\n{$folder}/list.m3u8?auth=7\n"
    )
    assert numbers_of(files, path="/all.m3u8") == list(range(FRAMES))


def test_a_variable_that_nobody_defined_is_the_reason(folder: Path) -> None:
    reason, why, _ = loss_of(files_of(folder, lambda text: text.replace("list1.ts", "{$x}1.ts")))
    assert reason is Reason.NO_VIDEO
    assert "the undefined variable 'x'" in why


def test_variables_of_variables_do_not_fill_the_memory() -> None:
    lines = ["#EXTM3U", '#EXT-X-DEFINE:NAME="v0",VALUE="' + "x" * 100 + '"']
    lines += [f'#EXT-X-DEFINE:NAME="v{n}",VALUE="' + f"{{$v{n - 1}}}" * 10 + '"' for n in range(1, 30)]
    with pytest.raises(SourceError, match="variables") as refused:
        with_variables("http://camera/a.m3u8", "\n".join(lines), {})
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_playlist_that_needs_no_change_has_none() -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n"
    assert media_playlist("http://camera/a.m3u8", "http://camera/a.m3u8", text, {}).text == text


def live(folder: Path, first: Callable[[], int], duration: str = "1.000000") -> Answer:
    """Serves a live playlist of two segments from number `first()` on; segment n has the content of list(n % 3).ts."""

    def give(request: Request) -> Iterator[bytes]:
        if request.path == "/list.m3u8":
            begin = first()
            segments = "".join(f"#EXTINF:{duration},\n{number}.ts\n" for number in (begin, begin + 1))
            head = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{begin}\n"
            yield answer((head + segments).encode(), PLAYLIST)
        else:
            number = int(request.path.strip("/").partition(".")[0])
            yield answer((folder / f"list{number % 3}.ts").read_bytes(), "video/mp2t")

    return give


@pytest.mark.parametrize("jump", [30, -100])
def test_a_live_window_that_jumps_is_followed(folder: Path, jump: int) -> None:
    """Forward after a network outage; back to the beginning after a restart of the encoder."""
    began = time.monotonic()

    def first() -> int:
        passed = int(time.monotonic() - began)
        return 100 + passed + (jump if passed > 2 else 0)

    with web_camera(live(folder, first)) as camera, RunningFeed(camera.url("/list.m3u8"), timeout="3s") as running:
        eventually(lambda: any(f"/{100 + jump + n}.ts" in camera.paths for n in range(5, 9)), 8)
        running.wait_for_more(10)


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requires a packet within 2 s."""
    monkeypatch.setattr(web_files, "_LONGEST_STEP", 2.0)


@pytest.mark.usefixtures("_short")
def test_a_live_playlist_that_stands_still_is_a_timeout(folder: Path) -> None:
    with web_camera(live(folder, lambda: 1)) as camera, RunningFeed(camera.url("/list.m3u8")) as running:
        eventually(lambda: running.record.losses != [], 30)
        assert running.record.losses[0] is Reason.TIMEOUT
    assert len(camera.paths) < 60, "it is not asked again and again without a pause"


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("duration", ["99999999", "9e18", "nan"])
def test_a_playlist_cannot_make_its_reader_wait_for_ages(folder: Path, duration: str) -> None:
    with web_camera(live(folder, lambda: 1, duration)) as camera, RunningFeed(camera.url("/list.m3u8")) as running:
        eventually(lambda: running.record.losses != [], 30)
        assert running.feed.stop(deadline=15.0)


def test_decryption_takes_what_is_cut_off(folder: Path) -> None:
    """If a segment ends in the middle of a block, its rest is dropped; later segments are complete."""
    files = files_of(folder, with_key('METHOD=AES-128,URI="a.key"')) | {"/a.key": KEY}
    for number in range(3):
        files[f"/list{number}.ts"] = encrypted(files[f"/list{number}.ts"], KEY, number)
    files["/list0.ts"] = files["/list0.ts"][: len(files["/list0.ts"]) // 2 + 5]
    with web_camera(served(files)) as camera, RunningFeed(camera.url("/list.m3u8"), loop=False) as running:
        eventually(lambda: running.feed.status.state is FeedState.ENDED)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.losses == []
    assert numbers[:5] == list(range(5))
    assert numbers[-50:] == list(range(25, 75))
