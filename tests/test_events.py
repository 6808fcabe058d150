"""What observers and events see, and that looking changes nothing."""

import math
from dataclasses import dataclass

import pytest
import torch
from test_restore import clip_of

from zvr_core.errors import ZvrError
from zvr_core.events import Event, Unobserved
from zvr_core.merging import KeyAndOwn
from zvr_core.methods.base import Method, PlugIn, Windows
from zvr_core.methods.boundary import PaddingRemoval
from zvr_core.methods.presets import diffir2vr, per_frame
from zvr_core.methods.token_merging import CosineMerging
from zvr_core.restore import Restoration


class Everything(Unobserved):
    """Keeps all it is shown."""

    def __init__(self, sites=lambda site: True, steps=(0, 1)):
        self.sites, self.steps, self.seen, self.passes, self.events = sites, steps, [], [], []

    def wants(self, step, site):
        return step in self.steps and self.sites(site)

    def saw(self, view, context):
        self.seen.append((context.step, context.window, view))

    def passed(self, view):
        self.passes.append(view)

    def ended(self, event):
        self.events.append(event)


@pytest.fixture(scope="module")
def parent(embedded):
    """5 × 9 input pixels: grids whose padding is not trivial; windows of two and three frames."""
    return Restoration(clip_of(5, 5, 9), embedded, diffir2vr(2), steps=2)


def latents(run):
    return torch.stack([run.history[run.index, frame] for frame in range(len(run.clip))])


@pytest.fixture(scope="module")
def looked(parent):
    observer = Everything()
    run = parent.fork(observer=observer)
    return run, observer, list(run)


@pytest.mark.parametrize("method", [per_frame(5), diffir2vr(2), diffir2vr(5, attend=KeyAndOwn(0.5))], ids=lambda m: m.name)
def test_looking_changes_no_bit(parent, method):
    observer = Everything()
    watched, plain = parent.fork(method=method, observer=observer).finish(), parent.fork(method=method).finish()
    assert torch.equal(latents(watched), latents(plain))
    assert len(observer.seen) == 2 * len(watched.windows) * len(watched.sites)


def test_hooks_stand_only_where_they_are_wanted(parent):
    observer = Everything(lambda site: site.name == "up.1.0", steps=(1,))
    parent.fork(observer=observer).finish()
    assert [(step, view.site.name) for step, _, view in observer.seen] == [(1, "up.1.0")] * 2
    assert len(observer.passes) == 4


@pytest.mark.parametrize("method", [per_frame(5), diffir2vr(5)], ids=lambda m: m.name)
def test_sites_show_picture_tokens_whether_or_not_the_method_drops_padding(parent, method):
    observer = Everything()
    parent.fork(method=method, observer=observer).step()
    assert any(view.site.grid != view.site.padded for *_, view in observer.seen)
    assert all(view.tokens.shape == (5, view.site.tokens, view.site.channels) for *_, view in observer.seen)


def test_the_same_tokens_are_seen_by_both_methods_at_the_first_site(parent):
    """Before anything is merged, and whether padding was cut off by the method or for the view."""
    seen = []
    for method in (per_frame(5), diffir2vr(5)):
        observer = Everything(lambda site: site.name == "down.1.0")
        parent.fork(method=method, observer=observer).step()
        seen.append(observer.seen[0][2].tokens)
    assert torch.allclose(*seen, atol=1e-6)


def test_unmerged_sites_provide_for_themselves(parent):
    observer = Everything()
    parent.fork(method=per_frame(5), observer=observer).step()
    for *_, view in observer.seen:
        assert (view.matches, view.ratio, int(view.merged.sum())) == ((), 0.0, 0)
        assert torch.equal(view.provider.flatten(), torch.arange(5 * view.site.tokens))
        assert view.sequence.shape == view.tokens.shape


def test_merged_sites_say_what_became_of_their_tokens(looked):
    """A merged token's provider is its match in the key frame; the sequence is what is left, in order."""
    run, observer, _ = looked
    for step, window, view in observer.seen:
        (matches,), n = view.matches, view.site.tokens
        f, token = view.merged.nonzero().T
        assert torch.equal(view.provider[f, token], window.key_index * n + matches.target[f, token])
        assert view.ratio == pytest.approx(0.6 if step == 0 else 0.6 * math.cos(math.pi / 4), abs=1e-5)
        assert int(view.merged.sum()) == int(view.ratio * (len(window) - 1) * n)
        assert view.sequence.shape == (len(window) * n - int(view.merged.sum()), view.site.channels)
        assert torch.equal(view.sequence[-n:], view.tokens[window.key_index])
        assert view.attention is run.model.network.get_submodule(view.site.path)


