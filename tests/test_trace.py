"""Reading a trace: everything that was recorded, what was not in words, and what is broken in one line."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from plain_trace import plain_header, put_clip, put_step, write
from sample_trace import make_trace
from zarr.storage import MemoryStore

from zvr_core.errors import ZvrError
from zvr_core.trace import Missing, Trace, open_trace
from zvr_core.trace.writer import TraceWriter


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_trace(tmp_path_factory.mktemp("traces") / "pan.zarr")


@pytest.fixture(scope="module")
def trace(path):
    return open_trace(path)


# ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_header_says_what_ran(trace):
    assert (trace.name, trace.method, trace.seed, trace.fps, trace.scale) == ("pan", "diffir2vr", 0, 10.0, 2)
    assert (trace.frames, trace.size, trace.lq_size) == (4, (96, 128), (48, 64))
    assert (trace.steps, trace.total_steps, trace.match_steps) == (5, 5, (0, 1, 2, 3, 4))
    assert trace.model["name"] == "embedded" and trace.matchers == ("flow", "cosine", "cosine_spatial")
    assert trace.timesteps.shape == trace.alpha_bar.shape == trace.log_snr.shape == (5,)
    assert (np.diff(trace.log_snr) > 0).all()


def test_sites_have_names_and_grids(trace):
    assert [(site.name, site.grid, site.tokens) for site in trace.sites[1:]] == [("up.1.0", (12, 16), 192), ("mid.0", (6, 8), 48)]
    assert trace.site("mid.0").cell == 16
    assert trace.own("up.1.0") == "cosine_spatial"
    with pytest.raises(ZvrError, match=r"unknown site 'up\.1\.1'; did you mean up\.1\.0"):
        trace.site("up.1.1")


def test_the_key_frame_of_overlapping_windows_is_that_of_the_one_where_a_frame_is_most_central():
    from zvr_core.trace.header import TraceWindow

    header = plain_header(frames=6, windows=(TraceWindow(0, 4, 1), TraceWindow(2, 6, 4)), sites=())
    TraceWriter(store := MemoryStore(), header).close()
    assert Trace(store).key.tolist() == [1, 1, 1, 4, 4, 4]


def test_latents_and_pictures_have_the_shapes_they_were_given(trace):
    assert trace.x_t(5, 3).shape == trace.x0(0, 0).shape == (4, 12, 16)
    assert trace.x_t(0, 0).dtype == trace.x0(0, 0).dtype == np.float32
    assert trace.preview(4, 1).shape == (48, 64, 3) and trace.preview_jpeg(4, 1).startswith(b"\xff\xd8")
    assert trace.lq(0).shape == (48, 64, 3) and trace.truth(3).shape == trace.restored(3).shape == (96, 128, 3)
    assert trace.flow(0).shape == trace.flow_back(0).shape == (2, 96, 128)
    assert trace.occluded(0).dtype == bool and (trace.confidence(2) == 1).all()


def test_flow_matches_are_the_true_ones(trace):
    for site in ("up.1.0", "mid.0"):
        true = trace.true_target(site, 0)
        assert 0.5 < (true >= 0).mean() < 1
        assert (trace.target(3, site, 0, "flow") == true)[true >= 0].all()


def test_cosine_matches_err_early_more_often_than_late(trace):
    true = trace.true_target("up.1.0", 0)
    right = [(trace.target(step, "up.1.0", 0, "cosine") == true).mean() for step in (0, 4)]
    assert right[0] < right[1]


def test_scores_and_margins_come_back_as_floats(trace):
    key = int(trace.key[0])
    assert trace.score(0, "mid.0", key, "cosine").tolist() == [np.inf] * 48
    assert trace.score(0, "mid.0", 0, "flow").max() > 15
    assert trace.margin(0, "mid.0", 0, "cosine").dtype == np.float32


def test_merged_tokens_take_the_output_of_a_token_of_the_key_frame(trace):
    merged, provider = trace.merged(0, "up.1.0", 0), trace.provider(0, "up.1.0", 0)
    assert (provider[merged] // 192 == trace.key[0]).all()
    assert (provider[~merged] == np.arange(192)[~merged]).all()
    assert trace.merged_count(0, "up.1.0") == sum(trace.merged(0, "up.1.0", frame).sum() for frame in range(4))
    assert trace.ratio(0, "up.1.0") > trace.ratio(4, "up.1.0") == 0


def test_similarity_rows_peak_where_cosine_found_its_match(trace):
    tokens, rows = trace.similarity(0, "up.1.0", 0)
    assert tokens.shape == (6,) and rows.shape == (6, 192) and trace.entropy(0, "up.1.0", 0).shape == (6,)
    found = trace.target(0, "up.1.0", 0, "cosine")[tokens]
    assert (rows[np.arange(6), found] > rows.max(1) - 0.05).all()
    assert rows.min() >= -1 and rows.max() <= 1


def test_what_was_read_cannot_be_changed(trace):
    with pytest.raises(ValueError, match="read-only"):
        trace.truth(0)[:] = 0


def test_inputs_of_other_precision_are_shown_in_eight_bits():
    for dtype, white in (("uint16", 65535), ("float32", 1.0)):
        writer = TraceWriter(store := MemoryStore(), plain_header(lq_dtype=dtype))
        writer.put("clip/lq", np.full((3, 24, 40, 3), white, dtype))
        writer.close()
        assert (Trace(store).lq(2) == 255).all() and Trace(store).lq_exact(2).dtype == dtype


def test_stored_tokens_come_back(tmp_path):
    writer = TraceWriter(tmp_path / "t.zarr", plain_header())
    writer.put("tokens", np.full((3, 6, 4), 0.5), step=0, site="mid.0")
    writer.commit(0)
    writer.close()
    assert (open_trace(tmp_path / "t.zarr").tokens(0, "mid.0", 2) == 0.5).all()


def test_steps_are_compared_by_their_noise():
    stores = {}
    for name, alpha_bar in {"few": (0.1, 0.5, 0.9), "many": (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)}.items():
        with TraceWriter(
            stores.setdefault(name, MemoryStore()), plain_header(steps=len(alpha_bar), alpha_bar=alpha_bar, sites=())
        ) as writer:
            for step in range(len(alpha_bar)):
                writer.commit(step)
    few, many = Trace(stores["few"]), Trace(stores["many"])
    assert few.compare(many) == [(0, 1), (1, 3), (2, 5)]
    assert [pair[1] for pair in many.compare(few)] == [0, 0, 1, 1, 1, 2]


def test_nothing_compares_with_a_run_that_has_not_begun(trace):
    with TraceWriter(store := MemoryStore(), plain_header()), pytest.raises(ZvrError, match="no whole step yet"):
        trace.compare(Trace(store))


@pytest.mark.parametrize("close", [True, False])
def test_what_was_read_ahead_is_the_same_and_is_not_read_again(tmp_path, monkeypatch, close):
    path = make_trace(tmp_path / "pan.zarr", close=close)  # one that is still written has its metadata in many files
    slow, fast = open_trace(path), open_trace(path)
    fast.read_ahead(3, "up.1.0", 1)
    monkeypatch.setattr(fast._reader, "_read", lambda *_: pytest.fail("read again"))
    for matcher in ("cosine", "cosine_spatial"):
        for kind in ("target", "score", "margin"):
            assert np.array_equal(
                getattr(fast, kind)(3, "up.1.0", 1, matcher), getattr(slow, kind)(3, "up.1.0", 1, matcher), equal_nan=True
            )
    for kind in ("provider", "merged"):
        found = getattr(fast, kind)(3, "up.1.0", 1)
        assert np.array_equal(found, getattr(slow, kind)(3, "up.1.0", 1))
        assert not found.flags.writeable or kind == "merged"


def test_reading_ahead_says_nothing_of_what_is_not_there(path):
    open_trace(path).read_ahead(99, "up.1.0", 0)


# ── what is not there ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A run that has come to step 2 of 4, with matches at steps 0 and 2 only."""
    writer = TraceWriter(path := tmp_path_factory.mktemp("traces") / "bare.zarr", plain_header(match_steps=(0, 2)))
    put_clip(writer)
    put_step(writer, 0)
    writer.commit(0)
    writer.put("x_t", np.zeros((3, 4, 3, 5)), step=2)
    writer.commit(1)
    writer.close()
    return open_trace(path)


