"""What was put into a trace and is not on its way to disk yet: one block for each file to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zvr_core.errors import ZvrError, unknown
from zvr_core.trace.layout import ArraySpec, Layout, grid_path


@dataclass
class Block:
    """The values of one file; `left` counts the (site, frame) places that nothing was put into yet."""

    spec: ArraySpec
    key: str
    values: np.ndarray  # with the dimensions of the array; the first is 1 where each step has a file of its own
    left: int


class Buffers:
    """Collects values that come window by window and site by site until whole files can be written."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._blocks: dict[str, Block] = {}  # by the file's key
        self._ledgers: dict[str, np.ndarray] = {}
        self._changed: set[str] = set()
        self._frames_left: dict[str, int] = {}  # of what is there once per clip
        for grid, sites in layout.header.grids.items():
            self.put(f"{grid_path(grid)}/site", np.array(sites))

    def put(self, name: str, values: Any, *, step: int = 0, site: str = "", frame: int = 0) -> None:
        """Keeps `values` (n, …) of the frames from `frame` on; each frame is put once.

        Arrays that depend on the site are named without their grid.  Raises ZvrError for names, places and shapes that the header
        does not allow.
        """
        spec = self.spec(self.path(name, site))
        values = np.asarray(values)
        self._check(spec, values, step, frame)
        row = self._row(site) if site else 0
        if spec.ledger:
            self._note(spec, values, step, row, frame)
            return
        done = 0
        while done < len(values):
            first = (frame + done) // spec.block_frames * spec.block_frames
            block = self._block(spec, step, first)
            inside = slice(frame + done - first, min(frame + len(values) - first, spec.block_frames))
            count = inside.stop - inside.start
            where: dict[str, int | slice] = {"step": 0, "moment": 0, "site": row, "frame": inside}
            with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite
                block.values[tuple(where[dim] for dim in spec.dims if dim in where)] = values[done : done + count]
            block.left -= count
            done += count
        if not spec.in_steps:
            self._frames_left[spec.path] = self._frames_left.get(spec.path, self.layout.header.frames) - len(values)

    def put_ledger(self, path: str, values: np.ndarray) -> None:
        """A whole ledger, as it was read from a trace that goes on."""
        self._ledgers[path] = values.copy()

    def take(self, *, everything: bool) -> Iterator[Block]:
        """The blocks to write now: whole ones, those of steps (with `everything` all others, too), and ledgers that changed."""
        for key, block in list(self._blocks.items()):
            if everything or block.left <= 0 or block.spec.by_step:
                yield self._blocks.pop(key)
        for path in sorted(self._changed):
            spec = self.layout.arrays[path]
            yield Block(spec, spec.key(), self._ledgers[path].copy(), 0)
        self._changed.clear()

    def take_whole(self) -> Iterator[Block]:
        """The blocks that are whole before their step is."""
        for key, block in list(self._blocks.items()):
            if block.left <= 0:
                yield self._blocks.pop(key)

    def shown(self, path: str) -> bool:
        """Whether an array may be read: of what is there once per clip, only when all frames are."""
        return self._frames_left.get(path, 0) <= 0

    def forget(self, path: str) -> None:
        """As if nothing had ever been put into an array that is there once per clip."""
        self._blocks = {key: block for key, block in self._blocks.items() if block.spec.path != path}
        self._frames_left.pop(path, None)

    def drop_steps(self, step: int) -> None:
        """Forgets what was put for `step` and later ones, and whatever is not committed."""
        for key in [key for key, block in self._blocks.items() if block.spec.in_steps]:
            del self._blocks[key]
        for path, values in self._ledgers.items():
            spec = self.layout.arrays[path]
            if spec.in_steps:
                values[step:] = spec.fill
                self._changed.add(path)

    def spec(self, path: str) -> ArraySpec:
        """The array at a path; raises ZvrError where the header allows none."""
        if path not in self.layout.arrays:
            raise unknown("array", path, self.layout.arrays)
        return self.layout.arrays[path]

    def path(self, name: str, site: str) -> str:
        """The array's path from its name and site."""
        return f"{grid_path(self.layout.header.sites[self._number(site)].grid)}/{name}" if site else name

    def _number(self, site: str) -> int:
        names = [known.name for known in self.layout.header.sites]
        if site not in names:
            raise unknown("site", site, names)
        return names.index(site)

    def _row(self, site: str) -> int:
        """The site's place among those of its grid."""
        number = self._number(site)
        return self.layout.header.grids[self.layout.header.sites[number].grid].index(number)

    def _check(self, spec: ArraySpec, values: np.ndarray, step: int, frame: int) -> None:
        inner = spec.shape[spec.dims.index("frame") + 1 :] if "frame" in spec.dims else ()
        if "frame" in spec.dims and (values.ndim == 0 or values.shape[1:] != inner):
            raise ZvrError(f"{spec.path}: values of shape {values.shape} given, (frames, {', '.join(map(str, inner))}) expected")
        if "frame" in spec.dims and not 0 <= frame <= frame + len(values) <= self.layout.header.frames:
            raise ZvrError(f"{spec.path}: frames {frame} to {frame + len(values) - 1} given, the clip has {self.layout.header.frames}")
        if spec.in_steps and not 0 <= step < spec.shape[0]:
            raise ZvrError(f"{spec.path}: step {step} given, steps 0 to {spec.shape[0] - 1} expected")

    def _note(self, spec: ArraySpec, values: np.ndarray, step: int, row: int, frame: int) -> None:
        ledger = self._ledgers.setdefault(spec.path, np.full(spec.shape, spec.fill, spec.dtype))
        if spec.in_steps:
            where: dict[str, int | slice] = {"step": step, "site": row, "frame": slice(frame, frame + values.size)}
            ledger[tuple(where[dim] for dim in spec.dims)] = values if "frame" in spec.dims else values.item()
        else:
            ledger[...] = values
        self._changed.add(spec.path)

    def _block(self, spec: ArraySpec, step: int, first: int) -> Block:
        key = spec.key(step, first)
        if key not in self._blocks:
            frames = min(spec.block_frames, self.layout.header.frames - first)
            size = {"frame": frames, "step": 1, "moment": 1}
            shape = [size.get(dim, side) for dim, side in zip(spec.dims, spec.shape, strict=True)]
            places = frames * (shape[spec.dims.index("site")] if "site" in spec.dims else 1)
            self._blocks[key] = Block(spec, key, np.full(shape, spec.fill, spec.dtype), places)
        return self._blocks[key]
