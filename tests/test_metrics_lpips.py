"""LPIPS: golden values with the real weights where they are, structure and errors with random ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from skimage import data

from zvr_core.degrade import Blur, Jpeg, Noise
from zvr_core.errors import ZvrError
from zvr_core.metrics.lpips import ALEXNET, Lpips, load_lpips

WEIGHTS = Path(__file__).parents[2] / "shared" / "data" / "weights" / "lpips"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Random weights in the format of the published files."""
    rng = torch.Generator().manual_seed(0)
    trunk, heads = {"classifier.1.weight": torch.zeros(1)}, {}
    for i, conv in enumerate(ALEXNET):
        fan_in = conv.shape[1] * conv.shape[2] * conv.shape[3]
        trunk[f"features.{conv.number}.weight"] = torch.randn(conv.shape, generator=rng) * (2 / fan_in) ** 0.5
        trunk[f"features.{conv.number}.bias"] = torch.zeros(conv.shape[0])
        heads[f"lin{i}.model.1.weight"] = torch.rand(1, conv.shape[0], 1, 1, generator=rng)
    torch.save(trunk, tmp_path / "alexnet-owt-7be5be79.pth")
    torch.save(heads, tmp_path / "alex.pth")
    return tmp_path


@pytest.fixture
def lpips(folder: Path) -> Lpips:
    return load_lpips(folder)


def astronaut() -> torch.Tensor:
    return torch.from_numpy(data.astronaut())[:256, 100:356].permute(2, 0, 1)[None] / 255


def clip(count: int = 2, height: int = 40, width: int = 33) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the published weights are not here")
@pytest.mark.parametrize(("degradation", "official"), [(Blur(2.0), 0.36074), (Jpeg(20), 0.08102), (Noise(0.1), 0.44568)], ids=str)
def test_official_values_are_met_to_four_digits(degradation, official: float) -> None:
    """Golden: the published implementation (as torchmetrics 1.9 carries it) with the same weights."""
    assert float(load_lpips(WEIGHTS)(degradation(astronaut()), astronaut())) == pytest.approx(official, abs=5e-5)


def test_equal_frames_have_no_distance_and_others_a_symmetric_one(lpips: Lpips) -> None:
    x, y = clip(), Blur(1.5)(clip())
    assert lpips(x, x).tolist() == [0, 0]
    assert float(lpips(x, y).min()) > 0
    torch.testing.assert_close(lpips(x, y), lpips(y, x))


def test_more_blur_means_more_distance(lpips: Lpips) -> None:
    x = clip(1)
    distances = [float(lpips(Blur(sigma)(x), x)) for sigma in (0.3, 0.8, 2)]
    assert distances == sorted(distances)


def test_constant_frames_are_no_nan(lpips: Lpips) -> None:
    assert bool(torch.isfinite(lpips(torch.zeros(1, 3, 31, 31), torch.ones(1, 3, 31, 31))).all())


@pytest.mark.parametrize("size", [(30, 64), (1, 1), (7, 5)])
def test_frames_below_31_pixels_are_said_in_words(lpips: Lpips, size: tuple[int, int]) -> None:
    with pytest.raises(ZvrError, match="LPIPS is undefined for frames of"):
        lpips(clip(1, *size), clip(1, *size))


def test_smallest_size_is_31(lpips: Lpips) -> None:
    assert lpips(clip(1, 31, 31), clip(1, 31, 31)).shape == (1,)


def test_folder_is_found_by_the_environment_and_then_in_the_cache(folder: Path, monkeypatch, tmp_path_factory) -> None:
    monkeypatch.setenv("ZVR_LPIPS", str(folder))
    assert load_lpips().name == "LPIPS AlexNet v0.1"
    home = tmp_path_factory.mktemp("home")
    (home / ".cache" / "zvr").mkdir(parents=True)
    (home / ".cache" / "zvr" / "lpips").symlink_to(folder)
    monkeypatch.delenv("ZVR_LPIPS")
    monkeypatch.setenv("HOME", str(home))
    assert load_lpips().name == "LPIPS AlexNet v0.1"


@pytest.mark.parametrize("missing", ["alexnet-owt-7be5be79.pth", "alex.pth"])
def test_missing_file_error_names_both_files_and_their_sources(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ZvrError, match=missing) as error:
        load_lpips(folder)
    message = str(error.value)
    assert "download.pytorch.org" in message
    assert "PerceptualSimilarity" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02."])
def test_broken_file_is_a_one_line_error(folder: Path, content: bytes) -> None:
    (folder / "alex.pth").write_bytes(content)
    with pytest.raises(ZvrError, match="download it again"):
        load_lpips(folder)


@pytest.mark.parametrize("content", [{}, [1], {"features.0.weight": torch.zeros(64, 3, 3, 3)}, {"features.0.weight": "x"}])
def test_weights_of_another_network_are_an_error(folder: Path, content) -> None:
    torch.save(content, folder / "alexnet-owt-7be5be79.pth")
    with pytest.raises(ZvrError, match="expected"):
        load_lpips(folder)
