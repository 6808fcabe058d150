"""The layout of a trace: names, dimensions, types, chunks and files of every array, in one place.

    x_t  x0  preview  preview_length  seconds        the run, by step
    clip/…                                           what is known before the first step, and the result
    grids/<h>x<w>/…                                  the sites of one token grid, by step
    state/<step>/…                                   what a method keeps across steps

A chunk is what one view reads, a shard (one file) is what one step writes.  In groups that share a path, dimensions of different
length have different names, or xarray would refuse the tree: x_t, which has one moment more than there are steps, says "moment".
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zvr_core.trace.header import Header

MOST_FRAMES = 32  # in a file: longer clips are written and read in blocks
MOST_BYTES = 4 << 20  # of latents in a file, where that is more than a frame: one frame of a large clip is read in milliseconds
RESULT = "clip/restored"  # what a rewound or forked run does not have any more
CLIP_FRAMES = 8  # in a file of pictures or flows, which are larger

Values = tuple[str, float]  # the type of an array, and what stands where nothing was recorded
FLOAT, HALF, INDEX, COUNT, BYTE = ("float32", math.nan), ("float16", math.nan), ("int32", -1), ("int32", 0), ("uint8", 0)

PICTURES = ("truth", "restored")
FLOWS = ("flow", "flow_back", "key_flow", "key_flow_back", "truth_flow")
PLANES = {"error": FLOAT, "occluded": BYTE, "key_error": FLOAT, "key_occluded": BYTE, "truth_occluded": BYTE}
MATCHES = {"target": INDEX, "score": HALF, "margin": HALF}


@dataclass(frozen=True)
class ArraySpec:
    """One array.  Files are cut along the first dimension and "frame" only; `shards` equal to `chunks` means one chunk per file."""

    path: str
    dtype: str
    fill: float  # where nothing was recorded
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    zstd: bool = False  # compressed
    ledger: bool = False  # one small file for all steps, written anew when something changes

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def sharded(self) -> bool:
        return self.chunks != self.shards

    @property
    def in_steps(self) -> bool:
        return bool(self.dims) and self.dims[0] in ("step", "moment")

    @property
    def by_step(self) -> bool:
        """Whether each step has files of its own."""
        return self.in_steps and not self.ledger

    @property
    def block_frames(self) -> int:
        """The frames in one file."""
        return self.shards[self.dims.index("frame")]

    @property
    def nbytes(self) -> int:
        """Before compression."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def key(self, step: int = 0, frame: int = 0) -> str:
        """The file that holds a step and frame."""
        number = {"step": step * self.by_step, "moment": step, "frame": frame // self.block_frames if "frame" in self.dims else 0}
        return "/".join([self.path, ".".join(["c", *(str(number.get(dim, 0)) for dim in self.dims)])])


def grid_path(grid: tuple[int, int]) -> str:
    """The group of a token grid (h, w)."""
    return f"grids/{grid[0]}x{grid[1]}"


def state_spec(step: int, number: int, shape: tuple[int, ...], dtype: str) -> ArraySpec:
    """The array of one slot of memory; nothing else has its dimensions."""
    dims = tuple(f"state{step}_{number}_{axis}" for axis in range(len(shape)))
    return ArraySpec(f"state/{step}/{number}", dtype, 0, dims, shape, shape, shape)


@dataclass(frozen=True)
class Layout:
    """The arrays that a run with this header can have; only those that something was put into exist."""

    header: Header

    @cached_property
    def arrays(self) -> dict[str, ArraySpec]:
        """By path."""
        specs = [*self._run(), *self._clip()]
        for grid, sites in self.header.grids.items():
            specs += self._grid(grid, len(sites))
        return {spec.path: spec for spec in specs}

    @cached_property
    def window(self) -> int:
        """The frames of one chunk: those a view shows together."""
        return min(max((window.stop - window.start for window in self.header.windows), default=1), MOST_FRAMES)

    @cached_property
    def block(self) -> int:
        """The frames of one file."""
        return math.ceil(min(self.header.frames, MOST_FRAMES) / self.window) * self.window

    def belongs(self, key: str, step: int, arrays: Collection[str]) -> bool:
        """Whether a file is part of a trace of `step` steps in which `arrays` may be read."""
        path, _, name = key.rpartition("/")
        if path.startswith("clip/"):
            return path in arrays
        if path.startswith("state/"):
            return int(path.split("/")[1]) <= step
        spec = self.arrays.get(path)
        if spec is None or not spec.by_step or name == "zarr.json":
            return True
        return int(name.split(".")[1]) < step + (spec.dims[0] == "moment")

    def _run(self) -> list[ArraySpec]:
        head = self.header
        steps, frames, some, latent = head.steps, head.frames, min(head.frames, MOST_FRAMES), head.latent
        dims = ("frame", "channel", "latent_y", "latent_x")
        room = 2 * head.preview[0] * head.preview[1] + 1024  # bytes: what a JPEG of noise takes, and more; the rest is zeros
        exact, half = (max(1, min(some, MOST_BYTES // (math.prod(latent) * np.dtype(t).itemsize))) for t in (head.precision, HALF[0]))
        return [
            whole("x_t", (head.precision, math.nan), ("moment", *dims), (steps + 1, frames, *latent), files=(1, exact)),
            whole("x0", HALF, ("step", *dims), (steps, frames, *latent), files=(1, half)),
            whole("preview", BYTE, ("step", "frame", "byte"), (steps, frames, room), files=(1, some), zstd=True),
            whole("preview_length", COUNT, ("step", "frame"), (steps, frames)),
            whole("seconds", FLOAT, ("step",), (steps,)),
        ]

    def _clip(self) -> list[ArraySpec]:
        head = self.header
        lq = (head.lq_dtype, math.nan if head.lq_dtype.startswith("float") else 0)
        return [
            self._frames("lq", lq, ("lq_y", "lq_x", "colour"), (*head.lq_size, 3)),
            *(self._frames(name, BYTE, ("y", "x", "colour"), (*head.size, 3)) for name in PICTURES),
            *(self._frames(name, FLOAT, ("axis", "y", "x"), (2, *head.size)) for name in FLOWS),
            *(self._frames(name, values, ("y", "x"), head.size) for name, values in PLANES.items()),
        ]

    def _frames(self, name: str, values: Values, dims: tuple[str, ...], sides: tuple[int, ...]) -> ArraySpec:
        """An array that is read frame by frame."""
        frames = self.header.frames
        shape, chunks, shards = (frames, *sides), (1, *sides), (min(frames, CLIP_FRAMES), *sides)
        return ArraySpec(f"clip/{name}", *values, ("frame", *dims), shape, chunks, shards, zstd=True)

    def _grid(self, grid: tuple[int, int], sites: int) -> list[ArraySpec]:
        head, path, tokens = self.header, grid_path(grid), grid[0] * grid[1]
        steps, frames, some = head.steps, head.frames, min(head.frames, MOST_FRAMES)
        channels = head.token_channels or max(site.channels for site in head.sites if site.grid == grid)
        searched = [matcher for matcher in head.matchers if matcher != "flow"]  # flow depends on neither step nor site

        def by_site(name: str, values: Values, *inner: tuple[str, int], together: int = self.window, zstd: bool = False) -> ArraySpec:
            dims, sides = tuple(dim for dim, _ in inner), tuple(side for _, side in inner)
            shape, chunks, shards = (steps, sites, frames, *sides), (1, 1, together, *sides), (1, sites, self.block, *sides)
            return ArraySpec(f"{path}/{name}", *values, ("step", "site", "frame", *dims), shape, chunks, shards, zstd)

        token, probe = ("token", tokens), ("probe", head.probes)
        return [
            whole(f"{path}/site", INDEX, ("site",), (sites,)),
            whole(f"{path}/ratio", FLOAT, ("step", "site"), (steps, sites)),
            whole(f"{path}/merged_count", INDEX, ("step", "site"), (steps, sites)),
            whole(f"{path}/flow_target", INDEX, ("frame", "token"), (frames, tokens), files=(some,)),
            whole(f"{path}/flow_error", FLOAT, ("frame", "token"), (frames, tokens), files=(some,)),
            *(by_site(f"{matcher}_{kind}", values, token) for matcher in searched for kind, values in MATCHES.items()),
            by_site("merged", BYTE, token, zstd=True),
            by_site("provider", INDEX, token, zstd=True),
            by_site("tokens", HALF, token, ("feature", channels), together=1),
            by_site("similarity_token", INDEX, probe),
            by_site("similarity", ("uint8", 255), probe, token, together=1, zstd=True),
            by_site("entropy", HALF, probe),
        ]


def whole(
    path: str, values: Values, dims: tuple[str, ...], shape: tuple[int, ...], *, files: tuple[int, ...] = (), zstd: bool = False
) -> ArraySpec:
    """An array whose files are one chunk each: of `files` along the first dimensions, and all of the others; a ledger by default."""
    chunks = (*files, *shape[len(files) :])
    return ArraySpec(path, *values, dims, shape, chunks, chunks, zstd, ledger=not files)
