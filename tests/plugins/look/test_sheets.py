"""Several views in one model input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.api import Detections, FloatArray
from sightd.plugins.look.sheets import GREY, Look, Packer, Part, Sheet, drawn, in_frame, packed

LOOKS = st.lists(
    st.builds(
        lambda x, y, w, h, scale: Look((x, y, x + w, y + h), scale),
        st.integers(0, 1500), st.integers(0, 700), st.integers(1, 900), st.integers(1, 700), st.floats(0.05, 1),
    ),
    max_size=20,
)  # fmt: skip


def areas(sheet: Sheet) -> list[tuple[int, int, int, int]]:
    return [(part.x, part.y, part.x + part.look.size[0], part.y + part.look.size[1]) for part in sheet.parts]


@given(looks=LOOKS, most=st.integers(0, 4))
def test_parts_lie_inside_their_sheet_and_apart_from_each_other(looks: list[Look], most: int) -> None:
    sheets = packed(looks, 416, 320, most).sheets()
    assert len(sheets) <= most
    for sheet in sheets:
        for x1, y1, x2, y2 in areas(sheet):
            assert 0 <= x1 < x2 <= 416
            assert 0 <= y1 < y2 <= 320
        for one in areas(sheet):
            for other in areas(sheet):
                apart = one[0] >= other[2] + 8 or other[0] >= one[2] + 8 or one[1] >= other[3] + 8
                assert one is other or one == other or apart or other[1] >= one[3] + 8


def test_small_views_share_a_sheet() -> None:
    looks = [Look((x, 0, x + 96, 96)) for x in range(0, 1600, 100)]
    assert len(looks) == 16
    assert [len(sheet.parts) for sheet in packed(looks, 416, 416, 4).sheets()] == [16]


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    looks = [Look((0, 0, 400, 400)), Look((500, 0, 900, 400)), Look((1000, 0, 1400, 400))]
    shown = [part.look.view for sheet in packed(looks, 416, 416, 2).sheets() for part in sheet.parts]
    assert shown == [looks[0].view, looks[1].view]


def test_how_many_of_hundreds_of_views_fit_is_found_in_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Look] = []
    add = Packer.add

    def counted(packer: Packer, look: Look) -> bool:
        added.append(look)
        return add(packer, look)

    monkeypatch.setattr(Packer, "add", counted)
    looks = [Look((x, 0, x + 150 + x % 7, 150)) for x in range(400)]
    packer = packed(looks, 416, 416, 60)
    assert sum(len(sheet.parts) for sheet in packer.sheets()) == 240
    assert len(added) < 10 * len(looks)


def test_what_fills_takes_the_room_that_is_left_and_no_sheet_of_its_own() -> None:
    fill = [Look((x, 0, x + 204, 204)) for x in (0, 200, 400, 600, 800)]
    packer = packed([Look((1000, 500, 1100, 600))], 416, 416, 3)
    assert sum(packer.add(look) for look in fill) >= 2
    assert len(packer.sheets()) == 1


def test_a_view_larger_than_the_sheet_is_shrunk_to_fit() -> None:
    (sheet,) = packed([Look((0, 0, 832, 400))], 416, 416, 1).sheets()
    assert areas(sheet) == [(0, 0, 416, 200)]


def test_the_image_shows_the_parts_on_grey() -> None:
    random = np.random.default_rng(2)
    frame = random.integers(0, 256, (300, 400, 3), np.uint8)
    sheet = Sheet(100, 80, (Part(Look((20, 30, 60, 60)), 0, 0), Part(Look((100, 100, 200, 200), 0.4), 50, 10)))
    image = drawn(sheet, frame)
    assert image.shape == (80, 100, 3)
    np.testing.assert_array_equal(image[:30, :40], frame[30:60, 20:60])
    assert (image[30:, :48] == GREY).all()
    assert image[10:50, 50:90].mean() == pytest.approx(frame[100:200, 100:200].mean(), abs=4)


def test_boxes_come_back_to_where_they_were_in_the_frame() -> None:
    sheet = Sheet(416, 416, (Part(Look((200, 300, 300, 400)), 0, 0), Part(Look((1000, 500, 1400, 700), 0.5), 0, 108)))
    boxes: FloatArray = np.array([[10, 20, 30, 60], [100, 118, 150, 158], [300, 300, 340, 340]], np.float32)
    on_sheet = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 2, 1]), ("a", "b", "c"))
    found = in_frame(sheet, on_sheet, first=5)
    np.testing.assert_allclose(found.boxes, [[210, 320, 230, 360], [1200, 520, 1300, 600]])
    assert found.views.tolist() == [5, 6]
    assert found.class_ids.tolist() == [0, 2]


def test_a_box_that_reaches_beyond_its_part_ends_there() -> None:
    sheet = Sheet(416, 416, (Part(Look((200, 300, 300, 400)), 0, 0),))
    boxes: FloatArray = np.array([[60, 50, 120, 104]], np.float32)
    on_sheet = Detections(boxes, np.array([0.9], np.float32), np.array([0]), ("a",))
    np.testing.assert_allclose(in_frame(sheet, on_sheet, 0).boxes, [[260, 350, 300, 400]])
