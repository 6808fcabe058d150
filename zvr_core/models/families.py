"""How the folders of each model family become adapters."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, UNet2DConditionModel

from zvr_core.errors import ZvrError
from zvr_core.models.codec import ResidualDCT
from zvr_core.models.upscaler import LearnedCodec, NoisyInput, Upscaler


def load_unet(folder: Path, device: torch.device, dtype: torch.dtype) -> UNet2DConditionModel:
    """The UNet of a diffusers folder, in evaluation mode, channels last (a third faster on CPUs and tensor cores)."""
    try:
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ZvrError(
            f"cannot load {folder / 'unet'}: {str(error).splitlines()[0]}; expected config.json and safetensors weights"
        ) from error
    return unet.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def load_embedded(folder: Path, name: str, device: torch.device, dtype: torch.dtype) -> Upscaler:
    """The embedded model: a fixed codec, one zero token as text, no guidance."""
    unet = load_unet(folder, device, dtype)
    return Upscaler(
        name=name,
        network=unet,
        codec=ResidualDCT.load(folder / "codec"),
        scheduler=DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True),
        text=torch.zeros(1, 1, unet.config.cross_attention_dim),
    )


def load_x4_upscaler(folder: Path, name: str, device: torch.device, dtype: torch.dtype) -> Upscaler:
    """Stability AI's ×4 upscaler with an empty prompt; its pipeline's defaults: guidance 9, input noise level 20."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
    ids = tokenizer([""], padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        empty = encoder(ids).last_hidden_state  # (1, L, D)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, local_files_only=True)  # overflows in float16
    vae.register_to_config(scaling_factor=0.08333)  # as diffusers' pipeline insists, whatever the file says
    return Upscaler(
        name=name,
        network=load_unet(folder, device, dtype),
        codec=LearnedCodec(vae.to(device).eval().requires_grad_(False)),
        scheduler=DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True),
        text=empty.repeat(2, 1, 1),
        guidance=9.0,
        augmentation=NoisyInput(DDPMScheduler.from_pretrained(folder / "low_res_scheduler", local_files_only=True)),
    )
