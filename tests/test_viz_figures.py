"""Figures of a trace: what they show, what they say where something is missing, and what they cost to import."""

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from sample_trace import make_trace
from zarr.storage import MemoryStore

import zvr_viz
from zvr_core.errors import ZvrError
from zvr_core.trace import Trace
from zvr_viz.clip_figures import flow_figure, latent_projection, step_strip, temporal_profile
from zvr_viz.encode import decoded
from zvr_viz.layers import LAYERS
from zvr_viz.look import Look
from zvr_viz.match_figures import figure5, figure10, match_map
from zvr_viz.matches import Listed, Spaced
from zvr_viz.palette import BOTH, COSINE, FLOW, TRUTH, rgb
from zvr_viz.picture import BUDGET, Picture
from zvr_viz.profile import Cut
from zvr_viz.reading import backdrop, fixed_scale, matcher_pair, max_flow, noise_level, picture, spot
from zvr_viz.token_figures import similarity_map, token_layers
from zvr_viz.tokens import provider_age, share_within

SMALL = {"frames": 4, "steps": 3, "size": (48, 64), "speed": (8, 0)}


def made(**settings):
    return Trace(make_trace(MemoryStore(), **{**SMALL, **settings}))


@pytest.fixture(scope="module")
def trace():
    return made()


@pytest.fixture(scope="module")
def bare():
    """A trace of one frame and one step, without truth, similarity rows and result."""
    return made(frames=1, steps=1, truth=False, similarity=False, restored=False)


def words(figure):
    """Everything that is written in a figure."""
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text)).replace("\n", " ")


def drawn(figure):
    return figure.pixels()


def has(pixels, colour):
    return bool((pixels == rgb(colour)).all(-1).any())


def test_a_match_map_shows_both_rules_and_says_who_is_right(trace):
    figure = match_map(trace, step=0, frame=0)
    text, pixels = words(figure), drawn(figure)
    assert "matches that are right: flow 100" in text
    assert all(has(pixels, mark.colour) for mark in (FLOW, COSINE))
    assert {FLOW.words, COSINE.words, TRUTH.words} <= {line.get_text() for line in figure.legends[0].get_texts()}


def test_agreement_is_black(trace):
    chosen = match_map(trace, step=2, frame=0, choice=Spaced(2))
    assert BOTH.words in [text.get_text() for text in chosen.legends[0].get_texts()]


def test_figure_5_has_a_row_for_each_step_and_the_same_tokens(trace):
    figure = figure5(trace, frame=0)
    assert len(figure.axes) == 3
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == ["step 0", "step 1", "step 2"]
    starts = [{tuple(place) for place in axes.collections[-1].get_offsets().tolist()} for axes in figure.axes]
    assert starts[0] == starts[1] == starts[2]


def test_figure_10_has_a_column_for_each_run_aligned_by_noise(trace):
    other = made(steps=5, seed=1)
    figure = figure10([trace, other], ["short", "long"], steps=(0, 2), frame=0)
    assert len(figure.axes) == 4
    assert "short" in words(figure) and "long" in words(figure)
    with pytest.raises(ZvrError, match="2 traces and 1 labels"):
        figure10([trace, other], ["one"])
    with pytest.raises(ZvrError, match="0 traces"):
        figure10([])


def test_every_figure_works_for_odd_portrait_frames():
    trace = made(size=(67, 41), speed=(4, 4), steps=2)
    for figure in (match_map(trace), figure10([trace, trace]), similarity_map(trace), flow_figure(trace), step_strip(trace)):
        figure.set_dpi(40)
        pixels = drawn(figure)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
        assert (pixels[0, 0] == 255).all()  # paper of its own, also in a dark theme


def test_layers_are_drawn_with_their_scale_in_words(trace):
    text = words(token_layers(trace, step=1, frame=0))
    assert "how far flow and cosine disagree, in tokens" in text
    assert "hatched tokens take the attention output of another one" in text
    with pytest.raises(ZvrError, match="unknown layer"):
        token_layers(trace, layers=("occlusions",))


def test_the_scale_of_the_disagreement_is_one_for_all_steps(trace):
    site = trace.sites[0]
    scale = fixed_scale(trace, site)
    assert scale == fixed_scale(trace, site)
    assert scale.low == 0 and 2 <= scale.high <= np.hypot(*site.grid) * 1.5


def test_a_similarity_map_names_the_cosines_at_the_targets(trace):
    text = words(similarity_map(trace, step=0, frame=0))
    assert "at the flow match" in text and "at the cosine match" in text
    site = spot(trace).site.name
    missing = next(token for token in range(48) if token not in trace.similarity(0, site, 0)[0])
    assert "has no similarity row" in words(similarity_map(trace, missing, step=0, frame=0))


def test_profiles_show_the_flicker_of_each_clip(trace):
    steady = np.full((4, 48, 64, 3), 90, np.uint8)
    text = words(temporal_profile(trace, Cut(10), {"steady": steady}))
    assert "steady: flicker 0.00" in text and "input (LQ): flicker" in text and "ground truth: flicker" in text
    assert "mean |Y(t-1) - 2 Y(t) + Y(t+1)|" in text
    with pytest.raises(ZvrError, match="rows 0 to 47"):
        temporal_profile(trace, Cut(48))


