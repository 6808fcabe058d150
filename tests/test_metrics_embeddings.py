"""Embeddings of frames: ours by what it must tell apart, CLIP's form with a small random network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

from zvr_core.errors import ZvrError
from zvr_core.metrics.embeddings import HISTOGRAMS, load_clip_embedding
from zvr_core.metrics.temporal import frame_similarity
from zvr_core.scenes import photograph


def picture(name: str, left: int = 0) -> torch.Tensor:
    return photograph(name)[None, :3, :200, left : left + 200].float()


def alike(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(cosine_similarity(HISTOGRAMS(a), HISTOGRAMS(b)))


def test_vectors_have_unit_length_at_any_size() -> None:
    for size in ((1, 1), (7, 5), (64, 200)):
        assert HISTOGRAMS(torch.rand(2, 3, *size)).norm(dim=1).tolist() == pytest.approx([1, 1])


def test_a_small_motion_is_alike_and_another_photograph_is_not() -> None:
    cat, moved, coffee = picture("chelsea"), picture("chelsea", 4), picture("coffee")
    assert 1 > alike(cat, moved) > 0.99 > 0.95 > alike(cat, coffee)


def test_a_still_clip_has_similarity_one_also_when_it_is_black() -> None:
    for frame in (picture("coffee"), torch.zeros(1, 3, 16, 16), torch.full((1, 3, 8, 8), 0.5)):
        assert frame_similarity(frame.expand(3, -1, -1, -1)) == pytest.approx(1, abs=1e-6)


def test_edges_count_in_their_direction_whatever_their_sign() -> None:
    stripes = (torch.arange(64) // 8 % 2).float().expand(1, 3, 64, 64)
    assert alike(stripes, 1 - stripes) > 0.95 > 0.8 > alike(stripes, stripes.mT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    path = tmp_path_factory.mktemp("clip") / "tiny"
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8, projection_dim=12
    )
    torch.manual_seed(0)
    CLIPVisionModelWithProjection(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("size", [(32, 32), (48, 20), (17, 90)])
def test_clip_gives_one_vector_per_frame_of_any_size(folder: Path, size: tuple[int, int]) -> None:
    clip = load_clip_embedding(folder)
    assert clip.name == "CLIP tiny"
    assert clip(torch.rand(2, 3, *size)).shape == (2, 12)


def test_clip_sees_the_middle_of_a_wide_frame(folder: Path) -> None:
    clip, wide = load_clip_embedding(folder), torch.rand(1, 3, 32, 64)
    torch.testing.assert_close(clip(wide), clip(wide[..., 16:48]))


def test_a_folder_without_clip_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ZvrError, match=r"no config\.json in"):
        load_clip_embedding(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ZvrError, match="cannot be read as a CLIP model") as error:
        load_clip_embedding(tmp_path)
    assert "\n" not in str(error.value)
