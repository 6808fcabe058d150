"""The header of a trace: everything about a run that is known before its first step, as the JSON of the root attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from zvr_core.errors import ZvrError

FORMAT, VERSION = "zvr-trace", 1


@dataclass(frozen=True)
class TraceWindow:
    """Frames [start, stop) that shared attention; `key` is the absolute number of their key frame."""

    start: int
    stop: int
    key: int
    previous_key: int = -1  # of the window before in the same scene; -1 at the start of a scene


@dataclass(frozen=True)
class TraceSite:
    """One recorded self-attention layer."""

    name: str
    stage: str  # "down", "mid" or "up"
    grid: tuple[int, int]  # (h, w) tokens that show the picture
    cell: int  # output pixels per token
    channels: int
    heads: int = 1
    path: str = ""  # of the module inside the network
    padded: tuple[int, int] = (0, 0)  # (h, w) tokens the network computes

    @property
    def tokens(self) -> int:
        """N = h·w."""
        return self.grid[0] * self.grid[1]


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a trace says about its run; sizes are (H, W) in pixels.

    `matchers` of which targets are stored; `own` names for each site the matcher that the method itself merged by; `match_steps` the
    steps of which matches are stored; `probes` tokens per frame with similarity rows and entropy; `token_channels` of stored tokens
    (0: as many as the site has); `forked` the step at which a fork left its parent.  The mappings hold JSON values.
    """

    name: str  # of the clip
    frames: int
    fps: float
    lq_size: tuple[int, int]
    size: tuple[int, int]  # of the output
    latent: tuple[int, int, int]  # (C, h, w)
    steps: int
    timesteps: tuple[int, ...]
    alpha_bar: tuple[float, ...]
    windows: tuple[TraceWindow, ...]
    sites: tuple[TraceSite, ...] = ()
    matchers: tuple[str, ...] = ()
    own: Mapping[str, str] = field(default_factory=dict)
    match_steps: tuple[int, ...] = ()
    preview: tuple[int, int] = (0, 0)
    probes: int = 0
    token_channels: int = 0
    scale: int = 1
    seed: int = 0
    precision: str = "float32"  # of x_t
    lq_dtype: str = "uint8"
    forked: int = 0
    source: str = ""  # where the clip came from
    method_name: str = ""
    method: Mapping[str, Any] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, Any] = field(default_factory=dict)  # RecordAt
    machine: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def attributes(self) -> dict[str, Any]:
        """The JSON of a new trace; what stands before the header changes while it is written."""
        return {"format": FORMAT, "version": VERSION, "complete": 0, "closed": False, "rewound": 0, "arrays": [], **asdict(self)}

    @staticmethod
    def read(attributes: Mapping[str, Any]) -> Header:
        """The header that wrote these attributes; raises KeyError, TypeError or AttributeError where something is missing."""
        given = {name: attributes[name] for name in (f.name for f in fields(Header))}
        tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, (list, tuple))}
        windows = tuple(TraceWindow(**window) for window in given["windows"])
        sites = tuple(TraceSite(**{**site, "grid": tuple(site["grid"]), "padded": tuple(site["padded"])}) for site in given["sites"])
        return Header(**{**given, **tuples, "windows": windows, "sites": sites})

    @property
    def grids(self) -> dict[tuple[int, int], tuple[int, ...]]:
        """The token grids and, for each, which sites have it, as numbers."""
        shapes = dict.fromkeys(site.grid for site in self.sites)
        return {grid: tuple(i for i, site in enumerate(self.sites) if site.grid == grid) for grid in shapes}


def read_header(document: Any, name: str) -> Header:
    """The header in a root document (zarr.json) of the trace called `name`; raises ZvrError where it is none, or of another version."""
    attributes = document.get("attributes") if isinstance(document, dict) else None
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise ZvrError(f"{name} is zarr, but not a trace; give a folder that zvr restore --record wrote")
    version = attributes.get("version")
    if version != VERSION:
        fix = "update zvr (pip install -U zvr)" if isinstance(version, int) and version > VERSION else "record it again"
        raise ZvrError(f"{name} is a trace of version {version}, this zvr reads version {VERSION}; {fix}")
    try:
        for needed in ("complete", "closed", "rewound", "arrays"):
            attributes[needed]
        return Header.read(attributes)
    except (KeyError, TypeError, AttributeError) as error:
        raise ZvrError(f"{name} is damaged: its zarr.json does not describe a run ({error}); copy it again, or record it again") from error
