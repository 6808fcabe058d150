"""Curves over the steps: schedules, metrics, Eq. 8."""

import json

import numpy as np
import pytest
from sample_trace import make_trace
from zarr.storage import MemoryStore

from zvr_core.errors import ZvrError
from zvr_core.schedule import CosineAnnealing, Period
from zvr_core.trace import Trace
from zvr_viz.annealing import Annealed, AnnealingChart
from zvr_viz.charts import Band, Chart, Panel, curve
from zvr_viz.curves import metric_curves, warping_error
from zvr_viz.palette import FLOW, SERIES
from zvr_viz.schedules import grouped, schedules

SMALL = {"frames": 4, "steps": 4, "size": (48, 64), "speed": (8, 0)}


@pytest.fixture(scope="module")
def trace():
    return Trace(make_trace(MemoryStore(), **SMALL))


@pytest.fixture(scope="module")
def bare():
    return Trace(make_trace(MemoryStore(), frames=1, steps=1, size=(48, 64), truth=False, sites=()))


def curves_of(panel):
    return {mark.words: values for mark, values in panel.series.items()}


def test_schedules_are_those_of_the_trace(trace):
    ratio, merged, noise = schedules(trace).panels
    site = trace.sites[0].name
    assert np.allclose(next(iter(ratio.series.values())), [trace.ratio(step, site) for step in range(4)])
    assert all(values.max() > 0 for values in merged.series.values())
    assert np.allclose(next(iter(noise.series.values())) ** 2 + trace.alpha_bar, 1)


def test_sites_that_do_the_same_share_a_curve():
    same = np.array([0.5, np.nan, 0.1])
    found = grouped({"a": same, "b": same + 1, "c": same.copy()})
    assert [mark.words for mark in found] == ["a … c (2 sites)", "b"]
    assert [mark.words for mark in grouped({"a": same, "b": same.copy()})] == ["all 2 sites"]


def test_warped_steps_come_from_the_description_of_the_method(trace):
    period = {"type": "zvr_core.schedule:Period", "start": 0.0, "end": 0.5}
    method = {"plugins": [{"type": "zvr_core.methods.latent_warping:LatentWarping", "period": period}, {"type": "other"}]}
    object.__setattr__(trace.header, "method", method)
    assert [band.steps for band in schedules(trace).bands] == [range(2)]
    object.__setattr__(trace.header, "method", {"type": "sample"})
    assert schedules(trace).bands == ()


def test_accuracy_and_agreement_of_exact_flow(trace):
    accuracy, agreement, warping = metric_curves(trace).panels
    assert np.allclose(curves_of(accuracy)[FLOW.words], 1)
    assert set(curves_of(agreement)) == {"cosine match", "cosine match with spatial prior"}
    cosine = curves_of(accuracy)["cosine match"]
    assert (cosine[-1] > cosine[0]) and (cosine <= 1).all()
    assert np.isfinite(next(iter(warping.series.values()))).all()


def test_the_warping_error_of_an_exact_motion_is_zero():
    photo = np.random.default_rng(0).integers(0, 256, (10, 40, 3), np.uint8)
    flow = np.zeros((2, 10, 32))
    flow[0] = 4
    visible = np.ones((10, 32), bool)
    assert warping_error(photo[:, 4:36], photo[:, :32], flow, visible) == pytest.approx(0, abs=1e-6)
    assert warping_error(photo[:, 4:36], photo[:, :32], 0 * flow, visible) > 10
    assert np.isnan(warping_error(photo[:, 4:36], photo[:, :32], flow, ~visible))


def test_the_warping_error_of_a_small_preview_uses_a_small_flow():
    photo = np.random.default_rng(0).integers(0, 256, (5, 20, 3), np.uint8)
    flow = np.zeros((2, 10, 32))
    flow[0] = 8  # of 32 pixels, 4 of 16
    assert warping_error(photo[:, 4:20], photo[:, :16], flow, np.ones((10, 32), bool)) == pytest.approx(0, abs=1e-6)


