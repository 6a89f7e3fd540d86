"""Which frames may be shown after damage."""

from __future__ import annotations

from sightd.daemon.capture.feed import CorruptionGate


def shown(gate: CorruptionGate, *frames: str, interval: float = 0.04) -> str:
    """Returns the frames that pass, else "-": "k" key frame, "p" any other, "x" damaged, "X" damaged key frame."""
    return "".join(
        kind if gate.passes(corrupt=kind in "xX", key=kind in "kX", now=number * interval) else "-"
        for number, kind in enumerate("".join(frames))
    )


def test_whole_frames_pass() -> None:
    assert shown(CorruptionGate(), "kppkpp") == "kppkpp"


def test_after_damage_nothing_passes_until_the_next_key_frame() -> None:
    assert shown(CorruptionGate(), "kpxpppkpp") == "kp----kpp"


def test_a_damaged_key_frame_heals_nothing() -> None:
    assert shown(CorruptionGate(), "kxXppkp") == "k----kp"


def test_data_that_cannot_be_decoded_are_damage_too() -> None:
    gate = CorruptionGate()
    gate.damaged(0.0)
    assert shown(gate, "ppkp") == "--kp"


def test_a_camera_with_rare_key_frames_does_not_stay_dark_forever() -> None:
    assert shown(CorruptionGate(patience=4.0), "kxpppppp", interval=1.0) == "k-----pp"
