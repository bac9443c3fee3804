"""Matching spectra: towards what was extrapolated, between 4 and 32 pixels, and nowhere else."""

import numpy as np
import pytest
import scipy.fft
import torch

from ssldm.postprocess.spectrum_matching import SpectrumMatching, SpectrumMatchingConfig

FULL = SpectrumMatchingConfig(power=1.0)
SHAPE = (2, 96, 160)
ALL = torch.ones(SHAPE, dtype=torch.bool)
NONE = torch.zeros(SHAPE[1:])


def rough(gain: float, *, seed: int = 0) -> torch.Tensor:
    """Rain about 10 mm/h, never dry, whose waves shorter than 16 pixels have so many times the amplitude."""
    waves = scipy.fft.dctn(np.random.default_rng(seed).normal(size=SHAPE), axes=(1, 2), norm="ortho")
    frequency = np.hypot(np.arange(96)[:, None] / 192, np.arange(160) / 320)
    waves *= np.where(frequency > 1.0 / 16.0, gain, 1.0) * 0.1 / (frequency + 0.05)
    waves[:, 0, 0] = 0.0
    return torch.from_numpy(10.0 + scipy.fft.idctn(waves, axes=(1, 2), norm="ortho")).float()


def power(rate: torch.Tensor, longest: float, shortest: float) -> float:
    """Power of the waves between two wavelengths in pixels, by Fourier transform."""
    frequency = np.hypot(np.fft.fftfreq(rate.shape[-2])[:, None], np.fft.fftfreq(rate.shape[-1]))
    inside = (frequency > 1.0 / longest) & (frequency < 1.0 / shortest)
    return float((np.abs(np.fft.fft2(rate.numpy())) ** 2)[:, inside].sum())


def with_interpolation_undone(rate: torch.Tensor) -> torch.Tensor:
    """What linear interpolation, on average, makes rain of that spectrum of."""
    waves = scipy.fft.dctn(rate.numpy(), axes=(1, 2))
    left = [(2.0 + np.cos(np.pi * np.arange(n) / n)) / 3.0 for n in SHAPE[1:]]
    return torch.from_numpy(scipy.fft.idctn(waves * np.sqrt(left[0][:, None] * left[1]), axes=(1, 2)))


@pytest.mark.parametrize(("strength", "expected"), [(0.0, 2.25), (0.5, 1.5), (1.0, 1.0)])
def test_too_rough_a_member_is_smoothed_by_the_power(strength: float, expected: float) -> None:
    wanted = rough(1.0)
    matching = SpectrumMatching(
        with_interpolation_undone(wanted), ALL, NONE, SpectrumMatchingConfig(power=strength)
    )
    matched = matching(rough(1.5, seed=1))
    assert power(matched, 11.0, 4.0) / power(wanted, 11.0, 4.0) == pytest.approx(expected, rel=0.1)


def test_too_smooth_a_member_is_sharpened_a_little() -> None:
    wanted, smooth = rough(4.0), rough(1.0, seed=1)
    matched = SpectrumMatching(with_interpolation_undone(wanted), ALL, NONE, FULL)(smooth)
    assert power(matched, 11.0, 4.0) / power(smooth, 11.0, 4.0) == pytest.approx(1.6**2, rel=0.03)


def speckle() -> torch.Tensor:
    """Lone pixels of 2 mm/h, one in fifty."""
    return 2.0 * torch.from_numpy(np.random.default_rng(2).uniform(size=SHAPE[1:]) < 0.02).float()


def test_speckle_counts_with_what_is_extrapolated() -> None:
    member = rough(1.0)
    moved = with_interpolation_undone(member)
    matched = SpectrumMatching(moved, ALL, speckle(), FULL)(member)
    added = power(speckle()[None], 6.0, 4.0) * len(member) / power(member, 6.0, 4.0)
    assert power(matched, 6.0, 4.0) / power(member, 6.0, 4.0) == pytest.approx(1.0 + added, rel=0.05)
    assert added > 0.2


def test_speckle_counts_where_it_can_be_observed() -> None:
    seen = ALL.clone()
    seen[1, :, 80:] = False
    first, second = SpectrumMatching(torch.zeros(SHAPE), seen, speckle(), FULL).wanted
    np.testing.assert_allclose(second, 0.5 * first)
    assert first.min() > 0.0


def test_long_waves_and_the_mean_stay() -> None:
    member = rough(2.0, seed=1)
    matched = SpectrumMatching(rough(1.0), ALL, NONE, FULL)(member)
    assert power(matched, 1e9, 50.0) == pytest.approx(power(member, 1e9, 50.0), rel=0.03)
    torch.testing.assert_close(matched.mean(dim=(1, 2)), member.mean(dim=(1, 2)))
    alike = SpectrumMatching(with_interpolation_undone(member), ALL, NONE, FULL)(member)
    torch.testing.assert_close(alike, member, atol=1e-3, rtol=0.0)


def test_what_interpolation_took_is_given_back() -> None:
    """A field moved by many fractions of a pixel gives a member that is like it its own power, not less."""
    field = rough(1.0)[:1]
    parts = torch.from_numpy(np.random.default_rng(0).uniform(size=(2, 40, 1, 1))).float()
    moved = field
    for part, axis in zip(parts, (1, 2), strict=True):
        moved = (1.0 - part) * moved + part * moved.roll(1, axis)
    assert power(moved, 5.0, 3.5) < 0.75 * 40 * power(field, 5.0, 3.5)
    matched = SpectrumMatching(moved, torch.ones_like(moved, dtype=torch.bool), NONE, FULL)(
        field.expand_as(moved)
    )
    assert power(matched, 5.0, 3.5) == pytest.approx(40 * power(field, 5.0, 3.5), rel=0.1)


def test_dry_pixels_stay_dry_and_nothing_is_negative() -> None:
    member = (rough(2.0, seed=1) - 10.5).clamp_min(0.0)
    matched = SpectrumMatching((rough(1.0) - 10.5).clamp_min(0.0), ALL, NONE, FULL)(member)
    assert (matched[member == 0.0] == 0.0).all()
    assert matched.min() == 0.0
    assert (matched > 0.0).float().mean() > 0.9 * (member > 0.0).float().mean()


def test_unobserved_pixels_count_for_nothing() -> None:
    observed = ALL.clone()
    observed[..., 100:] = False
    wanted, unknown = rough(1.0), rough(1.0)
    unknown[..., 100:] = float("nan")
    member = rough(2.0, seed=1)
    expected = SpectrumMatching(wanted, observed, NONE, FULL)(member)
    torch.testing.assert_close(SpectrumMatching(unknown, observed, NONE, FULL)(member), expected)


def test_without_rain_all_stays_finite() -> None:
    member, dry = rough(1.0, seed=1), torch.zeros(SHAPE)
    assert SpectrumMatching(member, ALL, NONE, FULL)(dry).abs().max() == 0.0
    nothing = SpectrumMatching(dry, torch.zeros_like(ALL), NONE, FULL)(member)
    assert nothing.isfinite().all()
    tiny = SpectrumMatching(
        torch.ones(1, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool), torch.zeros(8, 8), FULL
    )
    assert tiny(torch.ones(1, 8, 8)).isfinite().all()
