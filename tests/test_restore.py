import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.clip import load_clip
from zvr_core.correspondence import KnownFlow
from zvr_core.errors import ZvrError
from zvr_core.methods.base import Method, PlugIn, SharedNoise, Windows
from zvr_core.methods.presets import diffir2vr, load_method, per_frame
from zvr_core.restore import Restoration
from zvr_core.sampler import DDIM, SpacedAncestral


def clip_of(frames, height, width, seed=0):
    """A camera that moves by one pixel a frame over a smooth picture: one scene."""
    canvas = torch.rand(1, 3, height // 3 + 3, (width + frames) // 3 + 3, generator=torch.Generator().manual_seed(seed))
    canvas = F.interpolate(canvas, scale_factor=3, mode="bicubic").clamp(0, 1)[0]
    return load_clip(torch.stack([canvas[:, :height, t : t + width] for t in range(frames)]))


def result(clip, model, method, steps=2, **settings):
    return torch.cat(list(Restoration(clip, model, method, steps=steps, **settings).finish().frames()))


def test_per_frame_is_the_plain_sampler_bit_for_bit(embedded):
    """The loop adds nothing: the model's own output goes to the scheduler untouched."""
    clip = clip_of(2, 9, 13)
    run = Restoration(clip, embedded, per_frame(window=2), steps=3, seed=5)
    prepared = DDIM().prepare(embedded.scheduler, 3)
    condition = embedded.encode(clip[:], lambda purpose, shape: torch.zeros(2, *shape))
    x = run.draws.source.stack("start", 0, range(2), embedded.latent_shape((9, 13)))
    with torch.no_grad():
        for i in range(3):
            x = prepared.step(i, embedded.predict(x, prepared.timesteps[i], prepared.alpha_bar[i], condition), x)
        expected = embedded.decode(x, condition, (9, 13)).clamp(0, 1)
    assert torch.equal(torch.cat(list(run.finish().frames())), expected)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 5), st.integers(1, 19), st.integers(1, 19), st.sampled_from(["per_frame", "diffir2vr"]))
def test_any_size_and_length_comes_back_four_times_as_large(embedded, frames, height, width, method):
    restored = result(clip_of(frames, height, width), embedded, load_method(method, window=3), steps=1)
    assert restored.shape == (frames, 3, 4 * height, 4 * width)
    assert torch.isfinite(restored).all()


@pytest.mark.parametrize("side", range(56, 72))
def test_sizes_modulo_64_where_the_published_code_fails(embedded, side):
    assert result(clip_of(2, 6, side), embedded, diffir2vr(), steps=1).shape == (2, 3, 24, 4 * side)


def test_per_frame_results_do_not_depend_on_the_window(embedded):
    clip = clip_of(5, 8, 12)
    whole, parts = (result(clip, embedded, per_frame(window)) for window in (5, 2))
    assert torch.allclose(whole, parts, atol=1e-4)


