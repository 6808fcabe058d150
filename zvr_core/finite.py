"""NaN and infinity: noticed by one check a pass, then traced to where they began by repeating the pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch

from zvr_core.attention import Edited, Site, TokenEdit, unchanged
from zvr_core.errors import ZvrError
from zvr_core.events import PassView
from zvr_core.methods.base import Context
from zvr_core.notes import Notes

Attempt = Callable[[Notes], PassView]
ADVICE = "check the input for extreme values, or compute in float32 (--dtype float32)"


def finite_pass(attempt: Attempt, context: Context, x_t: torch.Tensor, condition: torch.Tensor) -> PassView:
    """The pass, if it ends in finite values; else one ZvrError that names step, frames, and the plug-in or site where they began.

    `attempt` goes through the pass with given notes, as often as it is asked to; what enters it is x_t and the condition.
    """
    what = f"step {context.step}, frames {context.window.start} to {context.window.stop - 1}: values are not finite"
    problem = ZvrError(f"{what} in x_t after the step; {ADVICE}")
    try:
        view = attempt(context.notes)
        if view.x_next.isfinite().all():
            return view
    except ZvrError as error:  # matchers refuse NaN
        problem = error
    context.memory.discard()
    place = where_it_began(attempt, x_t, condition)
    raise ZvrError(f"{what}, first {place}; {ADVICE}") if place else problem


def where_it_began(attempt: Attempt, x_t: torch.Tensor, condition: torch.Tensor) -> str:
    """The place where a pass, when it is repeated, first gives what is not finite; empty where it does not do so again."""
    try:
        check_finite(x_t, "in x_t, before the step")
        check_finite(condition, "in the input")
        view = attempt(FiniteNotes())
        check_finite(view.predicted, "in the network after its last site")
        check_finite(view.x_next, "in the sampler")
    except NotFiniteError as place:
        return str(place)
    except ZvrError:  # what stopped the pass stops it again, on the way to nothing that is not finite
        return ""
    return ""


class NotFiniteError(ZvrError):
    """NaN or infinity, and where it began."""


def check_finite(value: torch.Tensor, place: str) -> None:
    """Raises NotFiniteError with the place."""
    if not value.isfinite().all():
        raise NotFiniteError(place)


class FiniteNotes(Notes):
    """Raises NotFiniteError at the first plug-in or site whose result is not finite though what it got was."""

    def edited(self, plugin: str, hook: str, before: torch.Tensor, after: torch.Tensor, site: str = "") -> None:
        if before.isfinite().all():
            check_finite(after, f"in {plugin}'s edit of the {hook}{site and ' at ' + site}")

    def around(
        self, network: torch.nn.Module, sites: Iterable[Site], edits: Mapping[str, TokenEdit], context: Context
    ) -> Mapping[str, TokenEdit]:
        return {**edits, **{s.path: self._checked(s.name, edits.get(s.path, unchanged)) for s in sites}}

    def _checked(self, site: str, edit: TokenEdit) -> TokenEdit:
        def check(hidden: torch.Tensor) -> Edited:
            check_finite(hidden, f"in the network before the tokens of site {site}")
            edited = edit(hidden)

            def undo(output: torch.Tensor) -> torch.Tensor:
                check_finite(output, f"in the attention of site {site}")
                back = edited.undo(output)
                check_finite(back, f"in the plug-in that edits the tokens of site {site}")
                return back

            return Edited(edited.hidden, undo, edited.keywords)

        return check
