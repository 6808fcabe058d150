"""Traces on a web server or in a bucket: only the chunks that one looks at travel."""

from __future__ import annotations

from typing import Any

from zarr.abc.store import Store

from zvr_core.errors import ZvrError

PACKAGES = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs"}  # what fsspec needs for each protocol


def remote_store(url: str, **options: Any) -> Store:
    """A read-only zarr store at "https://…", "s3://…" or another address that fsspec knows; `options` go to it.

    Raises ZvrError for what is missing here, for an address that does not answer, and for a server that sends whole files when
    asked for a part.
    """
    try:
        import fsspec  # noqa: F401
        from zarr.storage import FsspecStore

        store = FsspecStore.from_url(url.rstrip("/"), storage_options=options or None, read_only=True)
    except ImportError as error:
        needed = PACKAGES.get(url.split(":")[0], "its plug-in")
        raise ZvrError(f'reading {url} needs fsspec and {needed}; install them: pip install "zvr[remote]"') from error
    except ValueError as error:  # a protocol that nobody knows
        raise ZvrError(f"cannot read {url}: {error}; give https://…, s3://… or a folder") from error
    check_ranges(store, url)
    return store


def check_ranges(store: Any, url: str) -> None:
    """Asks for one byte: raises ZvrError when there is no trace, or when the server answers with all of it."""
    from zarr.core.sync import sync

    try:
        part = sync(store.fs._cat_file(f"{store.path}/zarr.json", start=1, end=2))
    except FileNotFoundError as error:
        raise ZvrError(f"no trace at {url}: there is no zarr.json (404); check the address") from error
    except Exception as error:
        raise ZvrError(f"cannot read {url}: {first_line(error)}; check the address, the network and your access") from error
    if len(part) != 1:
        raise ZvrError(
            f"{url}: the server ignores Range and would send whole files for every chunk; put the trace on one that answers 206 "
            "(nginx, Apache, S3, Hugging Face), or download the folder"
        )


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    return str(error).strip().split("\n")[0] or type(error).__name__
