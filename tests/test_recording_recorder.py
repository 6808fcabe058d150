"""A recording holds what happened and changes none of it."""

import numpy as np
import pytest
import torch
from recording import Watcher, a_run, latents, moving_clip, with_inertia

from zvr_core.clip import load_clip
from zvr_core.errors import ZvrError
from zvr_core.methods.presets import per_frame
from zvr_core.models.codec import upsample
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.clip import Truth
from zvr_core.recording.foreign import recorded_matcher
from zvr_core.recording.recorder import record, recorder_of
from zvr_core.restore import Restoration
from zvr_core.scenes import pan
from zvr_core.trace import Missing

ALL = RecordAt(similarity=5, entropy=True, tokens="full")


@pytest.fixture(scope="module")
def watched(embedded, tmp_path_factory):
    """A recorded run to its end, and what a second observer saw of it."""
    watcher = Watcher()
    run = record(a_run(embedded), tmp_path_factory.mktemp("watched") / "a.zarr", ALL).observe(watcher)
    return run.finish(), watcher


def test_recording_changes_no_bit(plain, watched):
    assert torch.equal(latents(watched[0]), latents(plain))


def test_all_of_x_t_is_there_exactly(plain, watched):
    trace = watched[0].trace
    for step in range(5):
        for frame in range(3):
            assert np.array_equal(trace.x_t(step, frame), plain.history[step, frame].numpy())


def test_x0_is_there_in_half_precision(watched):
    run, watcher = watched
    assert torch.equal(torch.from_numpy(run.trace.x0(2, 1)), watcher.passes[2, 0].x0[1].half().float())


def test_the_restored_frames_are_there(watched):
    run = watched[0]
    frames = (255 * torch.cat(list(run.frames()))).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(np.stack([run.trace.restored(f) for f in range(3)]), frames)


def test_the_methods_own_matches_and_what_was_merged(watched):
    run, watcher = watched
    for (step, site, start), view in watcher.sites.items():
        own = run.trace.own(site)
        for i, matches in ((i, m) for m in view.matches if m.matcher != "flow" for i in range(len(m.target))):
            assert (matches.matcher, own) == ("cosine_spatial", "cosine_spatial")
            assert np.array_equal(run.trace.target(step, site, start + i, own), matches.target[i].numpy())
        for i in range(len(view.tokens)):
            assert np.array_equal(run.trace.merged(step, site, start + i), view.merged[i].numpy())
            provider = view.provider[i].numpy() + start * view.site.tokens
            assert np.array_equal(run.trace.provider(step, site, start + i), provider)


def test_the_matches_of_the_other_rules(watched):
    run, watcher = watched
    window = run.windows[0]
    for (step, site, _), view in watcher.sites.items():
        flow = run.flow.to_key(window.frames, window.key, view.site.grid, view.site.cell)
        for name in ("cosine", "cosine_spatial", "flow"):
            matches = recorded_matcher(name, view.site, run.method).match(
                view.tokens, view.site.grid, window.key_index, lambda flow=flow: flow
            )
            for i in range(3):
                assert np.array_equal(run.trace.target(step, site, i, name), matches.target[i].numpy())
                if name != "flow":
                    assert np.allclose(run.trace.margin(step, site, i, name), matches.margin[i].numpy(), atol=1e-3)


def test_similarity_rows_of_the_tokens_on_which_flow_and_cosine_disagree(watched):
    run, watcher = watched
    view = watcher.sites[1, "up.1.0", 0]
    tokens, rows = run.trace.similarity(1, "up.1.0", 0)
    assert len(tokens) == 5
    expected = torch.cosine_similarity(view.tokens[0, tokens][:, None], view.tokens[run.windows[0].key_index][None], dim=-1)
    assert np.allclose(rows, expected.numpy(), atol=1 / 127)
    assert (run.trace.entropy(1, "up.1.0", 0) <= np.log(len(view.sequence)) + 0.01).all()


def test_tokens_in_full(watched):
    run, watcher = watched
    assert np.array_equal(run.trace.tokens(3, "down.1.0", 2), watcher.sites[3, "down.1.0", 0].tokens[2].half().float().numpy())


def test_ratio_and_count_of_merging(watched):
    run, watcher = watched
    for step in range(4):
        assert run.trace.ratio(step, "up.1.0") == pytest.approx(watcher.sites[step, "up.1.0", 0].ratio)
        assert run.trace.merged_count(step, "up.1.0") == int(watcher.sites[step, "up.1.0", 0].merged.sum())


def test_previews_are_what_the_model_decodes(watched):
    run, watcher = watched
    decoded = run.model.decode(watcher.passes[3, 0].x0, run.conditions(run.windows[0]), run.size).clamp(0, 1)
    assert np.abs(run.trace.preview(3, 1) / 255 - decoded[1].permute(1, 2, 0).numpy()).mean() < 0.03


