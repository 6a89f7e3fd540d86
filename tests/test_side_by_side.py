"""What ends badly is told, however it ended."""

from __future__ import annotations

import pytest

from tests.side_by_side import verdict


@pytest.mark.parametrize("codes", [[1, 0, 0], [0, 2, 0], [-11, 0, 0], [0, 0, -9]])
def test_tests_that_fail_or_are_killed_are_no_success(codes: list[int]) -> None:
    assert verdict(codes) != 0


def test_all_is_well_where_all_is() -> None:
    assert verdict([0, 0, 0]) == 0
