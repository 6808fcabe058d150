"""The training script runs end to end, and a run that was killed goes on to the same weights."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import train
from PIL import Image
from safetensors.torch import load_file

from zvr_core.models.load import load_model

SCRIPT = Path(__file__).parents[1] / "data" / "embedded" / "train.py"


def command(folder, out):
    options = f"--photos {folder} --listing {folder}/list.txt --out {out} --cycles 1:32 3:64 --save-every 0 --threads 1"
    return [sys.executable, str(SCRIPT), *options.split()]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = torch.Generator().manual_seed(0)
    for i in range(3):
        noise = (torch.rand(40, 40, 3, generator=rng) * 255).byte().numpy()
        Image.fromarray(noise).resize((400, 380), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    subprocess.run([*command(folder, folder / "out"), "--list"], check=True)
    return folder


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    subprocess.run(command(photos, out), check=True, capture_output=True)
    return out


def test_each_cycle_of_the_learning_rate_warms_up_and_cools_down():
    args = argparse.Namespace(cooldown=0.25, lr=1.0)
    first, second = train.parse_cycles(["1000:32", "3000:64"])
    assert (first, second) == ((0, 1000, 32), (1000, 3000, 64))
    assert [train.learning_rate(step, first, args) for step in (299, 749)] == [1.0] * 2
    assert [train.learning_rate(step, second, args) for step in (1299, 2499)] == [1.0] * 2
    assert train.learning_rate(0, first, args) == train.learning_rate(1000, second, args) == pytest.approx(1 / 300)
    assert train.learning_rate(999, first, args) < 1e-4 and train.learning_rate(2999, second, args) < 1e-5
    assert train.learning_rate(2750, second, args) == pytest.approx(0.5)


def test_the_frozen_list_names_files_hashes_and_splits(photos):
    rows = [row.split(" ") for row in (photos / "list.txt").read_text().splitlines()]
    assert [row[1:] for row in rows] == [["val", "0.png"], ["train", "1.png"], ["train", "2.png"]]
    assert all(len(row[0]) == 64 for row in rows)


@torch.no_grad()
def test_a_widened_network_goes_on_from_what_the_thin_one_knew():
    torch.manual_seed(0)
    thin, wide = train.build_unet(32), train.build_unet(64)
    wide.load_state_dict(train.widen(thin.state_dict(), wide, torch.Generator().manual_seed(0)))
    inside, x = [], torch.randn(2, 19, 16, 16)
    for unet in (thin, wide):
        for block in unet.down_blocks:
            block.register_forward_hook(lambda block, args, out: inside.append(out[0]))
    before, after = (unet(x, torch.tensor([10, 900]), torch.zeros(2, 1, 8)).sample for unet in (thin, wide))
    finest, half, quarter = zip(inside[:3], inside[3:], strict=True)
    assert torch.allclose(finest[1], finest[0].repeat_interleave(2, 1), atol=1e-4)
    assert torch.allclose(half[1], half[0], atol=1e-4) and torch.allclose(quarter[1], quarter[0], atol=1e-4)
    assert (after - before).norm() < 0.35 * before.norm()  # on the way up two norms see other groups
    weights = wide.conv_out.weight
    assert not torch.allclose(weights[:, ::2], weights[:, 1::2])  # else the copies would stay copies


def test_networks_that_differ_in_more_than_the_width_are_refused():
    thin = train.build_unet(32).state_dict()
    del thin["conv_out.bias"]
    with pytest.raises(KeyError):
        train.widen(thin, train.build_unet(64), torch.Generator())


@pytest.mark.slow
def test_the_result_is_a_model(trained):
    (trained / "model" / "model_index.json").write_bytes((SCRIPT.parent / "model_index.json").read_bytes())
    model = load_model(trained / "model")
    condition = model.encode(torch.rand(1, 3, 8, 8), lambda purpose, shape: torch.zeros(1, *shape))
    assert torch.isfinite(model.predict(torch.randn(1, *model.latent_shape((8, 8))), 999, 0.005, condition).x0).all()
    assert [json.loads(row)["step"] for row in (trained / "log.jsonl").read_text().splitlines()] == [1, 2, 3]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(photos, trained, tmp_path):
    running = subprocess.Popen(command(photos, tmp_path), stderr=subprocess.DEVNULL)
    log = tmp_path / "log.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 2:  # killed after it was widened
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    subprocess.run(command(photos, tmp_path), check=True, capture_output=True)
    killed, whole = (load_file(out / "checkpoint.safetensors") for out in (tmp_path, trained))
    assert killed.keys() == whole.keys()
    assert all(torch.equal(killed[key], whole[key]) for key in whole)


def test_a_photograph_that_changed_stops_the_run(photos, tmp_path):
    changed = tmp_path / "photos"
    changed.mkdir()
    for file in photos.iterdir():
        if file.is_file():
            os.link(file, changed / file.name)
    (changed / "1.png").unlink()
    (changed / "1.png").write_bytes(b"other")
    done = subprocess.run(command(changed, tmp_path / "out"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1.png is not the file of the frozen list" in done.stderr