@pytest.mark.parametrize("sampler", [DDIM(), DDIM(eta=1.0), SpacedAncestral()])
def test_the_seed_decides_and_nothing_else(embedded, sampler):
    clip = clip_of(3, 8, 8)
    first, again, other = (result(clip, embedded, diffir2vr(), sampler=sampler, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_equal_frames_with_shared_noise_come_back_equal(embedded):
    clip = load_clip(torch.rand(1, 3, 10, 10).expand(4, -1, -1, -1).clone())
    restored = result(clip, embedded, load_method("shared_noise"))
    assert torch.allclose(restored, restored[:1].expand_as(restored), atol=1e-5)


def test_equal_frames_with_independent_noise_do_not(embedded):
    """This is what flicker is."""
    clip = load_clip(torch.rand(1, 3, 10, 10).expand(2, -1, -1, -1).clone())
    restored = result(clip, embedded, per_frame(), steps=4)
    assert float((restored[0] - restored[1]).abs().mean()) > 1e-3


def test_each_plug_in_does_something(embedded):
    clip = clip_of(3, 16, 16)
    plain = result(clip, embedded, per_frame())
    for name in ("latent_warping", "flow_merging", "cosine_merging", "shared_noise", "diffir2vr"):
        assert not torch.allclose(result(clip, embedded, load_method(name)), plain, atol=1e-4), name


def test_stores_that_hold_nothing_change_nothing(embedded):
    """Latents, conditions and flows in temporary files: bit for bit the same."""
    clip = clip_of(5, 8, 12)
    assert torch.equal(result(clip, embedded, diffir2vr(3)), result(clip, embedded, diffir2vr(3), max_bytes=1))


def test_passes_say_where_the_run_stands(embedded):
    run = Restoration(clip_of(5, 8, 8), embedded, per_frame(2), steps=2)
    seen = [(p.step, p.window, p.windows) for p in run.passes()]
    assert seen == [(0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2)]


def test_unfinished_runs_have_no_frames(embedded):
    with pytest.raises(ZvrError, match="stands at step 0 of 2"):
        next(Restoration(clip_of(1, 8, 8), embedded, steps=2).frames())


def test_windows_do_not_span_a_cut(embedded):
    dark, bright = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    clip = load_clip(torch.cat([dark.expand(3, -1, -1, -1), bright.expand(4, -1, -1, -1)]))
    run = Restoration(clip, embedded, diffir2vr(10), steps=1)
    assert run.cuts == [3]
    assert [(w.start, w.stop, w.continues) for w in run.windows] == [(0, 3, False), (3, 7, False)]


def test_a_known_flow_takes_the_place_of_the_estimate(embedded):
    class Still:
        size = (32, 48)

        def __len__(self):
            return 3

        def flow(self, a, b):
            return torch.zeros(2, 32, 48)

        def occluded(self, a, b):
            return torch.zeros(32, 48, dtype=torch.bool)

    clip = load_clip(torch.rand(1, 3, 8, 12).expand(3, -1, -1, -1).clone())
    run = Restoration(clip, embedded, load_method("latent_warping"), steps=1, flow=KnownFlow(Still()))
    frames = torch.cat(list(run.finish().frames()))
    assert torch.allclose(frames[0], frames[1], atol=1e-5)  # one step, all of it warped from the key frame


def test_two_planners_are_refused_when_the_method_is_made():
    with pytest.raises(ZvrError, match="Windows and Windows both own the hook 'plan'"):
        Method("two", (Windows(2), Windows(3)))


def test_two_sources_of_noise_are_refused():
    with pytest.raises(ZvrError, match="both own the hook 'noise'"):
        Method("two", (SharedNoise(), SharedNoise()))


def test_two_merges_of_one_site_are_refused(embedded):
    from zvr_core.methods.token_merging import TokenMerging

    method = Method("two", (TokenMerging(), TokenMerging()))
    with pytest.raises(ZvrError, match=r"TokenMerging and TokenMerging 2 both edit the tokens of down\.1\.0"):
        result(clip_of(2, 8, 8), embedded, method, steps=1)


def test_a_plan_that_loses_frames_is_refused(embedded):
    class Lossy(PlugIn):
        def plan(self, count, cuts):
            return Windows(2).plan(count - 1, cuts)

    with pytest.raises(ZvrError, match="do not hold each of 3 frames once"):
        Restoration(clip_of(3, 8, 8), embedded, Method("lossy", (Lossy(),)))


def test_values_that_are_not_finite_stop_the_run_with_the_place(embedded):
    class Broken(PlugIn):
        def x0(self, x0, context):
            return x0 * float("nan") if context.step == 1 else x0

    with pytest.raises(ZvrError, match="step 1, frames 0 to 1: values are not finite, first in Broken's edit of the x0"):
        result(clip_of(2, 8, 8), embedded, Method("broken", (Broken(),)), steps=2)


def test_the_model_uses_its_self_attention(embedded):
    """Switched off, the first estimate's error grows by 2.6 % (the card says what that costs over 20 steps)."""
    from zvr_core.attention import Edited, attach
    from zvr_core.bundled import bundled

    lq, hq = (load_clip(bundled(f"inputs/pan/{part}"))[:2] for part in ("lq", "hq"))
    condition = embedded.encode(lq, lambda purpose, shape: torch.zeros(2, *shape))
    x0 = embedded.codec.encode(hq, lq)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    off = {s.path: lambda hidden: Edited(hidden, torch.zeros_like) for s in embedded.sites((48, 64))}

    def error():
        return float((embedded.predict(noise, 999, 0.005, condition).x0 - x0).square().mean())

    with torch.no_grad():
        whole = error()
        with attach(embedded.network, off):
            without = error()
    assert without > 1.01 * whole


def test_a_half_precision_network_restores_with_the_whole_method():
    from zvr_core.models.load import load_model

    restored = result(clip_of(3, 12, 16), load_model("embedded", dtype="bfloat16"), diffir2vr())
    assert restored.dtype == torch.float32
    assert torch.isfinite(restored).all()


def test_the_method_runs_on_the_x4_upscaler_too(tmp_path):
    """Two guidance rows, a learned codec, noise on the input, attention at 32 output pixels a token."""
    from twins import save_x4

    from zvr_core.models.load import load_model

    save_x4(tmp_path)
    model, clip = load_model(tmp_path), clip_of(3, 17, 24)
    merged, plain = (result(clip, model, method) for method in (diffir2vr(max_cell=32), diffir2vr(max_cell=16)))
    assert merged.shape == plain.shape == (3, 3, 68, 96)
    assert not torch.allclose(merged, plain, atol=1e-5)
