import pytest
import torch

from zvr_core.attention import Site
from zvr_core.catalogue import METHODS
from zvr_core.clip import load_clip
from zvr_core.correspondence import KnownFlow
from zvr_core.errors import ZvrError
from zvr_core.merging import KeyAndOwn
from zvr_core.methods.base import Context, Memory, Method, Windows
from zvr_core.methods.latent_warping import LatentWarping
from zvr_core.methods.presets import BUILDERS, diffir2vr, load_method
from zvr_core.methods.token_merging import CosineMerging, FlowMerging, OutputRadius, TokenMerging
from zvr_core.noise import NoiseSource
from zvr_core.schedule import Period
from zvr_core.windows import Window


class Pan:
    """A camera that moves by (dx, dy) pixels a frame over an endless picture."""

    def __init__(self, velocity, size, count):
        self.velocity, self.size, self.count = velocity, size, count

    def __len__(self):
        return self.count

    def flow(self, a, b):
        dx, dy = ((a - b) * v for v in self.velocity)
        return torch.tensor([float(dx), float(dy)])[:, None, None].expand(2, *self.size)

    def occluded(self, a, b):
        dx, dy = ((a - b) * v for v in self.velocity)
        y, x = torch.meshgrid(*(torch.arange(s) for s in self.size), indexing="ij")
        return (x + dx < 0) | (x + dx >= self.size[1]) | (y + dy < 0) | (y + dy >= self.size[0])


def context(window, step=0, steps=20, velocity=(4, 0), grid=(6, 8), cell=4, memory=None):
    flow = KnownFlow(Pan(velocity, (grid[0] * cell, grid[1] * cell), 40))
    return Context(step, steps, 999, 0.1, window, grid, cell, flow, memory or Memory())


def test_the_catalogue_lists_the_methods_that_exist():
    assert list(METHODS) == list(BUILDERS)


def test_an_unknown_method_suggests_the_nearest():
    with pytest.raises(ZvrError, match="unknown method 'difir2vr'; did you mean diffir2vr"):
        load_method("difir2vr")


def test_the_published_defaults():
    windows, warping, flow, cosine, *_ = diffir2vr().plugins
    assert windows == Windows(10)
    assert warping.period == Period(0.0, 0.1)
    assert (flow.stages, cosine.stages) == (("down",), ("up",))
    assert flow.ratio(0, 50) == pytest.approx(0.6)
    assert flow.ratio(49, 50) < 0.02
    assert (flow.max_cell, cosine.max_cell, cosine.radius) == (16, 16, OutputRadius(24.0))


def test_methods_are_values():
    assert diffir2vr() == diffir2vr()
    assert diffir2vr() != diffir2vr(radius=32)


def test_warping_by_one_cell_a_frame_moves_the_key_frame_by_whole_cells():
    """Cells that stay in view equal the key frame's, moved; the others keep their own."""
    x0 = torch.randn(3, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    warped = LatentWarping().x0(x0, context(Window(0, 3, 1)))
    assert torch.equal(warped[1], x0[1])
    assert torch.equal(warped[0][..., 1:], x0[1][..., :-1])
    assert torch.equal(warped[0][..., :1], x0[0][..., :1])
    assert torch.equal(warped[2][..., :-1], x0[1][..., 1:])
    assert torch.equal(warped[2][..., -1:], x0[2][..., -1:])


def test_the_key_frame_follows_the_key_frame_of_the_window_before():
    memory, rng = Memory(), torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 2, 2, 6, 8, generator=rng)
    first = LatentWarping().x0(first, context(Window(0, 2, 1), memory=memory))
    second = LatentWarping().x0(second, context(Window(2, 4, 3, previous_key=1), memory=memory))
    assert torch.equal(second[1][..., :-2], first[1][..., 2:])  # two frames on: two cells
    assert torch.equal(second[0][..., 1:], second[1][..., :-1])  # and its own window follows it