def test_a_strip_has_three_rows_and_the_noise_of_each_step(trace):
    figure = step_strip(trace, steps=(0, 2))
    assert len(figure.axes) == 6
    assert f"step 2 noise {noise_level(trace)[2]:.2f}" in words(figure)
    with pytest.raises(ZvrError, match="step 7 given"):
        step_strip(trace, steps=(7,))


def test_the_projection_makes_latents_look_like_the_picture(trace):
    painted = latent_projection(trace).paint(trace.x0(2, 0)).astype(float)
    small = picture(trace, "preview", 0, 2)[4::8, 4::8].astype(float)
    assert np.corrcoef(painted.ravel(), small.ravel())[0, 1] > 0.5


def test_what_is_missing_is_said_and_nothing_is_blank(bare):
    draws = (match_map, figure5, token_layers, similarity_map, flow_figure, temporal_profile, step_strip)
    figures = [draw(bare) for draw in draws]
    for figure in figures:
        assert all(axes.images or axes.texts or axes.lines or not axes.axison for axes in figure.axes), figure
    assert "key frame" in words(figures[0])
    assert "similarity" in words(figures[3])
    assert "has one frame" in words(figures[5]) and "truth" in words(figures[5])


def test_a_trace_without_a_step_says_so():
    empty = made(stop_after=0)
    for draw in (match_map, figure5, token_layers, similarity_map, flow_figure, step_strip):
        assert "no complete step" in words(draw(empty))


def test_a_step_that_was_not_recorded_says_so():
    trace = made()
    object.__setattr__(trace.header, "match_steps", (0, 2))
    text = words(token_layers(trace, step=1, frame=0, layers=("margin", "age", "merged")))
    assert text.count("no matches at step 1; record with") == 3


def test_a_trace_without_sites_says_so():
    for draw in (match_map, token_layers, similarity_map):
        assert "no sites" in words(draw(made(sites=())))


def test_places_outside_the_trace_are_refused(trace):
    for wrong in ({"step": 3}, {"frame": 4}, {"site": "up.9"}):
        with pytest.raises(ZvrError):
            match_map(trace, **wrong)
    with pytest.raises(ZvrError, match="kind of picture"):
        match_map(trace, picture="restred")


def test_the_picture_behind_is_the_estimate_or_what_else_there_is(trace):
    assert np.array_equal(backdrop(trace, 1, 0), picture(trace, "preview", 1, 0))
    assert picture(trace, "lq", 0).shape == (48, 64, 3)
    assert not np.array_equal(backdrop(trace, 1, 0), backdrop(trace, 1, 0, "truth"))


def test_defaults_look_at_a_frame_that_has_something_to_match(trace):
    at = spot(trace)
    assert at.frame != trace.key[at.frame]
    assert trace.own(at.site.name)
    assert matcher_pair(trace) == ("flow", "cosine")


def test_the_full_colour_of_flow_is_that_of_the_whole_trace(trace):
    assert max_flow(trace) >= max(np.abs(trace.flow(frame)).max() for frame in range(trace.frames)) * 0.99


def test_numbers_count_neighbours_as_right(trace):
    look = Look(trace, spot(trace, 0, None, 0), ("flow",), Listed((0,)))
    assert "flow 100" in look.numbers()
    assert share_within([0, 1, 2, -1], [0, 0, 0, 0], (1, 4)) == pytest.approx(2 / 3)
    assert np.isnan(share_within([-1], [0], (1, 1)))


def test_the_age_of_a_provider_counts_steps_in_a_row():
    providers = [[1, 5, 2], [1, 6, -1], [1, 6, 2], [4, 6, 2]]
    assert provider_age(providers).tolist() == [[1, 1, 1], [2, 1, 0], [3, 2, 1], [1, 3, 2]]


def test_a_notebook_gets_a_small_still_and_words(trace):
    figure = match_map(trace)
    data, metadata = figure._repr_mimebundle_()
    assert decoded(data["image/png"]).shape[2] == 3
    assert len(data["image/png"]) <= BUDGET
    assert data["text/plain"] == repr(figure) == f"Picture: {metadata['image/png']['alt']}"
    assert "0x" not in repr(figure)


def test_figures_never_touch_pyplot_and_no_text_is_small(trace):
    figure = token_layers(trace)
    assert isinstance(figure, Picture)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    assert min(text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()) >= 8


def test_a_figure_can_be_saved_for_paper(trace, tmp_path):
    match_map(trace).savefig(tmp_path / "map.pdf")
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")


def test_every_layer_can_be_drawn_alone(trace):
    for name in LAYERS:
        assert len(token_layers(trace, frame=0, layers=(name,)).axes) == 2


def test_pictures_need_no_torch():
    code = (
        "import zvr_viz, zvr_core.trace, zvr_viz.figures, zvr_viz.draw, zvr_viz.annealing, sys;"
        "print([name for name in ('torch', 'diffusers', 'kornia', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == "[]"


def test_every_lazy_name_exists():
    assert all(getattr(zvr_viz, name) is not None for name in zvr_viz.__all__)
    with pytest.raises(AttributeError, match="no attribute 'figure6'; it has"):
        _ = zvr_viz.figure6
