"""What is written without zarr is what zarr reads."""

import json

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_trace import plain_header
from zarr.storage import MemoryStore

from zvr_core.trace.files import TraceFiles
from zvr_core.trace.format import array_document, crc32c, file_bytes, group_document, to_json
from zvr_core.trace.layout import ArraySpec, Layout


def read_back(spec, values):
    files = TraceFiles(MemoryStore(), -1)
    files.write({**files.add(spec.path, array_document(spec)), spec.key(): file_bytes(spec, values)})
    array = zarr.open_array(files.store, path=spec.path, mode="r")
    assert array.metadata.dimension_names == spec.dims
    return array[tuple(slice(side) for side in values.shape)]


def test_crc32c_of_the_digits_is_the_published_value():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    dtype=st.sampled_from(["uint8", "uint16", "int32", "float16", "float32", "float64"]),
    chunk=st.tuples(*[st.integers(1, 3)] * 3),
    counts=st.tuples(*[st.integers(1, 3)] * 3),
    zstd=st.booleans(),
)
def test_any_block_comes_back_bit_for_bit(data, dtype, chunk, counts, zstd):
    shard = tuple(c * n for c, n in zip(chunk, counts, strict=True))
    shape = tuple(data.draw(st.integers(1, side)) for side in shard)  # the end of a clip fills no whole shard
    spec = ArraySpec("some/array", dtype, 0, ("a", "frame", "c"), shape, chunk, shard, zstd)
    values = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    assert (read_back(spec, values) == values).all()


@pytest.mark.parametrize("dtype", ["bool", "int64", "float64", "float16"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2)])
def test_state_may_have_any_shape_and_type(dtype, shape):
    from zvr_core.trace.layout import state_spec

    values = np.ones(shape, dtype)
    assert (read_back(state_spec(1, 0, shape, dtype), values) == values).all()


def test_every_array_of_a_layout_is_valid_zarr():
    for spec in Layout(plain_header(frames=9, probes=5)).arrays.values():
        document = json.loads(to_json(array_document(spec)))
        metadata = zarr.core.metadata.v3.ArrayV3Metadata.from_dict(document)
        assert metadata.shape == spec.shape and metadata.dtype.to_native_dtype() == spec.dtype


def test_consolidated_metadata_is_that_of_zarr():
    files = TraceFiles(MemoryStore(), -1)
    paths = ["grids/3x5/merged", "clip/lq", "grids/2x3/merged", "x0", "grids/3x5/ratio"]
    for path in paths:
        files.write(files.add(path, array_document(Layout(plain_header()).arrays[path])))
    files.publish({}, consolidated=True)
    ours = zarr.open_consolidated(files.store)
    assert {path for path, _ in ours.members(max_depth=None)} == {*paths, "clip", "grids", "grids/2x3", "grids/3x5"}
    assert ours["grids/3x5/merged"].metadata == zarr.open_group(files.store, use_consolidated=False)["grids/3x5/merged"].metadata
    assert group_document({"a": 1}) == {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}
