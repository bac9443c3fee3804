"""The rolling store: observed frames, forecasts and what came of them, on any file system.

    DOMAIN/about.json                 where the grid lies, what is offered
    DOMAIN/frames/STAMP.json          that a frame is there …
    DOMAIN/data/STAMP/frame.zarr      … and the frame
    DOMAIN/cycles/STAMP.json          that a cycle is answered, and how …
    DOMAIN/data/STAMP/forecast.zarr   … and its members and maps
    DOMAIN/data/STAMP/sample.zarr     … and what it is verified by
    DOMAIN/skill/, DOMAIN/alarms/     records
    status.json, replay.json          of the forecaster, and of the past that is played

The small files are written last and taken away first, and each is written as a whole: what they name is
there, whenever a process ends. Values are kept to 0.02 mm/h, probabilities to 0.005.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import xarray as xr

from ssldm.atomic import PARTIAL, replacing
from ssldm.errors import ConfigurationError
from ssldm.radar.context import SOURCE_FILE
from ssldm.radar.observations import NAME
from ssldm.service.times import time_of

Record = dict[str, Any]
# In mm/h or mm: what is kept, and the most that can be.
RATE_STEP = 0.02
_UNKNOWN_RATE, _UNKNOWN_SHARE = 65535, 255
_MOST_RATE = RATE_STEP * (_UNKNOWN_RATE - 1)
_SHARE_STEP = 0.005
# Bytes of a disk that is not full.
_LEAST_FREE = 2**20
# Pixels of a side of what is read at once of a member, all lead times of it.
_SIDE = 128


class Store:
    """A store of a service.

    Args:
        url: a folder, or any URL that fsspec reads (and, for the forecaster, writes).

    Raises:
        ConfigurationError: none that fsspec knows.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"expected a folder or URL to store in, found {url!r} ({error})"
            ) from error
        self._root = root.rstrip("/")
        self._local = "file" in np.atleast_1d(self._files.protocol)
        self._known: dict[str, Record] = {}

    # What is there.

    def about(self, domain: str) -> Record | None:
        """What is offered of a domain; None before its first frame."""
        return self._read(f"{domain}/about.json")

    def frames(self, domain: str) -> list[str]:
        """Stamps of observed frames, oldest first."""
        return self._stamps(f"{domain}/frames")

    def cycles(self, domain: str) -> list[Record]:
        """Summaries of answered cycles, oldest first."""
        stamps = self._stamps(f"{domain}/cycles")
        for name in set(self._known) - {f"{domain}/cycles/{stamp}.json" for stamp in stamps}:
            if name.startswith(f"{domain}/"):
                self._known.pop(name, None)
        found = (self.cycle(domain, stamp) for stamp in stamps)
        return [each for each in found if each is not None]

    def cycle(self, domain: str, stamp: str) -> Record | None:
        """How a cycle was answered; None where it is not there."""
        name = f"{domain}/cycles/{stamp}.json"
        if not self._files.exists(self._path(name)):
            self._known.pop(name, None)
            return None
        if name not in self._known and (record := self._read(name)) is not None:
            self._known[name] = record
        return self._known.get(name)

    def forecast(self, domain: str, stamp: str) -> xr.Dataset:
        """Members and maps of a cycle, read when they are asked for.

        Of a cycle that is taken away meanwhile, values turn unknown: look at `cycle` again after reading.
        """
        return self._open(f"{domain}/data/{stamp}/forecast.zarr")

    def sample(self, domain: str, stamp: str) -> xr.Dataset | None:
        """Members and extrapolation of a cycle at some of the pixels; None where there are none."""
        try:
            return self._open(f"{domain}/data/{stamp}/sample.zarr")
        except FileNotFoundError:
            return None

    def observed(self, domain: str, stamp: str) -> xr.DataArray:
        """A frame ``(y, x)`` in mm/h, as `forecast`."""
        frame: xr.DataArray = self._open(f"{domain}/data/{stamp}/frame.zarr")[NAME]
        return frame

    def records(self, domain: str, kind: str) -> list[Record]:
        """Records of a kind, by name."""
        found = (self._read(f"{domain}/{kind}/{name}") for name in self._json(f"{domain}/{kind}"))
        return [each for each in found if each is not None]

    def record(self, domain: str, kind: str, name: str) -> Record | None:
        """One of them."""
        return self._read(f"{domain}/{kind}/{name}.json")

    def status(self) -> Record:
        """What the forecaster last said of itself."""
        return self._read("status.json") or {}

    def replay(self) -> Record | None:
        """Since when the past is played."""
        return self._read("replay.json")

    def fault(self) -> str | None:
        """What is wrong with a local store, for all to see; None of others and where nothing is."""
        if not self._local:
            return None
        try:
            left = shutil.disk_usage(self._root).free
        except OSError:
            return "the store is gone"
        return "the disk of the store is full" if left < _LEAST_FREE else None

    # What the forecaster does.

    def put_about(self, domain: str, about: Record) -> None:
        """Say what is offered of a domain."""
        self._write(f"{domain}/about.json", about)

    def put_frame(self, domain: str, stamp: str, frame: xr.DataArray) -> None:
        """Keep an observed frame ``(y, x)`` in mm/h."""
        self._write_zarr(
            f"{domain}/data/{stamp}/frame.zarr",
            frame.drop_vars(SOURCE_FILE, errors="ignore").to_dataset(name=NAME),
        )
        self._write(f"{domain}/frames/{stamp}.json", {"frame": stamp})

    def put_cycle(
        self, domain: str, summary: Record, forecast: xr.Dataset | None, sample: xr.Dataset | None
    ) -> None:
        """Answer a cycle, with or without a forecast and what it is verified by."""
        stamp = summary["cycle"]
        for name, part in (("forecast", forecast), ("sample", sample)):
            if part is not None:
                self._write_zarr(f"{domain}/data/{stamp}/{name}.zarr", part)
        self._write(f"{domain}/cycles/{stamp}.json", summary)

    def put_record(self, domain: str, kind: str, name: str, record: Record) -> None:
        """Keep a record, in place of an earlier one of its name."""
        self._write(f"{domain}/{kind}/{name}.json", record)

    def put_status(self, status: Record) -> None:
        """Say how the forecaster is."""
        self._write("status.json", status)

    def put_replay(self, replay: Record) -> None:
        """Say since when the past is played."""
        self._write("replay.json", replay)

    def drop_before(self, domain: str, time: np.datetime64) -> None:
        """Take away frames, cycles and records of before a time; a record's name begins with its stamp."""
        for kind in ("cycles", "frames", "skill", "data"):
            for name in self._names(f"{domain}/{kind}"):
                when = time_of(name.removesuffix(".json")[:16])
                if when is not None and when < time:
                    self._remove(f"{domain}/{kind}/{name}")

    def sweep(self, domain: str) -> None:
        """Take away what a process that was killed left half-written."""
        for folder in ("cycles", "frames", "skill", "alarms", "data"):
            inner = (
                [f"{folder}/{name}" for name in self._names(f"{domain}/{folder}")] if folder == "data" else []
            )
            for place in (folder, *inner):
                for name in self._names(f"{domain}/{place}"):
                    if name.startswith(PARTIAL):
                        self._remove(f"{domain}/{place}/{name}")

    # Files.

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *filter(None, parts)))

    def _names(self, folder: str) -> list[str]:
        self._files.invalidate_cache()
        try:
            found = self._files.ls(self._path(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def _json(self, folder: str) -> list[str]:
        return [n for n in self._names(folder) if n.endswith(".json") and not n.startswith(".")]

    def _stamps(self, folder: str) -> list[str]:
        stamps = (name.removesuffix(".json") for name in self._json(folder))
        return [stamp for stamp in stamps if time_of(stamp) is not None]

    def _read(self, name: str) -> Record | None:
        try:
            record = json.loads(self._files.cat_file(self._path(name)))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def _write(self, name: str, record: Record) -> None:
        text = json.dumps(record, allow_nan=False)
        if self._local:
            with replacing(Path(self._path(name))) as aside:
                aside.write_text(text)
        else:
            self._files.pipe_file(self._path(name), text.encode())

    def _open(self, name: str) -> xr.Dataset:
        path = self._path(name)
        store = path if self._local else self._files.get_mapper(path)
        # What is read once must not stay in memory for as long as the dataset is open.
        return xr.open_dataset(
            store, engine="zarr", cache=False, decode_timedelta=True, consolidated=not self._local
        )

    def _write_zarr(self, name: str, dataset: xr.Dataset) -> None:
        path = self._path(name)
        whole = _within_reach(dataset.drop_encoding())
        options: Record = {
            "encoding": dict(_encoding(whole)),
            "zarr_format": 3,
            "consolidated": not self._local,
        }
        if self._local:
            from ssldm.zarr_output import replacing_zarr

            with replacing_zarr(Path(path), lambda _: True) as store:
                whole.to_zarr(store, **options)
        else:
            self._remove(name)
            whole.to_zarr(self._files.get_mapper(path), **options)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._files.rm(self._path(name), recursive=True)


def _within_reach(dataset: xr.Dataset) -> xr.Dataset:
    """With rates and amounts that are no more than what can be kept."""
    return dataset.assign(
        {
            name: values.clip(max=_MOST_RATE)
            for name, values in dataset.data_vars.items()
            if _is_map(values) and not _is_share(str(name))
        }
    )


def _is_map(values: xr.DataArray) -> bool:
    return {"y", "x"} <= set(values.dims)


def _is_share(name: str) -> bool:
    return "probability" in name


def _encoding(dataset: xr.Dataset) -> Iterator[tuple[str, Record]]:
    from zarr.codecs import BloscCodec

    packed = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
    for name, values in dataset.data_vars.items():
        if not _is_map(values):
            continue
        whole = {"member": 1, "quantile": 1, "threshold": 1}
        # Members are read at places and as maps, all others as maps.
        if "member" in values.dims:
            whole |= {"y": min(_SIDE, values.sizes["y"]), "x": min(_SIDE, values.sizes["x"])}
        else:
            whole["lead_time"] = 1
        kind = (
            {
                "dtype": "uint8",
                "scale_factor": _SHARE_STEP,
                "_FillValue": np.uint8(_UNKNOWN_SHARE),
            }
            if _is_share(str(name))
            else {
                "dtype": "uint16",
                "scale_factor": RATE_STEP,
                "_FillValue": np.uint16(_UNKNOWN_RATE),
            }
        )
        chunks = tuple(int(whole.get(str(dim), values.sizes[dim])) for dim in values.dims)
        # One file a member, or a map.
        files = tuple(
            ceil(values.sizes[dim] / size) * size if dim in ("y", "x") else size
            for dim, size in zip(values.dims, chunks, strict=True)
        )
        yield str(name), {**kind, "chunks": chunks, "shards": files, "compressors": (packed,)}
    for name in ("lead_time",):
        if name in dataset.coords:
            yield name, {"units": "seconds", "dtype": "int64"}
