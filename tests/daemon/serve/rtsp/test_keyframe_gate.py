from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.serve.rtsp.stream import KeyframeGate


def opened() -> KeyframeGate:
    gate = KeyframeGate()
    gate.opened()
    return gate


def test_nothing_passes_while_nobody_is_there() -> None:
    gate = KeyframeGate()
    assert not gate.wanted
    assert not gate.admit(keyframe=True)


def test_a_new_media_asks_for_a_key_frame_once() -> None:
    gate = opened()
    assert gate.wanted
    assert [gate.take_key_request(), gate.take_key_request()] == [True, False]


def test_until_somebody_plays_only_key_frames_pass() -> None:
    gate = opened()
    assert [gate.admit(key) for key in (False, True, False, True)] == [False, True, False, True]


def test_the_first_player_gets_packets_from_the_next_key_frame_on() -> None:
    gate = opened()
    gate.admit(keyframe=True)
    gate.take_key_request()
    gate.played()
    assert gate.take_key_request()
    assert [gate.admit(key) for key in (False, True, False)] == [False, True, True]


def test_a_late_joiner_asks_for_a_key_frame_and_interrupts_nobody() -> None:
    gate = opened()
    gate.played()
    gate.admit(keyframe=True)
    gate.take_key_request()
    gate.played()
    assert gate.take_key_request()
    assert gate.admit(keyframe=False)


def test_after_the_last_viewer_nothing_is_asked_nor_passes() -> None:
    gate = opened()
    gate.played()
    gate.closed()
    assert not gate.wanted
    assert not gate.take_key_request()
    assert not gate.admit(keyframe=True)


@given(st.lists(st.sampled_from(["opened", "closed", "played", "paused", "key", "delta"])))
def test_every_run_of_packets_begins_with_a_key_frame(events: list[str]) -> None:
    gate, decodable = KeyframeGate(), False
    for event in events:
        if event in ("key", "delta"):
            admitted = gate.admit(keyframe=event == "key")
            assert not admitted or event == "key" or decodable
            decodable = admitted and (decodable or event == "key")
        else:
            getattr(gate, event)()
            decodable = decodable and event == "played"


def test_after_what_was_left_out_a_key_frame_is_wanted() -> None:
    gate = KeyframeGate()
    gate.opened()
    gate.played()
    gate.admit(keyframe=True)
    gate.take_key_request()
    gate.goes_on()
    assert gate.take_key_request()
    assert [gate.admit(key) for key in (False, True, False)] == [False, True, True]
