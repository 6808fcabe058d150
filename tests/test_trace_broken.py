"""What is broken, missing or no trace at all is said in one line that names it."""

import json
import shutil

import pytest
import zarr
from plain_trace import write

from zvr_core.errors import ZvrError
from zvr_core.trace import open_trace


@pytest.fixture
def copy(tmp_path):
    return write(tmp_path / "run.zarr", steps=1)


def change_root(path, **attributes):
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"] |= attributes
    (path / "zarr.json").write_text(json.dumps(root))


def test_a_shard_that_was_cut_off_is_named(copy):
    file = copy / "grids" / "3x5" / "cosine_target" / "c.0.0.0.0"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ZvrError, match=r"cannot read grids/3x5/cosine_target of .*run\.zarr: .*copy the trace again"):
        open_trace(copy).target(0, "up.0.0", 0, "cosine")
    assert open_trace(copy).seconds(0) == 0


@pytest.mark.parametrize("key, read", [("x_t/c.0.0.0.0.0", lambda t: t.x_t(0, 0)), ("preview/c.0.0.0", lambda t: t.preview(0, 0))])
def test_chunks_that_were_cut_off_are_named(copy, key, read):
    (copy / key).write_bytes((copy / key).read_bytes()[:-7])
    with pytest.raises(ZvrError, match=f"cannot read {key.split('/')[0]} of"):
        read(open_trace(copy))


def test_a_file_that_was_not_copied_is_named(copy):
    (copy / "grids" / "2x3" / "cosine_target" / "c.0.0.0.0").unlink()
    with pytest.raises(ZvrError, match=r"is damaged: grids/2x3/cosine_target/c\.0\.0\.0\.0 is missing"):
        open_trace(copy).target(0, "mid.0", 0, "cosine")


def test_an_array_that_was_not_copied_is_named(copy):
    shutil.rmtree(copy / "x0")
    with pytest.raises(ZvrError, match=r"is damaged: x0/c\.0\.0\.0\.0\.0 is missing"):
        open_trace(copy).x0(0, 0)
    root = json.loads((copy / "zarr.json").read_text())
    del root["consolidated_metadata"]  # as in a run that was killed
    (copy / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(ZvrError, match=r"is damaged: x0/zarr\.json is missing"):
        open_trace(copy).x0(0, 0)


def test_a_newer_trace_asks_for_a_newer_reader(copy):
    change_root(copy, version=2)
    with pytest.raises(ZvrError, match=r"run\.zarr is a trace of version 2, this zvr reads version 1; update zvr"):
        open_trace(copy)


def test_a_header_that_lacks_something_is_damaged(copy):
    root = json.loads((copy / "zarr.json").read_text())
    del root["attributes"]["latent"]
    (copy / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(ZvrError, match=r"is damaged: its zarr\.json does not describe a run \('latent'\)"):
        open_trace(copy)


def test_a_root_that_was_cut_off_is_damaged(copy):
    (copy / "zarr.json").write_bytes((copy / "zarr.json").read_bytes()[:100])
    with pytest.raises(ZvrError, match="is damaged: it is not JSON"):
        open_trace(copy)


def test_what_is_no_trace_is_said(tmp_path):
    with pytest.raises(ZvrError, match=r"no such folder: .*nowhere\.zarr"):
        open_trace(tmp_path / "nowhere.zarr")
    with pytest.raises(ZvrError, match="is an empty folder"):
        open_trace(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ZvrError, match="is a folder, but no trace"):
        open_trace(tmp_path)
    with pytest.raises(ZvrError, match=r"notes\.txt is a file, but a trace is a folder"):
        open_trace(tmp_path / "notes.txt")
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(ZvrError, match=r"other\.zarr is zarr, but not a trace"):
        open_trace(tmp_path / "other.zarr")
