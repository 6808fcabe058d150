"""The command `zvr`: one line per error, exit code 2; 130 after Ctrl-C; nothing half-written.

Torch loads inside the commands, after the checks that need none: `zvr --help` and a mistyped name answer at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from zvr_core.catalogue import DEGRADATIONS, METHODS, MODELS, SAMPLERS
from zvr_core.errors import ZvrError, unknown

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help=__doc__.splitlines()[0] if __doc__ else "")

Source = Annotated[Path, typer.Argument(help="video file, GIF, folder of frames, or one image")]
Target = Annotated[Path, typer.Option("-o", "--output", help=".mp4, .mkv (lossless), .gif, .png for one frame, or a folder for PNG frames")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there")]
Seed = Annotated[int, typer.Option(help="of all random draws")]


@app.command()
def restore(
    source: Source,
    output: Target,
    model: Annotated[str, typer.Option(help="a name from `zvr models`, a local folder in diffusers' layout, or a Hub id")] = "embedded",
    method: Annotated[str, typer.Option(help="a name from `zvr methods`")] = "diffir2vr",
    steps: Annotated[int, typer.Option(help="network passes a frame")] = 20,
    sampler: Annotated[str, typer.Option(help=", ".join(SAMPLERS))] = "ddim",
    window: Annotated[int, typer.Option(help="frames that share attention in one pass")] = 10,
    frames: Annotated[str, typer.Option(help="part of the clip, as START:STOP")] = ":",
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps")] = "cpu",
    dtype: Annotated[str, typer.Option(help="of the network: float32, bfloat16, float16")] = "float32",
    max_memory: Annotated[int, typer.Option(help="MiB of latents and flows kept in memory; the rest goes to temporary files")] = 1024,
    overwrite: Overwrite = False,
) -> None:
    """Restore a clip: exactly ×4 in size, the same frames, rate and sound."""
    check_name("method", method, METHODS)
    check_name("sampler", sampler, SAMPLERS)
    if "/" not in model:
        check_name("model", model, MODELS, also_folder=True)
    check_paths(source, output, overwrite)
    start, stop = parse_range(frames)
    from zvr_core.jobs import restore_file

    restore_file(
        source, output, model=model, method=method, steps=steps, sampler=sampler, window=window, start=start, stop=stop, seed=seed,
        device=device, dtype=dtype, max_bytes=max_memory << 20, overwrite=overwrite,
    )  # fmt: skip


@app.command()
def degrade(
    source: Source,
    output: Target,
    recipe: Annotated[str, typer.Option("--with", help="steps in order, from: " + ", ".join(DEGRADATIONS))] = ("blur=1.2,down=4,noise=5"),
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Degrade a clip in a known, seeded way; lossless by default (an output without suffix is a folder of PNG frames)."""
    for step in recipe.split(","):
        check_name("degradation", step.partition("=")[0].strip(), DEGRADATIONS)
    check_paths(source, output, overwrite)
    from zvr_core.jobs import degrade_file

    degrade_file(source, output, recipe=recipe, seed=seed, overwrite=overwrite)


@app.command()
def models() -> None:
    """List the base models."""
    list_names(MODELS)


@app.command()
def methods() -> None:
    """List the methods."""
    list_names(METHODS)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="folder for what the demo writes")] = Path("runs/demo"),
    clip: Annotated[str, typer.Option(help="a bundled clip with known truth")] = "pan",
    steps: Annotated[int, typer.Option(help="network passes a frame")] = 20,
    seed: Seed = 0,
) -> None:
    """Restore a bundled clip per frame and with DiffIR2VR's method, and compare them."""
    from zvr_core.demo import run_demo

    run_demo(output, clip, steps, seed)


def list_names(names: dict[str, str]) -> None:
    """One name and what it is, a line each."""
    width = max(map(len, names))
    for name, summary in names.items():
        typer.echo(f"{name:{width}}  {summary}")


def check_name(kind: str, name: str, known: dict[str, str], also_folder: bool = False) -> None:
    """Raises for a name that does not exist, suggesting the nearest."""
    if name not in known and not (also_folder and Path(name).is_dir()):
        raise unknown(kind, name, known)


def check_paths(source: Path, output: Path, overwrite: bool) -> None:
    """The checks on paths that need no library."""
    if not source.exists():
        raise ZvrError(f"no such file or folder: {source}; give a video, a GIF, a folder of frames, or an image")
    if output.exists() and not overwrite and not (output.is_dir() and not any(output.iterdir())):
        raise ZvrError(f"{output} exists; choose another output, or replace it with --overwrite")
    if source.resolve() == output.resolve():
        raise ZvrError(f"input and output are both {source}; choose another output")


def parse_range(text: str) -> tuple[int | None, int | None]:
    """ "10:20" is frames 10 to 19, ":" all."""
    try:
        start, stop = (int(part) if part else None for part in text.split(":"))
    except ValueError:
        raise ZvrError(f"frames {text!r} given, START:STOP expected; for the first ten: --frames 0:10") from None
    return start, stop


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 2 with one line on standard error, 130 after Ctrl-C."""
    try:
        sys.exit(app(args=arguments, prog_name="zvr", standalone_mode=False) or 0)
    except (ZvrError, click.ClickException) as error:
        fail(error.format_message() if isinstance(error, click.ClickException) else str(error))
    except OSError as error:
        fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except MemoryError:
        fail("out of memory; use a smaller --window, a smaller part (--frames 0:50), or a lower --max-memory")
    except (KeyboardInterrupt, click.Abort):
        print("zvr: interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)


def fail(message: str) -> None:
    """One line on standard error, exit code 2."""
    print(f"zvr: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
