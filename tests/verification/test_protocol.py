"""Every score of the protocol against another library, its formula written out, or four pixels by hand."""

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.verification.case import Case, pooled
from ssldm.verification.crps import crps_ensemble
from ssldm.verification.image import image_of
from ssldm.verification.statistics import Protocol, first_scores_of, merge, scores_of, statistics_of

PROTOCOL = Protocol(thresholds=(0.5, 2.0), pools=(1, 4), scales=(1, 3, 8, 64))


def fields(seed: int, *, members: int = 5, size: int = 32, leads: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Skewed and correlated members and truth, all of one distribution, a third of it dry."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    shared = gaussian_filter(rng.normal(size=(leads, size, size)), (0, 2, 2))
    own = gaussian_filter(rng.normal(size=(members + 1, leads, size, size)), (0, 0, 2, 2))
    rate = np.exp(12.0 * (0.7 * shared + 0.5 * own)) - 0.4
    rate = np.where(rate < 0.1, 0.0, rate).astype(np.float32)
    return rate[1:], rate[0]


def scores(case: Case, protocol: Protocol = PROTOCOL, *, overall: bool = True) -> xr.Dataset:
    sums = statistics_of(case, protocol, np.random.default_rng(0))
    return scores_of(sums.sum("lead_time") if overall else sums)


def holed(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    members, truth = fields(seed)
    valid = np.random.default_rng(seed).random(truth.shape) > 0.2
    return np.where(valid, members, np.nan), truth, valid


@pytest.mark.parametrize("suffix", ["", "_mean"])
def test_contingency_scores_equal_those_of_pysteps(suffix: str) -> None:
    from pysteps.verification.detcatscores import det_cat_fct

    members, truth, valid = holed(1)
    found = scores(Case.of(members, truth))
    forecast = members if not suffix else members.mean(axis=0)[None]
    flat = np.broadcast_to(valid, forecast.shape)
    for threshold in PROTOCOL.thresholds:
        # Only pixels that count: pysteps takes NaN for a dry pixel.
        expected = det_cat_fct(forecast[flat], np.broadcast_to(truth, forecast.shape)[flat], threshold)
        for name, key in [("csi", "CSI"), ("pod", "POD"), ("far", "FAR"), ("hss", "HSS"), ("bias", "BIAS")]:
            value = found[name + suffix].sel(threshold=threshold, pool=1).item()
            # pysteps' BIAS is (hits + false alarms) / (hits + misses), as here.
            assert value == pytest.approx(expected[key], abs=1e-5), name


def test_pooled_csi_compares_maxima_of_blocks() -> None:
    truth = np.zeros((1, 8, 8), np.float32)
    truth[0, 0, 0], truth[0, 7, 7] = 3.0, 3.0
    forecast = np.zeros((1, 1, 8, 8), np.float32)
    forecast[0, 0, 3, 3] = 3.0  # another pixel of the first block
    forecast[0, 0, 0, 7] = 3.0  # a block without rain
    csi = scores(Case.of(forecast, truth))["csi"].sel(threshold=2.0)
    assert csi.sel(pool=1).item() == 0.0
    assert csi.sel(pool=4).item() == pytest.approx(1 / 3)


def test_a_block_counts_where_half_of_its_pixels_do() -> None:
    truth = np.ones((1, 2, 4), np.float32)
    truth[0, 0, 0] = np.nan
    truth[0, :, 2:] = [[4.0, np.nan], [np.nan, np.nan]]
    part = pooled(Case.of(np.ones((1, 1, 2, 4), np.float32), truth), 2, "mean")
    assert part.valid.tolist() == [[[True, False]]]
    assert part.truth[0, 0, 0] == 1.0


@pytest.mark.parametrize("fair", [False, True])
def test_crps_equals_that_of_the_scores_package(fair: bool) -> None:
    from scores.probability import crps_for_ensemble

    members, truth, valid = holed(2)
    expected = crps_for_ensemble(
        xr.DataArray(members.astype(float), dims=("member", "t", "y", "x")),
        xr.DataArray(np.where(valid, truth, np.nan).astype(float), dims=("t", "y", "x")),
        "member",
        method="fair" if fair else "ecdf",
    ).item()
    name = "crps_fair" if fair else "crps"
    assert scores(Case.of(members, truth))[name].sel(pool=1).item() == pytest.approx(expected, abs=1e-6)


def test_pooled_crps_is_that_of_block_means_and_maxima() -> None:
    members, truth = fields(3)

    def blocks(field: np.ndarray) -> np.ndarray:
        return field.reshape(*field.shape[:-2], 8, 4, 8, 4)

    found = scores(Case.of(members, truth))
    for name, reduce in [("crps", np.mean), ("crps_max", np.max)]:
        expected = crps_ensemble(
            reduce(blocks(members), axis=(-3, -1)), reduce(blocks(truth), axis=(-3, -1))
        ).mean()
        assert found[name].sel(pool=4).item() == pytest.approx(float(expected), rel=1e-5)


def test_brier_and_its_parts() -> None:
    members, truth, valid = holed(4)
    found = scores(Case.of(members, truth)).sel(threshold=2.0)
    probability = (members >= 2.0).mean(axis=0)[valid]
    wet = (truth >= 2.0)[valid]
    assert found["brier"].item() == pytest.approx(np.mean((probability - wet) ** 2))
    parts = [found[f"brier_{part}"].item() for part in ("reliability", "resolution", "uncertainty")]
    assert found["brier"].item() == pytest.approx(parts[0] - parts[1] + parts[2])
    assert parts[2] == pytest.approx(wet.mean() * (1 - wet.mean()))
    expected = [wet[probability == k / 5].mean() for k in range(6)]
    np.testing.assert_allclose(found["observed_frequency"], expected)


def test_roc_area_is_the_chance_to_tell_wet_from_dry() -> None:
    members, truth, valid = holed(5)
    probability, wet = (members >= 2.0).mean(axis=0)[valid], (truth >= 2.0)[valid]
    difference = probability[wet][:, None] - probability[~wet][None, :]
    expected = (difference > 0).mean() + 0.5 * (difference == 0).mean()
    assert scores(Case.of(members, truth))["roc_area"].sel(threshold=2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_fss_equals_that_of_the_scores_package(scale: int) -> None:
    from scores.spatial import fss_2d_single_field

    members, truth = fields(6, members=1, leads=1)
    expected = fss_2d_single_field(
        members[0, 0],
        truth[0],
        event_threshold=2.0,
        window_size=(scale, scale),
        threshold_operator=np.greater_equal,
    )
    found = scores(Case.of(members, truth))["fss"].sel(threshold=2.0, scale=scale).item()
    assert found == pytest.approx(float(expected), abs=1e-9)


def test_fss_of_an_ensemble_with_gaps() -> None:
    members, truth, valid = holed(7)
    found = scores(Case.of(members, truth), overall=False)["fss"].sel(threshold=2.0, scale=3)
    for lead in range(2):
        error = reference = 0.0
        for i, j in np.ndindex(30, 30):
            square = np.s_[i : i + 3, j : j + 3]
            seen = valid[lead][square]
            if not seen.any():
                continue
            f = np.mean([(m[lead][square] >= 2.0)[seen].mean() for m in members])
            o = (truth[lead][square] >= 2.0)[seen].mean()
            error += seen.mean() * (f - o) ** 2
            reference += seen.mean() * (f**2 + o**2)
        assert found.isel(lead_time=lead).item() == pytest.approx(1 - error / reference)
    assert np.isnan(scores(Case.of(members, truth))["fss"].sel(threshold=2.0, scale=64)).item()


def test_ranks_and_spread_of_a_calibrated_ensemble() -> None:
    # A pixel each of its own: neighbours would not be independent.
    rng = np.random.default_rng(8)
    centre = rng.gamma(2.0, 2.0, (1, 200, 200))
    draws = (centre * rng.gamma(4.0, 0.25, (11, 1, 200, 200))).astype(np.float32)
    found = scores(Case.of(draws[1:], draws[0]))
    deviation = np.sqrt(11 / draws[0].size)
    assert abs(found["rank_frequency"] - 1.0).max().item() < 4.5 * deviation
    assert found["spread_skill"].item() == pytest.approx(1.0, abs=0.02)
    narrow = scores(Case.of(centre[None] + 0.3 * (draws[1:] - centre[None]), draws[0]))
    assert narrow["spread_skill"].item() < 0.5
    assert narrow["rank_frequency"][[0, -1]].min().item() > 2.0


def test_ranks_of_four_pixels() -> None:
    members = np.array([[[1.0, 1.0, 1.0, 0.0]], [[3.0, 3.0, 3.0, 0.0]]], np.float32)[:, None]
    truth = np.array([[[0.5, 2.0, 4.0, 0.0]]], np.float32)
    sums = statistics_of(Case.of(members, truth), PROTOCOL, np.random.default_rng(0))
    assert sums["ranks"].values.tolist() == [[1, 1, 1]]  # the dry pixel is left out


def test_ties_are_dealt_out_evenly() -> None:
    equal = np.full((4, 1, 100, 100), 1.0, np.float32)
    found = scores(Case.of(equal, equal[0]))["rank_frequency"]
    assert abs(found - 1.0).max().item() < 0.1


def test_errors_and_spread_equal_their_formula() -> None:
    members, truth, valid = holed(9)
    found = scores(Case.of(members, truth))
    ensemble, observed = members.astype(float)[:, valid], truth.astype(float)[valid]
    error = ensemble.mean(axis=0) - observed
    assert found["mae"].item() == pytest.approx(np.abs(error).mean())
    assert found["rmse"].item() == pytest.approx(np.sqrt((error**2).mean()))
    assert found["spread"].item() == pytest.approx(np.sqrt(6 / 5 * ensemble.var(axis=0, ddof=1).mean()))
    assert found["observed_rate"].item() == pytest.approx(observed.mean())
    assert found["mean_rate"].item() == pytest.approx(ensemble.mean())


def test_spectrum_has_the_power_of_each_wavelength() -> None:
    members, truth = fields(10, size=64, leads=1)
    found = scores(Case.of(members, truth))
    power = np.abs(np.fft.fft2(truth[0].astype(float))) ** 2 / 64**2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(64) * 64, np.fft.fftfreq(64) * 64))
    ring = (k > 16 / 2**0.25) & (k < 16 * 2**0.25)
    assert found["observed_power"].sel(wavelength=4.0).item() == pytest.approx(power[ring].mean(), rel=1e-5)
    wave = 5.0 + np.sin(2 * np.pi * np.arange(64) / 8.0)[None, None, :].repeat(64, axis=1)
    sharp = scores(Case.of((5.0 + 0.5 * (wave - 5.0))[None].astype(np.float32), wave.astype(np.float32)))
    assert sharp["observed_power"].fillna(0.0).idxmax("wavelength").item() == 8.0
    assert sharp["power_ratio"].sel(wavelength=8.0).item() == pytest.approx(0.25, rel=1e-4)


def test_similarity_and_noise_equal_those_of_other_libraries() -> None:
    import torch
    from skimage.metrics import peak_signal_noise_ratio
    from torchmetrics.functional.image import structural_similarity_index_measure

    members, truth = fields(11, members=1, leads=1)
    found = scores(Case.of(members, truth))
    images = [image_of(field) for field in (truth[0], members[0, 0])]
    assert found["psnr"].item() == pytest.approx(peak_signal_noise_ratio(*images, data_range=1.0))
    _, similarity = structural_similarity_index_measure(
        *(torch.from_numpy(image)[None, None] for image in images), data_range=1.0, return_full_image=True
    )
    # It pads the picture; here only whole windows count.
    expected = similarity[..., 5:-5, 5:-5].mean().item()
    assert found["ssim"].item() == pytest.approx(expected, abs=1e-5)


def test_strongest_rain() -> None:
    members, truth = fields(12)
    found = scores(Case.of(members, truth))
    errors = members.max(axis=(2, 3)) - truth.max(axis=(1, 2))
    assert found["max_error"].item() == pytest.approx(errors.mean(), rel=1e-5)
    assert found["max_absolute_error"].item() == pytest.approx(np.abs(errors).mean(), rel=1e-5)


@pytest.mark.parametrize("still", [False, True])
def test_a_perfect_forecast_gets_perfect_scores(still: bool) -> None:
    _, truth = fields(13, leads=3)
    if still:  # persistence of a field that does not change
        truth[:] = truth[0]
    truth[:, 3, 4:9] = np.nan
    forecast = truth[0][None, None].repeat(3, axis=1) if still else truth[None].repeat(4, axis=0)
    found = scores(Case.of(forecast, truth)).sel(scale=[1, 3, 8])
    both = ("csi", "pod", "hss", "bias", "ssim")
    ones = dict.fromkeys((*both, *(f"{name}_mean" for name in both), "roc_area", "fss"), 1.0)
    errors = ("far", "max_error", "max_absolute_error")
    fair = () if still else ("crps_fair",)  # persistence is a single member
    sums = ("brier", "brier_reliability", "crps", "crps_max", "mae", "rmse", *fair)
    zeros = dict.fromkeys((*errors, *(f"{name}_mean" for name in errors), *sums), 0.0)
    for name, value in (ones | zeros | {"psnr": np.inf, "psnr_mean": np.inf}).items():
        np.testing.assert_allclose(found[name], value, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(found["power_ratio"].dropna("wavelength"), 1.0, rtol=1e-4)


@pytest.mark.filterwarnings("error")
def test_a_perfect_forecast_is_no_reason_to_warn() -> None:
    _, truth = fields(13)
    assert scores(Case.of(truth[None].repeat(3, axis=0), truth))["psnr"].item() == np.inf


def test_what_does_not_count_changes_nothing() -> None:
    members, truth, valid = holed(14)
    results = []
    for fill in (0.0, 50.0, np.nan):
        case = Case.of(np.where(valid, members, fill), np.where(valid, truth, fill), valid)
        results.append(statistics_of(case, PROTOCOL, np.random.default_rng(0)))
    xr.testing.assert_identical(results[0], results[1])
    xr.testing.assert_identical(results[0], results[2])


def test_statistics_merge_in_any_order() -> None:
    parts = []
    for seed in range(4):
        members, truth, _ = holed(seed)
        parts.append(statistics_of(Case.of(members, truth), PROTOCOL, np.random.default_rng(seed)))
    one = merge(parts)
    other = merge([merge([parts[3], parts[1]]), merge([parts[2], parts[0]])])
    for name in ("contingency", "probability", "ranks", "cases"):
        xr.testing.assert_identical(one[name], other[name])
        assert one[name].dtype == np.int64
    xr.testing.assert_allclose(scores_of(one), scores_of(other), rtol=1e-12)
    # The same as all windows at once.
    together = [np.concatenate([holed(s)[i] for s in range(4)], axis=1 - i) for i in (0, 1)]
    whole = scores(Case.of(*together))
    summed = scores_of(one.sum("lead_time"))
    for name in ("csi", "crps", "brier", "fss", "spread_skill", "ssim", "power_ratio", "max_error"):
        xr.testing.assert_allclose(summed[name], whole[name], rtol=1e-6)


def test_first_scores_are_those_of_all() -> None:
    sums = statistics_of(Case.of(*fields(9)), PROTOCOL, np.random.default_rng(0)).sum("lead_time")
    first = first_scores_of(sums)
    assert {"crps", "mae", "mean_rate", "observed_rate"} <= set(first)
    xr.testing.assert_identical(first, scores_of(sums)[list(first)])


def test_what_cannot_be_merged_is_refused() -> None:
    members, truth = fields(0)
    five = statistics_of(Case.of(members, truth), PROTOCOL, np.random.default_rng(0))
    four = statistics_of(Case.of(members[1:], truth), PROTOCOL, np.random.default_rng(0))
    with pytest.raises(ConfigurationError, match="one protocol and ensemble size"):
        merge([five, four])
    with pytest.raises(ConfigurationError, match="found none"):
        merge([])
    with pytest.raises(ObservationError, match="expected members"):
        Case.of(members, truth[:1])
