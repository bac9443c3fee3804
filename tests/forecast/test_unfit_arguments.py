"""What is no forecast, no path or no model ends in this package's own errors, and nothing is waited for."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from forecasts import random_forecast
from test_cli import refused, ssldm

from ssldm.errors import ModelError, ObservationError, OutputError
from ssldm.forecast.dataset import check_nowcast_output, open_nowcast, write_nowcast
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.published import convert_checkpoints, read_checkpoint
from ssldm.forecast.weights_folder import CARD, CONFIG, WEIGHTS, read_card, weights_at
from ssldm.radar.observations import NAME

SUFFIXES = [".nc", ".zarr"]


@pytest.mark.parametrize("dataset", [None, 3, "n.nc", random_forecast()[NAME], {NAME: 1}])
def test_what_is_no_dataset_is_not_written(dataset: object, tmp_path: Path) -> None:
    with pytest.raises(ObservationError, match="expected a forecast as a Dataset"):
        write_nowcast(dataset, tmp_path / "x.nc")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_what_is_no_path_is_refused_wherever_one_is_taken(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        for path in (None, 7, b"x.nc", file, ["x.nc"], "a\0.nc"):
            with pytest.raises(OutputError, match="expected a path"):
                write_nowcast(random_forecast(), path)  # type: ignore[arg-type]
            with pytest.raises(OutputError, match="expected a path"):
                check_nowcast_output(path)  # type: ignore[arg-type]
            with pytest.raises(ObservationError, match="expected a path"):
                open_nowcast(path)  # type: ignore[arg-type]


def test_anything_that_stands_for_a_path_is_one(tmp_path: Path) -> None:
    class Place:
        def __fspath__(self) -> str:
            return str(tmp_path / "x.nc")

    write_nowcast(random_forecast(), Place())  # type: ignore[arg-type]
    assert open_nowcast(Place()).sizes["member"] == 4  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_attributes_that_are_true_or_false_are_read_as_one_or_nought(suffix: str, tmp_path: Path) -> None:
    given = {"a": True, "b": np.bool_(False), "c": np.array([True, False]), "d": [True, False]}
    forecast = random_forecast().assign_attrs(given)
    forecast[NAME].attrs |= given
    before = forecast.copy(deep=True)
    write_nowcast(forecast, tmp_path / f"x{suffix}")
    assert forecast.attrs["a"] is before.attrs["a"] is True
    stored = open_nowcast(tmp_path / f"x{suffix}")
    for attributes in (stored.attrs, stored[NAME].attrs):
        assert [np.asarray(attributes[name]).tolist() for name in "abcd"] == [1, 0, [1, 0], [1, 0]]


UNFIT = {
    "a MultiIndex": random_forecast().stack(pixel=["y", "x"]),
    "a projection for each member": random_forecast().assign_coords(
        crs=random_forecast()["crs"].expand_dims(member=4)
    ),
    "a projection without a name": random_forecast().assign_coords(crs=0),
    "a projection that is none": random_forecast().assign_coords(crs=((), 0, {"crs_wkt": "nonsense"})),
    "a dictionary": random_forecast().assign_attrs(a={"b": 1}),
    "a set": random_forecast().assign_attrs(a={1, 2}),
    "objects": random_forecast().assign(a=("member", np.array([{}, [], 1, "a"], object))),
    "a period": random_forecast().assign_coords(a=("member", pd.period_range("2020", periods=4, freq="D"))),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", UNFIT)
def test_what_a_format_cannot_hold_is_refused_or_read_again(kind: str, suffix: str, tmp_path: Path) -> None:
    fault = None
    try:
        write_nowcast(UNFIT[kind], tmp_path / f"x{suffix}")
    except OutputError as error:
        fault = str(error)
    if fault is None:
        np.testing.assert_array_equal(open_nowcast(tmp_path / f"x{suffix}")[NAME], UNFIT[kind][NAME])
    else:
        assert len(fault.splitlines()) == 1
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rate", [-1.0, -1e-6, np.inf, -np.inf])
def test_rates_that_cannot_be_are_not_written(rate: float, suffix: str, tmp_path: Path) -> None:
    forecast = random_forecast()
    forecast[NAME][0] = np.nan
    write_nowcast(forecast, tmp_path / f"x{suffix}")
    forecast[NAME][1, 1, 1, 1] = rate
    with pytest.raises(ObservationError, match="expected rain rates of 0 mm/h or more"):
        write_nowcast(forecast, tmp_path / f"y{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("dim", ["member", "lead_time", "y", "x"])
def test_a_forecast_of_nothing_is_not_written(dim: str, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        with pytest.raises(ObservationError, match=f"size 0 of {dim}"):
            write_nowcast(random_forecast().isel({dim: []}), tmp_path / f"x{suffix}")


def _model(folder: Path) -> Path:
    from test_nowcast import tiny_model

    Nowcaster(tiny_model(), "tiny").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, CARD])
@pytest.mark.parametrize(("make", "found"), [(os.mkfifo, "a named pipe"), (os.mkdir, "a folder")])
def test_a_model_is_made_of_regular_files(name: str, make: object, found: str, tmp_path: Path) -> None:
    folder = _model(tmp_path / "model")
    (folder / name).unlink(missing_ok=True)
    make(folder / name)  # type: ignore[operator]
    refused(ssldm("model", "info", folder), f"{name}: expected a regular file, found {found}")


def test_a_card_is_text_or_missing(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None
    (tmp_path / CARD).write_text("card")
    assert read_card(tmp_path) == "card"
    (tmp_path / CARD).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ModelError, match="expected text"):
        read_card(tmp_path)


@pytest.mark.parametrize("name", ["", " ", "a\0b"])
def test_a_model_has_a_name(name: str) -> None:
    with pytest.raises(ModelError, match="expected the name of a model"):
        weights_at(name, ("small",), {})


def test_checkpoints_are_regular_files_of_tensors(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("not a checkpoint")
    (tmp_path / "empty").write_text("")
    torch.save({"a": xr.Dataset()}, tmp_path / "objects")
    torch.save({1: torch.zeros(1)}, tmp_path / "numbers")
    for name, said in {"pipe": "a named pipe", ".": "a folder", "none": "found nothing at"}.items():
        refused(ssldm("model", "convert", *[tmp_path / name] * 2, "--out", tmp_path / "out"), said)
    for name in ("text", "empty", "objects"):
        with pytest.raises(ModelError, match="not a checkpoint of tensors alone") as caught:
            read_checkpoint(tmp_path / name)
        assert "weights_only" not in str(caught.value)
    assert read_checkpoint(tmp_path / "numbers") == {}
    assert not (tmp_path / "out").exists()


def test_a_converted_model_never_replaces_its_checkpoints(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(OutputError, match="apart from the input"):
        convert_checkpoints(tmp_path / "a.pth", tmp_path / WEIGHTS, tmp_path)
