"""Forecasts of an untrained model: what must hold whatever the weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from radar_files import write_knmi, write_mrms

from ssldm.diffusion.sampling import member_generator
from ssldm.errors import ConfigurationError, ModelError, NoDataError, ObservationError
from ssldm.forecast.dataset import open_nowcast, write_nowcast
from ssldm.forecast.nowcaster import InputDepartsFromTraining, Nowcaster
from ssldm.forecast.tiling import Blend, Tiling
from ssldm.model.latent_diffusion import LatentDiffusion, ModelConfig
from ssldm.radar.motion import extrapolate
from ssldm.radar.open import open_radar
from ssldm.radar.simulation import simulate
from ssldm.training.preset import load_preset

LEAD = 4
CHECKER = Path(sys.executable).with_name("compliance-checker")


def tiny_model(training_size: int = 64, *, remove_speckle: bool = False) -> LatentDiffusion:
    preset = load_preset("tiny", ["diffusion.prediction=v_prediction"])
    model = ModelConfig(
        name="tiny",
        lead_frames=LEAD,
        training_size=training_size,
        scaling=preset.scaling,
        autoencoder=preset.autoencoder,
        denoiser=preset.denoiser,
        diffusion=preset.diffusion,
        remove_speckle=remove_speckle,
    ).build()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15, generator=generator)
    return model


def silent_model() -> LatentDiffusion:
    """Its denoiser predicts nothing, whatever it is told."""
    model = tiny_model()
    for parameter in model.denoiser.parameters():
        torch.nn.init.zeros_(parameter)
    return model


@pytest.fixture(scope="module")
def nowcaster() -> Nowcaster:
    return Nowcaster(tiny_model(), "tiny test", device="cpu")


def rate(forecast: xr.Dataset) -> np.ndarray:
    return forecast["precipitation_rate"].values


def test_a_forecast_has_the_promised_form(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    forecast = nowcaster.nowcast(storm, members=3, steps=2, seed=5)
    assert dict(forecast.sizes) == {"member": 3, "lead_time": LEAD, "y": 90, "x": 110}
    assert forecast["precipitation_rate"].attrs["units"] == "mm h-1"
    minutes = forecast["lead_time"].values / np.timedelta64(1, "m")
    np.testing.assert_array_equal(minutes, [5, 10, 15, 20])
    np.testing.assert_array_equal(
        forecast["valid_time"].values, storm["time"].values[-1] + forecast["lead_time"].values
    )
    assert forecast["forecast_reference_time"].values == storm["time"].values[-1]
    np.testing.assert_array_equal(forecast["x"], storm["x"])
    assert forecast.attrs["seed"] == 5
    assert np.nanmin(rate(forecast)) >= 0.0
    assert np.nanmax(rate(forecast)) > 0.0


def test_nan_stands_exactly_where_nothing_was_observed(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    forecast = rate(nowcaster.nowcast(storm, members=2, steps=1))
    observed = extrapolate(storm.values, LEAD).observed
    for member in forecast:
        np.testing.assert_array_equal(np.isfinite(member), observed)


def test_members_depend_on_seed_and_number_alone(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    few, many, again, other = (
        rate(nowcaster.nowcast(storm, members=members, steps=2, seed=seed))
        for members, seed in ((2, 0), (6, 0), (2, 0), (2, 1))
    )
    np.testing.assert_array_equal(few, many[:2])
    np.testing.assert_array_equal(few, again)
    assert not np.array_equal(few, other, equal_nan=True)
    assert not np.array_equal(many[0], many[4], equal_nan=True)


def test_each_member_starts_from_white_noise_of_its_own(nowcaster: Nowcaster) -> None:
    given: list[torch.Tensor] = []
    hook = nowcaster.model.denoiser.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    forecast = nowcaster.nowcast(simulate(4, (64, 64), seed=1), members=4, steps=1, seed=3)
    hook.remove()
    white = [torch.randn(given[0].shape[1:], generator=member_generator(3, k)) for k in range(4)]
    torch.testing.assert_close(given[0].float(), torch.stack(white), atol=1e-2, rtol=1e-2)  # bfloat16
    assert "noise_pair" not in forecast.coords


@pytest.mark.parametrize("fast", [True, False])
def test_a_denoiser_computes_in_sixteen_bits_where_that_is_fast(
    monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr("ssldm.forecast.nowcaster.has_fast_bfloat16", lambda _: fast)
    model = Nowcaster(tiny_model(), "tiny test", device="cpu").model
    assert {each.dtype for each in model.denoiser.parameters()} == {torch.bfloat16 if fast else torch.float32}


@pytest.mark.parametrize("removed", [True, False])
def test_speckle_changes_a_forecast_unless_it_is_removed(storm: xr.DataArray, removed: bool) -> None:
    nowcaster = Nowcaster(tiny_model(remove_speckle=removed), "tiny test", device="cpu")
    clutter = storm.copy()
    alone = (storm.max("time") == 0.0).rolling(y=3, x=3, center=True).min() == 1.0
    row, column = np.argwhere(alone.values)[0]
    clutter[:, row, column] = 40.0
    one, other = (rate(nowcaster.nowcast(frames, members=2, steps=2)) for frames in (storm, clutter))
    assert np.array_equal(one, other, equal_nan=True) == removed


def test_forecasts_tell_models_of_the_same_weights_apart(tmp_path: Path) -> None:
    sources = set()
    for removed in (True, False):
        Nowcaster(tiny_model(remove_speckle=removed), "tiny").save_pretrained(tmp_path / str(removed))
        sources.add(Nowcaster.from_pretrained(tmp_path / str(removed)).source)
    assert len(sources) == 2


def test_only_the_lead_frames_asked_for_are_computed(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    frames: list[int] = []
    hook = nowcaster.model.denoiser.register_forward_pre_hook(
        lambda _, given: frames.append(given[0].shape[1])
    )
    forecast = nowcaster.nowcast(storm, members=1, steps=1, lead_time="10min")
    hook.remove()
    assert set(frames) == {2}
    assert forecast.sizes["lead_time"] == 2
    # Of a denoiser that does not look at all frames together, the beginning of the longer forecast.
    silent = Nowcaster(silent_model(), "tiny", device="cpu")
    whole, half = (
        rate(silent.nowcast(storm, members=1, steps=2, lead_time=lead)) for lead in (None, "10min")
    )
    np.testing.assert_array_equal(half, whole[:, :2])


def test_lead_times_that_are_no_frames_are_refused(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    for wrong in ("7min", "25min", "soon"):
        with pytest.raises(ObservationError, match="expected a lead time"):
            nowcaster.nowcast(storm, members=1, steps=1, lead_time=wrong)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++", "unipc"])
def test_every_sampler_is_repeatable(nowcaster: Nowcaster, storm: xr.DataArray, sampler: str) -> None:
    few, many = (
        rate(nowcaster.nowcast(storm, members=members, steps=3, sampler=sampler)) for members in (1, 2)
    )
    np.testing.assert_array_equal(few, many[:1])


def test_input_that_cannot_be_forecast_is_refused(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    with pytest.raises(ObservationError, match="at least 4 frames, found 3"):
        nowcaster.nowcast(storm[:3])
    stretched = storm.assign_coords(time=storm["time"] + np.array([0, 0, 0, 60], "m8[s]"))
    with pytest.raises(ObservationError, match="equal step"):
        nowcaster.nowcast(stretched)
    with pytest.raises(ObservationError, match="units"):
        nowcaster.nowcast(storm.assign_attrs(units="dBZ"))
    with pytest.raises(ObservationError, match="at least 0 mm/h"):
        nowcaster.nowcast(storm.copy(data=storm.values - 1.0))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("members", value) for value in (0, -1, 2.5, "4", None, True, 2**20 + 1)),
        *(("steps", value) for value in (0, 1001, 1.5, None)),
        *(("seed", value) for value in (-1, None, 0.5, "0", 2**70, 2**43)),
        *(("sampler", value) for value in ("magic", None, 3)),
        *(("lead time", value) for value in (80, "10", "", "0min", "soon")),
        ("on_start", None),
    ],
)
def test_arguments_out_of_their_bounds_are_refused_before_anything_is_read(
    nowcaster: Nowcaster, name: str, wrong: object
) -> None:
    with pytest.raises(ConfigurationError, match=name) as refused:
        nowcaster.nowcast(None, **{name.replace(" ", "_"): wrong})  # type: ignore[arg-type]
    assert repr(wrong) in str(refused.value)


def test_whole_numbers_of_numpy_are_whole_numbers(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    plain = nowcaster.nowcast(storm, members=1, steps=1, seed=3)
    numpy = nowcaster.nowcast(storm, members=np.int64(1), steps=np.uint8(1), seed=np.int64(3))
    xr.testing.assert_identical(numpy, plain)
    nowcaster.nowcast(storm, members=1, steps=1, seed=2**43 - 1)


def test_members_rain_no_harder_than_is_believed_of_what_is_observed(
    nowcaster: Nowcaster, storm: xr.DataArray
) -> None:
    for cap in (1000.0, 20.0):
        strong = storm.copy(data=np.minimum(storm.values * 1000.0, np.float32(cap))).assign_attrs(
            max_rate=cap
        )
        forecast = rate(nowcaster.nowcast(strong, members=2, steps=1))
        assert np.nanmax(forecast) <= cap


def test_frames_that_jitter_are_forecast_by_their_nominal_step_and_that_is_said(
    nowcaster: Nowcaster, storm: xr.DataArray
) -> None:
    jitter = storm.assign_coords(time=storm["time"] + np.array([0, 7, -6, 2], "m8[s]"))
    with pytest.warns(InputDepartsFromTraining, match="4:47 to 5:08 minutes apart, taken for steps of 5"):
        forecast = nowcaster.nowcast(jitter, members=1, steps=1)
    np.testing.assert_array_equal(forecast["lead_time"].values, np.arange(1, 5) * np.timedelta64(5, "m"))
    np.testing.assert_array_equal(rate(forecast), rate(nowcaster.nowcast(storm, members=1, steps=1)))


def test_old_frames_are_refused_where_a_time_is_asked_for(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    late = storm["time"].values[-1] + np.timedelta64(1, "D")
    with pytest.raises(NoDataError, match="24 hours before"):
        nowcaster.nowcast(storm, members=1, steps=1, reference_time=late)
    nowcaster.nowcast(storm, members=1, steps=1, reference_time=late, max_age="25h")


def test_departures_from_training_are_said(nowcaster: Nowcaster) -> None:
    with pytest.warns(InputDepartsFromTraining) as warned:
        nowcaster.nowcast(simulate(4, (64, 64), step_minutes=10, pixel_size=4000), members=1, steps=1)
    said = [str(w.message) for w in warned if w.category is InputDepartsFromTraining]
    assert [message.split(",")[0] for message in said] == ["time step 10 min", "pixels of 4000 m"]


def test_weights_survive_being_saved(nowcaster: Nowcaster, storm: xr.DataArray, tmp_path: Path) -> None:
    Nowcaster(tiny_model(), "x", "# card", device="cpu").save_pretrained(tmp_path / "saved")
    loaded = Nowcaster.from_pretrained(tmp_path / "saved", device="cpu")
    assert loaded.card == "# card"
    np.testing.assert_array_equal(
        rate(loaded.nowcast(storm, members=1, steps=1)), rate(nowcaster.nowcast(storm, members=1, steps=1))
    )
    weights = tmp_path / "saved" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged"):
        Nowcaster.from_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "config.json").write_text('{"name": "x"}')
    with pytest.raises(ModelError, match="not a model's configuration"):
        Nowcaster.from_pretrained(tmp_path / "saved")
    with pytest.raises(ModelError, match="expected a shipped model"):
        Nowcaster.from_pretrained("nonesuch")


def assert_conforms_to_cf(path: Path) -> None:
    checked = subprocess.run(
        [CHECKER, "--test=cf:1.11", "--criteria=strict", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_files_are_georeferenced_and_repeatable(nowcaster: Nowcaster, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i, frame in enumerate(simulate(4, (64, 72), seed=2).values):
        write_knmi(tmp_path / "in", f"2010-08-26T03:{5 * i:02}", (frame * 100 / 12).round())
    observations = open_radar(tmp_path / "in")
    for name in ("a.nc", "b.nc"):
        write_nowcast(nowcaster.nowcast(observations, members=2, steps=1), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert_conforms_to_cf(tmp_path / "a.nc")
    stored = open_nowcast(tmp_path / "a.nc")
    np.testing.assert_array_equal(stored["y"], observations["y"])
    assert stored["crs"].attrs["crs_wkt"] == observations["crs"].attrs["crs_wkt"]
    assert pd.Timestamp(stored["valid_time"].values[0]) == pd.Timestamp("2010-08-26T03:20")
    # The north-western corner of the Dutch composite.
    assert float(stored["lat"][0, 0]) == pytest.approx(55.97, abs=0.02)
    assert float(stored["lon"][0, 0]) == pytest.approx(0.0, abs=0.02)
    with pytest.raises(ObservationError, match="expected a nowcast"):
        open_nowcast(Path(__file__))


def test_a_forecast_on_latitudes_and_longitudes_conforms_to_cf(nowcaster: Nowcaster, tmp_path: Path) -> None:
    frames = simulate(4, (64, 64), seed=1).values
    for minute, frame in zip((0, 5, 10, 15), frames, strict=True):
        write_mrms(tmp_path, f"20190610-00{minute:02}00", (frame * 10).round())
    observations = open_radar(tmp_path)
    write_nowcast(nowcaster.nowcast(observations, members=1, steps=1), tmp_path / "a.nc")
    assert_conforms_to_cf(tmp_path / "a.nc")
    stored = open_nowcast(tmp_path / "a.nc")
    assert float(stored["lat"][0, 0]) == pytest.approx(54.995, abs=1e-4)
    assert float(stored["lon"][0, 0]) == pytest.approx(-129.995, abs=1e-4)


def test_products_of_an_ensemble(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    forecast = nowcaster.nowcast(storm, members=4, steps=1)
    members = rate(forecast)
    probability = forecast.ssldm.exceedance_probability(1.0)
    assert probability.dims == ("lead_time", "y", "x")
    observed = np.isfinite(members[0])
    np.testing.assert_allclose(probability.values[observed], (members >= 1.0).mean(axis=0)[observed])
    np.testing.assert_allclose(forecast.ssldm.mean().values, members.mean(axis=0))
    assert np.isnan(probability.values[~observed]).all()


def test_tiles_cover_the_domain_and_blend_to_what_they_share() -> None:
    tiling = Tiling(height=192, width=320, size=128, overlap=32, stride=32)
    field = torch.arange(192.0)[:, None] + torch.arange(320.0)[None, :]
    blend = Blend(tiling, ())
    for rows, columns in tiling:
        assert rows.start % 32 == columns.start % 32 == 0
        blend.add((rows, columns), field[rows, columns])
    torch.testing.assert_close(blend.result(), field)


def test_a_model_of_the_smallest_squares_forecasts_larger_domains() -> None:
    """Of squares as large as what the denoiser's coarsest level makes a pixel of."""
    side = tiny_model(128).config.stride
    nowcaster = Nowcaster(tiny_model(side), "tiny test", device="cpu")
    forecast = nowcaster.nowcast(simulate(4, (2 * side, 3 * side), seed=4), members=1, steps=1)
    assert np.isfinite(rate(forecast)).mean() > 0.5


def test_tiled_forecasts_have_no_seams() -> None:
    """Jumps between neighbouring pixels are no larger where a tile begins or ends than elsewhere."""
    wide = simulate(4, (64, 320), seed=4)
    tiled = Nowcaster(tiny_model(128), "tiny test", device="cpu").nowcast(wide, members=4, steps=2)
    tiles = Tiling(height=64, width=320, size=128, overlap=32, stride=8)
    edges = {edge - 1 for _, columns in tiles for edge in (columns.start, columns.stop)}
    jumps = np.nanmean(np.abs(np.diff(np.cbrt(rate(tiled)), axis=-1))[..., 8:-8], axis=(0, 1, 2))
    inner = [column - 8 for column in edges if 8 <= column < 320 - 9]
    assert len(inner) == 4
    assert jumps[inner].max() <= np.quantile(np.delete(jumps, inner), 0.99)
