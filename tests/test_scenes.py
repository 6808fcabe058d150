"""Scenes: the truth is exact, in closed form and on the pictures themselves."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zvr_core.bundled import bundled
from zvr_core.correspondence import KnownFlow
from zvr_core.errors import ZvrError
from zvr_core.flow import flow_at_cells, round_trip, warp
from zvr_core.scenes import (
    BUNDLED,
    SCENES,
    Layer,
    Motion,
    Scene,
    bundled_scene,
    fade,
    figure,
    noise,
    pan,
    parallax,
    photograph,
    repeated_texture,
    rotation,
    zoom,
)  # fmt: skip
from zvr_core.scenes.scene import centres, mesh, transform


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """data/inputs/make.py as a module."""
    spec = importlib.util.spec_from_file_location("make", bundled("inputs/make.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def frames_of(name: str) -> torch.Tensor:
    return bundled_scene(name).clip()


def pictures(folder: Path) -> list[np.ndarray]:
    return [np.array(Image.open(path)) for path in sorted(folder.glob("*.png"))]


def offsets(scene: Scene) -> torch.Tensor:
    """Each pixel's x, y from the middle of the picture, (2, H, W)."""
    height, width = scene.size
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    return torch.stack([x, y])


def seen_again(scene: Scene, a: int, b: int) -> torch.Tensor:
    """8-bit levels by which frame b, warped along the true flow, differs from frame a: of all pixels that are plainly visible."""
    error = 255 * (warp(scene.render(b)[None], scene.flow(a, b)[None])[0] - scene.render(a)).abs().mean(0)
    hidden = scene.occluded(a, b)[None].float()
    return error[torch.nn.functional.max_pool2d(hidden, 5, 1, 2)[0] == 0]  # a border pixel shows two layers: 2 px around are left out


def boxes(velocity: tuple[float, float]) -> Scene:
    """A white box of 20 × 10 pixels at x = 16, y = 8, moving over a resting grey plane of 64 × 32 pixels."""
    box = torch.ones(4, 10, 20, dtype=torch.float64)
    plane = torch.tensor([0.5, 0.5, 0.5, 1.0], dtype=torch.float64)[:, None, None].expand(4, 32, 64)
    return Scene("boxes", (Layer(plane, Motion()), Layer(box, Motion(velocity, pivot=(16, 8)))), (32, 64), count=2)


# closed forms


def test_a_whole_pixel_pan_is_a_crop_of_the_photograph() -> None:
    frame = pan(start=(12, 36), camera=(12, 4)).render(3)
    assert torch.equal(frame, photograph("chelsea")[:3, 36 + 12 : 36 + 12 + 192, 12 + 36 : 12 + 36 + 256].float())


def test_the_flow_of_a_pan_is_the_opposite_of_the_cameras_motion() -> None:
    assert torch.equal(pan(camera=(12, 4)).flow(2, 5), torch.tensor([-36.0, -12.0])[:, None, None].expand(2, 192, 256))


def test_the_flow_of_a_zoom_grows_from_the_middle() -> None:
    scene = zoom(factor=1.04)
    assert torch.allclose(scene.flow(2, 5), (1.04**3 - 1) * offsets(scene), atol=1e-4)


def test_the_flow_of_a_rotation_turns_about_the_middle() -> None:
    scene, angle = rotation(degrees=2.0), math.radians(3 * 2.0)
    x, y = offsets(scene)
    turned = torch.stack([math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y])
    assert torch.allclose(scene.flow(1, 4), turned - torch.stack([x, y]), atol=1e-4)


def test_in_parallax_what_is_four_times_as_far_moves_a_fourth_as_fast() -> None:
    flow = parallax(camera=4.0, depth=4.0).flow(0, 1)[0]
    assert sorted({round(value, 4) for value in flow.unique().tolist()}) == [-4.0, -1.0]


def test_a_box_occludes_exactly_the_strip_it_moves_onto() -> None:
    hidden = torch.zeros(32, 64, dtype=torch.bool)
    hidden[8:18, 36:41] = True  # the plane that the box, from columns 16..35 to 21..40, newly covers
    assert torch.equal(boxes((5, 0)).occluded(0, 1), hidden)


def test_backwards_the_box_uncovers_the_strip_it_left() -> None:
    hidden = torch.zeros(32, 64, dtype=torch.bool)
    hidden[8:18, 16:21] = True
    assert torch.equal(boxes((5, 0)).occluded(1, 0), hidden)


