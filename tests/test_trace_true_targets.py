"""True targets in closed form, and the same as what scenes know."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from zvr_core.errors import ZvrError
from zvr_core.scenes import bundled_scene, rotation
from zvr_core.trace.true_targets import hidden_tokens, nearest_tokens, true_places, true_targets

NOTHING = np.zeros((24, 32), bool)


def constant(x: float, y: float, height: int = 24, width: int = 32) -> np.ndarray:
    return np.broadcast_to(np.array([x, y], np.float32)[:, None, None], (2, height, width))


def test_a_pan_by_whole_tokens_moves_every_target_by_as_many() -> None:
    targets = true_targets(constant(8, -4), NOTHING, (6, 8), 4).reshape(6, 8)
    assert targets[3, 1] == 2 * 8 + 3
    assert (targets[0] == -1).all()  # leaves at the top
    assert (targets[:, 6:] == -1).all()


@pytest.mark.parametrize(("x", "target"), [(1.9, 0), (2.0, 1), (5.9, 1), (6.0, 2), (-2.0, 0), (-2.1, -1)])
def test_the_nearest_token_is_taken_and_halfway_the_later_one(x: float, target: int) -> None:
    assert true_targets(constant(x, 0), NOTHING, (6, 8), 4)[0] == target


def test_what_is_occluded_at_the_centre_has_no_target_but_a_place() -> None:
    occluded = NOTHING.copy()
    occluded[1:3, 1:3] = True
    occluded[0, 4] = True  # a corner of the next cell, not its centre
    assert true_targets(constant(0, 0), occluded, (6, 8), 4).tolist() == [-1, *range(1, 48)]
    assert hidden_tokens(occluded, (6, 8), 4).tolist() == [True, *[False] * 47]
    assert nearest_tokens(true_places(constant(0, 0), (6, 8), 4), (6, 8)).tolist() == list(range(48))


def test_unknown_motion_and_borders_between_motions_have_no_place() -> None:
    flow = constant(0, 0).copy()
    flow[:, 1, 1] = np.nan
    flow[0, :4, 6:] = 8  # a border through the middle of the second cell
    assert np.isnan(true_places(flow, (6, 8), 4)[:3]).any(-1).tolist() == [True, True, False]


@pytest.mark.parametrize("cell", [1, 4, 7, 8, 16])
def test_places_are_those_a_scene_knows_at_any_grid(cell: int) -> None:
    scene = rotation()
    h, w = grid = (-(-192 // cell), -(-256 // cell))
    exact = scene.flow(0, 4, cell).numpy()[::-1] + np.mgrid[:h, :w]  # y, x
    places = true_places(scene.flow(0, 4).numpy(), grid, cell)
    np.testing.assert_allclose(places, exact.reshape(2, -1).T, atol=1e-3)


def test_what_a_scene_hides_has_no_target() -> None:
    scene = bundled_scene("object")
    hidden = scene.occluded(0, 1, 8).flatten().numpy()
    targets = true_targets(scene.flow(0, 1).numpy(), scene.occluded(0, 1).numpy(), (24, 32), 8)
    assert (targets[hidden] == -1).all()
    assert (targets >= 0).mean() > 0.8


def test_a_grid_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ZvrError, match="9×6 cells of 4 pixels given, but a picture of 32×24 pixels holds 8×6"):
        true_targets(constant(0, 0), NOTHING, (6, 9), 4)


def test_neither_torch_nor_opencv_is_imported() -> None:
    code = (
        "import sys, zvr_core.trace.true_targets, zvr_core.correspondence_quality; print({'torch', 'cv2', 'diffusers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
