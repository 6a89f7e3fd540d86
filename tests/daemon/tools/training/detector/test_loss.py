"""SimOTA: which cells answer for an object, and what a prediction costs."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")

from sightd.daemon.tools.training.detector.loss import Cells, assign, loss_of  # noqa: E402

pytestmark = pytest.mark.computing

CELLS = Cells.of([(8, 8), (4, 4), (2, 2)], (8, 16, 32), "cpu")
OBJECT = torch.tensor([[16.0, 16.0, 40.0, 40.0]])
OTHER = torch.tensor([[44.0, 8.0, 60.0, 24.0]])


def rows_for(*objects: Any, classes: int = 2, sure: float = 4.0) -> Any:
    """Raw predictions of a model that is right: each cell predicts the object of that number whose centre is nearest,
    and is sure of it if its own centre is inside."""
    boxes = torch.cat(objects)
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    centres = CELLS.centres
    nearest = (centres[:, None] - middle[None]).norm(dim=-1).argmin(1)
    rows = torch.full((len(centres), 5 + classes), -sure)
    rows[:, :2] = middle[nearest] / CELLS.stride - CELLS.xy
    rows[:, 2:4] = torch.log(size[nearest] / CELLS.stride)
    inside = ((centres > boxes[nearest][:, :2]) & (centres < boxes[nearest][:, 2:])).all(-1)
    rows[inside, 4] = sure
    rows[torch.arange(len(rows)), 5 + nearest] = sure
    return rows


def test_decoding_inverts_the_form_that_the_head_predicts_in() -> None:
    boxes = CELLS.boxes(rows_for(OBJECT)[:, :4])
    torch.testing.assert_close(boxes, OBJECT.expand_as(boxes))


def test_the_cells_that_answer_lie_near_their_object() -> None:
    objects, classes = torch.cat((OBJECT, OTHER)), torch.tensor([0, 1])
    rows = rows_for(OBJECT, OTHER)
    cells, owner, overlap = assign(rows, CELLS.boxes(rows[:, :4]), CELLS, objects, classes)
    assert set(owner.tolist()) == {0, 1}, "each object has some"
    assert len(set(cells.tolist())) == len(cells), "no cell answers twice"
    centres, middle = CELLS.centres[cells], (objects[owner, :2] + objects[owner, 2:]) / 2
    assert ((centres - middle).abs() < 2.5 * CELLS.stride[cells]).all()
    assert (overlap > 0.99).all()


def test_an_object_between_all_cells_still_gets_one() -> None:
    tiny = torch.tensor([[15.5, 15.5, 16.5, 16.5]])
    rows = torch.zeros(len(CELLS.xy), 7)
    cells, owner, _ = assign(rows, CELLS.boxes(rows[:, :4]), CELLS, tiny, torch.tensor([1]))
    assert len(cells) >= 1
    assert set(owner.tolist()) == {0}


def test_a_right_prediction_costs_less_than_a_shifted_or_a_confused_one() -> None:
    truth = [(OBJECT, torch.tensor([0]))]
    right = rows_for(OBJECT)
    shifted, confused = right.clone(), right.clone()
    shifted[:, :2] += 0.7
    confused[:, 5:] = confused[:, 5:].flip(1)
    good, moved, wrong = (float(loss_of(rows[None], CELLS, truth)) for rows in (right, shifted, confused))
    assert good < moved
    assert good < wrong


def test_a_frame_without_objects_teaches_that_nothing_is_there() -> None:
    rows = torch.zeros(1, len(CELLS.xy), 7, requires_grad=True)
    loss_of(rows, CELLS, [(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))]).backward()
    assert (rows.grad[..., 4] > 0).all(), "objectness falls everywhere"
    assert not rows.grad[..., 5:].any()
