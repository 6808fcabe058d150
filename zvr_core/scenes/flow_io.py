"""Files of optical flow: Middlebury `.flo` and KITTI 16-bit PNG.

A flow is (2, H, W) float32: x, y in pixels on the grid of the first frame, pointing into the second; NaN where the file knows nothing.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from zvr_core.errors import ZvrError

MAGIC = 202021.25  # Baker et al. 2011, "A database and evaluation methodology for optical flow": the bytes "PIEH"
UNKNOWN = 1e9  # a larger component in a .flo file means: unknown
HEADER = 12  # bytes: magic, width, height
KITTI_SCALE, KITTI_ZERO = 64.0, 2**15  # Menze and Geiger 2015, devkit: u = (stored − 2¹⁵) / 64
KITTI_LIMIT = KITTI_ZERO / KITTI_SCALE  # px: what 16 bits hold


def read_flow(path: str | Path) -> torch.Tensor:
    """A flow file by its suffix, `.flo` or `.png`, (2, H, W); raises ZvrError for any other suffix and for damaged files."""
    readers = {".flo": read_flo, ".png": read_kitti}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise ZvrError(f"{path}: the suffix {suffix!r} is not one of a flow file; expected .flo (Middlebury, Sintel) or .png (KITTI)")
    return readers[suffix](path)


def read_flo(path: str | Path) -> torch.Tensor:
    """A Middlebury `.flo` file, (2, H, W); raises ZvrError for a missing, foreign, truncated or overlong file."""
    data = existing(path).read_bytes()
    if len(data) < HEADER or np.frombuffer(data, "<f4", 1)[0] != MAGIC:
        raise ZvrError(f"{path} is not a .flo file: it does not begin with the number {MAGIC} (little-endian); check the format")
    width, height = (int(side) for side in np.frombuffer(data, "<i4", 2, offset=4))
    if width < 1 or height < 1:
        raise ZvrError(f"{path} claims {width}×{height} pixels; expected at least 1×1; the file is damaged, fetch it again")
    expected = HEADER + 8 * width * height
    if len(data) != expected:
        raise ZvrError(f"{path} has {len(data)} bytes; {width}×{height} pixels need {expected}; the file is damaged, fetch it again")
    flow = np.frombuffer(data, "<f4", offset=HEADER).reshape(height, width, 2).transpose(2, 0, 1)  # (2, H, W)
    known = (np.abs(flow) <= UNKNOWN).all(0)
    return torch.from_numpy(np.where(known, flow, np.nan).astype(np.float32))


def write_flo(path: str | Path, flow: torch.Tensor) -> None:
    """Writes (2, H, W) as a Middlebury `.flo` file; NaN becomes unknown."""
    values = torch.nan_to_num(checked(flow), nan=10 * UNKNOWN).permute(1, 2, 0).contiguous().numpy()  # (H, W, 2)
    height, width = values.shape[:2]
    header = np.float32(MAGIC).astype("<f4").tobytes() + np.array([width, height], "<i4").tobytes()
    Path(path).write_bytes(header + values.astype("<f4").tobytes())


def read_kitti(path: str | Path) -> torch.Tensor:
    """A KITTI flow PNG (16 bits: u, v, valid), (2, H, W); raises ZvrError where it is missing, unreadable or of another kind."""
    stored = cv2.imdecode(np.frombuffer(existing(path).read_bytes() or b"\0", np.uint8), cv2.IMREAD_UNCHANGED)  # (H, W, 3) as b, g, r
    if stored is None:
        raise ZvrError(f"{path} cannot be read as a PNG; the file is damaged or of another format, fetch it again")
    if stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] != 3:
        raise ZvrError(f"{path} holds {stored.dtype} of shape {stored.shape}; a KITTI flow PNG has three 16-bit channels (u, v, valid)")
    valid, v, u = stored.transpose(2, 0, 1).astype(np.float32)  # cv2 reverses the channels
    flow = (np.stack([u, v]) - KITTI_ZERO) / KITTI_SCALE
    return torch.from_numpy(np.where(valid > 0, flow, np.nan).astype(np.float32))


def write_kitti(path: str | Path, flow: torch.Tensor) -> None:
    """Writes (2, H, W) as a KITTI flow PNG, rounded to 1/64 px; NaN becomes invalid; raises ZvrError beyond ±512 px."""
    values = checked(flow).numpy()
    valid = np.isfinite(values).all(0)
    if (np.abs(values[:, valid]) >= KITTI_LIMIT).any():
        raise ZvrError(f"a KITTI flow PNG holds motion below {KITTI_LIMIT:.0f} px; this flow has more; write a .flo file")
    u, v = np.where(valid, np.rint(values * KITTI_SCALE) + KITTI_ZERO, 0).clip(0, 2**16 - 1).astype(np.uint16)
    _, png = cv2.imencode(".png", np.stack([valid.astype(np.uint16), v, u], -1), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    Path(path).write_bytes(png.tobytes())


def existing(path: str | Path) -> Path:
    """The path, if a file is there; else ZvrError."""
    if not Path(path).is_file():
        raise ZvrError(f"there is no flow file {path}; check the path")
    return Path(path)


def checked(flow: torch.Tensor) -> torch.Tensor:
    """The flow as float32 on the CPU, if its shape is (2, H, W); else ZvrError."""
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ZvrError(f"a flow to write has the shape (2, H, W); given {tuple(flow.shape)}; permute its axes")
    return flow.detach().cpu().float()