def test_frames_that_see_the_key_frame_beside_themselves(parent):
    observer = Everything(steps=(1,))
    parent.fork(method=diffir2vr(5, attend=KeyAndOwn(0.5)), observer=observer).finish()
    view = observer.seen[0][2]
    assert torch.equal(view.sequence, torch.cat([view.tokens, view.tokens[2:3].expand_as(view.tokens)], 1))
    assert not view.merged.any()


def test_of_two_guidance_rows_the_conditional_one_is_seen(tmp_path):
    """The last of the batch; with another prompt it sees something else, and the first row does not."""
    from twins import save_x4

    from zvr_core.models.load import load_model

    save_x4(tmp_path)
    model, seen = load_model(tmp_path), []
    run = Restoration(clip_of(2, 8, 8), model, diffir2vr(2, max_cell=32), steps=1)
    for text in (model.text, torch.cat([model.text[:1], model.text[1:] + 1])):
        model.text, observer = text, Everything()
        run.fork(observer=observer).finish()
        assert observer.seen[-1][2].tokens.shape[0] == 2
        seen.append(observer.seen[-1][2].tokens)
    assert not torch.allclose(*seen, atol=1e-4)


def test_a_pass_shows_x0_before_and_after_each_edit(looked):
    _, observer, _ = looked
    view = observer.passes[0]
    assert [plugin for plugin, _ in view.edited] == ["LatentWarping"]
    assert not torch.equal(view.edited[0][1], view.predicted)
    assert torch.equal(view.edited[0][1], view.x0)
    later = observer.passes[2]
    assert later.edited == ()
    assert later.x0 is later.predicted


def test_plug_ins_say_what_they_did(looked):
    run, _, (first, second) = looked
    assert {(e.plugin, e.hook) for e in first.edits} == {("LatentWarping", "x0"), ("FlowMerging", "tokens"), ("CosineMerging", "tokens")}
    assert {e.plugin for e in second.edits} == {"FlowMerging", "CosineMerging"}
    warp = [e for e in first.edits if e.hook == "x0"]
    assert [e.window for e in warp] == [0, 1]
    assert all(0 < e.numbers["warped"] <= 1 for e in warp)
    merge = next(e for e in first.edits if e.site == "up.1.0")
    site = next(s for s in run.sites if s.name == "up.1.0")
    assert merge.numbers == {"ratio": pytest.approx(0.6), "merged": int(0.6 * site.tokens)}


def test_the_share_of_warped_cells_is_what_changed(parent):
    """Nothing moves: all but the key frame is replaced."""
    from zvr_core.clip import load_clip

    clip = load_clip(torch.rand(1, 3, 8, 8).expand(4, -1, -1, -1).clone())
    event = Restoration(clip, parent.model, diffir2vr(4), steps=1).step()
    assert next(e.numbers["warped"] for e in event.edits if e.hook == "x0") == pytest.approx(3 / 4)


def test_events_hold_latents_by_frame(looked, parent):
    run, observer, (first, second) = looked
    assert torch.equal(first.x0(), torch.cat([view.x0 for view in observer.passes[:2]]))
    assert torch.equal(first.predicted(3), observer.passes[1].predicted[1])
    assert torch.equal(first.x0_after("LatentWarping", 4), first.x0(4))
    assert torch.equal(second.x_t(), first.x_next())
    assert torch.equal(second.x_next(2), run.history[2, 2])


def test_events_hand_out_copies(looked):
    _, _, (first, _) = looked
    before = first.x0(0)
    first.x0(0).zero_()
    first.x_next(0).zero_()
    assert torch.equal(first.x0(0), before)
    assert first.x_next(0).any()