def test_a_new_scene_starts_without_a_predecessor():
    x0 = torch.randn(1, 2, 6, 8)
    assert torch.equal(LatentWarping().x0(x0, context(Window(5, 6, 5))), x0)


def test_warping_stops_after_its_period():
    x0 = torch.randn(2, 2, 6, 8)
    assert LatentWarping().x0(x0, context(Window(0, 2, 1), step=2)) is x0
    assert LatentWarping().x0(x0, context(Window(0, 2, 1), step=1)) is not x0


def test_warping_happens_at_least_once_in_short_runs():
    """The published rule int(S · 0.1) is 0 below ten steps: the warp silently disappears there."""
    x0 = torch.randn(2, 2, 6, 8)
    assert LatentWarping().x0(x0, context(Window(0, 2, 1), steps=4)) is not x0


def test_padding_is_left_alone():
    x0 = torch.randn(2, 2, 8, 12)  # of which 6 × 8 show the picture
    warped = LatentWarping().x0(x0, context(Window(0, 2, 1)))
    assert torch.equal(warped[..., 6:, :], x0[..., 6:, :])
    assert torch.equal(warped[..., 8:], x0[..., 8:])


def site(stage="down", cell=8, grid=(6, 8), channels=16):
    return Site(f"{stage}.0.0", f"{stage}_blocks.0.attn1", stage, grid, grid, cell, channels, 1)


@pytest.mark.parametrize(
    ("plugin", "where", "edited"),
    [
        (FlowMerging(), site("down"), True),
        (FlowMerging(), site("up"), False),
        (CosineMerging(), site("up"), True),
        (CosineMerging(), site("down"), False),
        (TokenMerging(), site("mid"), True),
        (FlowMerging(), site("down", cell=32), False),
    ],
)
def test_merging_keeps_to_its_stages_and_grids(plugin, where, edited):
    assert (plugin.tokens(where, context(Window(0, 3, 1))) is not None) == edited


def test_a_window_of_one_frame_has_nothing_to_merge():
    assert FlowMerging().tokens(site(), context(Window(3, 4, 3))) is None


def test_flow_merging_gives_a_moved_token_its_twins_output():
    """Under an exact pan by one token, merged tokens receive what the key frame's token under them received."""
    window, where = Window(0, 2, 1), site()
    edit = FlowMerging(ratio=lambda i, s: 1.0).tokens(where, context(window, velocity=(8, 0), grid=(12, 16)))
    hidden = torch.randn(2, 48, 16, generator=torch.Generator().manual_seed(0))
    sequence, back, _ = edit(hidden)
    assert sequence.shape == (1, 48, 16)  # everything merged: the key frame alone is left
    out = back(sequence).view(2, 6, 8, 16)
    assert torch.equal(out[0, :, 1:], out[1, :, :-1])


def test_ratio_zero_joins_the_frames_and_merges_nothing():
    edit = FlowMerging(ratio=lambda i, s: 0.0).tokens(site(), context(Window(0, 3, 1), grid=(12, 16)))
    hidden = torch.randn(3, 48, 16)
    sequence, back, _ = edit(hidden)
    assert sequence.shape == (1, 144, 16)
    assert torch.equal(back(sequence), hidden)


def test_two_guidance_rows_are_matched_one_by_one():
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 3, 48, 16, generator=rng)
    edit = CosineMerging(ratio=lambda i, s: 0.5).tokens(site("up"), context(Window(0, 3, 1)))
    sequence, *_ = edit(rows.flatten(0, 1))
    alone, *_ = edit(rows[1])
    assert torch.equal(sequence[1:], alone)


def test_the_radius_is_given_in_output_pixels_and_never_below_two_tokens():
    merging = CosineMerging(radius=OutputRadius(32))
    assert merging.matcher_at(site(cell=8)) != merging.matcher_at(site(cell=16))
    assert merging.matcher_at(site(cell=16)) == merging.matcher_at(site(cell=64))