@pytest.mark.parametrize(
    "read, words",
    [
        (lambda t: t.truth(0), "bare.zarr has no truth; give the true frames"),
        (lambda t: t.true_target("mid.0", 0), "has no truth_flow; give the true frames"),
        (lambda t: t.restored(0), "has no restored; it is there once the run has ended"),
        (lambda t: t.flow(0), 'has no flow; record with "flow"'),
        (lambda t: t.similarity(0, "mid.0", 0), r"has no similarity.*RecordAt\(similarity=48\)"),
        (lambda t: t.entropy(0, "mid.0", 0), r"RecordAt\(similarity=48\)"),
        (lambda t: t.tokens(0, "mid.0", 0), r'RecordAt\(tokens="full"\)'),
        (lambda t: t.margin(0, "mid.0", 0, "cosine"), 'has no cosine_margin; record with "cosine" in RecordAt'),
        (lambda t: t.target(0, "mid.0", 0, "cosine_flow"), "has no cosine_flow matches, but flow, cosine"),
        (
            lambda t: t.target(1, "mid.0", 0, "cosine"),
            r"has no cosine matches of mid\.0 at step 1; record with .*steps=.all.\) \(was: 0, 2\)",
        ),
        (lambda t: t.x0(1, 0), "has no x0 at step 1; record with"),
        (lambda t: t.preview(1, 0), "no preview of step 1 was recorded"),
    ],
)
def test_what_was_not_recorded_is_said_with_the_way_to_record_it(bare, read, words):
    with pytest.raises(Missing, match=words):
        read(bare)


