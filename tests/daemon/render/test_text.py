"""Text in all scripts, drawn from any thread."""

import threading

import numpy as np
import pytest

from sightd.daemon.render.text import Coverage, fitted, width_of, write_text


def written(text: str, size: int = 20) -> Coverage:
    mask = np.zeros((40, 300), np.float32)
    write_text(mask, text, 5, 28, size)
    return mask


@pytest.mark.parametrize("letter", ["ä", "ß", "é", "Ж", "λ", "門", "カ", "한"])
def test_letters_of_the_world_are_no_question_marks(letter: str) -> None:
    assert written(letter).any()
    assert not np.array_equal(written(letter), written("?"))


def test_letters_are_anti_aliased() -> None:
    mask = written("Süd")
    assert np.any((mask > 0.2) & (mask < 0.8))
    assert mask.max() == 1


def test_a_text_is_as_wide_as_it_says() -> None:
    columns = np.nonzero(written("person 0.87").any(axis=0))[0]
    assert 0 <= 5 + width_of("person 0.87", 20) - columns.max() <= 4


def test_digits_have_one_width_so_that_a_clock_does_not_dance() -> None:
    assert len({width_of(digit * 10, 18) for digit in "0123456789"}) == 1


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert fitted("front door", 20, 300) == "front door"


def test_a_long_text_is_cut_to_the_room() -> None:
    cut = fitted("a camera with a very long name", 20, 120)
    assert cut.startswith("a camera")
    assert cut.endswith("…")
    assert width_of(cut, 20) <= 120


def test_without_room_there_is_no_text() -> None:
    assert fitted("front door", 20, 3) == ""


def test_line_breaks_become_spaces() -> None:
    assert fitted("front\ndoor\t1", 20, 300) == "front door 1"


def test_threads_that_write_at_once_get_their_own_letters() -> None:
    texts = [f"person {n} #Ä" for n in range(40)]
    alone = [written(text, 12 + n % 20) for n, text in enumerate(texts)]
    wrong: list[str] = []

    def write_all() -> None:
        for _ in range(10):
            for n, text in enumerate(texts):
                if not np.array_equal(written(text, 12 + n % 20), alone[n]):
                    wrong.append(text)

    threads = [threading.Thread(target=write_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
