"""Latents as colours: a linear map from C channels to RGB, fitted once per trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_viz.palette import RGB


@dataclass(frozen=True, eq=False)
class Projection:
    """`weights` (C + 1, 3), the last row constant: colours in 0 to 1 of each latent pixel; `words` say where the weights come from."""

    weights: NDArray
    words: str

    def paint(self, latents: NDArray) -> RGB:
        """Latents (C, h, w) to colours (h, w, 3); raises ZvrError for another number of channels."""
        if latents.ndim != 3 or len(latents) != len(self.weights) - 1:
            raise ZvrError(f"latents of shape {latents.shape} given; ({len(self.weights) - 1}, h, w) is expected by this projection")
        colours = np.moveaxis(latents, 0, -1) @ self.weights[:-1] + self.weights[-1]  # (h, w, 3)
        return (np.nan_to_num(colours, nan=0.5).clip(0, 1) * 255).round().astype(np.uint8)


def fitted(latents: NDArray, pictures: RGB) -> Projection:
    """The projection that comes closest to pictures (n, h, w, 3) of latents (n, C, h, w), by least squares.

    Where it explains less than half of the pictures' variance (latents of a residual, say), it would show mud: then the principal
    components are taken.
    """
    if latents.ndim != 4 or pictures.shape != (len(latents), *latents.shape[2:], 3):
        raise ZvrError(f"latents {latents.shape} and pictures {pictures.shape} given; (n, C, h, w) and (n, h, w, 3) are expected")
    inputs, colours = flat(latents), pictures.reshape(-1, 3) / 255
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    weights, *_ = np.linalg.lstsq(inputs, colours, rcond=None)
    left = np.square(colours - inputs @ weights).sum()
    if left > 0.5 * np.square(colours - colours.mean(0)).sum():
        return principal(latents)
    return Projection(weights, "a linear map of the latents, fitted to the decoded pictures")


def flat(latents: NDArray) -> NDArray:
    """Latents (n, C, h, w) as rows (n·h·w, C)."""
    return np.moveaxis(latents, 1, -1).reshape(-1, latents.shape[1]).astype(np.float64)


def principal(latents: NDArray) -> Projection:
    """The three directions in which latents (n, C, h, w) vary most as red, green and blue: for traces without pictures."""
    inputs = flat(latents)
    mean = inputs.mean(0)
    _, spread, directions = np.linalg.svd(inputs - mean, full_matrices=False)
    count = min(3, len(directions))
    axes = np.zeros((latents.shape[1], 3))
    scale = spread[:count] / np.sqrt(len(inputs))
    axes[:, :count] = directions[:count].T / np.maximum(6 * scale, 1e-12)  # three deviations to each side fill 0 to 1
    weights = np.concatenate([axes, (0.5 - mean @ axes)[None]])
    return Projection(weights, "the first three principal components of the latents as red, green, blue")
