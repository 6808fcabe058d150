"""Correspondence quality in closed form: exact, shifted and shuffled matches of tokens whose true place is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sample_trace import make_trace

from zvr_core.correspondence import KnownFlow
from zvr_core.correspondence_quality import COLUMNS, WHERE, chance, quality, round_trip, score, score_matches, tokens_between
from zvr_core.errors import ZvrError
from zvr_core.matching import FlowMatcher
from zvr_core.scenes import bundled_scene, pan
from zvr_core.token_truth import TokenTruth, texture
from zvr_core.trace import Trace, open_trace

GRID, CELL = (12, 16), 8
N = GRID[0] * GRID[1]


def panned(x: float, y: float, hidden: bool = False) -> TokenTruth:
    """One frame whose content lies (x, y) tokens further on in the key frame."""
    flow = np.broadcast_to(np.array([x * CELL, y * CELL], np.float32)[:, None, None], (2, 96, 128))
    return TokenTruth.of([flow], [np.full((96, 128), hidden)], [np.zeros((96, 128, 3), np.uint8)], GRID, CELL)


def row(table: pd.DataFrame, matcher: str, group: str = "visible") -> pd.Series:
    return table[(table.matcher == matcher) & (table.group == group)].iloc[0]


# the numbers


@pytest.mark.parametrize("moved", [(0, 0), (3, -2), (-5, 1)])
def test_true_targets_of_a_pan_score_one_and_have_no_error(moved: tuple[int, int]) -> None:
    truth = panned(*moved)
    found = row(score({"cosine": truth.target}, truth), "cosine")
    assert (found.pck0, found.pck1, found.pck2, found.epe_tokens, found.epe_pixels) == (1, 1, 1, 0, 0)
    assert found.tokens == (GRID[1] - abs(moved[0])) * (GRID[0] - abs(moved[1]))


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (1, 1)])
def test_targets_one_token_off_have_pck0_zero_and_pck1_one(dx: int, dy: int) -> None:
    truth = panned(-2, -2)  # the part inside leaves room for the shift
    found = row(score({"cosine": np.where(truth.target >= 0, truth.target + dx + dy * GRID[1], 0)}, truth), "cosine")
    assert (found.pck0, found.pck1, found.pck2) == (0, 1, 1)
    assert found.epe_tokens == pytest.approx(np.hypot(dx, dy))
    assert found.epe_pixels == pytest.approx(CELL * np.hypot(dx, dy))


def test_the_error_is_measured_from_the_place_between_tokens() -> None:
    truth = panned(0.25, 0)
    assert row(score({"cosine": truth.target}, truth), "cosine").epe_tokens == pytest.approx(0.25)


def test_every_token_in_turn_as_the_target_scores_what_chance_says() -> None:
    truth = panned(1, 1)[[0] * N]
    found = row(score({"cosine": np.repeat(np.arange(N)[:, None], N, 1)}, truth), "cosine")
    for k in (0, 1, 2):
        assert found[f"pck{k}"] == pytest.approx(found[f"chance{k}"])


def test_chance_counts_the_tokens_around_which_are_fewer_at_the_border() -> None:
    inner, edge, corner, none = 5 * 16 + 5, 5, 0, -1
    assert chance(np.array([inner, edge, corner]), GRID, 1).tolist() == pytest.approx([9 / N, 6 / N, 4 / N])
    assert chance(np.array([inner, corner]), GRID, 2).tolist() == pytest.approx([25 / N, 9 / N])
    assert np.isnan(chance(np.array([none]), GRID, 1)).all()


def test_staying_is_right_where_nothing_moves_and_wrong_where_all_does() -> None:
    assert row(score({}, panned(0, 0)), "stay").pck0 == 1
    assert row(score({}, panned(2, 0)), "stay")[["pck0", "pck1", "pck2"]].tolist() == [0, 0, 1]


def test_tokens_without_a_target_are_not_counted() -> None:
    truth = panned(0, 0)
    target = truth.target.copy()
    target[0, : N // 2] = -1
    assert row(score({"cosine": target}, truth), "cosine").pck0 == 1


# without truth


def test_agreement_is_the_share_within_one_token_of_flow() -> None:
    flow = np.arange(N)[None]
    moved = {f"rows{k}": np.where(flow < N // 4, flow + k * GRID[1], flow) for k in (1, 2)}
    table = score({"flow": flow, **moved}, TokenTruth.unknown(1, GRID, CELL))
    assert [row(table, name, "all").agreement for name in ("flow", "rows1", "rows2")] == [1, 1, 0.75]
    assert set(table.group) == {"all"}
    assert table.pck1.isna().all() and table.chance1.isna().all() and table.epe_pixels.isna().all()


def test_agreement_without_flow_and_consistency_without_a_way_back_are_not_known() -> None:
    table = score({"cosine": np.arange(N)[None]}, TokenTruth.unknown(1, GRID, CELL))
    assert table.agreement.isna().all() and table.consistent.isna().all()


def test_a_way_there_and_back_ends_where_it_began_or_counts_as_inconsistent() -> None:
    there = np.roll(np.arange(N), 3)
    back = np.argsort(there)
    assert (round_trip(there, back, GRID) == 0).all()
    lost = np.where(np.arange(N) == 7, -1, there)
    assert np.isnan(round_trip(lost, back, GRID)).nonzero()[0].tolist() == [7]
    trips = {"cosine": np.repeat([0.0, 1.0, 2.0, np.nan], N // 4)[None]}
    assert row(score({"cosine": there[None]}, TokenTruth.unknown(1, GRID, CELL), trips), "cosine", "all").consistent == pytest.approx(2 / 3)


def test_tokens_between_are_counted_along_the_longer_axis() -> None:
    assert tokens_between(np.array([0, 0, -1]), np.array([17, 3 * 16 + 1, 0]), GRID).tolist()[:2] == [1, 3]
    assert np.isnan(tokens_between(np.array([-1]), np.array([0]), GRID)).all()


# groups


def test_hidden_tokens_are_judged_by_where_they_would_be() -> None:
    truth = panned(2, 0, hidden=True)
    table = score({"cosine": truth.target}, truth)
    assert row(table, "cosine", "occluded").pck0 == 1
    assert set(table.group) == {"all", "occluded"}


def test_slow_and_fast_part_the_visible_at_16_pixels() -> None:
    assert panned(1.9, 0).groups["slow"].sum() == panned(1.9, 0).groups["visible"].sum() > 0
    assert panned(2, 0).groups["fast"].sum() == panned(2, 0).groups["visible"].sum() > 0


def test_textured_and_smooth_part_what_is_seen() -> None:
    picture = np.full((96, 128, 3), 100, np.uint8)
    picture[:, :64:2] += 40  # stripes on the left half: a standard deviation of 20 levels
    assert texture(picture, GRID, CELL).reshape(GRID)[0].tolist() == pytest.approx([20] * 8 + [0] * 8)
    truth = TokenTruth.of([np.zeros((2, 96, 128))], [np.zeros((96, 128), bool)], [picture], GRID, CELL)
    assert truth.groups["textured"].sum() == truth.groups["smooth"].sum() == N // 2


def test_texture_of_a_cell_that_the_picture_ends_in_is_known() -> None:
    assert texture(np.random.default_rng(0).integers(0, 255, (9, 13, 3)), (2, 2), 8).shape == (4,)


@pytest.mark.parametrize("name", ["pan", "object", "zoom_rotate", "motorcycle"])
def test_groups_of_the_bundled_clips_part_their_tokens(name: str) -> None:
    truth = TokenTruth.of_scene(bundled_scene(name), [1], 0, (24, 32), 8)
    groups = truth.groups
    assert not (groups["visible"] & groups["occluded"]).any()
    for a, b, whole in (("slow", "fast", groups["visible"]), ("textured", "smooth", ~truth.hidden)):
        assert ((groups[a] ^ groups[b]) == whole).all()
    assert groups["visible"].sum() > 300


# matches


def test_flow_matches_of_a_scene_by_its_own_motion_are_right() -> None:
    scene, frames, key = pan(), [3, 4, 5, 6], 2
    flow = KnownFlow(scene).to_key(frames, 5, (24, 32), 8)
    matches = FlowMatcher().match(torch.zeros(4, 24 * 32, 1), (24, 32), key, lambda: flow)
    truth = TokenTruth.of_scene(scene, frames, 5, (24, 32), 8)
    table = score_matches([matches], truth)
    assert list(table.columns) == list(COLUMNS)
    found = row(table, "flow")
    assert (found.pck0, found.agreement) == (1, 1)
    assert found.tokens == (~truth.hidden & (truth.target >= 0))[[0, 1, 3]].sum()  # without the key frame's own


def test_matches_of_another_shape_are_refused() -> None:
    with pytest.raises(ZvrError, match=r"'cosine' of shape \(1, 5\) given, \(1, 192\) expected"):
        score({"cosine": np.zeros((1, 5), int)}, panned(0, 0))
    with pytest.raises(ZvrError, match="no matches"):
        score_matches([], panned(0, 0))


def test_one_frame_alone_has_an_empty_table() -> None:
    truth = TokenTruth.unknown(0, GRID, CELL)
    table = score({"cosine": np.zeros((0, N), int)}, truth)
    assert len(table) == 0
    assert list(table.columns) == list(COLUMNS)


# traces


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return open_trace(make_trace(tmp_path_factory.mktemp("quality") / "pan.zarr", frames=3, steps=2, similarity=False, restored=False))


def test_a_trace_gives_one_row_per_step_site_matcher_and_group(trace: Trace) -> None:
    table = quality(trace)
    assert list(table.columns) == [*WHERE, *COLUMNS]
    assert len(table) == len(table.drop_duplicates(["step", "site", "matcher", "group"]))
    assert set(table.matcher) == {*trace.matchers, "stay"}
    assert set(zip(table.step, table.t, strict=True)) == {(step, int(trace.timesteps[step])) for step in (0, 1)}
    assert set(zip(table.site, table.stage, table.grid, strict=True)) == {
        (site.name, site.stage, f"{site.grid[0]}x{site.grid[1]}") for site in trace.sites
    }


def test_flow_matches_of_a_whole_token_pan_are_right_and_cosine_grows_better(trace: Trace) -> None:
    seen = quality(trace).query("group == 'visible' and grid == '12x16'").set_index(["site", "step", "matcher"])
    for site in ("down.0.0", "up.1.0"):
        assert seen.loc[site, 0, "flow"].pck1 == seen.loc[site, 1, "flow"].pck1 == 1
        assert seen.loc[site, 0, "flow"].consistent == 1
        assert seen.loc[site, 0, "cosine"].pck0 < 0.8 < 0.9 < seen.loc[site, 1, "cosine"].pck0
    assert (seen.chance1 < 0.05).all()


def test_without_truth_a_trace_gives_agreement_alone(tmp_path: Path) -> None:
    path = make_trace(tmp_path / "real.zarr", frames=2, steps=2, sites=(("up.1.0", 8),), truth=False, similarity=False, restored=False)
    table = quality(open_trace(path))
    assert set(table.group) == {"all"}
    assert table.pck1.isna().all()
    assert table[table.matcher == "cosine"].agreement.between(0.2, 0.99).all()


def test_a_trace_of_one_frame_has_an_empty_table(tmp_path: Path) -> None:
    path = make_trace(tmp_path / "one.zarr", frames=1, steps=2, sites=(("up.1.0", 8),), similarity=False, restored=False)
    assert list(quality(open_trace(path)).columns) == [*WHERE, *COLUMNS]


def test_a_trace_without_matches_is_refused(tmp_path: Path) -> None:
    path = make_trace(tmp_path / "begun.zarr", frames=2, steps=2, sites=(("up.1.0", 8),), stop_after=0)
    with pytest.raises(ZvrError, match="holds no matches"):
        quality(open_trace(path))
