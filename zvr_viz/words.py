"""Words on pictures: labels, legends, and notices that stand where data is missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zvr_viz.palette import INK, PAPER, RGB, Mark, Scale, rgb
from zvr_viz.strokes import Stroke, lines, marker

TEXT = 13  # pixels: readable at the size of the screen


@cache
def font(size: int = TEXT) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def width_of(text: str, size: int = TEXT) -> int:
    """How many pixels a line of text takes."""
    return int(np.ceil(font(size).getlength(text)))


def wrapped(text: str, width: int, size: int = TEXT) -> list[str]:
    """The text in lines of at most `width` pixels; a longer word stands alone."""
    rows: list[str] = []
    for word in text.split():
        if rows and width_of(f"{rows[-1]} {word}", size) <= width:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return rows


def label(text: str, width: int, size: int = TEXT) -> RGB:
    """Dark text on white paper, as many lines as it needs: (lines · (size + 5), width, 3)."""
    rows = wrapped(text, width - 4, size) or [""]
    image = Image.new("RGB", (width, len(rows) * (size + 5)), PAPER)
    for row, words in enumerate(rows):
        ImageDraw.Draw(image).text((2, row * (size + 5) + size // 2 + 2), words, fill=INK, font=font(size), anchor="lm")
    return np.array(image)


def notice(text: str, size: tuple[int, int]) -> RGB:
    """The words that stand where a picture (H, W) cannot: on light grey, in a frame, as much of them as fits; the type shrinks to 9 px."""
    height, width = size
    rows, letters = [text], TEXT
    for letters in range(TEXT, 8, -1):
        rows = wrapped(text, width - 12, letters)
        if len(rows) * (letters + 4) <= height - 8:
            break
    image = Image.new("RGB", (width, height), "#F2F2F2")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width - 1, height - 1), outline="#8C8C8C")
    top = max(4 + letters / 2, height / 2 - (len(rows) - 1) / 2 * (letters + 4))
    for row, words in enumerate(rows):
        y = top + row * (letters + 4)
        pen.text((width / 2, y), words, fill=INK, font=font(letters), anchor="mm")
    return np.array(image)


def legend(marks: Sequence[Mark], width: int) -> RGB:
    """Line, marker and words of each mark, in as many rows as the width asks for: (rows · 22, width, 3)."""
    rows: list[list[Mark]] = [[]]
    used = 0
    for mark in marks:
        needed = 52 + width_of(mark.words)
        if rows[-1] and used + needed > width:
            rows.append([])
            used = 0
        rows[-1].append(mark)
        used += needed
    image = np.full((22 * len(rows), width, 3), rgb(PAPER), np.uint8)
    for row, entries in enumerate(rows):
        x, y = 4, 22 * row + 11
        for mark in entries:
            if mark.marker != "diamond":
                lines(image, [Stroke(np.array([x, y]), np.array([x + 28, y]), mark)])
            marker(image, np.array([x + 14, y]), mark, 4)
            x = written(image, mark.words, x + 34, y) + 18
    return image


def colour_bar(scale: Scale, width: int) -> RGB:
    """The colours of a scale with both ends and its words: (BAR, width, 3)."""
    bar = np.broadcast_to(scale.paint(np.linspace(scale.low, scale.high, width - 8)), (12, width - 8, 3))
    image = np.full((34, width, 3), rgb(PAPER), np.uint8)
    image[3:15, 4:-4] = bar
    low, high = f"{scale.low:g}", f"{scale.high:g}"
    written(image, low, 4, 25)
    written(image, high, width - 4 - width_of(high), 25)
    room = width - 24 - width_of(low) - width_of(high)
    size = next((letters for letters in range(TEXT, 8, -1) if width_of(scale.words, letters) <= room), 9)
    written(image, scale.words, (width - width_of(scale.words, size)) // 2, 25, size)
    return image


def written(image: RGB, text: str, x: int, y: int, size: int = TEXT) -> int:
    """Writes a line onto the image, its left end at x, its middle at y; the x where it ends."""
    sheet = Image.fromarray(image)
    ImageDraw.Draw(sheet).text((x, y), text, fill=INK, font=font(size), anchor="lm")
    image[:] = np.asarray(sheet)
    return x + width_of(text, size)


def stacked(*pictures: RGB) -> RGB:
    """Pictures under each other, narrower ones filled up with paper."""
    width = max(picture.shape[1] for picture in pictures)
    rows = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
    return np.concatenate(rows)


def beside(*pictures: RGB, gap: int = 8) -> RGB:
    """Pictures beside each other with a gap, lower ones filled up with paper."""
    height = max(picture.shape[0] for picture in pictures)
    columns = [np.pad(p, ((0, height - p.shape[0]), (0, gap), (0, 0)), constant_values=255) for p in pictures]
    return np.concatenate(columns, axis=1)[:, :-gap] if gap else np.concatenate(columns, axis=1)
