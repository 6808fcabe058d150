"""LPIPS with AlexNet (Zhang et al. 2018), without torchvision: the network is small, and its weights are two files the user brings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from zvr_core.errors import ZvrError
from zvr_core.frames import Frames, paired, size_of

TRUNK_FILES = ("alexnet-owt-7be5be79.pth", "alexnet_features_torchvision.pth")
HEAD_FILES = ("alex.pth", "lin_alex_v0.1.pth")
SMALLEST = 31  # pixels a side: less leaves nothing after the second max pooling


@dataclass(frozen=True)
class Conv:
    """One layer of AlexNet as torchvision numbers them, with ReLU after it and, where `pool`, max pooling before it."""

    number: int
    shape: tuple[int, int, int, int]
    stride: int
    padding: int
    pool: bool


ALEXNET = (
    Conv(0, (64, 3, 11, 11), 4, 2, False),
    Conv(3, (192, 64, 5, 5), 1, 2, True),
    Conv(6, (384, 192, 3, 3), 1, 1, True),
    Conv(8, (256, 384, 3, 3), 1, 1, False),
    Conv(10, (256, 256, 3, 3), 1, 1, False),
)


@dataclass(frozen=True, eq=False)
class Lpips:
    """The distance; `trunk` has one (weight, bias) per layer of AlexNet, `heads` one vector (C,) each. Make it with `load_lpips`."""

    trunk: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    heads: tuple[torch.Tensor, ...]

    @property
    def name(self) -> str:
        return "LPIPS AlexNet v0.1"

    def features(self, frames: torch.Tensor) -> Iterator[torch.Tensor]:
        """The five ReLU outputs, (F, C, h, w) each, of frames (F, 3, H, W) in [0, 1]; raises ZvrError below 31 pixels a side."""
        if min(frames.shape[-2:]) < SMALLEST:
            raise ZvrError(f"LPIPS is undefined for frames of {size_of(frames)} pixels: AlexNet needs at least {SMALLEST} a side")
        shift, scale = frames.new_tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]])[:, :, None, None]  # (3, 1, 1) each
        x = (2 * frames - 1 - shift) / scale
        for layer, (weight, bias) in zip(ALEXNET, self.trunk, strict=True):
            x = F.max_pool2d(x, 3, 2) if layer.pool else x
            x = F.conv2d(x, weight, bias, layer.stride, layer.padding).relu()
            yield x

    @torch.no_grad()
    def __call__(self, result: Frames, truth: Frames) -> torch.Tensor:
        """LPIPS of every frame, (F,); 0 for identical frames. Raises ZvrError for different lengths or sizes, or below 31 pixels a side.

        At each layer: features normalised over the channels, squared difference, weighted sum over the channels, mean over the pixels;
        then the sum over the layers (Zhang et al. 2018, equation 1, with the learned linear heads, version 0.1).
        """
        return torch.stack([self.distance(ours, exact) for ours, exact in paired(result, truth)])  # (F,)

    def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The distance of two frames, (1, 3, H, W) each."""
        layers = zip(self.heads, self.features(a), self.features(b), strict=True)
        return torch.stack([torch.einsum("c,fchw->fhw", head, (unit(x) - unit(y)) ** 2).mean() for head, x, y in layers]).sum()


def unit(x: torch.Tensor) -> torch.Tensor:
    """Every pixel's feature vector at length 1, (F, C, h, w)."""
    return x / (x.norm(dim=1, keepdim=True) + 1e-10)


def load_lpips(lpips_weights: str | Path | None = None, device: str | torch.device = "cpu") -> Lpips:
    """LPIPS from the folder `lpips_weights`, else $ZVR_LPIPS, else ~/.cache/zvr/lpips.

    The folder holds AlexNet as torchvision publishes it (keys features.N.weight) and the linear heads of PerceptualSimilarity. Raises
    ZvrError when a file is missing, cannot be read, or is no such network; it says where to get both.
    """
    folder = Path(lpips_weights or os.environ.get("ZVR_LPIPS") or Path.home() / ".cache" / "zvr" / "lpips")
    trunk_file, head_file = find(folder, TRUNK_FILES), find(folder, HEAD_FILES)
    trunk, heads = read_state(trunk_file), read_state(head_file)
    layers, vectors = [], []
    for i, conv in enumerate(ALEXNET):
        weight = entry(trunk, f"features.{conv.number}.weight", conv.shape, trunk_file)
        bias = entry(trunk, f"features.{conv.number}.bias", conv.shape[:1], trunk_file)
        layers.append((weight.to(device), bias.to(device)))
        vectors.append(entry(heads, f"lin{i}.model.1.weight", (1, conv.shape[0], 1, 1), head_file).flatten().to(device))  # (C,)
    return Lpips(tuple(layers), tuple(vectors))


def find(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of `names` in `folder`; ZvrError with both files and their places when there is none."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ZvrError(
        f"no {' or '.join(names)} in {folder}; LPIPS needs two files there: alexnet-owt-7be5be79.pth "
        "(https://download.pytorch.org/models/alexnet-owt-7be5be79.pth) and alex.pth "
        "(https://github.com/richzhang/PerceptualSimilarity, lpips/weights/v0.1/alex.pth); another folder: lpips_weights or $ZVR_LPIPS"
    )


def read_state(file: Path) -> dict[str, torch.Tensor]:
    """The state dict in `file`; ZvrError when it cannot be read."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a broken file makes it stumble over
        raise ZvrError(f"{file} cannot be read as PyTorch weights ({type(error).__name__}); download it again") from error
    if not isinstance(state, dict):
        raise ZvrError(f"{file} holds {type(state).__name__}, a state dict expected; download it again")
    return state


def entry(state: dict[str, torch.Tensor], key: str, shape: tuple[int, ...], file: Path) -> torch.Tensor:
    """A tensor of the state dict in float32; ZvrError when it is missing or has another shape."""
    tensor = state.get(key)
    if not isinstance(tensor, torch.Tensor) or tuple(tensor.shape) != shape:
        found = f"shape {tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else "no tensor"
        raise ZvrError(f"{file} has {found} at {key!r}, shape {shape} expected; these are not the weights of LPIPS with AlexNet")
    return tensor.float()