def test_what_leaves_the_frame_is_occluded() -> None:
    scene = pan(camera=(12, 4))
    visible = torch.zeros(192, 256, dtype=torch.bool)
    visible[4:, 12:] = True
    assert torch.equal(scene.occluded(0, 1), ~visible)


def test_a_frame_does_not_move_against_itself() -> None:
    for make in (rotation, zoom, parallax):
        assert make().flow(4, 4).abs().max() < 1e-6
        assert not make().occluded(4, 4).any()


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)), st.floats(-20, 20), st.floats(0.8, 1.2), st.integers(0, 5), st.integers(0, 5),
)  # fmt: skip
def test_the_flow_leads_to_the_same_point_of_the_layer(velocity: tuple[float, float], turn: float, growth: float, a: int, b: int) -> None:
    motion = Motion(velocity, turn, growth, pivot=(31, 15), anchor=(500, 500))
    scene = Scene("random", (Layer(torch.ones(4, 999, 999, dtype=torch.float64), motion),), (32, 64), count=6)
    here = mesh(centres(32, 1), centres(64, 1))
    assert torch.allclose(transform(motion(a), here), transform(motion(b), here + scene.flow(a, b)), atol=1e-3)


# the pictures follow the flow


@pytest.mark.parametrize("make", [pan, repeated_texture])
@pytest.mark.parametrize(("a", "b"), [(0, 1), (5, 0), (2, 9)])
def test_a_whole_pixel_motion_warped_back_is_the_frame_itself(make: Callable[[], Scene], a: int, b: int) -> None:
    scene = make()
    error = (warp(scene.render(b)[None], scene.flow(a, b)[None])[0] - scene.render(a)).abs().amax(0)
    assert error[~scene.occluded(a, b)].max() == 0


@pytest.mark.parametrize("name", ["object", "zoom_rotate", "zoom", "rotation", "parallax"])
def test_frames_warped_along_the_true_flow_agree_to_a_few_levels(name: str) -> None:
    error = seen_again(SCENES[name](), 3, 4)
    assert error.numel() > 30_000
    assert error.mean() < 4.5  # what bilinear sampling of sharp detail leaves; half a pixel of wrong flow more than doubles it
    assert error.median() < 2.5


@pytest.mark.parametrize("name", ["zoom_rotate", "rotation"])
def test_forward_and_backward_flow_cancel(name: str) -> None:
    scene = SCENES[name]()
    error = round_trip(scene.flow(6, 2), scene.flow(2, 6))
    assert error[~scene.occluded(2, 6)].max() < 1e-3


def test_sharpness_does_not_breathe_with_the_sub_pixel_phase() -> None:
    frames = frames_of("object")[..., :60, 100:]  # resting detail of the background
    energy = frames.diff(dim=-1).square().mean((1, 2, 3))
    assert energy.diff().abs().max() < 0.1 * energy.mean()


# grids


