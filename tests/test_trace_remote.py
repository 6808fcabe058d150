"""A trace on a web server: only what one looks at travels."""

import http.server
import re
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from plain_trace import check, plain_header, put_clip, put_step, write
from sample_trace import make_trace

from zvr_core.errors import ZvrError
from zvr_core.trace import Missing, open_trace
from zvr_core.trace.writer import TraceWriter

pytest.importorskip("aiohttp", reason='reading over http needs pip install "zvr[remote]"')


class Server(http.server.ThreadingHTTPServer):
    """Serves one folder, without listings, and notes who asked for what: (path, bytes sent)."""

    def __init__(self, folder: Path, ranges: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.ranges = folder, ranges
        self.asked: list[tuple[str, int]] = []
        self.down = False

    def bytes(self) -> int:
        return sum(count for _, count in self.asked)

    def paths(self) -> set[str]:
        return {path.partition(".zarr/")[2] for path, _ in self.asked}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        file = self.server.folder / self.path.lstrip("/")
        if self.server.down or not file.is_file():  # no listings either
            self.answer(503 if self.server.down else 404, b"")
            return
        body, span = file.read_bytes(), re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not (span and self.server.ranges):
            self.answer(200, body)
            return
        first, last = span.groups()
        start = int(first) if first else len(body) - int(last)
        stop = min(int(last) + 1, len(body)) if first and last else len(body)
        self.answer(206, body[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"})

    def answer(self, code: int, body: bytes, more: dict[str, str] | None = None) -> None:
        self.server.asked.append((self.path, len(body)))
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path, ranges: bool = True):
    server = Server(folder, ranges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    make_trace(folder / "pan.zarr", frames=6, steps=3, window=3)
    write(folder / "plain.zarr")
    return folder


def test_opening_moves_the_root_document_and_nothing_else(folder):
    with serving(folder) as (server, url):
        trace = open_trace(f"{url}/pan.zarr/")
        assert trace.steps == 3 and trace.site("up.1.0").tokens == 192
        assert repr(trace).startswith("Trace('pan.zarr': pan, 6 frames")
        assert server.paths() == {"zarr.json"}
        assert server.bytes() == (folder / "pan.zarr" / "zarr.json").stat().st_size + 1  # and the one byte that tests Range


def test_one_step_of_one_site_moves_its_chunks_and_indices(folder):
    with serving(folder) as (server, url):
        trace = open_trace(f"{url}/pan.zarr")
        server.asked.clear()
        found = trace.target(1, "up.1.0", 4, "cosine")
        shard, chunk, index = "grids/12x16/cosine_target/c.1.0.0.0", 3 * 192 * 4, 4 * 16 + 4  # 2 sites × 2 windows of 3 frames
        assert server.asked == [(f"/pan.zarr/{shard}", index), (f"/pan.zarr/{shard}", chunk)]
        assert (found == open_trace(folder / "pan.zarr").target(1, "up.1.0", 4, "cosine")).all()


def test_the_view_of_a_step_moves_less_than_a_tenth_of_the_trace(folder):
    total = sum(file.stat().st_size for file in (folder / "pan.zarr").rglob("*") if file.is_file())
    with serving(folder) as (server, url):
        trace = open_trace(f"{url}/pan.zarr")
        for matcher in ("flow", "cosine"):
            trace.target(2, "up.1.0", 0, matcher)
            trace.score(2, "up.1.0", 0, matcher)
        trace.preview(2, 0), trace.merged(2, "up.1.0", 0), trace.lq(0)
        assert server.bytes() < total / 10
        assert not [path for path in server.paths() if re.search(r"/c\.[01]\.", path) and "grids" in path and "flow" not in path]


def test_looking_again_moves_nothing(folder):
    with serving(folder) as (server, url):
        trace = open_trace(f"{url}/pan.zarr")
        trace.x0(0, 0)
        server.asked.clear()
        trace.x0(0, 1)
        assert not server.asked


def test_everything_can_be_read_from_afar(folder):
    with serving(folder) as (_, url):
        check(open_trace(f"{url}/plain.zarr"))


def test_a_run_that_is_still_going_on_can_be_watched(tmp_path):
    writer = TraceWriter(tmp_path / "live.zarr", plain_header())
    put_clip(writer)
    put_step(writer, 0)
    writer.commit(0)
    writer.flush()
    with serving(tmp_path) as (_, url):
        trace = open_trace(f"{url}/live.zarr")
        check(trace)
        put_step(writer, 1)
        writer.commit(1)
        writer.close()
        assert trace.refresh().steps == 2
        check(trace)
        with pytest.raises(Missing):
            trace.truth(0)


def test_a_server_without_ranges_is_one_clear_error(folder):
    with serving(folder, ranges=False) as (_, url), pytest.raises(ZvrError, match=r"ignores Range .*nginx, Apache"):
        open_trace(f"{url}/pan.zarr")


def test_an_address_without_a_trace_is_one_clear_error(folder):
    with serving(folder) as (_, url), pytest.raises(ZvrError, match=r"no trace at http://.*/other\.zarr: .*\(404\)"):
        open_trace(f"{url}/other.zarr")


def test_a_server_that_is_not_there_is_one_clear_error(folder):
    with serving(folder) as (_, url):
        pass
    with pytest.raises(ZvrError, match=r"cannot read http://.*check the address"):
        open_trace(f"{url}/pan.zarr")


def test_a_server_that_goes_away_is_one_clear_error(folder):
    with serving(folder) as (server, url):
        trace = open_trace(f"{url}/pan.zarr")
        server.down = True
        for read in (lambda: trace.x0(0, 0), lambda: trace.target(0, "mid.0", 0, "cosine"), lambda: trace.state(1), trace.refresh):
            with pytest.raises(ZvrError, match="out of reach"):
                read()
        server.down = False
        assert np.isfinite(trace.x0(0, 0)).all()


def test_a_file_that_was_not_uploaded_is_named(folder):
    hidden = folder / "plain.zarr" / "x0" / "c.2.0.0.0.0"
    hidden.rename(hidden.with_name("elsewhere"))
    with serving(folder) as (_, url), pytest.raises(ZvrError, match=r"x0/c\.2\.0\.0\.0\.0 is missing"):
        open_trace(f"{url}/plain.zarr").x0(2, 0)
    hidden.with_name("elsewhere").rename(hidden)


def test_protocols_that_nobody_knows_are_named():
    with pytest.raises(ZvrError, match=r"cannot read gopher://x/run\.zarr: .*give https://"):
        open_trace("gopher://x/run.zarr")


def test_what_a_bucket_needs_is_said():
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(ZvrError, match=r's3://bucket/run.zarr needs fsspec and s3fs; install them: pip install "zvr\[remote\]"'):
            open_trace("s3://bucket/run.zarr")


def test_any_file_system_of_fsspec_will_do(folder):
    from fsspec.implementations.memory import MemoryFileSystem

    files = MemoryFileSystem()
    for file in (folder / "plain.zarr").rglob("*"):
        if file.is_file():
            files.pipe(f"/plain.zarr/{file.relative_to(folder / 'plain.zarr').as_posix()}", file.read_bytes())
    check(open_trace("memory://plain.zarr"))
