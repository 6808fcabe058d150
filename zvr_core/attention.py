"""Self-attention sites: found by structure, hooked with torch's own hooks, left bit for bit as they were.

The only file that knows how diffusers names and calls its attention modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel

Undo = Callable[[torch.Tensor], torch.Tensor]


class Edited(NamedTuple):
    """What a module gets instead of its hidden states (B, N, C), and the way back for its output.

    `keywords` go to the call, too: a context (B, K, C) as "encoder_hidden_states" lets queries look elsewhere than at themselves.
    """

    hidden: torch.Tensor
    undo: Undo
    keywords: Mapping[str, torch.Tensor] = MappingProxyType({})


TokenEdit = Callable[[torch.Tensor], Edited]


def unchanged(hidden: torch.Tensor) -> Edited:
    """The edit that edits nothing."""
    return Edited(hidden, lambda output: output)


@dataclass(frozen=True)
class Site:
    """One self-attention layer at one input size."""

    name: str  # "down.1.0": stage, block, layer
    path: str  # of the module inside the network
    stage: str  # "down", "mid" or "up"
    grid: tuple[int, int]  # (h, w) tokens that show the picture
    padded: tuple[int, int]  # (h, w) tokens the network computes
    cell: int  # output pixels per token
    channels: int
    heads: int

    @property
    def tokens(self) -> int:
        """N = h·w, without padding."""
        return self.grid[0] * self.grid[1]


def is_self_attention(module: torch.nn.Module) -> bool:
    """Whether a module attends from a token sequence to itself: told by its structure, since `attn1` may attend to text."""
    return (
        isinstance(module, Attention)
        and not module.is_cross_attention
        and getattr(module, "added_kv_proj_dim", None) is None
        and module.group_norm is None  # 4-D attention with norm and residual inside: not a token sequence
    )


def site_name(path: str) -> str:
    """A short name: "down_blocks.1.attentions.0.transformer_blocks.0.attn1" is "down.1.0"; a second transformer block adds ".1"."""
    stage = path.split("_", 1)[0]
    numbers = [part for part in path.split(".") if part.isdigit()]
    kept = numbers if stage != "mid" else ["0", *numbers]
    return ".".join([stage, *(kept[:-1] if kept[-1] == "0" else kept)])


def find_sites(
    network: torch.nn.Module, run: Callable[[], object], latent: tuple[int, int], valid: tuple[int, int], factor: int
) -> tuple[Site, ...]:
    """The self-attention sites that fire when `run()` calls the network on a padded latent grid, in the order of the call.

    `valid` is the part (h, w) of the latent grid that shows the picture, `factor` the output pixels per latent cell.  A token
    that shows any of the picture is valid.
    """
    grids: list[tuple[int, int]] = []
    sites: dict[str, Site] = {}

    def remember_grid(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        grids.append(tuple((args[0] if args else kwargs["hidden_states"]).shape[-2:]))

    def remember_site(path: str) -> Callable:
        def hook(module: Any, args: tuple, kwargs: dict) -> None:
            tokens = args[0] if args else kwargs["hidden_states"]  # (B, N, C)
            stride = round(math.sqrt(latent[0] * latent[1] / (grids[-1][0] * grids[-1][1])))
            grid = (math.ceil(valid[0] / stride), math.ceil(valid[1] / stride))
            sites[path] = Site(
                site_name(path), path, path.split("_", 1)[0], grid, grids[-1], stride * factor, tokens.shape[-1], module.heads
            )

        return hook

    with ExitStack() as stack:
        for path, module in network.named_modules():
            if isinstance(module, Transformer2DModel):
                stack.enter_context(_hooked(module.register_forward_pre_hook(remember_grid, with_kwargs=True)))
            elif is_self_attention(module):
                stack.enter_context(_hooked(module.register_forward_pre_hook(remember_site(path), with_kwargs=True)))
        run()
    return tuple(sites.values())


@contextmanager
def _hooked(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def around(module: torch.nn.Module, edit: TokenEdit) -> Iterator[None]:
    """While open, `module` sees the edited hidden states, and its output goes the way back."""
    undo: list[Undo] = []

    def before(_: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        hidden, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
        edited = edit(hidden)
        undo.append(edited.undo)
        return (edited.hidden, *rest), {**kwargs, **edited.keywords}

    def after(_: torch.nn.Module, args: tuple, kwargs: dict, output: torch.Tensor) -> torch.Tensor:
        return undo.pop()(output)

    with (
        _hooked(module.register_forward_pre_hook(before, with_kwargs=True)),
        _hooked(module.register_forward_hook(after, with_kwargs=True)),
    ):
        yield


@contextmanager
def attach(network: torch.nn.Module, edits: Mapping[str, TokenEdit]) -> Iterator[None]:
    """While open, each site named by its path attends to edited tokens; afterwards the network is bit for bit what it was."""
    with ExitStack() as stack:
        for path, edit in edits.items():
            stack.enter_context(around(network.get_submodule(path), edit))
        yield


@contextmanager
def without_padding(network: torch.nn.Module, sites: Sequence[Site]) -> Iterator[None]:
    """While open, the transformer blocks of `sites` compute on picture tokens only; padded tokens bypass the block unchanged.

    Source: the padding removal of DiffIR2VR-Zero (Yeh et al. 2024, section 3.3), which covers the whole block.
    """
    blocks = {site.path.rpartition(".")[0]: site for site in sites if site.grid != site.padded}
    with ExitStack() as stack:
        for path, site in blocks.items():
            block = network.get_submodule(path)
            if isinstance(block, BasicTransformerBlock):
                stack.enter_context(around(block, drop_padding(site)))
        yield


def drop_padding(site: Site) -> TokenEdit:
    """The edit that keeps the valid h·w tokens of a padded grid and puts the result back among the others."""
    numbers = torch.arange(site.padded[0] * site.padded[1]).view(site.padded)
    keep = numbers[: site.grid[0], : site.grid[1]].flatten()

    def edit(hidden: torch.Tensor) -> Edited:
        index = keep.to(hidden.device)
        return Edited(hidden[:, index], lambda output: hidden.index_copy(1, index, output))  # (B, N, C), (B, padded N, C)

    return edit
