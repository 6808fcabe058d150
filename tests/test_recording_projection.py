"""Principal components of tokens."""

import pytest
import torch

from zvr_core.errors import ZvrError
from zvr_core.recording.projection import Projection, Projections


def in_a_plane(rng, samples=200, channels=6):
    """Tokens that vary along two orthogonal directions only, the first ten times as much."""
    axes = torch.linalg.qr(torch.randn(channels, 2, generator=rng)).Q
    return 4 + torch.randn(samples, 2, generator=rng) * torch.tensor([10.0, 1.0]) @ axes.T, axes


def test_two_components_keep_all_of_a_plane(rng):
    tokens, axes = in_a_plane(rng)
    projection = Projection.fit(tokens, 2)
    assert torch.allclose(projection(tokens) @ projection.axes.T + projection.mean, tokens, atol=1e-4)
    assert abs(projection.axes[:, 0] @ axes[:, 0]) > 0.99


def test_coordinates_are_centred_uncorrelated_and_of_falling_variance(rng):
    coordinates = Projection.fit(torch.randn(500, 5, generator=rng) * torch.arange(1.0, 6), 5)(
        torch.randn(500, 5, generator=rng.manual_seed(0)) * torch.arange(1.0, 6)
    )
    assert coordinates.mean(0).abs().max() < 1e-4
    covariance = coordinates.T @ coordinates / 500
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3
    assert (covariance.diag().diff() < 0).all()


def test_the_largest_entry_of_an_axis_is_positive(rng):
    axes = Projection.fit(in_a_plane(rng)[0], 2).axes
    assert (axes.gather(0, axes.abs().argmax(0, keepdim=True)) > 0).all()


def test_more_components_than_channels_are_refused():
    with pytest.raises(ZvrError, match="1 to 4 expected"):
        Projection.fit(torch.randn(10, 4), 5)


def test_axes_are_fitted_once_per_site_and_survive_as_state(rng):
    first, later = torch.randn(3, 20, 6, generator=rng), torch.randn(3, 20, 6, generator=rng)
    projections = Projections(2)
    projections("up.1.0", first)
    expected = projections("up.1.0", later)
    assert torch.equal(expected, Projection.fit(first, 2)(later))
    again = Projections(2)
    again.restore(projections.state())
    assert torch.equal(again("up.1.0", later), expected)


def test_coordinates_are_bit_for_bit_the_same_after_a_resume(rng):
    tokens = torch.randn(3, 192, 112, generator=rng)
    projection = Projection.fit(tokens, 3)
    assert torch.equal(Projection.of_state(projection.state())(tokens), projection(tokens))