def test_what_is_missing_is_said_in_the_panel(bare):
    for chart in (metric_curves(bare), schedules(bare)):
        missing = [panel.missing for panel in chart.panels if panel.missing]
        assert missing and all("record" in text for text in missing)
        texts = " ".join(note.text for note in chart.figure.layout.annotations).replace("<br>", " ")
        assert all(text.split(";")[0] in texts for text in missing)
        assert all(axes.texts or axes.lines for axes in chart.still.axes)


def test_the_still_and_the_plotly_figure_show_the_same_data(trace):
    chart = schedules(trace, step=2)
    still = [line.get_ydata() for axes in chart.still.axes for line in axes.lines if len(line.get_xdata()) == 4]
    touched = [np.array(drawn.y) for drawn in chart.figure.data]
    assert len(still) == len(touched)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(still, touched, strict=True))
    assert chart.figure.layout.shapes[0].x0 == 2


def test_steps_that_were_not_recorded_leave_a_gap_in_the_points_not_in_the_line():
    drawn = curve(SERIES[0], np.array([1, np.nan, 3.0]))
    assert (drawn.x, drawn.y) == ((0, 2), (1, 3))


def test_names_with_markup_are_shown_as_text():
    chart = Chart((Panel("a", "b", missing="<script>alert(1)</script>"),), 2, "says")
    assert "<script>" not in chart.figure.to_json().replace("\\u003c", "<")


def test_a_chart_in_a_notebook_is_plotly_a_still_and_words(trace):
    data, metadata = schedules(trace)._repr_mimebundle_()
    assert set(data) == {"application/vnd.plotly.v1+json", "image/png", "text/plain"}
    assert len(json.dumps(data["application/vnd.plotly.v1+json"])) < 60_000
    assert data["text/plain"].startswith("Chart: schedules of pan")
    assert metadata["image/png"]["alt"]


def test_bands_stand_behind_all_panels():
    chart = Chart((Panel("a", "b", {SERIES[0]: np.arange(5.0)}),), 5, "says", (Band("warped", range(2)),), cursor=3)
    assert chart.figure.layout.shapes[1].x1 == 1.5
    assert len(chart.still.axes[0].patches) == 1


def test_eq_8_in_tokens():
    annealed = Annealed(CosineAnnealing(0.5, 0.0, Period(0.0, 0.5)), steps=4, frames=3, tokens=100)
    assert annealed.ratio == pytest.approx([0.5, 0.5 * np.cos(np.pi / 4), 0, 0], abs=1e-6)
    assert annealed.merged.tolist() == [100, 70, 0, 0]
    assert annealed.seen.tolist() == [200, 230, 100, 100]
    assert "100 of the 200 tokens outside the key frame" in annealed.says(0)
    assert "outside the period" in annealed.says(3)
    with pytest.raises(ZvrError, match="frames=0"):
        Annealed(CosineAnnealing(), 4, 0, 100)


def test_the_sliders_move_the_curve():
    chart = AnnealingChart(CosineAnnealing(0.6, 0.0), steps=10, frames=4, tokens=64)
    chart.sliders["first"].value = 0.9
    chart.sliders["delta"].value = 2.0
    chart.period.value = (0.2, 0.8)
    assert chart.schedule == CosineAnnealing(0.9, 0.0, Period(0.2, 0.8), 2.0)
    assert chart.view.data[0].y == pytest.approx(chart.annealed.ratio)
    assert chart.view.data[1].y == pytest.approx(chart.annealed.seen)
    assert "ratio 0.90" in chart.words.value
    assert repr(chart) == "AnnealingChart: merge ratio from 0.9 to 0 with delta 2 over 0.2 to 0.8 of 10 steps; 4 frames of 64 tokens"


def test_the_sliders_leave_a_still_in_the_notebook():
    data, _ = AnnealingChart(steps=5)._repr_mimebundle_()
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