@pytest.mark.parametrize(
    "read, words",
    [
        (lambda t: t.x0(2, 0), r"step 2 of x0 asked of .*bare\.zarr, which has steps 0 to 1 \(of 4"),
        (lambda t: t.x_t(3, 0), r"step 3 of x_t asked of .*, which has steps 0 to 2"),
        (lambda t: t.x_t(-1, 0), "step -1"),
        (lambda t: t.merged(0, "mid.0", 3), "frame 3 asked of .*, which has frames 0 to 2"),
        (lambda t: t.merged(0, "mid", 0), "unknown site 'mid'"),
        (lambda t: t.state(3), "step 3 asked of .*, which has state for steps 0 to 2"),
    ],
)
def test_steps_frames_and_sites_that_do_not_exist_are_errors(bare, read, words):
    with pytest.raises(ZvrError, match=words) as error:
        read(bare)
    assert not isinstance(error.value, Missing)


def test_one_can_ask_before_reading(trace, bare):
    assert all(trace.has(what) for what in ("x_t", "preview", "truth", "true_target", "confidence", "cosine", "flow", "merged", "entropy"))
    assert not any(bare.has(what) for what in ("truth", "true_target", "confidence", "cosine_flow", "similarity", "restored"))


@pytest.fixture
def copy(tmp_path):
    return write(tmp_path / "run.zarr", steps=1)


# ── other readers, other sizes ───────────────────────────────────────────────────────────────────────────────────────


