"""What a user asks an evaluation for, checked before torch is loaded."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zvr_core.catalogue import DEGRADATIONS, METHODS, TABLES
from zvr_core.errors import ZvrError, unknown

FORMATS = (".csv", ".md", ".json")
NO_DEGRADATION = "none"


@dataclass(frozen=True)
class Choices:
    """Clips (paths, or "scene:NAME"), names of methods beside per_frame, seeds; `table` is "" or a name in TABLES."""

    clips: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    degradation: str
    table: str
    output: Path
    results: Path
    workers: int = 0
    scheduler: str = ""


def choose(
    clips: tuple[str, ...], methods: str, seeds: str, splits: Path | None, split: str, overwrite: bool, options: dict[str, Any]
) -> Choices:
    """The choices of a command line, checked; takes those that are choices out of `options` and leaves the settings of restoration."""
    if bool(splits) != bool(split):
        raise ZvrError("--split names a list in the file that --splits gives; give both, as --splits splits.json --split report")
    for name in ("frames", "width", "workers"):
        if options[name] < 0:
            raise ZvrError(f"--{name} {options[name]} given, a whole number from 0 expected")
    table, output, clips = options.pop("table"), options.pop("output"), tuple(dict.fromkeys(clips))
    choices = Choices(
        clips=of_split(clips, splits, split) if splits and clips else clips,
        methods=tuple(name.strip() for name in methods.split(",")) if methods else () if table else tuple(METHODS),
        seeds=parse_seeds(seeds),
        degradation=options.pop("degradation"),
        table=table,
        output=output,
        results=options.pop("results") or output.with_name(output.name + ".results"),
        workers=options.pop("workers"),
        scheduler=options.pop("scheduler"),
    )
    return check_choices(choices, overwrite)


def check_choices(choices: Choices, overwrite: bool) -> Choices:
    """The same; raises ZvrError for names that do not exist (with the nearest), no clips, and an output that cannot be written."""
    for method in choices.methods:
        check(("method", method), METHODS)
    if choices.table:
        check(("table", choices.table), TABLES)
    if choices.degradation != NO_DEGRADATION:
        for step in choices.degradation.split(","):
            check(("degradation", step.partition("=")[0].strip()), [*DEGRADATIONS, NO_DEGRADATION])
    if not choices.clips:
        raise ZvrError("no clips given; say which: --clips video.mp4 frames/ scene:pan")
    for clip in choices.clips:
        check_clip(clip)
    check_output(choices.output, overwrite)
    return choices


def check(named: tuple[str, str], known: Collection[str]) -> None:
    """Raises for a name that does not exist."""
    if named[1] not in known:
        raise unknown(*named, known)


def check_clip(clip: str) -> None:
    """A path that is there, or a scene; which scenes there are is not known here."""
    path = Path(clip)
    if clip.startswith("scene:") or path.exists():
        return
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.4)
    advice = f"did you mean {' or '.join(near)}?" if near else "give videos, folders of frames, or scenes such as scene:pan"
    raise ZvrError(f"unknown clip {clip!r}: no such file or folder; {advice}")


def check_output(output: Path, overwrite: bool) -> None:
    """The format is known, the folder is there, and nothing is lost."""
    if output.suffix not in FORMATS:
        raise ZvrError(f"output {output} given, a name that ends in {', '.join(FORMATS)} expected, such as table.md")
    if not output.parent.is_dir():
        raise ZvrError(f"there is no folder {output.parent} to write {output.name} into; create it first")
    if output.is_dir() or (output.exists() and not overwrite):
        raise ZvrError(f"{output} exists; choose another output, or replace it with --overwrite")


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds of a list such as "0-2,5": 0, 1, 2, 5; each once, in order; raises ZvrError for anything else."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            span = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            span = range(0)
        if not span or span[0] < 0:
            raise ZvrError(f"seeds {text!r} given, whole numbers and ranges expected, as in 0-2,5")
        seeds.update(dict.fromkeys(span))
    return tuple(seeds)


def of_split(clips: Sequence[str], splits: Path, split: str) -> tuple[str, ...]:
    """Those of the clips that the file `splits` lists under `split`; raises ZvrError where none is.

    The file is JSON, {"development": ["dog", …], "report": […]}, or text, a line "report: camel cows" a split.  A clip is known by the
    name of its file or folder, or of the folder it is in.
    """
    lists = read_splits(splits)
    check(("split", split), lists)
    wanted = set(lists[split])
    chosen = tuple(clip for clip in clips if {Path(clip).name, Path(clip).stem, Path(clip).absolute().parent.name} & wanted)
    if not chosen:
        raise ZvrError(f"none of the {len(clips)} clips given is in split {split!r} of {splits}, which lists {', '.join(lists[split])}")
    return chosen


def read_splits(path: Path) -> dict[str, list[str]]:
    """The lists of a split file, by name."""
    try:
        text = path.read_text()
        lists = json.loads(text) if path.suffix == ".json" else dict(map(split_line, filter(str.strip, text.splitlines())))
    except (OSError, ValueError) as error:
        raise ZvrError(f"{path} cannot be read as a list of splits ({error}); give JSON, or lines such as report: camel cows") from error
    if not isinstance(lists, dict) or not all(isinstance(names, list) for names in lists.values()):
        raise ZvrError(f'{path} holds no lists of clips by split; expected {{"development": ["dog"], "report": ["camel"]}}')
    return lists


def split_line(line: str) -> tuple[str, list[str]]:
    """ "report: camel cows" as a name and a list; ValueError without a colon."""
    name, colon, clips = line.partition(":")
    if not colon:
        raise ValueError(f"no colon in {line!r}")
    return name.strip(), clips.split()
