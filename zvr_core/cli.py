"""The command `zvr`: one line per error, exit code 2; 130 after Ctrl-C; nothing half-written.

Torch loads inside the commands, after the checks that need none: `zvr --help` and a mistyped name answer at once.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from zvr_core.catalogue import DEGRADATIONS, METHODS, MODELS, SAMPLERS
from zvr_core.errors import ZvrError, unknown

source_argument = click.argument("source", type=click.Path(path_type=Path))
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help=".mp4, .mkv (lossless), .gif, .png, or a folder for PNG frames"
)
seed_option = click.option("--seed", default=0, show_default=True, help="of all random draws")
steps_option = click.option("--steps", default=20, show_default=True, help="network passes a frame")
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
@click.option("--max-memory", default=1024, show_default=True, help="MiB of latents and flows in memory; the rest goes to temporary files")
@overwrite_option
def restore(source: Path, output: Path, model: str, method: str, sampler: str, frames: str, max_memory: int, **settings: Any) -> None:
    """Restore a clip: exactly ×4 in size, with the same frames, rate and sound.

    SOURCE is a video file, a GIF, a folder of frames, or one image.
    """
    check_name("method", method, METHODS)
    check_name("sampler", sampler, SAMPLERS)
    if "/" not in model and not Path(model).is_dir():
        check_name("model", model, MODELS)
    check_paths(source, output, settings["overwrite"])
    start, stop = parse_range(frames)
    from zvr_core.jobs import restore_file

    restore_file(
        source, output, model=model, method=method, sampler=sampler, start=start, stop=stop, max_bytes=max_memory << 20, **settings
    )


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
    """Restore a bundled clip per frame and with DiffIR2VR's method, and compare them."""
    from zvr_core.demo import run_demo

    run_demo(output, clip, steps, seed)


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
    except (KeyboardInterrupt, click.Abort):
        print("zvr: interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)


def fail(message: str) -> NoReturn:
    """One line on standard error, exit code 2."""
    print(f"zvr: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
