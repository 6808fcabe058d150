"""Pictures as bytes: JPEG, WebP, PNG, film strips, and what a budget of bytes allows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zvr_core.errors import ZvrError
from zvr_viz.flow_colours import wheel_table
from zvr_viz.palette import ANCHORS, BOTH, COSINE, FAINT, FLOW, INK, MISSING, OTHER, PAPER, RGB, SERIES, colour_table, rgb

FRAME_GAP = 4  # pixels between the frames of a strip


def checked(picture: RGB) -> RGB:
    """The picture, (H, W, 3) uint8; raises ZvrError for anything else."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ZvrError(f"a picture of shape {picture.shape} and {picture.dtype} given; (H, W, 3) of uint8 is expected")
    return picture


def jpeg(picture: RGB, quality: int = 85) -> bytes:
    """JPEG bytes of (H, W, 3): for frames; 3 ms for 480 × 270."""
    return saved(Image.fromarray(checked(picture)), "JPEG", quality=quality)


def webp(picture: RGB, quality: int = 85) -> bytes:
    """WebP bytes of (H, W, 3): a third smaller than JPEG and seven times slower."""
    return saved(Image.fromarray(checked(picture)), "WEBP", quality=quality, method=0)


def png(picture: RGB) -> bytes:
    """PNG bytes of (H, W, 3), exact."""
    return saved(Image.fromarray(checked(picture)), "PNG", compress_level=6)


def palette_png(picture: RGB, colours: int = 256) -> bytes:
    """PNG bytes with at most `colours` (100 to 256), several times smaller: those that mean something exactly, the others nearly."""
    seen, kept = packed(checked(picture)), kept_colours()
    kept = kept[np.isin(packed(kept), seen)]
    some, left = Image.fromarray(picture[::2, ::2]), colours - len(kept)
    common = some.quantize(left - left // 3, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    rare = some.quantize(left // 3, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # a small colour wheel, say
    table = Image.new("P", (1, 1))
    table.putpalette([*kept.ravel().tolist(), *trimmed(common, left - left // 3), *trimmed(rare, left // 3)])
    small = np.array(Image.fromarray(picture).quantize(palette=table, dither=Image.Dither.NONE))
    if len(kept):  # Pillow rounds colours before it looks for the nearest
        index = np.searchsorted(packed(kept), seen).clip(0, len(kept) - 1)
        small = np.where(packed(kept)[index] == seen, index, small).astype(np.uint8)
    image = Image.fromarray(small, "P")
    image.putpalette(table.getpalette() or [])
    return saved(image, "PNG", compress_level=6)


def trimmed(image: Image.Image, colours: int) -> list[int]:
    """The palette of an image without what Pillow fills it up with."""
    return (image.getpalette() or [])[: 3 * colours]


def packed(colours: RGB) -> NDArray[np.int32]:
    """Colours (…, 3) as one number each (…)."""
    return colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


@cache
def kept_colours() -> RGB:
    """The colours of marks, scales and the flow wheel, (n, 3), in ascending order: a picture of few colours must not change them."""
    marks = [mark.rgb for mark in (FLOW, COSINE, OTHER, BOTH, *SERIES)] + [rgb(colour) for colour in (PAPER, INK, FAINT, MISSING)]
    tables = [colour_table(name)[::17] for name in ANCHORS]
    return np.unique(np.concatenate([np.array(marks, np.uint8), *tables, *wheel_table()[::45, ::32]]), axis=0)


def saved(image: Image.Image, format: str, **options: int) -> bytes:
    """What a file of this format would hold."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> RGB:
    """The picture (H, W, 3) of JPEG, WebP or PNG bytes; raises ZvrError for others."""
    try:
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    except OSError as error:
        raise ZvrError(f"{len(data)} bytes given that are no picture ({error}); JPEG, WebP or PNG is expected") from None


def shrunk(picture: RGB, longest: int) -> RGB:
    """The picture with its longer side at most `longest` pixels, averaged; never enlarged."""
    height, width = checked(picture).shape[:2]
    factor = min(1.0, longest / max(height, width))
    if factor == 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def film_strip(pictures: Sequence[RGB], columns: int = 0) -> RGB:
    """Pictures of one size beside each other on white, `columns` to a row (all by default); raises ZvrError for none or several sizes."""
    sizes = {checked(picture).shape for picture in pictures}
    if len(sizes) != 1:
        raise ZvrError(f"a film strip of {len(pictures)} pictures of {len(sizes)} sizes given; at least one, all of one size, expected")
    height, width, _ = sizes.pop()
    columns = min(columns or len(pictures), len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + FRAME_GAP) - FRAME_GAP, columns * (width + FRAME_GAP) - FRAME_GAP, 3), rgb(PAPER), np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + FRAME_GAP), index % columns * (width + FRAME_GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def within(picture: RGB, budget: int) -> bytes:
    """PNG bytes of at most `budget`: exact, else with 256, else with 112 colours, else with fewer pixels.

    Raises ZvrError where not even 64 pixels a side fit.
    """
    data = png(picture)
    for colours in (256, 112):
        data = data if len(data) <= budget else palette_png(picture, colours)
    small = picture
    while len(data) > budget:
        small = shrunk(picture, int(max(small.shape) * min(0.95, (budget / len(data)) ** 0.5)))
        if max(small.shape) < 64:
            raise ZvrError(f"a budget of {budget} bytes given, too small for any picture; give at least 10000")
        data = palette_png(small, 112)
    return data


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 to count - 1, evenly spaced, with the first and the last: what is kept when not all fits."""
    if most < 1:
        raise ZvrError(f"{most} of {count} asked for; at least 1 is needed")
    if most == 1:
        return [count - 1] if count else []
    return sorted(set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()))
