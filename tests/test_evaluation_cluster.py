"""The same sweep on a cluster of this machine, with a worker killed on purpose."""

import os
import signal
import sys
from threading import Timer

import numpy as np
import pytest
from PIL import Image

from zvr_core.errors import ZvrError
from zvr_core.evaluation.cell import Settings
from zvr_core.evaluation.cluster import cluster
from zvr_core.evaluation.evaluate import ResultsFolder, attempt, here, plan, sweep
from zvr_core.methods.presets import load_method
from zvr_core.scenes import pan

distributed = pytest.importorskip("distributed")


@pytest.fixture
def cells(tmp_path):
    """Four cells: one clip cannot be read."""
    folder = tmp_path / "small"
    folder.mkdir()
    for i, frame in enumerate(pan(size=(32, 48), count=2).clip()):
        Image.fromarray((frame.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).save(folder / f"{i:05d}.png")
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    settings = Settings(steps=1, frames=2)
    readable = plan([str(folder)], ["down=4"], [load_method("shared_noise")], range(3), settings)
    return [*readable, *plan([str(tmp_path / "broken.mp4")], ["down=4"], [load_method("shared_noise")], [0], settings)]


@pytest.mark.slow  # the worker, and the one that takes its place, import torch
def test_a_lost_worker_loses_nothing(cells, tmp_path):
    (tmp_path / "results").mkdir()
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as local:
        victim = local.workers[0].pid
        Timer(1.0, os.kill, (victim, signal.SIGKILL)).start()  # it has its first cell by then, and is not done
        with cluster(0, local.scheduler_address, attempt) as run_all:
            outcomes = sweep(cells, ResultsFolder(tmp_path / "results"), run_all)
        assert local.workers[0].pid != victim
    errors = [outcome.error for outcome in outcomes.values()]
    assert errors[:3] == [""] * 3
    assert "broken.mp4" in errors[3]
    assert len(list((tmp_path / "results").iterdir())) == 3
    (_, alone), *_ = here(cells)
    assert outcomes[cells[0]].values["psnr"] == pytest.approx(alone.values["psnr"], abs=1e-4)


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setattr("zvr_core.evaluation.cluster.PATIENCE", 1)
    with pytest.raises(ZvrError, match=r"no scheduler answers at 'tcp://127.0.0.1:9'") as caught, cluster(0, "tcp://127.0.0.1:9", attempt):
        pass
    assert "\n" not in str(caught.value)


def test_without_distributed_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ZvrError, match=r"pip install 'zvr\[cluster\]'"), cluster(2, "", attempt):
        pass
