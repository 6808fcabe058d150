"""The part of the zarr v3 format that a trace uses, as bytes: documents (zarr.json), chunks and shards.

Reading goes through zarr; writing does not, because its call costs 2 ms an array and a step writes two dozen: 50 ms against 14.
Source: zarr specification, version 3.1, with the codecs "bytes", "zstd", "crc32c" and "sharding_indexed" 1.0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd

from zvr_core.trace.layout import ArraySpec

ZSTD_LEVEL = 1
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}}
Document = dict[str, Any]


def group_document(attributes: Mapping[str, Any], members: Mapping[str, Document] | None = None) -> Document:
    """A group; `members` by path are its consolidated metadata, with which a reader asks for no other document."""
    group = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    return group if members is None else group | consolidated({path: _member(members[path]) for path in sorted(members)})


def consolidated(members: Mapping[str, Document]) -> Document:
    """The entry that zarr-python writes and xarray reads; not part of the specification yet, others may skip it."""
    return {"consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": dict(members)}}


def _member(document: Document) -> Document:
    """All paths are in the root's entry, so a group's own entry is empty: without one, its arrays count as not consolidated."""
    return document | consolidated({}) if document["node_type"] == "group" else document


def array_document(spec: ArraySpec) -> Document:
    """An array, its files in one folder ("c.3.0.0"): folders in folders cost more than what they hold."""
    codecs: list[Document] = [BYTES, ZSTD] if spec.zstd else [BYTES]
    if spec.sharded:
        inner = {"chunk_shape": list(spec.chunks), "codecs": codecs, "index_codecs": [BYTES, {"name": "crc32c"}], "index_location": "end"}
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(spec.shape),
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(spec.shards)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": fill_value(spec),
        "codecs": codecs,
        "dimension_names": list(spec.dims),
        "attributes": {},
    }


def fill_value(spec: ArraySpec) -> float | bool | str:
    """As JSON has it: no NaN, and 0 is not false."""
    return bool(spec.fill) if spec.dtype == "bool" else "NaN" if math.isnan(spec.fill) else spec.fill


def to_json(document: Document) -> bytes:
    return json.dumps(document, indent=1).encode()


def file_bytes(spec: ArraySpec, values: np.ndarray) -> bytes:
    """The file of one block: a chunk, or a shard of several; at the end of the clip `values` may have too few frames."""
    short = [(0, side - given) for side, given in zip(spec.shards, values.shape, strict=True)]
    if any(missing for _, missing in short):
        values = np.pad(values, short, constant_values=spec.fill)
    values = values.astype(np.dtype(spec.dtype).newbyteorder("<"), copy=False)
    return shard_bytes(chunks_of(values, spec.chunks), spec.zstd) if spec.sharded else chunk_bytes(values, spec.zstd)


def chunk_bytes(values: np.ndarray, compressed: bool) -> bytes:
    raw = values.tobytes()
    return Zstd(level=ZSTD_LEVEL).encode(raw) if compressed else raw


def chunks_of(values: np.ndarray, shape: tuple[int, ...]) -> Iterable[np.ndarray]:
    """The chunks of a block in the order of their numbers."""
    counts = [side // part for side, part in zip(values.shape, shape, strict=True)]
    for number in np.ndindex(*counts):
        yield values[tuple(slice(i * part, (i + 1) * part) for i, part in zip(number, shape, strict=True))]


def shard_bytes(chunks: Iterable[np.ndarray], compressed: bool) -> bytes:
    """The chunks one after the other, then (offset, length) of each, then the checksum of that index."""
    parts = [chunk_bytes(chunk, compressed) for chunk in chunks]
    lengths = np.array([len(part) for part in parts], "<u8")
    index = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1).astype("<u8").tobytes()
    return b"".join([*parts, index, crc32c(index).to_bytes(4, "little")])


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


CRC_TABLE = [_crc_entry(byte) for byte in range(256)]
