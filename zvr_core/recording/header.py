"""The header of a recording: all that its trace says about the run before the first step."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import zvr_core
from zvr_core.attention import Site
from zvr_core.clip import LARGEST, Clip
from zvr_core.correspondence import Correspondence, CorrespondenceService
from zvr_core.methods.base import Method
from zvr_core.methods.describe import describe
from zvr_core.models.base import Model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.foreign import own_matcher
from zvr_core.recording.previews import preview_size
from zvr_core.store import raw_bytes
from zvr_core.trace.header import Header, TraceSite, TraceWindow
from zvr_core.windows import Window

if TYPE_CHECKING:
    from zvr_core.restore import Restoration


def planned_header(clip: Clip, model: Model, method: Method, steps: int, record: RecordAt) -> Header:
    """What is known without a run: all names and sizes; scene cuts are not looked for.

    Raises ZvrError for steps and sites that the run does not have.
    """
    height, width = clip.source.size
    sites = method.sites(model.sites((height, width)), (height * model.scale, width * model.scale))
    return sized_header(clip, model, method, steps, record, sites, method.plan(len(clip), ()))


def header_of(run: Restoration, record: RecordAt) -> Header:
    """The header of a run that is about to be recorded.  Raises ZvrError as `planned_header` does."""
    return replace(
        sized_header(run.clip, run.model, run.method, run.steps, record, run.sites, run.windows),
        timesteps=run.prepared.timesteps,
        alpha_bar=run.prepared.alpha_bar,
        seed=run.seed,
        sampler=describe(run.sampler),
        model=described_model(run.model),
        machine=machine(),
        settings={"flow": flow_name(run.flow), "sound": str(run.clip.audio.path or ""), "sound_start": str(run.clip.audio.start)},
    )


def sized_header(
    clip: Clip, model: Model, method: Method, steps: int, record: RecordAt, all_sites: Sequence[Site], windows: Sequence[Window]
) -> Header:
    """Everything that decides about names and sizes of arrays."""
    height, width = clip.source.size
    size = (height * model.scale, width * model.scale)
    names = record.chosen_sites([site.name for site in all_sites])
    sites = [site for site in all_sites if site.name in names]
    own = {site.name: matcher.name for site in sites for matcher in own_matcher(method, site)}
    return Header(
        name=clip.name, frames=len(clip), fps=float(clip.fps), lq_size=(height, width), size=size, scale=model.scale,
        latent=model.latent_shape((height, width)), steps=steps, timesteps=(), alpha_bar=(),
        windows=traced_windows(windows), own=own,
        sites=tuple(TraceSite(s.name, s.stage, s.grid, s.cell, s.channels, s.heads, s.path, s.padded) for s in sites),
        matchers=tuple(dict.fromkeys([*record.matchers, *own.values()])) if "matches" in record.what else (),
        match_steps=record.steps.of(steps) if sites else (), preview=preview_size(size, record.preview),
        probes=min([record.similarity, *(s.tokens for s in sites)]), lq_dtype=str(source_dtype(clip)),
        token_channels=record.tokens if isinstance(record.tokens, int) else 0, source=source_of(clip), method_name=method.name,
        method=describe(method), recorded=record.to_json(steps),
    )  # fmt: skip


def traced_windows(windows: Sequence[Window]) -> tuple[TraceWindow, ...]:
    """Windows as a trace names them."""
    return tuple(TraceWindow(window.start, window.stop, window.key, window.previous_key) for window in windows)


def flow_name(flow: CorrespondenceService) -> str:
    """The kind of a flow service and, where it has one, of its estimator."""
    return " ".join([type(flow).__name__, *([flow.estimator.name] if isinstance(flow, Correspondence) else [])])


def source_dtype(clip: Clip) -> Any:
    """The precision a clip's frames are stored in: its own, or float32 where they are blended with their alpha."""
    first = clip.source.picture(clip.span[0])
    return "float32" if (first.ndim == 3 and first.shape[-1] == 4) or first.dtype not in LARGEST else first.dtype


def source_of(clip: Clip) -> str:
    """The file or folder a clip was read from; "" for arrays."""
    path = getattr(clip.source, "path", None) or next(iter(getattr(clip.source, "paths", ())), None)
    return "" if path is None else str(path)


def described_model(model: Model) -> dict[str, Any]:
    """Name, numbers and the hash of the weights; a folder's name is made absolute, so that resuming finds it from anywhere."""
    name = str(Path(model.name).resolve()) if Path(model.name).is_dir() else model.name
    dtype = str(next(model.network.parameters()).dtype).removeprefix("torch.")
    return {
        "name": name, "scale": model.scale, "cell": model.cell, "kind": model.scheduler.config.prediction_type,
        "weights": weights_hash(model.network), "dtype": dtype, "device": str(model.device),
    }  # fmt: skip


def weights_hash(network: torch.nn.Module) -> str:
    """SHA-256 over the names and bytes of all parameters and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(raw_bytes(tensor.detach().cpu().contiguous()).data)
    return digest.hexdigest()


def machine() -> dict[str, Any]:
    """What bit-for-bit equality depends on beside the run."""
    return {
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "zvr": zvr_core.__version__,
    }
