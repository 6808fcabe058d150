"""Where everything lies in a trace."""

import pytest
from plain_trace import plain_header

from zvr_core.trace.layout import Layout, grid_path


def arrays(**changes):
    return Layout(plain_header(**changes)).arrays


def test_arrays_by_site_lie_with_those_of_their_grid():
    specs = arrays()
    assert specs["grids/3x5/cosine_target"].shape == (4, 2, 3, 15)
    assert specs["grids/2x3/cosine_target"].shape == (4, 1, 3, 6)
    assert specs["grids/3x5/cosine_target"].dims == ("step", "site", "frame", "token")


def test_a_step_writes_one_file_for_all_sites_and_a_view_reads_one_window_of_one_site():
    spec = arrays(frames=6)["grids/3x5/cosine_target"]
    assert spec.chunks == (1, 1, 3, 15)
    assert spec.shards == (1, 2, 6, 15)
    assert spec.key(2, 5) == "grids/3x5/cosine_target/c.2.0.0.0"


def test_long_clips_are_cut_into_blocks_of_whole_windows():
    specs = arrays(frames=100, window=7)
    assert specs["grids/3x5/merged"].shards[2] == 35
    assert specs["grids/3x5/merged"].key(1, 36) == "grids/3x5/merged/c.1.0.1.0"
    assert specs["x_t"].chunks == (1, 32, 4, 3, 5)
    assert specs["clip/flow"].shards == (8, 2, 24, 40)
    assert specs["clip/flow"].key(0, 99) == "clip/flow/c.12.0.0.0"


def test_a_window_longer_than_a_block_is_cut_too():
    assert arrays(frames=50, window=50)["grids/3x5/provider"].chunks == (1, 1, 32, 15)


def test_there_is_one_moment_more_than_steps():
    assert arrays()["x_t"].shape[0] == 5
    assert arrays()["x_t"].dims[0] == "moment"
    assert arrays()["x0"].shape[0] == 4


def test_flow_matches_are_stored_once_per_clip():
    specs = arrays()
    assert specs["grids/3x5/flow_target"].dims == ("frame", "token")
    assert specs["grids/3x5/flow_error"].dtype == "float32"
    assert "grids/3x5/flow_score" not in specs


@pytest.mark.parametrize("channels, width", [(0, 4), (2, 2)])
def test_tokens_are_as_wide_as_asked(channels, width):
    assert arrays(token_channels=channels)["grids/2x3/tokens"].shape == (4, 1, 3, 6, width)


def test_probes_have_their_own_dimension():
    assert arrays(probes=48)["grids/2x3/similarity"].shape == (4, 1, 3, 48, 6)
    assert arrays(probes=48)["grids/2x3/similarity"].nbytes == 4 * 3 * 48 * 6


def test_dimensions_of_one_name_have_one_length_along_every_path():
    specs = arrays(frames=9, probes=5)
    for group in ("", "clip", grid_path((3, 5)), grid_path((2, 3))):
        seen = {}
        for spec in specs.values():
            if spec.path.rpartition("/")[0] in ("", group):
                for dim, side in zip(spec.dims, spec.shape, strict=True):
                    assert seen.setdefault(dim, side) == side, (spec.path, dim)


def test_floats_of_matches_are_not_compressed_and_pictures_are():
    specs = arrays(probes=5)
    assert not specs["grids/3x5/cosine_score"].zstd
    assert specs["preview"].zstd and specs["clip/lq"].zstd and specs["grids/3x5/similarity"].zstd