def test_flows_both_ways_and_the_clip(watched):
    run = watched[0]
    for frame in range(3):
        key = run.windows[0].key
        assert np.array_equal(run.trace.flow(frame), run.flow.flow(frame, key).numpy())
        assert np.array_equal(run.trace.flow_back(frame), run.flow.flow(key, frame).numpy())
        assert np.array_equal(run.trace.occluded(frame), run.flow.occluded(frame, key).numpy())
        assert np.array_equal(run.trace.lq(frame), run.clip.source.picture(frame))


def test_the_cost_is_kept_apart(watched):
    seconds = recorder_of(watched[0]).seconds
    assert {"clip", "kept", "foreign", "similarity", "tokens", "restored"} <= seconds.keys()
    assert all(value > 0 for value in seconds.values())


def test_steps_and_sites_that_were_not_asked_for(embedded):
    run = record(a_run(embedded, steps=3), None, RecordAt(steps=[1], sites=("up.1.0",), what={"matches"})).finish()
    assert run.trace.match_steps == (1,)
    assert [site.name for site in run.trace.sites] == ["up.1.0"]
    assert run.trace.target(1, "up.1.0", 0, "cosine").shape == (48,)
    never = [lambda kind=kind: getattr(run.trace, kind)(0, "up.1.0", 0, "cosine") for kind in ("target", "score", "margin")]
    never += [lambda kind=kind: getattr(run.trace, kind)(0, "up.1.0", 0) for kind in ("merged", "provider")]
    for missing in (*never, lambda: run.trace.x0(0, 0), lambda: run.trace.flow(0)):
        with pytest.raises(Missing, match="record"):
            missing()


def test_frames_that_do_not_move_match_themselves(embedded):
    still = load_clip(np.repeat(moving_clip(1).source.picture(0)[None], 3, axis=0))
    run = record(Restoration(still, embedded, per_frame(3), steps=1), None, RecordAt(matchers=("flow", "cosine_spatial"))).finish()
    for frame in range(3):
        assert np.array_equal(run.trace.target(0, "down.1.0", frame, "flow"), np.arange(48))
        assert (run.trace.score(0, "down.1.0", frame, "flow") == 0).all()


def test_projected_tokens_are_on_the_axes_of_the_first_step(embedded):
    watcher = Watcher()
    run = record(a_run(embedded, frames=2, steps=3), None, RecordAt(tokens=3, what={"x0"})).observe(watcher).finish()
    centred = watcher.sites[0, "up.1.0", 0].tokens.flatten(0, 1) - watcher.sites[0, "up.1.0", 0].tokens.flatten(0, 1).mean(0)
    assert np.allclose(run.trace.tokens(0, "up.1.0", 0).shape, (48, 3))
    first = np.concatenate([run.trace.tokens(0, "up.1.0", f) for f in range(2)])
    largest = torch.linalg.svdvals(centred)[:3] ** 2
    assert np.allclose((first**2).sum(0), largest.numpy(), rtol=0.01)


def test_the_truth_is_kept_and_a_wrong_one_refused(embedded):
    scene = pan()
    frames = scene.clip()[:2, :, :64, :96]
    lq = load_clip(torch.nn.functional.interpolate(frames, scale_factor=0.25, mode="area"))
    run = Restoration(lq, embedded, per_frame(2), steps=1)
    with pytest.raises(ZvrError, match=r"a truth of 1 frame of 96×64 given; 2 frames of 96×64"):
        record(run, None, RecordAt(), Truth(frames[:1]))
    with pytest.raises(ZvrError, match="a true motion of"):
        record(run, None, RecordAt(), Truth(motion=scene))
    record(run, None, RecordAt(), Truth(frames))
    assert np.array_equal(run.trace.truth(1), (255 * frames[1]).round().byte().permute(1, 2, 0).numpy())


def test_memory_does_not_grow_with_the_steps(embedded, tmp_path):
    run = record(a_run(embedded, with_inertia(), steps=12), tmp_path / "a.zarr", RecordAt(similarity=4))
    held = []
    for _ in range(12):
        run.step()
        recorder_of(run).writer.flush()
        run.history.begin().x_t[0] = torch.zeros(1)  # sweeps what was dropped
        held.append((run.history.shelf.bytes_in_memory, recorder_of(run).writer._queue.qsize()))
    assert held[2] == held[-1]


def test_sources_of_16_bits_and_floats_are_kept_as_they_are(embedded):
    for frames in (
        (moving_clip()[:].permute(0, 2, 3, 1) * 65535).round().int().numpy().astype(np.uint16),
        moving_clip()[:].permute(0, 2, 3, 1).numpy(),
    ):
        run = record(Restoration(load_clip(frames), embedded, per_frame(3), steps=1), None, RecordAt(what=()))
        exact = np.stack([run.trace.lq_exact(f) for f in range(3)])
        assert exact.dtype == frames.dtype
        assert np.array_equal(exact, frames)


def test_truth_at_the_outputs_size_is_upsamplings_size(embedded):
    clip = moving_clip(2)
    run = record(Restoration(clip, embedded, per_frame(2), steps=1), None, RecordAt(what=()), Truth(upsample(clip[:], 4).clamp(0, 1)))
    assert run.trace.truth(0).shape == (48, 64, 3)
