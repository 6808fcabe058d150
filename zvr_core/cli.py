"""The command `zvr`: one line per error, exit code 2; 130 after Ctrl-C; nothing half-written.

Torch loads inside the commands, after the checks that need none: `zvr --help` and a mistyped name answer at once.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from zvr_core.catalogue import DEGRADATIONS, METHODS, MODELS, SAMPLERS, TABLES
from zvr_core.errors import ZvrError, unknown
from zvr_core.recording.choice import RecordAt

source_argument = click.argument("source", type=click.Path(path_type=Path))
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help=".mp4, .mkv (lossless), .gif, .png, or a folder for PNG frames"
)
seed_option = click.option("--seed", default=0, show_default=True, help="of all random draws")
steps_option = click.option("--steps", default=20, show_default=True, help="network passes a frame")
memory_option = click.option(
    "--max-memory", default=1024, show_default=True, help="MiB of latents and flows in memory; the rest goes to temporary files"
)
overwrite_option = click.option("--overwrite", is_flag=True, help="replace what is there")


@click.group(context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zvr")
def app() -> None:
    """Restore video with image diffusion models, and look inside."""


@app.command()
@source_argument
@output_option
@click.option("--model", default="embedded", show_default=True, help="a name from `zvr models`, a diffusers folder, or a Hub id")
@click.option("--method", default="diffir2vr", show_default=True, help="a name from `zvr methods`")
@steps_option
@click.option("--sampler", default="ddim", show_default=True, help=", ".join(SAMPLERS))
@click.option("--window", default=10, show_default=True, help="frames that share attention in one pass")
@click.option("--frames", default=":", show_default=True, help="part of the clip, as START:STOP")
@seed_option
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps")
@click.option("--dtype", default="float32", show_default=True, help="of the network: float32, bfloat16, float16")
@memory_option
@overwrite_option
@click.option("--record", "trace", type=click.Path(path_type=Path), help="a folder for a trace: what happens inside, to look at, to resume")
@click.option("--record-steps", default="all", show_default=True, help="steps to record matches at: START:STOP:EVERY, or 0,5,-1")
@click.option("--record-sites", default="all", show_default=True, help="attention sites to record matches of: up.1.0,down.1.0")
@click.option("--record-similarity", type=int, default=0, show_default=True, help="tokens a frame with their similarity rows; 48 is usual")
@click.option("--record-everything", is_flag=True, help="tokens, too, and all matchers: large")
def restore(source: Path, output: Path, model: str, method: str, sampler: str, frames: str, max_memory: int, **settings: Any) -> None:
    """Restore a clip: exactly ×4 in size, with the same frames, rate and sound.

    SOURCE is a video file, a GIF, a folder of frames, or one image.
    """
    choice = {name: settings.pop(f"record_{name}") for name in ("steps", "sites", "similarity", "everything")}
    at = record_at(settings["trace"], settings["overwrite"], **choice)
    check_name("method", method, METHODS)
    check_name("sampler", sampler, SAMPLERS)
    if "/" not in model and not Path(model).is_dir():
        check_name("model", model, MODELS)
    check_paths(source, output, settings["overwrite"])
    start, stop = parse_range(frames)
    from zvr_core.jobs import restore_file

    restore_file(
        source, output, model=model, method=method, sampler=sampler, start=start, stop=stop, max_bytes=max_memory << 20, at=at, **settings
    )


@app.command()
@click.argument("trace", type=click.Path(path_type=Path))
@output_option
@click.option("--device", default="", help="cpu, cuda, mps; by default the recorded one")
@memory_option
@overwrite_option
def resume(trace: Path, output: Path, device: str, max_memory: int, overwrite: bool) -> None:
    """Go on with a recorded run that was stopped, to the same end.

    TRACE is the folder that `zvr restore --record` made.
    """
    check_paths(trace, output, overwrite)
    from zvr_core.jobs import resume_file

    resume_file(trace, output, device=device, max_bytes=max_memory << 20, overwrite=overwrite)


@app.command()
@click.argument("trace")
def info(trace: str) -> None:
    """Say what a trace holds: a folder, or a URL."""
    from zvr_core.trace.info import trace_info

    click.echo(trace_info(trace))


@app.command("html")
@click.argument("trace")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the file  [default: TRACE with the suffix .html]")
@click.option("--against", default="", metavar="TRACE", help="a second trace, shown on the same step axis")
@click.option("--budget", default=5.0, show_default=True, help="megabytes; what does not fit is thinned")
@overwrite_option
def html_page(trace: str, output: Path | None, against: str, budget: float, overwrite: bool) -> None:
    """Write the explorer of a trace as one HTML file that needs no kernel and no network.

    TRACE is a folder that `zvr restore --record` made, or a URL.
    """
    target = output or Path(Path(trace).with_suffix(".html").name if "://" in trace else Path(trace).with_suffix(".html"))
    if target.exists() and not overwrite:
        raise ZvrError(f"{target} exists; choose another output with -o, or replace it with --overwrite")
    click.echo(write_page(trace, target, against, budget))


@app.command()
@source_argument
@output_option
@click.option(
    "--with", "recipe", default="blur=1.2,down=4,noise=5", show_default=True, help="steps in order, from: " + ", ".join(DEGRADATIONS)
)
@seed_option
@overwrite_option
def degrade(source: Path, output: Path, recipe: str, seed: int, overwrite: bool) -> None:
    """Degrade a clip in a known, seeded way.

    Blur is in pixels, noise in 8-bit levels.  An output without suffix is a folder of PNG frames: lossless, any size.
    """
    for step in recipe.split(","):
        check_name("degradation", step.partition("=")[0].strip(), DEGRADATIONS)
    check_paths(source, output, overwrite)
    from zvr_core.jobs import degrade_file

    degrade_file(source, output, recipe=recipe, seed=seed, overwrite=overwrite)


@app.command()
@click.option("--clips", "first", multiple=True, metavar="PATH…", help="videos, folders of frames, or scene:pan and others of known motion")
@click.argument("more", nargs=-1, metavar="[PATH…]")
@click.option(
    "--methods", default="", help="comma-separated names from `zvr methods`; per_frame is always there  [default: all, or the table's]"
)
@click.option("--table", default="", help="a preset: " + ", ".join(TABLES))
@click.option("--seeds", default="0", show_default=True, help="as 0-2,5")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="table.md, .csv or .json")
@steps_option
@click.option("--frames", default=10, show_default=True, help="of each clip, from its start; 0 for all")
@click.option(
    "--width", default=320, show_default=True, help="pixels that wider clips are reduced to, before they are degraded; 0 for none"
)
@click.option(
    "--degrade", "degradation", default="blur=1.2,down=4,noise=5", show_default=True, help="none: the clips are the input, without truth"
)
@click.option("--model", default="embedded", show_default=True, help="a name from `zvr models`, a diffusers folder, or a Hub id")
@click.option(
    "--splits", type=click.Path(path_type=Path), help='lists of clips, as {"development": ["dog"], "report": ["camel"]} or report: camel'
)
@click.option("--split", default="", help="take only the clips of this list")
@click.option(
    "--results", type=click.Path(path_type=Path), help="folder of single results, where a rerun goes on  [default: OUTPUT.results]"
)
@click.option("--workers", default=0, show_default=True, help="processes on this machine, by dask.distributed; 0 for none")
@click.option("--scheduler", default="", help="address of a dask.distributed scheduler, as tcp://host:8786")
@click.option("--lpips", default="~/.cache/zvr/lpips", envvar="ZVR_LPIPS", show_default=True, help="folder of the weights of LPIPS")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps")
@click.option("--dtype", default="float32", show_default=True, help="of the network: float32, bfloat16, float16")
@overwrite_option
def evaluate(
    first: tuple[str, ...],
    more: tuple[str, ...],
    methods: str,
    seeds: str,
    splits: Path | None,
    split: str,
    overwrite: bool,
    **options: Any,
) -> None:
    """Compare methods on clips, with sharpness beside every temporal number; or remake a published table.

    Every result is kept in a folder, so the same command goes on where it was stopped, and computes only what is new.
    As in: zvr evaluate --clips clips/* --methods per_frame,diffir2vr --seeds 0-2 -o table.md
    """
    from zvr_core.evaluation.choices import choose

    choices = choose((*first, *more), methods, seeds, splits, split, overwrite, options)
    from zvr_core.evaluation.evaluate import run_evaluation

    run_evaluation(choices, **options)


@app.command()
def models() -> None:
    """List the base models."""
    list_names(MODELS)


@app.command()
def methods() -> None:
    """List the methods."""
    list_names(METHODS)


@app.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, help="a folder")
@click.option("--clip", default="pan", show_default=True, help="a bundled clip with known truth")
@steps_option
@seed_option
def demo(output: Path, clip: str, steps: int, seed: int) -> None:
    """Restore a bundled clip per frame and with DiffIR2VR's method, compare them, and look inside."""
    from zvr_core.demo import TRACE, run_demo

    run_demo(output, clip, steps, seed)
    click.echo(f"look inside, in any browser: {write_page(str(output / TRACE), output / 'explorer.html')}")


def write_page(trace: str, target: Path, against: str = "", budget: float = 5.0) -> str:
    """Writes the explorer of a trace, in at most `budget` MB, and says what was left out for that."""
    from zvr_core.trace import open_trace

    save_html = import_module("zvr_viz.export").save_html  # the command line alone stands above both packages
    thinned = save_html(open_trace(trace), target, trace_b=open_trace(against) if against else None, budget=int(budget * 2**20))
    return f"{target}: {target.stat().st_size / 2**20:.1f} MB" + (f"; thinned to fit: {thinned}" if thinned else "")


def list_names(names: dict[str, str]) -> None:
    """One name and what it is, a line each."""
    width = max(map(len, names))
    for name, summary in names.items():
        click.echo(f"{name:{width}}  {summary}")


def check_name(kind: str, name: str, known: dict[str, str]) -> None:
    """Raises for a name that does not exist, suggesting the nearest."""
    if name not in known:
        raise unknown(kind, name, known)


def check_paths(source: Path, output: Path, overwrite: bool) -> None:
    """The checks on paths that need no library."""
    if not source.exists():
        raise ZvrError(f"no such file or folder: {source}; give a video, a GIF, a folder of frames, or an image")
    if output.exists() and not overwrite and not (output.is_dir() and not any(output.iterdir())):
        raise ZvrError(f"{output} exists; choose another output, or replace it with --overwrite")
    if source.resolve() == output.resolve():
        raise ZvrError(f"input and output are both {source}; choose another output")


def record_at(trace: Path | None, overwrite: bool, *, steps: str, sites: str, similarity: int, everything: bool) -> RecordAt:
    """What --record and its companions ask for; the checks that need no library."""
    if trace is None and (steps, sites, similarity, everything) != ("all", "all", 0, False):
        raise ZvrError("options of recording given without a place for it; add --record PATH")
    if trace is not None and trace.exists() and not overwrite and not (trace.is_dir() and not any(trace.iterdir())):
        raise ZvrError(f"{trace} exists; choose another place for the trace, or replace it with --overwrite")
    chosen: Any = sites if sites == "all" else tuple(site.strip() for site in sites.split(","))
    at = RecordAt.everything() if everything else RecordAt()
    return replace(at, steps=parse_steps(steps), sites=chosen, similarity=similarity or at.similarity)


def parse_steps(text: str) -> str | slice | tuple[int, ...]:
    """ "all", "0:10:2" as a slice, "0,5,-1" as numbers."""
    if text == "all":
        return text
    try:
        if ":" in text:
            return slice(*(int(part) if part else None for part in text.split(":")))
        return tuple(int(part) for part in text.split(","))
    except (ValueError, TypeError):
        raise ZvrError(f"steps {text!r} given to record; all, START:STOP:EVERY or numbers expected: --record-steps ::5") from None


def parse_range(text: str) -> tuple[int | None, int | None]:
    """ "10:20" is frames 10 to 19, ":" all."""
    try:
        start, stop = (int(part) if part else None for part in text.split(":"))
    except ValueError:
        raise ZvrError(f"frames {text!r} given, START:STOP expected; for the first ten: --frames 0:10") from None
    return start, stop


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 2 with one line on standard error, 130 after Ctrl-C (or a polite kill)."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app.main(args=arguments, prog_name="zvr", standalone_mode=False)
        sys.exit(0)
    except ZvrError as error:
        fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        sys.exit(0)
    except click.ClickException as error:
        fail(error.format_message())
    except OSError as error:
        fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except MemoryError:
        fail("out of memory; use a smaller --window, a smaller part (--frames 0:50), or a lower --max-memory")
    except (KeyboardInterrupt, click.Abort) as stop:
        said = str(stop.__cause__ or stop)  # click turns the first into the second
        print(f"zvr: interrupted; {said or 'nothing was written'}", file=sys.stderr)
        sys.exit(130)


def fail(message: str) -> NoReturn:
    """One line on standard error, exit code 2."""
    print(f"zvr: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
