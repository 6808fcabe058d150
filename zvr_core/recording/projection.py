"""Tokens in a few numbers each: their principal components, on axes fitted once per site, so that steps can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from zvr_core.errors import ZvrError


@dataclass(frozen=True)
class Projection:
    """Tokens (…, C) to coordinates (…, k): `mean` (C,) and orthonormal `axes` (C, k), of falling variance."""

    mean: torch.Tensor
    axes: torch.Tensor

    @staticmethod
    @torch.no_grad()
    def fit(tokens: torch.Tensor, components: int) -> Projection:
        """The `components` axes of largest variance of tokens (…, C), by the eigenvectors of their covariance (Pearson 1901).

        Computed in float64 on the CPU; the sign of an axis is that which makes its largest entry positive.  Raises ZvrError for
        more components than channels.
        """
        samples = tokens.detach().flatten(0, -2).double().cpu()  # (M, C)
        channels = samples.shape[-1]
        if not 1 <= components <= channels:
            raise ZvrError(f"{components} principal components of tokens with {channels} channels asked for; 1 to {channels} expected")
        mean = samples.mean(0)
        centred = samples - mean
        axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :components]  # (C, k)
        signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
        return Projection(mean.float(), (axes * signs).float().contiguous())  # as `of_state` lays it out: BLAS rounds by layout

    @torch.no_grad()
    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Coordinates (…, k) in float32."""
        return (tokens.float() - self.mean.to(tokens.device)) @ self.axes.to(tokens.device)

    def state(self) -> torch.Tensor:
        """Mean and axes as one tensor (k + 1, C): a projection is part of a recording's state."""
        return torch.cat([self.mean[None], self.axes.T])

    @staticmethod
    def of_state(state: torch.Tensor) -> Projection:
        """The projection that gave this state."""
        return Projection(state[0], state[1:].T.contiguous())


class Projections:
    """One projection per site, fitted to the first tokens seen there."""

    def __init__(self, components: int) -> None:
        self.components = components
        self.by_site: dict[str, Projection] = {}

    def __call__(self, site: str, tokens: torch.Tensor) -> torch.Tensor:
        """Coordinates (F, N, k) of tokens (F, N, C)."""
        if site not in self.by_site:
            self.by_site[site] = Projection.fit(tokens, self.components)
        return self.by_site[site](tokens)

    def state(self) -> dict[str, torch.Tensor]:
        """By site."""
        return {site: projection.state() for site, projection in self.by_site.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes what `state` gave."""
        self.by_site = {site: Projection.of_state(value) for site, value in state.items()}
