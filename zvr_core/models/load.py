"""`load_model`: from a name, a folder in diffusers' layout, or a Hub id to an adapter.

A local folder comes first, always; a Hub id is a convenience where there is a network.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from zvr_core.catalogue import MODELS
from zvr_core.errors import ZvrError, unknown
from zvr_core.models.base import Model


def load_model(name: str | Path = "embedded", *, device: str = "cpu", dtype: str = "float32") -> Model:
    """Loads a base model onto a device; weights are computed in `dtype` ("float32", "bfloat16", "float16").

    Raises ZvrError for an unknown name, a folder that is no model, or a device or dtype that is not there.
    """
    folder = find_folder(str(name))
    index = folder / "model_index.json"
    if not index.is_file():
        raise ZvrError(f"no model_index.json in {folder}; expected a folder in diffusers' layout; save the pipeline with save_pretrained")
    kind = json.loads(index.read_text()).get("_class_name", "")
    loaders = _loaders()
    if kind not in loaders:
        raise unknown("pipeline class", kind, loaders)
    return loaders[kind](folder, str(name), check_device(device), check_dtype(dtype))


def find_folder(name: str) -> Path:
    """The local folder of a model: a path, the embedded model, or the Hub's cache, filled from the network where there is one."""
    if Path(name).is_dir():
        return Path(name)
    if name == "embedded":
        from zvr_core.bundled import bundled

        return bundled("embedded")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise unknown("model", name, MODELS) if "/" not in name else ZvrError(f"no model folder {name}; give a folder in diffusers' layout")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.safetensors"]))
    except Exception as error:
        raise ZvrError(
            f"cannot fetch {name} from the Hub ({type(error).__name__}); download it elsewhere and give its folder: --model ./folder"
        ) from error


def check_device(device: str) -> torch.device:
    """The device, or an error that says what is there."""
    there = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if device.split(":")[0] not in there:
        raise ZvrError(f"device {device!r} is not available; here there is: {', '.join(there)} (--device {there[-1]})")
    return torch.device(device)


def check_dtype(dtype: str) -> torch.dtype:
    """The torch dtype of a name."""
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise unknown("dtype", dtype, known)
    return known[dtype]


Loader = Callable[[Path, str, torch.device, torch.dtype], Model]


def _loaders() -> dict[str, Loader]:
    from zvr_core.models.families import load_embedded, load_x4_upscaler

    return {"ZvrUpscaler": load_embedded, "StableDiffusionUpscalePipeline": load_x4_upscaler}
