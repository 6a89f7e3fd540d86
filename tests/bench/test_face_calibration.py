"""`bench.face_calibration` writes the table that thresholds are read from."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from bench.face_calibration import RATES, table, written
from sightd.plugins.face.matching.calibration import calibration_of
from tests.plugins.face.people import People

pytestmark = pytest.mark.computing


def test_the_table_has_the_share_of_pairs_that_reach_each_cosine() -> None:
    people = People(200)
    embeddings = np.concatenate([people.looks(person, 3) for person in range(200)])
    owners = np.repeat(np.arange(200), 3)
    rows = table(embeddings, owners)
    cosines = embeddings @ embeddings.T
    different = cosines[owners[:, None] < owners]
    same = cosines[(owners[:, None] == owners) & np.triu(np.ones_like(cosines, bool), 1)]
    assert [row.fmr for row in rows] == [rate for rate in RATES if rate * len(different) >= 4.5]
    for row in rows:
        assert np.mean(different >= row.cosine) == pytest.approx(row.fmr, rel=0.1)
        assert np.mean(same < row.cosine) == pytest.approx(row.fnmr, abs=1e-3)
    assert sorted(row.cosine for row in rows) == [row.cosine for row in rows]


def test_the_file_has_the_form_of_the_one_shipped() -> None:
    people = People(60)
    embeddings = np.concatenate([people.looks(person, 2) for person in range(60)])
    text = written(table(embeddings, np.repeat(np.arange(60), 2)), "mine", 120, 60, (7080, 60))
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert text.startswith("# mine, ")
    assert list(rows[0]) == ["fmr", "cosine", "fnmr", "pairs"]
    assert rows[0]["fmr"] == "1e-1"
    shipped = calibration_of("sface")
    assert shipped is not None
    assert float(rows[2]["cosine"]) == pytest.approx(shipped.cosine(1e-2), abs=0.1)


def test_without_two_photographs_of_one_person_there_is_no_table() -> None:
    with pytest.raises(ValueError, match="two photographs of one"):
        table(People(3).one_look_each(), np.arange(3))


def test_each_embedder_has_its_own_table() -> None:
    assert calibration_of("facenet") is None
