"""Small random-weight models in the formats of the large ones: the real loading code runs on them."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def x4_unet() -> UNet2DConditionModel:
    """stable-diffusion-x4-upscaler's UNet, 250 times smaller: the same blocks, the same 32 attention processors."""
    return UNet2DConditionModel(
        sample_size=16, in_channels=7, out_channels=4, block_out_channels=(16, 32, 32, 64), layers_per_block=2, num_class_embeds=1000,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        only_cross_attention=(True, True, True, False), attention_head_dim=8, cross_attention_dim=32, norm_num_groups=8,
        use_linear_projection=True,
    )  # fmt: skip


def tokenizer() -> CLIPTokenizer:
    """A tokenizer without merges, made in code."""
    return CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}, merges=[], model_max_length=8)


def x4_pipeline() -> StableDiffusionUpscalePipeline:
    """The whole pipeline with tiny random parts and the real schedulers' settings."""
    torch.manual_seed(0)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=3, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=8,
            bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(16, 32, 32), norm_num_groups=8, scaling_factor=0.08333,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip
    betas = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
    return StableDiffusionUpscalePipeline(
        vae=vae.eval(), text_encoder=text.eval(), tokenizer=tokenizer(), unet=x4_unet().eval(), max_noise_level=350,
        low_res_scheduler=DDPMScheduler(**betas),
        scheduler=DDIMScheduler(**betas, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    )  # fmt: skip


def save_x4(folder: Path) -> StableDiffusionUpscalePipeline:
    """Saves the twin in diffusers' layout and returns the pipeline."""
    pipeline = x4_pipeline()
    pipeline.save_pretrained(folder)
    return pipeline
