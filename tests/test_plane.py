"""Methods stand where their numbers say, and the control's curve is drawn in."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from zvr_core.errors import ZvrError
from zvr_core.evaluation.table import Line, Stat, Table
from zvr_viz.plane import plane

D = "blur=1"
CURVE = {"weight": [0.0, 0.5, 1.0], "sharpness": [0.2, 0.3, 0.5], "warping": [1.0, 2.0, 5.0]}


def line(method, sharpness, warping):
    values = {"sharpness": Stat(sharpness, 0.01, 0.1, 2, 4), "warping": Stat(warping, 0.1, 1.0, 2, 4)}
    return Line(D, method, 4, 4, values, {}, {}, {})


@pytest.fixture
def table():
    lines = (line("truth", 1.0, 0.9), line("per_frame", 0.5, 5.0), line("close", 0.49, 4.9), line("steady", 0.45, 2.5))
    return Table("t", (), lines, {D: CURVE})


def test_methods_stand_at_their_sharpness_and_error(table):
    axes = plane(table).axes[0]
    points = {tuple(map(float, container.lines[0].get_xydata()[0])) for container in axes.containers}
    assert points == {(1.0, 0.9), (0.5, 5.0), (0.49, 4.9), (0.45, 2.5)}


def test_the_control_is_a_curve_from_mean_to_samples(table):
    axes = plane(table).axes[0]
    curve = next(drawn for drawn in axes.lines if str(drawn.get_label()).startswith("blur alone"))
    assert np.allclose(curve.get_xydata(), list(zip(CURVE["sharpness"], CURVE["warping"], strict=True)))


def test_every_method_is_named_and_no_two_names_overlap(table):
    figure = plane(table)
    figure.canvas.draw()
    names = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts if not text.get_text()[0].isdigit()}
    assert names.keys() == {"truth", "per_frame", "close", "steady"}
    heights = sorted((box.y0, box.y1) for box in names.values())
    assert all(below[1] <= above[0] for below, above in pairwise(heights))
    assert all(box.x1 <= figure.bbox.x1 for box in names.values())


def test_without_a_control_the_methods_are_drawn(table):
    axes = plane(Table("t", (), table.lines)).axes[0]
    assert len(axes.containers) == 4


def test_the_figure_says_what_it_is_relative_to(table):
    assert plane(table).axes[0].get_xlabel() == "sharpness relative to truth"
    assert plane(Table("t", (), table.lines[1:])).axes[0].get_xlabel() == "sharpness relative to per frame"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("psnr",), "unknown temporal measure 'psnr'"),
        (("warping", "noise"), "unknown degradation 'noise'"),
        (("inter",), "no method has E_inter and sharpness on blur=1"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(table, arguments, words):
    with pytest.raises(ZvrError, match=words):
        plane(table, *arguments)


def test_an_empty_table_is_an_error():
    with pytest.raises(ZvrError, match="unknown degradation"):
        plane(Table("t", (), ()))


def test_saved_tables_are_opened_and_drawn_without_torch():
    code = "import zvr_core.evaluation.text, zvr_core.evaluation.choices, zvr_viz.plane, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
