"""Previews: decoded where that is cheap, else by a fitted linear map; JPEG that fits."""

import cv2
import numpy as np
import pytest
import torch
from recording import moving_clip
from twins import save_x4

from zvr_core.models.load import load_model
from zvr_core.recording.previews import Decoded, Projected, fit_linear, jpeg, preview_size, previewer_of


def opened(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(
    ("size", "longest", "expected"), [((480, 856), 320, (179, 320)), ((100, 60), 320, (100, 60)), ((1, 4000), 40, (1, 40))]
)
def test_previews_shrink_and_keep_their_shape(size, longest, expected):
    assert preview_size(size, longest) == expected


def test_a_preview_is_the_picture(rng):
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 5, generator=rng), size=(40, 50), mode="bilinear")[0]
    small = opened(jpeg(smooth, (20, 25), 10_000))
    assert small.shape == (20, 25, 3)
    expected = torch.nn.functional.interpolate(smooth[None], size=(20, 25), mode="area")[0].permute(1, 2, 0).numpy()
    assert np.abs(small / 255 - expected).mean() < 0.02


def test_noise_is_stored_in_less_quality_rather_than_not_at_all(rng):
    noise = torch.rand(3, 64, 64, generator=rng)
    assert len(jpeg(noise, (64, 64), 1 << 20)) > 4000
    assert len(jpeg(noise, (64, 64), 4000)) <= 4000


def test_least_squares_find_a_linear_map(rng):
    matrix, inputs = torch.randn(5, 3, generator=rng), torch.randn(100, 5, generator=rng)
    assert torch.allclose(fit_linear(inputs, inputs @ matrix), matrix, atol=1e-5)


def test_the_embedded_model_is_decoded(embedded):
    clip = moving_clip(2)
    previewer = previewer_of(embedded, (12, 16))
    assert isinstance(previewer, Decoded)
    zeros, condition = (
        torch.zeros(2, *embedded.latent_shape((12, 16))),
        embedded.encode(clip[:], lambda purpose, shape: torch.zeros(2, *shape)),
    )
    upsampled = torch.nn.functional.interpolate(clip[:], scale_factor=4, mode="bicubic").clamp(0, 1)
    assert torch.allclose(previewer.pictures(zeros, condition, lambda: clip[:]), upsampled, atol=1e-5)


def test_a_learned_codec_gets_a_linear_map_that_is_kept(tmp_path, rng):
    save_x4(tmp_path)
    previewer = previewer_of(load_model(tmp_path), (12, 16))
    assert isinstance(previewer, Projected)
    colours, mixing = moving_clip(2)[:], torch.randn(4, 3, generator=rng)
    x0 = torch.einsum("dc,fchw->fdhw", mixing, colours)  # latents that are a linear picture
    assert torch.allclose(previewer.pictures(x0, x0, lambda: colours), colours, atol=1e-3)
    again = Projected((12, 16))
    again.restore(previewer.state())
    assert torch.allclose(again.pictures(x0.flip(-1), x0, lambda: colours), colours.flip(-1), atol=1e-3)
