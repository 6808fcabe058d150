"""How many bytes a run takes, before anything runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zvr_core.clip import Clip
from zvr_core.errors import ZvrError
from zvr_core.methods.base import Method
from zvr_core.models.base import Model
from zvr_core.recording.choice import RecordAt
from zvr_core.recording.header import planned_header
from zvr_core.trace.header import Header
from zvr_core.trace.layout import ArraySpec, Layout
from zvr_core.words import size_text

PACKED = {"preview": 0.15, "merged": 0.1, "provider": 0.5}  # what is left of arrays that compression shrinks (on photographs)


@dataclass(frozen=True)
class Estimate:
    """How many bytes a run takes: on disk, by array, and for x_t of its past steps in memory (beyond `max_bytes` in temporary files)."""

    arrays: Mapping[str, int] = field(default_factory=dict)
    memory: int = 0

    @property
    def total(self) -> int:
        """Bytes on disk."""
        return sum(self.arrays.values())

    def __str__(self) -> str:
        if not self.arrays:
            return f"nothing on disk; x_t of all steps takes {size_text(self.memory)} of memory"
        by_name: dict[str, int] = {}
        for path, count in self.arrays.items():
            name = path.rpartition("/")[2]
            by_name[name] = by_name.get(name, 0) + count
        largest = sorted(by_name.items(), key=lambda item: -item[1])[:4]
        return f"about {size_text(self.total)} on disk: {', '.join(f'{name} {size_text(count)}' for name, count in largest)}, …"

    def check_room(self, path: Path) -> None:
        """Raises ZvrError where the disk on which `path` will lie cannot hold it."""
        folder = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
        free = shutil.disk_usage(folder).free
        if self.total > free:
            raise ZvrError(
                f"recording takes about {size_text(self.total)}, but {folder} has {size_text(free)} free; free space there, record less "
                "(--record-steps ::5, --record-sites up.1.0), or choose another disk"
            )


def estimate(clip: Clip, model: Model, method: Method, steps: int, record: RecordAt | None = None) -> Estimate:
    """What a run of `steps` takes when it is recorded, or, without `record`, when it only keeps its past to be rewound.

    Raises ZvrError for steps and sites to record that the run does not have.
    """
    header = planned_header(clip, model, method, steps, record or RecordAt())
    return recorded_bytes(header, record) if record else Estimate(memory=Layout(header).arrays["x_t"].nbytes)


def recorded_bytes(header: Header, record: RecordAt) -> Estimate:
    """What a recording with this header takes."""
    looked_at = len(header.match_steps) / header.steps
    return Estimate(
        {
            spec.path: math.ceil(spec.nbytes * PACKED.get(spec.name, 1) * (looked_at if "site" in spec.dims and spec.by_step else 1))
            for spec in wanted(header, record)
        }
    )


def wanted(header: Header, record: RecordAt) -> Iterator[ArraySpec]:
    """The arrays that are going to be written, apart from what only a known truth adds."""
    continued = any(window.previous_key >= 0 for window in header.windows)
    for spec in Layout(header).arrays.values():
        group, name = spec.path.rpartition("/")[::2]
        part = {"x0": "x0", "preview": "preview", "preview_length": "preview", "restored": "restored"}.get(name)
        if group == "clip" and ("flow" in name or name in ("error", "occluded")):
            part = "flow"
        if name.startswith("truth") or (name.startswith("key_") and not continued):
            continue
        if name in ("tokens", "entropy"):
            if (record.tokens != "none") if name == "tokens" else record.entropy:
                yield spec
        elif group.startswith("grids"):
            if "matches" in record.what or name == "site":
                yield spec
        elif part is None or part in record.what:
            yield spec
