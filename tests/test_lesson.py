"""Predictions are kept and compared, exercises answer in words."""

import pytest

from zvr_core.errors import ZvrError
from zvr_viz.lesson import check, predict


def said(capsys):
    return capsys.readouterr().out.splitlines()


def test_a_prediction_answers_nothing_before_it_is_revealed(capsys):
    guess = predict("Up or down?", "up", choices=("up", "down"))
    assert said(capsys) == ["Noted: up."]
    guess.reveal("down")
    assert said(capsys) == ["Up or down?", "You said: up. It is: down."]
    guess.reveal("up")
    assert said(capsys) == ["Up or down?", "You said: up. So it is."]


@pytest.mark.parametrize(("answer", "words"), [(40.0, "So it is."), (20, "It is: 20 steps."), (0.5, "It is: 0.5 steps.")])
def test_numbers_are_compared_roughly(capsys, answer, words):
    predict("When?", 35, unit="steps").reveal(answer)
    assert said(capsys)[-1] == f"You said: 35 steps. {words}"


def test_a_guess_that_is_no_answer_is_named():
    with pytest.raises(ZvrError, match="guess 'sideways' given, one of 'up', 'down' expected"):
        predict("Up or down?", "sideways", choices=("up", "down"))
    with pytest.raises(ZvrError, match="guess '35' given, a number expected"):
        predict("When?", "35")


def test_an_exercise_answers_in_words(capsys):
    check(True, "")
    check(False, "the mean is over frames, too")
    assert said(capsys) == ["right", "not yet: the mean is over frames, too"]