@pytest.mark.parametrize("cell", [2, 4, 7, 8, 16])
def test_the_flow_of_a_cell_is_that_at_its_centre(cell: int) -> None:
    scene = rotation()
    grid = (-(-192 // cell), -(-256 // cell))
    assert torch.allclose(scene.flow(0, 4, cell), flow_at_cells(scene.flow(0, 4), grid, cell), atol=1e-4)
    assert scene.occluded(0, 4, cell).shape == grid


def test_a_scene_answers_as_a_correspondence_service() -> None:
    known = KnownFlow(pan())
    assert torch.equal(known.flow(0, 2), pan().flow(0, 2))
    assert torch.equal(known.to_frame(2, 0, (24, 32), 8).flow[0], pan().flow(2, 0, 8))


# light, noise, repetition


def test_a_fade_darkens_and_leaves_the_motion_alone() -> None:
    faded = fade(pan(), to=0.4)
    assert torch.equal(faded.render(0), pan().render(0))
    assert torch.allclose(faded.render(9), 0.4 * pan().render(9), atol=0.6 / 255)
    assert torch.equal(faded.flow(1, 3), pan().flow(1, 3))


def test_a_faded_frame_warped_back_is_the_frame_in_its_light() -> None:
    scene = fade(pan(), to=0.4)
    warped = warp(scene.render(9)[None], scene.flow(4, 9)[None])[0] / scene.light(9) * scene.light(4)
    assert (warped - scene.render(4)).abs().amax(0)[~scene.occluded(4, 9)].max() < 1.5 / 255  # rounding, made larger by the light


def test_noise_is_seeded_new_in_every_frame_and_as_strong_as_asked() -> None:
    noisy = noise(pan(), sigma=10 / 255, seed=1)
    added = [noisy.render(i) - pan().render(i) for i in range(2)]
    assert torch.equal(noisy.render(0), noise(pan(), sigma=10 / 255, seed=1).render(0))
    assert not torch.equal(noisy.render(0), noise(pan(), sigma=10 / 255, seed=2).render(0))
    assert 9.5 < 255 * added[0].std() < 10.5
    assert (added[0] * added[1]).mean().abs() < 0.01 * added[0].var()


def test_a_repeated_texture_repeats() -> None:
    frame = repeated_texture().render(0)
    assert torch.allclose(frame[:, :, :-56], frame[:, :, 56:], atol=1.1 / 255)
    assert torch.allclose(frame[:, :-37], frame[:, 37:], atol=1.1 / 255)


# bad input


def test_a_photograph_too_small_for_the_motion_is_refused() -> None:
    with pytest.raises(ZvrError, match="does not fill frame 3"):
        pan(camera=(70, 0))


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(ZvrError, match="chelsea"):
        photograph("chelsae")
    with pytest.raises(ZvrError, match="astronaut, coffee"):
        figure("zzz")
    with pytest.raises(ZvrError, match="zoom_rotate"):
        bundled_scene("zoom_rotat")


# bundled clips


@pytest.mark.parametrize("name", ["pan", "object", "zoom_rotate"])
def test_bundled_frames_are_what_the_scene_renders(name: str) -> None:
    stored = pictures(bundled(f"inputs/{name}/hq"))
    assert torch.equal(torch.from_numpy(np.stack(stored)).permute(0, 3, 1, 2) / 255, frames_of(name))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_inputs_are_the_degraded_truth(name: str, maker: ModuleType, tmp_path: Path) -> None:
    maker.write_clip(tmp_path / name, frames_of(name), {})
    for made, stored in zip(pictures(tmp_path / name / "lq"), pictures(bundled(f"inputs/{name}/lq")), strict=True):
        assert np.abs(made.astype(int) - stored).max() <= 1  # float32: another processor may round another way
    height, width = bundled_scene(name).size
    assert made.shape == (height // 4, width // 4, 3)


def test_the_bundled_pair_is_made_from_scikit_images(maker: ModuleType, tmp_path: Path) -> None:
    maker.write_motorcycle(tmp_path)
    for folder in ("hq", "flow", "occluded"):
        for made, stored in zip(pictures(tmp_path / folder), pictures(bundled(f"inputs/motorcycle/{folder}")), strict=True):
            assert np.array_equal(made, stored)


def test_the_bundled_pan_moves_tens_of_pixels_and_keeps_most_of_the_key_frame() -> None:
    scene = bundled_scene("pan")
    assert scene.flow(5, 0).norm(dim=0).min() > 40
    assert (~scene.occluded(5, 0)).float().mean() > 0.6


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 0)])
def test_the_motorcycles_true_flow_makes_one_picture_of_the_other(a: int, b: int) -> None:
    pair = bundled_scene("motorcycle")
    error = 255 * (warp(pair.render(b)[None], pair.flow(a, b)[None])[0] - pair.render(a)).abs().mean(0)
    assert error[~pair.occluded(a, b)].median() < 4
    assert (~pair.occluded(a, b)).float().mean() > 0.7


def test_the_motorcycle_moves_by_7_to_60_pixels_where_it_is_known() -> None:
    flow = bundled_scene("motorcycle").flow(0, 1)
    known = flow[:, flow.isfinite().all(0)]
    assert known.shape[1] > 0.85 * flow[0].numel()
    assert -60 < known[0].min() < -40 < -8 < known[0].max() < -7
    assert known[1].abs().max() == 0


def test_bundled_files_are_found_and_nothing_outside_is() -> None:
    assert (bundled("inputs/pan") / "scene.json").is_file()
    for name in ("inputs/pam", "../pyproject.toml", ""):
        with pytest.raises(ZvrError, match="unknown bundled file"):
            bundled(name)
