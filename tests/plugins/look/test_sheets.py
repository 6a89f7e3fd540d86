"""Several views in one model input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.plugins.api import Detections, FloatArray
from sightd.plugins.look.sheets import GREY, Packer, Part, Sheet, drawn, in_frame, packed
from sightd.plugins.look.views import ScaledView

VIEWS = st.lists(
    st.builds(
        lambda x, y, w, h, scale: ScaledView((x, y, x + w, y + h), scale),
        st.integers(0, 1500), st.integers(0, 700), st.integers(1, 900), st.integers(1, 700), st.floats(0.05, 2),
    ),
    max_size=20,
)  # fmt: skip


def areas(sheet: Sheet) -> list[tuple[int, int, int, int]]:
    return [(part.x, part.y, part.x + part.size[0], part.y + part.size[1]) for part in sheet.parts]


@given(views=VIEWS, most=st.integers(0, 4))
def test_parts_lie_inside_their_sheet_and_apart_from_each_other(views: list[ScaledView], most: int) -> None:
    sheets = packed(views, 416, 320, most)[0].sheets()
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
    views = [ScaledView((x, 0, x + 96, 96)) for x in range(0, 1600, 100)]
    assert len(views) == 16
    assert [len(sheet.parts) for sheet in packed(views, 416, 416, 4)[0].sheets()] == [16]


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    views = [ScaledView((0, 0, 400, 400)), ScaledView((500, 0, 900, 400)), ScaledView((1000, 0, 1400, 400))]
    shown = [part.view for sheet in packed(views, 416, 416, 2)[0].sheets() for part in sheet.parts]
    assert shown == [views[0].view, views[1].view]


def test_if_not_all_fit_the_most_important_come_first_and_others_take_the_room_that_is_left() -> None:
    views = [ScaledView((0, 0, 300, 400)), ScaledView((500, 0, 900, 400)), ScaledView((1000, 0, 1100, 100))]
    packer, fitting = packed(views, 416, 416, 1)
    assert fitting == 1
    assert [part.view for sheet in packer.sheets() for part in sheet.parts] == [views[0].view, views[2].view]
    assert packed(views, 416, 416, 0)[1] == 0
    assert packed([], 416, 416, 3)[1] == 0


def test_an_enlarged_view_takes_its_enlarged_size() -> None:
    (sheet,) = packed([ScaledView((10, 20, 60, 60), 2.0)], 416, 416, 1)[0].sheets()
    assert areas(sheet) == [(0, 0, 100, 80)]
    assert sheet.bottom == 80


def test_how_many_of_hundreds_of_views_fit_is_found_in_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[ScaledView] = []
    add = Packer.add

    def counted(packer: Packer, view: ScaledView) -> bool:
        added.append(view)
        return add(packer, view)

    monkeypatch.setattr(Packer, "add", counted)
    views = [ScaledView((x, 0, x + 150 + x % 7, 150)) for x in range(400)]
    packer, fitting = packed(views, 416, 416, 60)
    assert fitting == 240
    assert sum(len(sheet.parts) for sheet in packer.sheets()) == 240
    assert len(added) < 10 * len(views)


def test_what_fills_takes_the_room_that_is_left_and_no_sheet_of_its_own() -> None:
    fill = [ScaledView((x, 0, x + 204, 204)) for x in (0, 200, 400, 600, 800)]
    packer, _ = packed([ScaledView((1000, 500, 1100, 600))], 416, 416, 3)
    assert sum(packer.add(look) for look in fill) >= 2
    assert len(packer.sheets()) == 1


def test_a_view_larger_than_the_sheet_is_shrunk_to_fit() -> None:
    (sheet,) = packed([ScaledView((0, 0, 832, 400))], 416, 416, 1)[0].sheets()
    assert areas(sheet) == [(0, 0, 416, 200)]


def test_the_image_shows_the_parts_on_grey() -> None:
    random = np.random.default_rng(2)
    frame = random.integers(0, 256, (300, 400, 3), np.uint8)
    sheet = Sheet(100, 80, (Part((20, 30, 60, 60), x=0, y=0), Part((100, 100, 200, 200), 0.4, 50, 10)))
    image = drawn(sheet, frame)
    assert image.shape == (80, 100, 3)
    np.testing.assert_array_equal(image[:30, :40], frame[30:60, 20:60])
    assert (image[30:, :48] == GREY).all()
    assert image[10:50, 50:90].mean() == pytest.approx(frame[100:200, 100:200].mean(), abs=4)


def test_boxes_come_back_to_where_they_were_in_the_frame() -> None:
    sheet = Sheet(416, 416, (Part((200, 300, 300, 400), x=0, y=0), Part((1000, 500, 1400, 700), 0.5, 0, 108)))
    boxes: FloatArray = np.array([[10, 20, 30, 60], [100, 118, 150, 158], [300, 300, 340, 340]], np.float32)
    on_sheet = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 2, 1]), ("a", "b", "c"))
    found = in_frame(sheet, on_sheet, first=5)
    np.testing.assert_allclose(found.boxes, [[210, 320, 230, 360], [1200, 520, 1300, 600]])
    assert found.views.tolist() == [5, 6]
    assert found.class_ids.tolist() == [0, 2]


def test_a_box_that_reaches_beyond_its_part_ends_there() -> None:
    sheet = Sheet(416, 416, (Part((200, 300, 300, 400), x=0, y=0),))
    boxes: FloatArray = np.array([[60, 50, 120, 104]], np.float32)
    on_sheet = Detections(boxes, np.array([0.9], np.float32), np.array([0]), ("a",))
    np.testing.assert_allclose(in_frame(sheet, on_sheet, 0).boxes, [[260, 350, 300, 400]])
