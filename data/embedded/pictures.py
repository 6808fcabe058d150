"""Makes the pictures of the README and the model card, from bundled clips: `python data/embedded/pictures.py` (about 3 minutes)."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from zvr_core.bundled import bundled
from zvr_core.clip import load_clip
from zvr_core.compare import posterior_mean, restored
from zvr_core.methods.presets import load_method, per_frame
from zvr_core.metrics import motions
from zvr_core.models.codec import upsample
from zvr_core.models.load import load_model
from zvr_core.sheet import GAP, PAPER, enlarged, row, sheet

OUT = Path(__file__).parent / "pictures"


def card(model) -> torch.Tensor:
    """One frame of three clips: bicubic, one step, 20 steps, truth."""
    rows = []
    for name in ("pan", "object", "zoom_rotate"):
        lq, truth = load_clip(bundled(f"inputs/{name}/lq")).subclip(0, 1), load_clip(bundled(f"inputs/{name}/hq"))[:1]
        pictures = {
            "bicubic": upsample(lq[:], model.scale).clamp(0, 1),
            "one step (posterior mean)": posterior_mean(lq, model, 0),
            "20 steps": restored(lq, model, per_frame(), 20, 0).frames,
            "truth": truth,
        }
        rows.append(row({text: enlarged(frame, 2)[0] for text, frame in pictures.items()}))
    gap = torch.full((3, GAP, rows[0].shape[-1]), PAPER)
    return torch.cat([rows[0], gap, rows[1], gap, rows[2]], 1)


def demo(model) -> torch.Tensor:
    """The sheet of `make demo`."""
    lq, truth = load_clip(bundled("inputs/pan/lq")), load_clip(bundled("inputs/pan/hq"))[:]
    clips = {"bicubic": upsample(lq[:], model.scale).clamp(0, 1)}
    clips |= {name: restored(lq, model, load_method(name), 20, 0).frames for name in ("per_frame", "diffir2vr")}
    motion = list(motions(truth))
    return sheet({**clips, "truth": truth}, motion, len(motion) // 2)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    embedded = load_model("embedded")
    for name, picture in (("card", card(embedded)), ("demo", demo(embedded))):
        pixels = (picture.permute(1, 2, 0) * 255).round().byte().numpy()  # (H, W, 3)
        Image.fromarray(pixels).save(OUT / f"{name}.jpg", quality=85)