def test_events_hold_the_methods_own_matches(looked):
    run, observer, (first, _) = looked
    assert sorted(first.matches) == sorted(site.name for site in run.sites)
    assert list(first.matches["up.1.0"]) == [0, 1]
    view = next(v for step, window, v in observer.seen if (step, window.start, v.site.name) == (0, 2, "up.1.0"))
    kept = first.matches["up.1.0"][1]
    assert kept.matcher == view.matches[0].matcher == "cosine_spatial"
    assert torch.equal(kept.target, view.matches[0].target)
    assert torch.equal(kept.score, view.matches[0].score)


def test_events_outlive_what_becomes_of_the_run(parent):
    run = parent.fork()
    event = run.step()
    x_next, x0 = event.x_next(), event.x0()
    run.finish().rewind(0)
    run.fork(from_step=0, seed=5).finish()
    assert torch.equal(event.x_next(), x_next)
    assert torch.equal(event.x0(), x0)


def test_forgotten_events_leave_nothing_on_the_shelf(parent):
    run = parent.fork(method=per_frame(5))
    run.step()
    for _ in range(3):
        run.rewind(0).step()
    held = len(run._shelf)
    run.rewind(0).step()
    assert len(run._shelf) == held


def test_the_events_of_a_finished_run_are_light(parent):
    observer = Everything()
    parent.fork(observer=observer).finish()
    event = observer.events[0]
    assert [e.step for e in observer.events] == [0, 1]
    assert (event.edits[0].plugin, event.x_t().shape[0]) == ("FlowMerging", 5)
    with pytest.raises(ZvrError, match=r"step 0 keeps no 'x0'; it keeps x_t, x_next; take events from run.step\(\)"):
        event.x0()


@pytest.mark.parametrize(("name", "frame"), [("x0", 5), ("x_t", -1)])
def test_frames_that_do_not_exist_are_refused(looked, name, frame):
    with pytest.raises(ZvrError, match=rf"frame {frame} given, 0 to 4"):
        getattr(looked[2][0], name)(frame)


def test_the_edit_of_a_plug_in_that_did_nothing_is_refused(looked):
    with pytest.raises(ZvrError, match="step 1 keeps no 'x0 after LatentWarping'"):
        looked[2][1].x0_after("LatentWarping")


def test_sigma_is_noise_over_signal():
    event = Event(0, 1, 999, 0.2, 0.0, (), (), {}, {})
    assert event.sigma == pytest.approx(2.0)


def test_several_observers_each_see_what_they_want(parent):
    one, other = Everything(lambda site: site.name == "down.1.0"), Everything(lambda site: site.stage == "up", steps=(0,))
    parent.fork(method=per_frame(5)).observe(one).observe(other).finish()
    assert [view.site.name for *_, view in one.seen] == ["down.1.0"] * 2
    assert {view.site.stage for *_, view in other.seen} == {"up"}
    assert len(one.passes) == len(other.passes) == len(one.events) == 2


def test_an_observer_that_raises_stops_the_run_where_it_stood(parent):
    class Fails(Unobserved):
        def passed(self, view):
            if view.context.step == 1:
                raise ZvrError("no space left")

    run = parent.fork(observer=Fails())
    with pytest.raises(ZvrError, match="no space left"):
        run.finish()
    assert run.index == 1
    run.observer = Unobserved()
    assert torch.equal(latents(run.finish()), latents(parent.fork().finish()))


def test_two_plug_ins_of_a_class_are_told_apart(parent):
    @dataclass(frozen=True)
    class Scale(PlugIn):
        by: float

        def x0(self, x0, context):
            context.notes.say(by=self.by)
            return x0 * self.by

    event = parent.fork(method=Method("scaled", (Windows(5), Scale(2.0), Scale(0.5)))).step()
    assert [(e.plugin, e.numbers) for e in event.edits] == [("Scale", {"by": 2.0}), ("Scale 2", {"by": 0.5})]
    assert torch.equal(event.x0_after("Scale"), 2 * event.predicted())
    assert torch.equal(event.x0_after("Scale 2"), event.x0())


def test_numbers_said_in_vain_go_to_nobody_else(parent):
    class Talks(PlugIn):
        def latent(self, x_t, context):
            context.notes.say(idle=1)
            return x_t

    event = parent.fork(method=Method("talks", (Windows(5), Talks(), CosineMerging(), PaddingRemoval()))).step()
    assert [(e.plugin, sorted(e.numbers)) for e in event.edits[:2]] == [("Talks", ["idle"]), ("CosineMerging", ["merged", "ratio"])]
