"""LPIPS and FVD with small networks that are called like those that others publish."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError
from ssldm.verification.case import Case
from ssldm.verification.comparison import compare
from ssldm.verification.image import image_of
from ssldm.verification.perceptual import (
    FILM,
    MEMBERS,
    Perceptual,
    frechet_video_distance,
    weights_from,
)
from ssldm.verification.statistics import Protocol, merge, scores_of


def rain(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 3.0, shape).astype(np.float32)


def test_lpips_is_the_mean_squared_distance_of_features(networks: Perceptual) -> None:
    truth, members = rain(10, 32, 32), rain(MEMBERS + 2, 10, 32, 32, seed=1)
    found = scores_of_lpips(networks(Case.of(members, truth)))

    def features(rate: np.ndarray) -> np.ndarray:
        grey = 255.0 * image_of(rate)
        return np.stack([grey.mean((1, 2)), grey.std((1, 2), ddof=1)], axis=1)

    expected = np.mean(
        [((features(member) - features(truth)) ** 2).sum(axis=1) for member in members[:MEMBERS]], axis=0
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_array_equal(scores_of_lpips(networks(Case.of(truth[None], truth))), 0.0)


def scores_of_lpips(sums: xr.Dataset) -> np.ndarray:
    from ssldm.verification.perceptual import lpips

    found = lpips(sums["lpips"])
    assert "lpips_term" not in found.coords
    return found.values


def test_members_after_the_fourth_change_nothing(networks: Perceptual) -> None:
    truth, members = rain(10, 32, 32), rain(6, 10, 32, 32, seed=1)
    all_six, four, three = (networks(Case.of(members[:count], truth)) for count in (6, 4, 3))
    xr.testing.assert_identical(all_six, four)
    assert not four.equals(three)


def test_fvd_is_the_distance_of_normal_distributions_of_features(networks: Perceptual) -> None:
    from scipy.linalg import sqrtm

    cases = [Case.of(rain(3, 10, 16, 16, seed=k), rain(10, 16, 16, seed=50 + k)) for k in range(8)]
    found = frechet_video_distance(merge(networks(case)[list(FILM)] for case in cases))

    def features(rate: np.ndarray) -> list[float]:
        film = 2.0 * image_of(rate) - 1.0  # enlargement by a whole number keeps the means
        return [film[:5].mean(), film[5:].mean()]

    forecast = np.array([features(case.members[0]) for case in cases])  # one film a window
    observed = np.array([features(case.truth) for case in cases])
    one, other = np.cov(forecast.T), np.cov(observed.T)
    shift = ((forecast.mean(axis=0) - observed.mean(axis=0)) ** 2).sum()
    assert found == pytest.approx(shift + np.trace(one + other - 2.0 * sqrtm(one @ other).real), rel=1e-3)


def test_fvd_of_the_truth_is_0_and_of_one_film_unknown(networks: Perceptual) -> None:
    cases = [Case.of(truth[None], truth) for truth in rain(5, 10, 32, 32)]
    assert frechet_video_distance(merge(map(networks, cases))) == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(frechet_video_distance(networks(cases[0])))


def test_they_stand_beside_the_other_scores(networks: Perceptual) -> None:
    truth = xr.DataArray(
        rain(10, 32, 32), dims=("time", "y", "x"), coords={"time": np.arange(10).astype("M8[m]")}
    )
    forecast = {"perfect": truth.values[None]}
    sums = compare(forecast, truth, Protocol(), networks)["perfect"]
    assert (scores_of(sums)["lpips"] == 0).all()
    assert "lpips" not in scores_of(compare(forecast, truth, Protocol())["perfect"])


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"LPIPS needs a network .* vgg16\.pt"):
        weights_from("lpips", "cache")
    with pytest.raises(ConfigurationError, match=r"no file /nonesuch\.pt"):
        weights_from("fvd", "/nonesuch.pt")
    cached = tmp_path / "hub" / "checkpoints" / "i3d_torchscript.pt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"not a network")
    assert weights_from("fvd", "cache") == cached
    with pytest.raises(ConfigurationError, match="expected TorchScript"):
        Perceptual(fvd=cached)(Case.of(rain(1, 10, 16, 16), rain(10, 16, 16)))
