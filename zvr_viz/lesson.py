"""For tutorials: the reader says what will happen before it happens, and exercises answer in words.

guess = predict("Does the estimate come closer to the truth?", "yes", choices=("yes", "no"))  # says nothing yet
guess.reveal("no")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zvr_core.errors import ZvrError


@dataclass(frozen=True)
class Prediction:
    """What a reader expects: one of `choices`, or a number in `unit` when there are none.  Raises ZvrError for anything else."""

    question: str
    guess: str | float
    choices: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        if self.choices and self.guess not in self.choices:
            raise ZvrError(f"guess {self.guess!r} given, one of {', '.join(map(repr, self.choices))} expected")
        if not self.choices and isinstance(self.guess, str):
            raise ZvrError(f"guess {self.guess!r} given, a number expected; write it without quotes")

    def reveal(self, answer: str | float) -> None:
        """Prints the guess beside the answer; a number counts as right when it is within a quarter of the answer."""
        right = (
            self.guess == answer if isinstance(self.guess, str) or isinstance(answer, str) else abs(self.guess - answer) <= abs(answer) / 4
        )
        print(
            f"{self.question}\nYou said: {self._with_unit(self.guess)}. " + ("So it is." if right else f"It is: {self._with_unit(answer)}.")
        )

    def _with_unit(self, value: str | float) -> str:
        return value if isinstance(value, str) else f"{value:.2g} {self.unit}".rstrip()


def predict(question: str, guess: str | float, choices: Sequence[str] = (), unit: str = "") -> Prediction:
    """Stores a guess and answers nothing: `.reveal(answer)` does, later.  Raises ZvrError for a guess that is no answer at all."""
    prediction = Prediction(question, guess, tuple(choices), unit)
    print(f"Noted: {guess}.")
    return prediction


def check(right: bool, hint: str) -> None:
    """Says whether an exercise is solved, and if not, what to look at."""
    print("right" if right else f"not yet: {hint}")
