"""NaN: the run stops, says where it began, and stands before the step."""

from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from test_restore import clip_of

from zvr_core.attention import Edited
from zvr_core.errors import ZvrError
from zvr_core.methods.base import Method, PlugIn, Windows
from zvr_core.methods.presets import diffir2vr
from zvr_core.restore import Restoration


@dataclass(frozen=True)
class Breaks(PlugIn):
    """One hook gives NaN, at step 1."""

    hook: str

    def _broken(self, hook, context):
        return float("nan") if (hook, context.step) == (self.hook, 1) else 1.0

    def latent(self, x_t, context):
        return x_t * self._broken("latent", context)

    def tokens(self, site, context):
        if site.name != "mid.0.0" and site.name != "up.0.0":
            return None
        return lambda hidden: Edited(hidden * self._broken("tokens", context), lambda out: out * self._broken("undo", context))

    def x0(self, x0, context):
        return x0 * self._broken("x0", context)


@contextmanager
def breaking(module):
    """A module of the network gives NaN."""
    handle = module.register_forward_hook(lambda module, args, output: output * float("nan"))
    try:
        yield
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def parent(embedded):
    return Restoration(clip_of(3, 6, 10), embedded, diffir2vr(3), steps=2)


def latents(run):
    return torch.stack([run.history[run.index, frame] for frame in range(len(run.clip))])


@pytest.mark.parametrize(
    ("hook", "place"),
    [
        ("latent", "first in Breaks's edit of the latent;"),
        ("tokens", "first in Breaks's edit of the tokens at up.0.0;"),
        ("undo", "first in the plug-in that edits the tokens of site up.0.0;"),
        ("x0", "first in Breaks's edit of the x0;"),
    ],
)
def test_plug_ins_are_named(parent, hook, place):
    run = parent.fork(method=Method("breaks", (Windows(3), Breaks(hook))))
    with pytest.raises(ZvrError, match=f"step 1, frames 0 to 2: values are not finite, {place} check the input"):
        run.finish()
    assert run.index == 1


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0", "first in the attention of site up.1.0;"),
        ("conv_in", "first in the network before the tokens of site down.1.0;"),
        ("conv_out", "first in the network after its last site;"),
    ],
)
def test_the_place_inside_the_network_is_named(parent, path, place):
    """Matchers refuse NaN themselves, without knowing where they are: that error is traced, too."""
    run = parent.fork()
    run.step()
    before = latents(run)
    with breaking(run.model.network.get_submodule(path)), pytest.raises(ZvrError, match=f"step 1, .*{place}"):
        run.finish()
    assert torch.equal(latents(run), before)
    assert torch.equal(latents(run.finish()), latents(parent.fork().finish()))


def test_the_input_is_named(parent):
    run = parent.fork()
    run.step()
    run.conditions = lambda window: torch.full((3, 3, 8, 12), float("inf"))
    with pytest.raises(ZvrError, match="step 1, frames 0 to 2: values are not finite, first in the input;"):
        run.step()


def test_what_has_another_cause_keeps_its_own_words(parent):
    class Refuses(PlugIn):
        def x0(self, x0, context):
            raise ZvrError("not like this")

    with pytest.raises(ZvrError, match=r"^not like this$"):
        parent.fork(method=Method("refuses", (Refuses(),))).step()


def test_a_plug_in_that_breaks_once_is_not_blamed_for_nothing(parent):
    class Flickers(PlugIn):
        def x0(self, x0, context):
            return x0 * (float("nan") if not calls.append(1) and len(calls) == 1 else 1.0)

    calls = []
    with pytest.raises(ZvrError, match="step 0, frames 0 to 2: values are not finite in x_t after the step"):
        parent.fork(method=Method("flickers", (Flickers(), Windows(3)))).step()


def test_memory_is_as_it_was_before_the_step(parent):
    """The search repeats the pass; neither attempt leaves anything behind."""

    class Averages(Breaks):
        persistent = ("sum",)

        def x0(self, x0, context):
            context.memory.slots[("sum",)] = context.memory.slots.get(("sum",), 0) + x0
            return super().x0(x0, context)

    run = parent.fork(method=Method("averages", (Windows(3), Averages("x0"))))
    run.step()
    before = run.memory.persistent()
    with pytest.raises(ZvrError, match="Averages's edit of the x0"):
        run.step()
    assert torch.equal(run.memory.persistent()['["sum"]'], before['["sum"]'])
