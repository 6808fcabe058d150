"""A store of tensors that spills to disk."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.errors import ZvrError
from zvr_core.store import ArrayStore

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.complex64]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go during a test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (), (0, 4)])
def test_a_spilled_tensor_comes_back_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    store = ArrayStore(max_bytes=0)
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    store["x"] = tensor
    assert store.bytes_in_memory == 0
    assert (store["x"].dtype, store["x"].shape, bits(store["x"])) == (dtype, tensor.shape, bits(tensor))


def test_not_a_number_infinity_and_minus_zero_survive() -> None:
    store = ArrayStore(max_bytes=0)
    store[0] = torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45])
    assert bits(store[0]) == bits(torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45]))


def test_the_most_recently_used_stay_in_memory(folder: Path) -> None:
    store = ArrayStore(max_bytes=8)  # two floats
    store["a"], store["b"] = torch.tensor(1.0), torch.tensor(2.0)
    assert not files(folder)
    store["a"]
    store["c"] = torch.tensor(3.0)
    assert [path.read_bytes() for path in files(folder)] == [bits(torch.tensor(2.0))]


def test_what_was_read_back_is_not_written_again(folder: Path) -> None:
    store = ArrayStore(max_bytes=4)
    store["a"], store["b"] = torch.tensor(1.0), torch.tensor(2.0)
    for _ in range(3):
        assert (float(store["a"]), float(store["b"])) == (1.0, 2.0)
    assert len(files(folder)) == 2


def test_an_overwritten_entry_leaves_no_file(folder: Path) -> None:
    store = ArrayStore(max_bytes=0)
    for value in range(4):
        store["a"] = torch.tensor(float(value))
    assert float(store["a"]) == 3.0
    assert len(files(folder)) == 1


def test_entries_are_copies() -> None:
    store = ArrayStore(max_bytes=100)
    tensor = torch.zeros(3)
    store["a"] = tensor
    tensor += 1
    store["a"].add_(5)
    assert store["a"].tolist() == [0, 0, 0]


def test_a_slice_does_not_keep_its_array() -> None:
    store = ArrayStore(max_bytes=100)
    store["a"] = torch.zeros(1000)[:2]
    assert store._memory["a"].untyped_storage().nbytes() == 8


def test_gradients_are_not_kept() -> None:
    store = ArrayStore(max_bytes=100)
    store["a"] = torch.zeros(3, requires_grad=True) * 2
    assert not store["a"].requires_grad


def test_no_folder_until_the_first_spill_and_none_after_close(folder: Path) -> None:
    store = ArrayStore(max_bytes=4)
    store["a"] = torch.tensor(1.0)
    assert not list(folder.iterdir())
    store["b"] = torch.tensor(2.0)
    assert len(list(folder.iterdir())) == 1
    store.close()
    assert (len(store), store.bytes_in_memory, list(folder.iterdir())) == (0, 0, [])


def test_a_closed_store_can_be_filled_again() -> None:
    store = ArrayStore(max_bytes=0)
    store["a"] = torch.tensor(1.0)
    store.close()
    store["a"] = torch.tensor(2.0)
    assert float(store["a"]) == 2.0


@pytest.mark.filterwarnings("error")
def test_the_folder_goes_with_the_store(folder: Path) -> None:
    store = ArrayStore(max_bytes=0)
    store["a"] = torch.tensor(1.0)
    del store
    gc.collect()
    assert not list(folder.iterdir())


def test_an_unknown_key_raises_key_error() -> None:
    with pytest.raises(KeyError):
        ArrayStore(10)["a"]


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ZvrError, match="-1 bytes"):
        ArrayStore(-1)


def test_a_full_disk_is_one_line_that_names_folder_and_fix(folder: Path) -> None:
    store = ArrayStore(max_bytes=1 << 20)
    store["kept"] = torch.ones(1 << 17)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, hard))  # files of at most 4 KiB: writing more fails as on a full disk
    try:
        with pytest.raises(ZvrError) as caught:
            store["new"] = torch.ones(1 << 18)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    message = str(caught.value)
    assert str(folder) in message
    assert "TMPDIR" in message
    assert "\n" not in message
    assert torch.equal(store["kept"], torch.ones(1 << 17))  # nothing was lost, and with room again the store works
    assert store.bytes_in_memory <= store.max_bytes


operations = st.lists(st.tuples(st.sampled_from("sg"), st.integers(0, 4), st.integers(0, 6)), max_size=40)


@given(operations, st.integers(0, 60))
@settings(deadline=None, max_examples=40)
def test_it_behaves_like_a_dict_within_its_memory(steps: list[tuple[str, int, int]], max_bytes: int) -> None:
    store, plain = ArrayStore(max_bytes), {}
    for number, (operation, key, length) in enumerate(steps):
        if operation == "s":
            store[key] = plain[key] = torch.full((length,), float(number))
        elif key in plain:
            assert torch.equal(store[key], plain[key])
        assert store.bytes_in_memory == sum(tensor.nbytes for tensor in store._memory.values()) <= max_bytes
        assert len(store) == len(plain)
        assert all((key in store) == (key in plain) for key in range(5))
    assert all(torch.equal(store[key], tensor) for key, tensor in plain.items())
