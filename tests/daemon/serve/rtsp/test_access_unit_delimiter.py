from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.serve.rtsp.stream import move_aud_to_end
from tests.daemon.serve.numbered import NumberedEncoder

START = b"\x00\x00\x00\x01"
DELIMITER = START + b"\x09\xf0"
units = st.builds(
    lambda kind, body: START + bytes([kind]) + body, st.sampled_from([0x41, 0x65, 0x67, 0x68]), st.just(b"ab")
)


@given(st.lists(units, min_size=1, max_size=4))
def test_the_delimiter_moves_from_the_front_to_the_end(nal_units: list[bytes]) -> None:
    picture = b"".join(nal_units)
    assert move_aud_to_end(DELIMITER + picture) == picture + DELIMITER
    assert move_aud_to_end(picture) == picture + DELIMITER


def test_three_byte_start_codes_are_understood() -> None:
    assert move_aud_to_end(b"\x00\x00\x01\x09\x10\x00\x00\x01\x65ab") == START + b"\x65ab" + DELIMITER


def test_a_delimiter_alone_and_no_bytes_at_all_do_no_harm() -> None:
    assert move_aud_to_end(DELIMITER) == DELIMITER
    assert move_aud_to_end(b"") == DELIMITER


def test_the_stream_as_a_whole_keeps_one_delimiter_between_pictures() -> None:
    encoder = NumberedEncoder()
    packets = [packet for number in range(4) for packet in encoder.encode(number, number / 25)]
    assert all(packet.data.startswith(START + b"\x09") for packet in packets)
    stream = b"".join(move_aud_to_end(packet.data) for packet in packets)
    assert stream.count(START + b"\x09") == len(packets)
    assert stream.endswith(DELIMITER)
