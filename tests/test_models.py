import json

import pytest
import torch
from twins import save_x4

from zvr_core.errors import ZvrError
from zvr_core.models.codec import ResidualDCT, dct_matrix, upsample
from zvr_core.models.load import load_model
from zvr_core.models.upscaler import LearnedCodec
from zvr_core.sampler import DDIM


@pytest.fixture(scope="module")
def x4(tmp_path_factory):
    folder = tmp_path_factory.mktemp("x4")
    return save_x4(folder), load_model(folder)


def nothing_drawn(purpose, shape):
    raise AssertionError("this model draws no noise")


def test_the_dct_is_orthonormal():
    assert torch.allclose(dct_matrix(4) @ dct_matrix(4).T, torch.eye(4, dtype=torch.float64), atol=1e-12)


def test_a_codec_that_keeps_everything_is_exact():
    kept = tuple((c, v, u) for c in range(3) for v in range(4) for u in range(4))
    codec = ResidualDCT(kept, (0.1,) * 48)
    rng = torch.Generator().manual_seed(0)
    hq, lq = torch.rand(2, 3, 20, 28, generator=rng), torch.rand(2, 3, 5, 7, generator=rng)
    assert torch.allclose(codec.decode(codec.encode(hq, lq), lq), hq, atol=1e-5)


def test_decoding_projects(embedded):
    """What the 16 coefficients cannot hold is lost once, not again."""
    rng = torch.Generator().manual_seed(0)
    hq, lq = torch.rand(1, 3, 20, 28, generator=rng), torch.rand(1, 3, 5, 7, generator=rng)
    z = embedded.codec.encode(hq, lq)
    assert torch.allclose(embedded.codec.encode(embedded.codec.decode(z, lq), lq), z, atol=1e-4)


def test_zero_latents_are_the_bicubic_enlargement(embedded):
    lq = torch.rand(1, 3, 5, 7)
    assert torch.allclose(embedded.codec.decode(torch.zeros(1, 16, 5, 7), lq), upsample(lq, 4), atol=1e-6)


def test_a_codec_survives_saving(embedded, tmp_path):
    embedded.codec.save(tmp_path)
    assert ResidualDCT.load(tmp_path) == embedded.codec


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 16), (13, 22), (30, 17)])
def test_every_size_comes_back_exactly_four_times_as_large(embedded, size):
    lq = torch.rand(2, 3, *size)
    condition = embedded.encode(lq, nothing_drawn)
    x = torch.randn(2, *embedded.latent_shape(size))
    x0 = embedded.predict(x, 999, 4e-5, condition).x0
    assert embedded.decode(x0, condition, size).shape == (2, 3, 4 * size[0], 4 * size[1])


def test_frames_of_a_batch_do_not_see_each_other(embedded):
    lq, x = torch.rand(3, 3, 8, 12), torch.randn(3, *embedded.latent_shape((8, 12)))
    together = embedded.predict(x, 500, 0.3, embedded.encode(lq, nothing_drawn)).x0
    alone = embedded.predict(x[1:2], 500, 0.3, embedded.encode(lq[1:2], nothing_drawn)).x0
    assert torch.allclose(together[1:2], alone, atol=1e-4)


def test_the_x4_upscaler_runs_on_the_same_adapter(x4, embedded):
    assert type(x4[1]) is type(embedded)
    assert (x4[1].scale, x4[1].guidance, x4[1].augmentation.level, x4[1].codec.channels) == (4, 9.0, 20, 4)
    assert isinstance(x4[1].codec, LearnedCodec)


def test_our_loop_equals_the_shipped_pipeline_bit_for_bit(x4):
    """diffusers' own pipeline and our adapter with DDIM, from the same noise."""
    pipeline, model = x4
    rng = torch.Generator().manual_seed(0)
    lq, x, noise = torch.rand(1, 3, 16, 24, generator=rng), torch.randn(1, 4, 16, 24, generator=rng), torch.zeros(1, 3, 16, 24)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.to(memory_format=torch.channels_last)  # as our loader does: the order of sums is part of a bit
    pipeline.low_res_scheduler.add_noise = lambda image, _, level: model.augmentation.scheduler.add_noise(image, noise, level)
    shipped = pipeline("", image=lq, num_inference_steps=4, guidance_scale=9.0, noise_level=20, latents=x, output_type="pt").images
    prepared, condition = DDIM().prepare(model.scheduler, 4), model.encode(lq, lambda purpose, shape: noise)
    for i, (t, alpha_bar) in enumerate(zip(prepared.timesteps, prepared.alpha_bar, strict=True)):
        x = prepared.step(i, model.predict(x, t, alpha_bar, condition), x)
    ours = model.decode(x, condition, (16, 24)).clamp(0, 1)
    assert torch.equal(ours, shipped)


def test_guidance_rows_do_not_depend_on_their_neighbours(x4):
    model = x4[1]
    lq, x = torch.rand(2, 3, 16, 16), torch.randn(2, 4, 16, 16)
    condition = model.encode(lq, lambda purpose, shape: torch.zeros(2, *shape))
    both = model.predict(x, 500, 0.3, condition).out
    alone = model.predict(x[1:], 500, 0.3, condition[1:]).out
    assert torch.allclose(both[1:], alone, atol=1e-4)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ZvrError, match=r"unknown model 'embeded'; did you mean embedded"):
        load_model("embeded")


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ZvrError, match=r"no model_index\.json"):
        load_model(tmp_path)


def test_a_folder_of_another_family(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(ZvrError, match="unknown pipeline class 'FluxPipeline'"):
        load_model(tmp_path)


def test_a_folder_without_weights(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "ZvrUpscaler"}))
    with pytest.raises(ZvrError, match=r"cannot load .*unet"):
        load_model(tmp_path)


def test_a_device_that_is_not_there():
    with pytest.raises(ZvrError, match="device 'tpu' is not available; here there is: cpu"):
        load_model("embedded", device="tpu")


def test_an_unknown_dtype():
    with pytest.raises(ZvrError, match="unknown dtype 'float'"):
        load_model("embedded", dtype="float")


def test_half_precision_networks_keep_x0_in_float32():
    model = load_model("embedded", dtype="bfloat16")
    condition = model.encode(torch.rand(1, 3, 8, 8), nothing_drawn)
    assert model.predict(torch.randn(1, 16, 8, 8), 500, 0.3, condition).x0.dtype == torch.float32
