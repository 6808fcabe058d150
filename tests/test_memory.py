"""Memory does not grow with the length of a clip: read lazily, stored on disk, decoded and written window by window."""

import os
import resource
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from zvr_core.media.writing import write_clip

SCRIPT = """
import resource, sys
import zvr_core.cli
try:
    zvr_core.cli.main(sys.argv[1:])
except SystemExit as end:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, end.code)
"""


def walk(count, height, width):
    """A camera that walks over a smooth picture, a frame at a time."""
    canvas = F.interpolate(torch.rand(1, 3, 12, 60, generator=torch.Generator().manual_seed(0)), scale_factor=8, mode="bicubic").clamp(0, 1)
    for t in range(count):
        yield canvas[..., :height, t : t + width]


@pytest.mark.slow
def test_300_frames_peak_within_a_tenth_of_60(tmp_path):
    peaks = {}
    for count in (60, 300):
        source = write_clip(walk(count, 24, 32), tmp_path / f"{count}.mkv", 25).path
        arguments = ["restore", source, "-o", tmp_path / f"{count}.mp4", "--steps", "1", "--max-memory", "4"]
        command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        peak, code = done.stdout.split()[-2:]
        assert code == "0", done.stderr
        peaks[count] = int(peak)
    assert peaks[300] < 1.1 * peaks[60], peaks


def test_the_unit_of_the_peak_is_what_the_test_thinks():
    """Kilobytes on Linux: this process, which has loaded torch, holds between 50 MB and 50 GB."""
    assert 50_000 < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 50_000_000
