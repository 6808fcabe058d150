"""A thin network made wide without forgetting: each channel of the finest level becomes two (Net2Net, Chen et al. 2016, section 2)."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel


def widen(thin: dict[str, torch.Tensor], wide: UNet2DConditionModel, rng: torch.Generator) -> dict[str, torch.Tensor]:
    """The weights of `thin` for `wide`, a network with twice as many channels at its finest level.

    What a layer writes is written twice, what it reads is read from both copies, each with a random share of the weight, so
    that the copies become different in training.  Group norms whose groups mix levels see other neighbours, so the function
    is nearly kept, not bit for bit.  Raises KeyError where the two networks differ in more than that width.
    """
    weights = {}
    for name, like in wide.state_dict().items():
        old = thin[name]
        if name == "time_embedding.linear_1.weight":
            weights[name] = _between_frequencies(old, like.shape[1])
            continue
        if like.dim() > 1 and like.shape[1] != old.shape[1]:
            old = _read_from_copies(old, _copied(old.shape[1], like.shape[1]), rng)
        if like.shape[0] != old.shape[0]:
            old = old[_copied(old.shape[0], like.shape[0])]
        weights[name] = old.clone()
    return weights


def _copied(old: int, new: int) -> torch.Tensor:
    """For each new channel the old one that it copies; where levels are concatenated, only the last `new - old` are copied twice."""
    kept = old - (new - old)
    return torch.cat([torch.arange(kept), torch.arange(kept, old).repeat_interleave(2)])


def _read_from_copies(old: torch.Tensor, source: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Weights (out, in, …) that read each copied input from both copies, with shares that sum to one."""
    new = old[:, source].clone()
    first = torch.nonzero(source[1:] == source[:-1]).flatten()
    share = torch.rand(new[:, first].shape, generator=rng).to(new)
    new[:, first + 1] *= 1 - share
    new[:, first] *= share
    return new


def _between_frequencies(old: torch.Tensor, new: int) -> torch.Tensor:
    """Twice as many sinusoids of the time: the old ones are every other new one."""
    weights = old.new_zeros(old.shape[0], new)
    weights[:, ::2] = old
    return weights