@pytest.mark.parametrize("radius", [0, -3, float("nan")])
def test_an_impossible_radius_is_refused(radius):
    with pytest.raises(ZvrError, match="positive number of output pixels"):
        OutputRadius(radius)


def test_on_the_bundled_pan_the_default_cosine_matches_are_not_the_identity(embedded):
    """The published radius W // 30 is 1 on grids this small, where spatial matching is the identity map and shows nothing."""
    from zvr_core.attention import Edited, attach
    from zvr_core.bundled import bundled
    from zvr_core.restore import Restoration

    clip = load_clip(bundled("inputs/pan/lq")).subclip(0, 4)
    run = Restoration(clip, embedded, Method("plain", (Windows(4),)), steps=4)
    window, moved = run.windows[0], {}
    merging = CosineMerging()

    def look(where):
        def edit(hidden):
            matches = merging.matcher_at(where).match(hidden, where.grid, window.key_index, lambda: None)
            moved[where.name] = float((matches.target != torch.arange(where.tokens)).float().mean())
            return Edited(hidden, lambda output: output)

        return edit

    sites = [s for s in run.sites if s.stage == "up"]
    with attach(embedded.network, {s.path: look(s) for s in sites}):
        run.finish()
    assert all(share > 0.2 for share in moved.values()), moved


def test_the_cheaper_ending_lets_each_frame_look_at_itself_and_the_key_frame(embedded):
    """The attention call takes the context; below the ratio nothing is joined, so the sequence is as long as a frame."""
    plugin = FlowMerging(ratio=lambda i, s: 0.1, attend=KeyAndOwn(below=0.3))
    hidden = torch.randn(3, 48, 16, generator=torch.Generator().manual_seed(0))
    queries, back, keywords = plugin.tokens(site(), context(Window(0, 3, 1), grid=(12, 16)))(hidden)
    assert torch.equal(queries, hidden)
    assert torch.equal(keywords["encoder_hidden_states"][2], torch.cat([hidden[2], hidden[1]]))
    assert torch.equal(back(queries), hidden)


def test_merging_keeps_to_its_period():
    plugin = FlowMerging(period=Period(0.5, 1.0))
    assert plugin.tokens(site(), context(Window(0, 3, 1), step=9)) is None
    assert plugin.tokens(site(), context(Window(0, 3, 1), step=10)) is not None


def test_parity_switches_the_published_readings_on():
    """Spec section 2: truncated targets, R = W // 30, no warp in short runs, noise by the place in the window."""
    method = diffir2vr(parity=True)
    flow, cosine = (next(p for p in method.plugins if type(p) is kind) for kind in (FlowMerging, CosineMerging))
    assert flow.matcher.rounding == "truncate"
    assert [cosine.radius.tokens(site(grid=(4, w))) for w in (20, 60, 113, 240)] == [1, 2, 3, 8]
    x0 = torch.randn(2, 2, 6, 8)
    assert method.x0(x0, context(Window(0, 2, 1), steps=9)) is x0
    assert method.x0(x0, context(Window(0, 2, 1), steps=50)) is not x0
    first, second = (method.noise_plugin.noise(NoiseSource(0), "start", 0, Window(a, a + 3, a + 1), (4,)) for a in (0, 3))
    assert torch.equal(first, second)


def test_parity_counts_partial_tokens_as_padding(embedded):
    (half, *_), size = diffir2vr(parity=True).sites(embedded.sites((5, 9)), (20, 36)), embedded.sites((5, 9))[0]
    assert (half.grid, size.grid) == ((2, 4), (3, 5))


def test_parity_runs_at_any_size(embedded):
    from zvr_core.restore import Restoration

    for height, width in ((1, 1), (5, 9), (16, 7)):
        frames = torch.rand(1, 3, height, width).expand(3, -1, -1, -1).clone()
        run = Restoration(load_clip(frames), embedded, diffir2vr(parity=True), steps=2).finish()
        assert torch.cat(list(run.frames())).shape == (3, 3, 4 * height, 4 * width)
