"""An evaluation on many machines: each cell is a task of dask.distributed.

Workers only compute and send numbers back; this process writes them.  So workers need the clips and the model under the same paths, but
no folder to write to, and what a lost worker was computing is computed by another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from zvr_core.errors import ZvrError

if TYPE_CHECKING:
    from zvr_core.evaluation.cell import Cell, Outcome

ATTEMPTS = 3  # times a cell may lose its worker before it counts as failed: it may be what kills them
PATIENCE = 20  # seconds for a scheduler to answer


@contextmanager
def cluster(workers: int, scheduler: str, attempt: Callable[[Cell], Outcome]) -> Iterator[Callable]:
    """A function that computes cells on the cluster at `scheduler`, or on `workers` processes of this machine, in any order.

    Raises ZvrError where dask.distributed is missing and where no scheduler answers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ZvrError("--workers and --scheduler need dask.distributed, which is not installed: pip install 'zvr[cluster]'") from None
    quiet = {"distributed.scheduler.allowed-failures": ATTEMPTS, "distributed.comm.timeouts.connect": PATIENCE}
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(quiet))
        local = (
            {}
            if scheduler
            else {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
        )
        try:
            address = scheduler or stack.enter_context(LocalCluster(**local))
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ZvrError(f"no scheduler answers at {scheduler!r} ({type(error).__name__}); start one with: dask scheduler") from error
        yield lambda cells: run_on(client, cells, attempt)


def run_on(client: Any, cells: Sequence[Cell], attempt: Callable[[Cell], Outcome]) -> Iterator[tuple[Cell, Outcome]]:
    """The outcomes as they come."""
    from distributed import as_completed

    from zvr_core.evaluation.cell import Outcome

    tasks = {client.submit(attempt, cell, pure=False): cell for cell in cells}
    for task in as_completed(tasks, loop=client.loop):
        error = task.exception()
        yield tasks[task], Outcome(error=f"{type(error).__name__}: {error}") if error else task.result()
