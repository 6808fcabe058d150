"""Evaluations: every method on every clip with every seed, as a table; what was computed once is never computed again.

choices ─► plan: cells ─► sweep, here or on a cluster ─► a file per result ─► records ─► table ─► file, and text on the screen
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zvr_core.degrade import parse_degradation
from zvr_core.errors import ZvrError, unknown
from zvr_core.evaluation.cell import NONE, SCENE, Cell, Outcome, Settings, clip_name, compute, shared_model
from zvr_core.evaluation.choices import Choices
from zvr_core.evaluation.paper_tables import PLAIN, load_preset
from zvr_core.evaluation.records import assemble
from zvr_core.evaluation.table import BASELINE, Table, save_json
from zvr_core.evaluation.text import as_csv, as_markdown
from zvr_core.jobs import say
from zvr_core.media.writing import saying, staged
from zvr_core.methods.base import Method
from zvr_core.methods.presets import load_method
from zvr_core.metrics.lpips import load_lpips
from zvr_core.sampler import DDIM
from zvr_core.scenes import SCENES

Runner = Callable[[Sequence[Cell]], Iterable[tuple[Cell, Outcome]]]


def attempt(cell: Cell) -> Outcome:
    """The outcome of a cell; whatever goes wrong is part of the table, and stops nothing."""
    try:
        return compute(cell)
    except ZvrError as error:
        return Outcome(error=str(error))
    except Exception as error:
        return Outcome(error=f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}")


def here(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Outcome]]:
    """One cell after the other, in this process."""
    return ((cell, attempt(cell)) for cell in cells)


@dataclass(frozen=True)
class ResultsFolder:
    """One JSON file a result, written whole or not at all; a failed cell leaves none, so a rerun tries it again."""

    path: Path

    def file(self, cell: Cell) -> Path:
        """Where a result is, named so that people find it."""
        readable = f"{clip_name(cell.clip)}-{cell.method.name}-{cell.seed}"
        return self.path / f"{''.join(c if c.isalnum() or c in '-_.' else '_' for c in readable)}-{cell.key}.json"

    def read(self, cell: Cell) -> Outcome | None:
        """A stored result; None where there is none that can be read."""
        try:
            return Outcome(**json.loads(self.file(cell).read_text())["outcome"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, cell: Cell, outcome: Outcome) -> None:
        """Stores a result; raises ZvrError where there is no room."""
        about = {"clip": cell.clip, "degradation": cell.degradation, "method": cell.method.name, "seed": cell.seed}
        text = json.dumps({"cell": {**about, "plugins": repr(cell.method.plugins)}, "outcome": outcome.as_dict()}, indent=1)
        with staged(self.file(cell)) as draft:
            draft.write_text(text)


def plan(
    clips: Sequence[str], degradations: Sequence[str], methods: Sequence[Method], seeds: Sequence[int], settings: Settings
) -> list[Cell]:
    """All cells, those of one clip together."""
    return [Cell(c, d, m, s, settings) for c in clips for d in degradations for s in seeds for m in methods]


def sweep(cells: Sequence[Cell], folder: ResultsFolder, run_all: Runner = here) -> dict[Cell, Outcome]:
    """The outcomes of all cells, in their order: stored ones are read, the others computed and stored as they come."""
    outcomes = {cell: stored for cell in cells if (stored := folder.read(cell)) is not None}
    missing = [cell for cell in cells if cell not in outcomes]
    say(f"{len(cells)} cells: {len(outcomes)} are in {folder.path}, {len(missing)} to compute")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(str(missing[0]) if missing else "nothing to compute", total=len(missing))
            for cell, outcome in run_all(missing):
                if not outcome.error:
                    folder.write(cell, outcome)
                outcomes[cell] = outcome
                bar.update(task, advance=1, description=str(cell))
    except KeyboardInterrupt as stop:
        kept = sum(not outcome.error for outcome in outcomes.values())
        raise KeyboardInterrupt(f"{kept} of {len(cells)} results are in {folder.path}; the same command goes on from there") from stop
    return {cell: outcomes[cell] for cell in cells}


def run_evaluation(choices: Choices, **options: Any) -> Table:
    """Computes what is missing, writes the table, and prints it; `options` are those of `Settings`."""
    settings, weights = with_lpips(Settings(**options))
    preset = load_preset(choices.table) if choices.table else PLAIN
    degradations = preset.degradations(choices.degradation)
    check_once(choices.clips, degradations, settings)
    methods = {method.name: method for method in (load_method(BASELINE), *preset.methods, *map(load_method, choices.methods))}
    cells = plan(choices.clips, degradations, list(methods.values()), choices.seeds, settings)
    folder = ResultsFolder(choices.results)
    with saying(folder.path):
        folder.path.mkdir(exist_ok=True)
    with runner(choices.workers, choices.scheduler) as run_all:
        outcomes = sweep(cells, folder, run_all)
    table = assemble(outcomes, preset, choices.degradation, weights)
    text = as_markdown(table)
    written = {".md": lambda: text, ".csv": lambda: as_csv(table), ".json": lambda: save_json(table, list(map(plainly, outcomes.items())))}
    with staged(choices.output) as draft:
        draft.write_text(written[choices.output.suffix]())
    print(text)
    say(f"wrote {choices.output}; the results are in {folder.path}")
    return table


def check_once(clips: Sequence[str], degradations: Sequence[str], settings: Settings) -> None:
    """Raises for what would be wrong with every cell."""
    for name in (clip.removeprefix(SCENE) for clip in clips if clip.startswith(SCENE)):
        if name not in SCENES:
            raise unknown("scene", name, SCENES)
    for degradation in degradations:
        if degradation != NONE:
            parse_degradation(degradation)
    model = shared_model(settings.model, settings.device, settings.dtype)
    DDIM().prepare(model.scheduler, settings.steps)


def with_lpips(settings: Settings) -> tuple[Settings, str]:
    """The settings where the weights of LPIPS can be read; without it, and why, where they cannot."""
    folder = Path(settings.lpips).expanduser()
    try:
        load_lpips(folder)
        return replace(settings, lpips=str(folder)), ""
    except ZvrError as error:
        return replace(settings, lpips=""), str(error)


def runner(workers: int, scheduler: str) -> AbstractContextManager[Runner]:
    """What computes cells: this process, or a cluster."""
    if not workers and not scheduler:
        return nullcontext(here)
    from zvr_core.evaluation.cluster import cluster

    return cluster(workers, scheduler, attempt)


def plainly(result: tuple[Cell, Outcome]) -> dict[str, Any]:
    """One result, for the JSON file."""
    cell, outcome = result
    about = {"clip": clip_name(cell.clip), "degradation": cell.degradation, "method": cell.method.name, "seed": cell.seed}
    return {**about, **{key: value for key, value in outcome.as_dict().items() if value}}
