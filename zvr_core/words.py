"""Counts and sizes in words, as messages say them."""

from collections.abc import Sequence


def counted(count: int, what: str) -> str:
    """A number of things, "1 step", "2 steps"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def times(*sides: int) -> str:
    """Sides of a shape, "4×8"."""
    return "×".join(map(str, sides))


def frames_of(count: int, size: Sequence[int]) -> str:
    """Frames of a size (height, width), "8 frames of 214×120"."""
    return f"{counted(count, 'frame')} of {times(*size[::-1])}"


def size_text(count: int) -> str:
    """Bytes in words, "1.5 MB"."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < 4:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[unit]}"
