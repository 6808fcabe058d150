"""Degradations: closed forms, purity in (seed, frame), bad input and the command line's grammar."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zvr_core.degrade import (
    Blur,
    Boxes,
    Chain,
    Downscale,
    GivenHoles,
    Grey,
    Jpeg,
    LowLight,
    Mask,
    Noise,
    RealWorld,
    Resize,
    Strokes,
    Upscale,
    degrade_clip,
    parse_degradation,
)
from zvr_core.errors import ZvrError

EVERY = [
    Blur(1.2),
    Downscale(3),
    Noise(0.1),
    Jpeg(40),
    Mask(Boxes(3)),
    Mask(Strokes(3), fill=0.5),
    Mask(GivenHoles(torch.eye(21, 30)), fill=1.0),
    Grey(),
    LowLight(),
    Resize(9, 40, "area"),
    RealWorld(2),
    Chain((Noise(0.1), Blur(1), Downscale(2), Noise(0.1), Jpeg(60))),
]


def frames(count: int = 7, height: int = 21, width: int = 30) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("degradation", EVERY, ids=str)
def test_result_does_not_depend_on_chunking(degradation) -> None:
    x = frames()
    whole = degradation(x, 0, 5)
    parts = [degradation(x[a:b], a, 5) for a, b in [(0, 1), (1, 4), (4, 7)]]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("degradation", EVERY, ids=str)
def test_result_is_repeatable_and_within_the_range_of_pixels(degradation) -> None:
    x = frames(2)
    y = degradation(x, 3, 1)
    assert torch.equal(y, degradation(x, 3, 1))
    assert float(y.min()) >= 0
    assert float(y.max()) <= 1
    assert y.shape[:2] == x.shape[:2]


@pytest.mark.parametrize("degradation", [Noise(0.1), Mask(Boxes(3)), Mask(Strokes(3)), RealWorld(2)], ids=str)
def test_another_seed_gives_another_result(degradation) -> None:
    assert not torch.equal(degradation(frames(1), 0, 1), degradation(frames(1), 0, 2))


def test_noise_is_new_in_every_frame_and_has_the_stated_deviation() -> None:
    grey = torch.full((2, 3, 64, 64), 0.5)
    residual = Noise(0.05)(grey, 0, 0) - grey
    assert float(residual.std()) == pytest.approx(0.05, rel=0.03)
    assert abs(float((residual[0] * residual[1]).mean())) < 0.05**2 * 0.05


def test_two_noises_of_a_chain_are_independent() -> None:
    grey = torch.full((1, 3, 64, 64), 0.5)
    residual = Chain((Noise(0.05), Noise(0.05)))(grey, 0, 0) - grey
    assert float(residual.std()) == pytest.approx(0.05 * math.sqrt(2), rel=0.03)


def test_zero_blur_factor_one_and_zero_noise_are_identities() -> None:
    x = frames(2)
    y = Chain((Blur(0), Downscale(1), Noise(0)))(x, 0, 0)
    torch.testing.assert_close(y, x, atol=1e-6, rtol=0)


def test_blur_of_a_point_has_the_stated_deviation() -> None:
    point = torch.zeros(1, 3, 31, 31)
    point[..., 15, 15] = 1
    row = Blur(2.0)(point)[0, 0].sum(0)
    variance = (row * (torch.arange(31) - 15) ** 2).sum() / row.sum()
    assert float(variance.sqrt()) == pytest.approx(2.0, rel=0.03)  # the kernel ends at three deviations


@pytest.mark.parametrize("degradation", [Blur(2), Downscale(4), Jpeg(50), Resize(5, 9), Grey()], ids=str)
def test_grey_level_is_kept(degradation) -> None:
    y = degradation(torch.full((1, 3, 24, 32), 0.6))
    torch.testing.assert_close(y, torch.full_like(y, 0.6), atol=2 / 255, rtol=0)


def test_lower_jpeg_quality_means_larger_error() -> None:
    x = Blur(1.5)(frames(1, 48, 48))
    errors = [float((Jpeg(quality)(x) - x).square().mean()) for quality in (95, 60, 10)]
    assert errors == sorted(errors)


def test_downscale_drops_the_remainder_of_the_size() -> None:
    assert Downscale(4)(frames(1, 23, 30)).shape == (1, 3, 5, 7)


def test_a_clip_reduced_by_8_and_enlarged_by_2_is_4_times_smaller() -> None:
    x = frames(1, 48, 32)
    small = parse_degradation("down=8")(x)
    assert torch.equal(parse_degradation("down=8,up=2")(x), Upscale(2)(small))
    assert Upscale(2)(small).shape == (1, 3, 12, 8)
    torch.testing.assert_close(Upscale(3)(torch.full((1, 3, 4, 5), 0.5)), torch.full((1, 3, 12, 15), 0.5))


def test_low_light_follows_its_formula() -> None:
    x = frames(1)
    torch.testing.assert_close(LowLight(0.5, 2.0, 0.0)(x), 0.5 * x**2)


def test_grey_makes_all_channels_equal() -> None:
    y = Grey()(frames(1))
    assert torch.equal(y[:, 0], y[:, 2])


@pytest.mark.parametrize("holes", [Boxes(2), Strokes(2)], ids=str)
def test_mask_fills_the_same_pixels_in_all_frames_and_keeps_the_others(holes) -> None:
    x = frames(3).clamp(min=0.01)
    mask = Mask(holes)
    missing = mask.missing(21, 30, seed=9)
    assert 0 < int(missing.sum()) < missing.numel()
    torch.testing.assert_close(mask(x, 0, 9), x.masked_fill(missing, 0.0))


def test_whole_frame_box_leaves_nothing() -> None:
    assert bool(Mask(Boxes(1, 1.0, 1.0)).missing(7, 5, 0).all())


@settings(deadline=None, max_examples=12)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_real_world_chain_ends_at_the_final_size(height: int, width: int, seed: int) -> None:
    factor = min(height, width, 3)
    y = RealWorld(factor)(frames(1, height, width), 0, seed)
    assert y.shape == (1, 3, height // factor, width // factor)
    assert bool(torch.isfinite(y).all())


def test_real_world_draws_once_per_clip() -> None:
    chain = RealWorld(4)
    assert chain.drawn(64, 48, 3) == chain.drawn(64, 48, 3)
    assert chain.drawn(64, 48, 3) != chain.drawn(64, 48, 4)
    x = frames(2, 64, 48)
    assert torch.equal(chain(x, 5, 3), chain.drawn(64, 48, 3)(x, 5, 3))


def test_degraded_clip_is_lazy_and_in_steps_of_eight_bits() -> None:
    class Reader:
        """Counts what is read."""

        read = 0

        def __len__(self) -> int:
            return 20

        def __getitem__(self, part: slice) -> torch.Tensor:
            Reader.read += len(range(*part.indices(20)))
            return frames(20)[part]

    chunks = degrade_clip(Reader(), Noise(0.1), seed=0, chunk=8)
    assert Reader.read == 0
    first = next(chunks)
    assert Reader.read == 8
    torch.testing.assert_close(first * 255, (first * 255).round(), atol=1e-4, rtol=0)
    assert [len(first), *(len(chunk) for chunk in chunks)] == [8, 8, 4]


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_degraded_clip_does_not_depend_on_the_chunk(chunk: int) -> None:
    x = frames()
    chain = Chain((Downscale(2), Noise(0.1)))
    assert torch.equal(torch.cat(list(degrade_clip(x, chain, 1, chunk))), torch.cat(list(degrade_clip(x, chain, 1))))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Blur(-1), "blur sigma -1 given, 0 to 100"),
        (lambda: Blur(math.nan), "blur sigma nan"),
        (lambda: Downscale(0), "factor 0 given, a whole number of at least 1"),
        (lambda: Downscale(2.5), "factor 2.5 given"),  # type: ignore[arg-type]
        (lambda: Downscale(math.inf), "factor inf given"),  # type: ignore[arg-type]
        (lambda: Noise(-0.1), "noise sigma -0.1 given"),
        (lambda: Noise(25), "for 8-bit levels divide by 255"),
        (lambda: Jpeg(0), "JPEG quality 0 given, 1 to 100"),
        (lambda: Jpeg(101), "JPEG quality 101 given, 1 to 100"),
        (lambda: Mask(fill=2), "mask fill 2 given"),
        (lambda: Boxes(0), "0 boxes given"),
        (lambda: Boxes(1, 0.5, 0.2), "box sides 0.5 to 0.2"),
        (lambda: Strokes(1, width=0), "stroke width 0"),
        (lambda: LowLight(gain=2), "gain 2 given"),
        (lambda: LowLight(gamma=0.5), "gamma 0.5 given"),
        (lambda: RealWorld(0), "factor 0 given"),
    ],
)
def test_bad_strength_is_a_one_line_error(build, words: str) -> None:
    with pytest.raises(ZvrError, match=words) as error:
        build()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("degradation", [Downscale(8), RealWorld(8)], ids=str)
def test_clip_smaller_than_the_factor_is_said_in_words(degradation) -> None:
    with pytest.raises(ZvrError, match="5 × 7 pixels cannot be reduced by 8"):
        degradation(frames(1, 7, 5))


def test_mask_of_another_size_is_an_error_that_names_both() -> None:
    with pytest.raises(ZvrError, match=r"\(4, 4\), the clip needs \(21, 30\)"):
        Mask(GivenHoles(torch.zeros(4, 4)))(frames(1))


def test_parser_reads_steps_in_order_and_noise_in_eight_bit_levels() -> None:
    chain = parse_degradation("blur=1.2, down=4,noise=5 ,jpeg=60,grey")
    assert chain == Chain((Blur(1.2), Downscale(4), Noise(5 / 255), Jpeg(60), Grey()))


def test_parser_knows_masks_low_light_and_the_random_chain() -> None:
    chain = parse_degradation("boxes=2,strokes=3,lowlight=0.2,realworld=4")
    assert chain == Chain((Mask(Boxes(2)), Mask(Strokes(3)), LowLight(0.2), RealWorld(4)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blr=1", "unknown degradation 'blr'; did you mean blur"),
        ("jpg=50", "did you mean jpeg"),
        ("gray", "did you mean grey"),
        ("noise", "as in noise=5"),
        ("blur=strong", "as in blur=1.2"),
        ("down=2.5", "whole number"),
        ("down=nan", "whole number"),
        ("up=0", "whole number"),
        ("up=99", "upscale factor 99 given, 1 to 16 expected"),
        ("noise=-4", "noise -4 given, 0 to 255 expected"),
        ("grey=1", "'grey=1' given"),
        ("", "name=value expected"),
        ("blur=1,,down=4", "name=value expected"),
        ("boxes=1e9", "1 to 1000"),
    ],
)
def test_parser_errors_say_what_is_expected(text: str, words: str) -> None:
    with pytest.raises(ZvrError, match=words) as error:
        parse_degradation(text)
    assert "\n" not in str(error.value)


def test_the_catalogue_lists_the_degradations_that_exist():
    from zvr_core.catalogue import DEGRADATIONS
    from zvr_core.degrade import STEPS

    assert sorted(DEGRADATIONS) == sorted([*STEPS, "grey"])