def test_xarray_alone_opens_a_closed_trace_with_named_dimensions(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xarray.open_datatree(path, engine="zarr")
    assert tree["x_t"].dims == ("moment", "frame", "channel", "latent_y", "latent_x")
    assert tree["clip/lq"].dims == ("frame", "lq_y", "lq_x", "colour")
    grid = tree["grids/12x16"]
    assert grid["cosine_target"].dims == ("step", "site", "frame", "token") and grid["ratio"].dims == ("step", "site")
    assert grid["cosine_target"].sizes == {"step": 5, "site": 2, "frame": 4, "token": 192}
    assert grid["site"].values.tolist() == [0, 1] and tree["grids/6x8"]["site"].values.tolist() == [2]
    assert (grid["merged"].sel(site=1).isel(step=0, frame=0).values == open_trace(path).merged(0, "up.1.0", 0)).all()


@pytest.mark.filterwarnings("ignore:Failed to open Zarr store with consolidated metadata")
def test_xarray_opens_a_trace_that_was_killed(path, tmp_path):
    shutil.copytree(path, tmp_path / "killed.zarr")
    root = json.loads((tmp_path / "killed.zarr" / "zarr.json").read_text())
    del root["consolidated_metadata"]
    (tmp_path / "killed.zarr" / "zarr.json").write_text(json.dumps(root))
    assert xarray.open_datatree(tmp_path / "killed.zarr", engine="zarr")["seconds"].sizes == {"step": 5}


def test_state_does_not_keep_xarray_from_opening(copy):
    assert xarray.open_datatree(copy, engine="zarr", consolidated=False)["state/1/0"].shape == (2, 3)
    assert "state" not in (copy / "zarr.json").read_text()  # readers from afar need not know it


def test_plain_zarr_reads_it(path):
    root = zarr.open_group(path, mode="r")
    assert root.attrs["complete"] == 5 and root["grids/6x8/provider"].shape == (5, 1, 4, 48)
    assert (root["clip/truth"][2] == open_trace(path).truth(2)).all()


def test_a_large_trace_opens_without_being_read(tmp_path):
    """10 GB of matches and tokens in holes: 200 steps, 60 sites."""
    from zvr_core.trace.header import TraceSite

    grid = (60, 107)
    sites = tuple(TraceSite(f"up.{i}.{j}", "up", (grid[0] >> i, grid[1] >> i), 8 << i, 64) for i in range(3) for j in range(20))
    header = plain_header(frames=8, window=8, steps=200, sites=sites, preview=(180, 320), size=(480, 856), lq_size=(120, 214))
    writer = TraceWriter(path := tmp_path / "large.zarr", header)
    writer.put("cosine_target", np.full((8, 6420), 3), step=0, site="up.0.5")
    writer.put("x_t", np.zeros((8, 4, 3, 5)))
    writer.commit(0)
    writer.close()
    with (path / "grids" / "60x107" / "cosine_target" / "c.150.0.0.0").open("wb") as file:
        file.truncate(10 << 30)
    code = (
        "import resource, sys; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from zvr_core.trace import open_trace; trace = open_trace(sys.argv[1])\n"
        "assert trace.target(0, 'up.0.5', 7, 'cosine')[-1] == 3\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert int(done.stdout) < 100  # MB, numpy and zarr among them


def test_reading_needs_neither_torch_nor_xarray_nor_viewers():
    code = "import zvr_core.trace, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert not {"torch", "xarray", "zvr_viz", "diffusers", "cv2", "PIL", "pandas"} & set(done.stdout.split())


def test_the_cache_is_bounded():
    from zvr_core.trace.reader import Cache

    cache, read = Cache(1000), []
    for number in (*range(20), 19, 0):
        cache.get((number,), lambda number=number: read.append(number) or np.zeros(100, np.uint8))
    assert read == [*range(20), 0] and cache.held == 1000
    cache.get((99,), lambda: np.zeros(5000, np.uint8))
    assert cache.held == 5000
    cache.forget(lambda path: path == 99)
    assert cache.held == 0
