"""A dict of tensors that does not grow: the least recently used move to disk, bit for bit, and come back when asked for."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Hashable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from zvr_core.errors import ZvrError


@dataclass(frozen=True)
class Spilled:
    """Where the bytes of a tensor lie, and what they mean."""

    path: Path
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def load(self) -> torch.Tensor:
        tensor = torch.empty(self.shape, dtype=self.dtype)
        raw_bytes(tensor)[:] = np.fromfile(self.path, dtype=np.uint8)
        return tensor.to(self.device)


def raw_bytes(tensor: torch.Tensor) -> np.ndarray:
    """The memory of a contiguous tensor on the CPU as bytes: numpy has no bfloat16, and so every dtype is kept bit for bit."""
    return tensor.flatten().view(torch.uint8).numpy()


class ArrayStore:
    """Tensors by key; the most recently used stay in memory, at most `max_bytes` of them, the others lie in a folder of its own.

    It stores values: what goes in and what comes out are copies, so nobody changes an entry behind its back, and a slice does not
    keep the array alive that it was cut from.  The folder (below TMPDIR) is made at the first spill and removed by `close`, or
    when the store is collected.
    """

    def __init__(self, max_bytes: int) -> None:
        """Raises ZvrError for a negative size; 0 means everything on disk."""
        if max_bytes < 0:
            raise ZvrError(f"a store of {max_bytes} bytes was asked for; give max_bytes of 0 (everything on disk) or more")
        self.max_bytes = max_bytes
        self.bytes_in_memory = 0
        self._memory: dict[Hashable, torch.Tensor] = {}  # the longest unused first
        self._disk: dict[Hashable, Spilled] = {}  # a key may be in both: what was read back need not be written again
        self._written = 0
        self._folders = ExitStack()
        weakref.finalize(self, self._folders.close)

    def __len__(self) -> int:
        return len(self._memory.keys() | self._disk.keys())

    def __contains__(self, key: Hashable) -> bool:
        return key in self._memory or key in self._disk

    def __setitem__(self, key: Hashable, tensor: torch.Tensor) -> None:
        """Keeps a copy; raises ZvrError when the disk has no room for what has to leave memory."""
        if key in self._disk:
            self._disk.pop(key).path.unlink()
        self._keep(key, tensor.detach().clone(memory_format=torch.contiguous_format))

    def __getitem__(self, key: Hashable) -> torch.Tensor:
        """A copy, on the device and in the dtype it was given in; raises KeyError for an unknown key."""
        tensor = self._memory[key] if key in self._memory else self._disk[key].load()
        self._keep(key, tensor)
        return tensor.clone()

    def close(self) -> None:
        """Forgets everything and removes the folder."""
        self._memory.clear()
        self._disk.clear()
        self.bytes_in_memory = 0
        self._folders.close()
        self.__dict__.pop("_folder", None)

    @cached_property
    def _folder(self) -> Path:
        return Path(self._folders.enter_context(tempfile.TemporaryDirectory(prefix="zvr-")))

    def _keep(self, key: Hashable, tensor: torch.Tensor) -> None:
        """As the most recently used; what is too much by now goes to disk."""
        if key in self._memory:
            self._release(key)
        self._memory[key] = tensor
        self.bytes_in_memory += tensor.nbytes
        while self.bytes_in_memory > self.max_bytes:
            oldest = next(iter(self._memory))
            if oldest not in self._disk:
                self._disk[oldest] = self._write(self._memory[oldest])
            self._release(oldest)

    def _release(self, key: Hashable) -> None:
        self.bytes_in_memory -= self._memory.pop(key).nbytes

    def _write(self, tensor: torch.Tensor) -> Spilled:
        raw = raw_bytes(tensor.cpu()).data
        try:
            path = self._folder / f"{self._written}.raw"  # a failed attempt leaves the number, and is overwritten by the next
            path.write_bytes(raw)
        except OSError as error:
            place, size = tempfile.gettempdir(), raw.nbytes / 2**20
            raise ZvrError(f"cannot spill {size:.1f} MiB to {place}: {error}; free space there or set TMPDIR to a larger disk") from error
        self._written += 1
        return Spilled(path, tensor.shape, tensor.dtype, tensor.device)
