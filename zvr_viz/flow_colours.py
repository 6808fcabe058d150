"""Flow as colour: direction is hue, length is depth of colour, white stands still; and arrows, because hue alone does not reach all.

The hues lie on a circle of one lightness in CIELAB: unlike the rainbow wheel (Baker et al. 2011) no direction looks stronger than
another.  To the right is blue and to the left is yellow, which both common colour deficiencies tell apart; the third one (blue-yellow) and
the up-down pair need the arrows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from zvr_core.errors import ZvrError
from zvr_viz.palette import MISSING, PAPER, RGB, rgb
from zvr_viz.strokes import arrow

BLUE = np.radians(270.0)  # CIELAB hue of motion to the right; angles grow clockwise on the screen, as y points down
LIGHT, DEEP = 98.0, 58.0  # lightness of no motion and of the largest
MOST_CHROMA = 80.0
HUES, DEPTHS = 180, 32


def to_srgb(lab: NDArray) -> NDArray:
    """CIELAB (D65) to sRGB in 0 to 1, not clipped, (…, 3)."""
    f = (lab[..., 0] + 16) / 116
    steps = np.stack([f + lab[..., 1] / 500, f, f - lab[..., 2] / 200], axis=-1)
    xyz = np.where(steps > 6 / 29, steps**3, 3 * (6 / 29) ** 2 * (steps - 4 / 29)) * (0.95047, 1.0, 1.08883)
    matrix = np.array([[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]])
    linear = xyz @ matrix.T
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


@cache
def wheel_table() -> RGB:
    """Colours by direction and depth, (HUES, DEPTHS + 1, 3): as much chroma as the screen can show at that lightness and hue."""
    angle = BLUE + np.linspace(0, 2 * np.pi, HUES, endpoint=False)[:, None]
    depth = np.linspace(0, 1, DEPTHS + 1)
    low = np.zeros((HUES, DEPTHS + 1))
    high = np.broadcast_to(MOST_CHROMA * depth, low.shape)
    for _ in range(10):  # bisection: chroma `low` can be shown, `high` perhaps
        middle = (low + high) / 2
        colours = to_srgb(lab_of(angle, depth, middle))
        shown = ((colours >= 0) & (colours <= 1)).all(-1)
        low, high = np.where(shown, middle, low), np.where(shown, high, middle)
    table = (to_srgb(lab_of(angle, depth, low)).clip(0, 1) * 255).round().astype(np.uint8)
    table.flags.writeable = False  # it is shared
    return table


def lab_of(angle: NDArray, depth: NDArray, chroma: NDArray) -> NDArray:
    """CIELAB (HUES, DEPTHS + 1, 3) of hue angles, depths of colour from 0 to 1, and chroma."""
    lightness = np.broadcast_to(LIGHT + (DEEP - LIGHT) * depth, chroma.shape)
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)


def flow_colours(flow: NDArray, max_flow: float) -> RGB:
    """A flow (2, H, W) in pixels as colours (H, W, 3); from `max_flow` pixels on the full colour, grey where it is not finite.

    `max_flow` is one number for a whole trace, so that the same motion has the same colour everywhere.  Raises ZvrError for another
    shape and unless it is positive.
    """
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ZvrError(f"a flow of shape {flow.shape} given; (2, H, W) is expected, x first")
    if not max_flow > 0:
        raise ZvrError(f"max_flow {max_flow} given; a positive number of pixels is expected, the largest motion of the trace")
    known = np.isfinite(flow).all(0)
    x, y = np.where(known, flow, 0.0)
    hue = np.round(np.arctan2(y, x) / (2 * np.pi) * HUES).astype(int) % HUES
    depth = np.round(np.hypot(x, y).clip(0, max_flow) / max_flow * DEPTHS).astype(int)
    return np.where(known[..., None], wheel_table()[hue, depth], np.array(rgb(MISSING), np.uint8))


def wheel(side: int = 96) -> RGB:
    """The legend, (side, side, 3): the colour of each motion from the middle outwards."""
    place = (np.arange(side) + 0.5) / side * 2 - 1
    flow = np.stack(np.broadcast_arrays(place[None, :], place[:, None]))  # (2, side, side)
    inside = np.hypot(*flow) <= 1
    return np.where(inside[..., None], flow_colours(flow, 1.0), np.array(rgb(PAPER), np.uint8))


def with_arrows(picture: RGB, flow: NDArray, max_flow: float, every: int = 0) -> RGB:
    """The picture (H, W, 3) with arrows of the flow (2, H, W), one every `every` pixels (default: twelve on the longer side).

    Their length is in proportion: a motion of `max_flow` pixels reaches from one arrow to the next.
    """
    height, width = flow.shape[-2:]
    every = every or max(8, max(height, width) // 12)
    canvas = picture.copy()
    for y in range(every // 2, height, every):
        for x in range(every // 2, width, every):
            motion = flow[:, y, x] * (every / max_flow)
            if np.isfinite(motion).all() and np.hypot(*motion) >= 2:
                arrow(canvas, np.array([x, y]), np.array([x, y]) + motion)
    return canvas


def largest_flow(flows: list[NDArray], share: float = 0.99) -> float:
    """A `max_flow` for these flows: the length that `share` of their finite pixels stay under, at least 1."""
    lengths = [np.hypot(*flow)[np.isfinite(flow).all(0)] for flow in flows]
    found = np.concatenate([length.ravel() for length in lengths]) if lengths else np.zeros(0)
    return max(1.0, float(np.quantile(found, share))) if found.size else 1.0
