"""Small files of every radar format, written as the services write them."""

import gzip
import struct
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import rasterio
import xarray as xr
from PIL import Image
from rasterio.transform import from_origin


def write_smhi(folder: Path, values: np.ndarray, start: str = "2021-05-11T02:30", place: str = "f1") -> Path:
    """A window of the paper: uint8 ``(y, x, time)``, five minutes a frame."""
    first = np.datetime64(start, "m")
    last = first + values.shape[2] * np.timedelta64(5, "m")
    stamps = [str(t).replace("-", "_").replace("T", "_").replace(":", "_") for t in (first, last)]
    path = folder / f"{stamps[0]}{stamps[1]}{place}.npy"
    np.save(path, values)
    return path


def change_attributes(path: Path, group: str, **attributes: object) -> Path:
    """The HDF5 file with attributes of a group set, or with None removed."""
    with h5py.File(path, "a") as file:
        for name, value in attributes.items():
            if value is None:
                del file.require_group(group).attrs[name]
            else:
                file.require_group(group).attrs[name] = value
    return path


def write_knmi(folder: Path, time: str, values: np.ndarray) -> Path:
    """A five-minute accumulation in hundredths of a millimetre, 65535 unobserved."""
    end = np.datetime64(time, "m")
    path = folder / f"RAD_NL25_RAP_5min_{str(end).translate(str.maketrans('', '', '-T:'))}.h5"
    rows, columns = values.shape
    with h5py.File(path, "w") as file:
        file["image1/image_data"] = values.astype(np.uint16)
        geographic = file.create_group("geographic")
        geographic.attrs["geo_column_offset"] = np.array([0.0], np.float32)
        geographic.attrs["geo_row_offset"] = np.array([3650.0], np.float32)
        geographic.attrs["geo_number_columns"] = np.array([columns], np.int32)
        geographic.attrs["geo_number_rows"] = np.array([rows], np.int32)
        geographic.attrs["geo_pixel_size_x"] = np.array([1.0], np.float32)
        geographic.attrs["geo_pixel_size_y"] = np.array([-1.0], np.float32)
        geographic.attrs["geo_dim_pixel"] = np.bytes_(b"KM,KM")
        geographic.create_group("map_projection").attrs["projection_proj4_params"] = np.bytes_(
            b"+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0"
        )
        overview = file.create_group("overview")
        for name, moment in (("start", end - np.timedelta64(5, "m")), ("end", end)):
            stamp = moment.item().strftime("%d-%b-%Y;%H:%M:%S.000").upper()
            overview.attrs[f"product_datetime_{name}"] = np.bytes_(stamp.encode())
    return path


def write_fmi_pgm(folder: Path, stamp: str, values: np.ndarray) -> Path:
    """A gzipped PGM of reflectivity, (byte - 64) / 2 dBZ, 255 unobserved."""
    height, width = values.shape
    header = (
        "P5\n# type stereographic\n# centrallongitude 25\n# centrallatitude 90\n# truelatitude 60\n"
        "# bottomleft 18.600000 57.930000\n# topright 34.903000 69.005000\n"
        "# metersperpixel_x 999.674053\n# metersperpixel_y 999.62859\n"
        f"{width} {height}\n255\n"
    )
    path = folder / f"{stamp}_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz"
    with gzip.open(path, "wb") as file:
        file.write(header.encode() + values.astype(np.uint8).tobytes())
    return path


def smhi_bytes(rate: np.ndarray) -> np.ndarray:
    """Rain rate ``(t, y, x)`` in mm/h as the paper stores it."""
    with np.errstate(divide="ignore"):
        reflectivity = 10.0 * np.log10(200.0 * rate**1.6)
    stored = np.where(rate > 0, (reflectivity + 30.0) / 0.4, 0.0).round().clip(0, 255)
    return np.moveaxis(stored, 0, -1).astype(np.uint8)


def write_meteoswiss(folder: Path, corner: list[int], name: str = "AQC151351545F_00005.801.gif") -> Path:
    """An image of colour numbers, ``corner`` in the first row."""
    pixels = np.zeros((640, 710), np.uint8)
    pixels[0, : len(corner)] = corner
    path = folder / name
    Image.fromarray(pixels, mode="P").save(path)
    return path


def write_fmi_geotiff(folder: Path, stamp: str, values: np.ndarray) -> Path:
    """Bytes of reflectivity, (byte - 64) / 2 dBZ, 255 unobserved, 250 m pixels."""
    path = folder / f"{stamp}_FINUTM.tif"
    height, width = values.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=1,
        dtype="uint8",
        crs="EPSG:3067",
        transform=from_origin(-196593.0, 8084432.0, 250.0, 250.0),
    ) as file:
        file.write(values.astype(np.uint8), 1)
    return path


def write_geotiff(
    folder: Path,
    name: str,
    values: np.ndarray,
    *,
    tags: dict[str, object] | None = None,
    band_tags: dict[str, object] | None = None,
    unit: str | None = None,
    description: str | None = None,
    scaling: tuple[float, float] = (1.0, 0.0),
    **profile: object,
) -> Path:
    """Bands ``(band, y, x)`` or one ``(y, x)``, 2 km pixels from the origin of OPERA's projection; the rest
    is said of the first band, and left out where it is not given."""
    bands = values if values.ndim == 3 else values[None]
    path = folder / name
    given = {
        "crs": "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84 +units=m",
        "transform": from_origin(0.0, 0.0, 2000.0, 2000.0),
    } | profile
    count, height, width = bands.shape
    size = {"height": height, "width": width, "count": count, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, **given) as file:
        file.write(bands)
        file.update_tags(**(tags or {}))
        file.update_tags(1, **(band_tags or {}))
        if unit is not None:
            file.set_band_unit(1, unit)
        if description is not None:
            file.set_band_description(1, description)
        if scaling != (1.0, 0.0):
            file.scales, file.offsets = [scaling[0]] * count, [scaling[1]] * count
    return path


def write_mrms(folder: Path, stamp: str, values: np.ndarray, parameter: tuple[int, int] = (6, 1)) -> Path:
    """A GRIB2 message of rain rate in tenths of mm/h, -30 unobserved, 0.01 degrees from 55 N 130 W."""
    time = datetime.strptime(stamp, "%Y%m%d-%H%M%S")
    height, width = values.shape
    when = struct.pack(">H5B", time.year, time.month, time.day, time.hour, time.minute, time.second)
    first = (54_995_000, 230_005_000)
    last = (first[0] - 10_000 * (height - 1), first[1] + 10_000 * (width - 1))
    sphere = struct.pack(">BBIBIBI", 6, 255, 2**32 - 1, 255, 2**32 - 1, 255, 2**32 - 1)
    grid = sphere + struct.pack(
        ">IIIIiIBiIIIB", width, height, 0, 2**32 - 1, *first, 48, *last, 10_000, 10_000, 0
    )
    codes = (values + 30).astype(">u2").tobytes()
    sections = [
        struct.pack(">HHBBB", 161, 0, 2, 1, 1) + when + bytes([0, 7]),
        struct.pack(">BIBBH", 0, height * width, 0, 0, 0) + grid,
        struct.pack(">HHBBBBBHBBIBiIBiI", 0, 0, *parameter, 8, 0, 97, 0, 0, 0, 0, 102, 0, 0, 255, 0, 0)[:27]
        + struct.pack(">BBI", 255, 255, 2**32 - 1)[1:],
        struct.pack(">IHfhhBB", height * width, 0, -30.0, 0, 1, 16, 0),
        bytes([255]),
        codes,
    ]
    body = b"".join(
        struct.pack(">IB", len(content) + 5, number) + content
        for number, content in zip((1, 3, 4, 5, 6, 7), sections, strict=True)
    )
    header = b"GRIB" + struct.pack(">HBBQ", 0, 209, 2, 16 + len(body) + 4)
    path = folder / f"PrecipRate_00.00_{stamp}.grib2"
    path.write_bytes(header + body + b"7777")
    return path


def write_odim(
    folder: Path,
    stamp: str,
    values: np.ndarray,
    quantity: str = "RATE",
    source: str = "ORG:247",
    **changes: object,
) -> Path:
    """A composite of 2 km pixels: tenths of the quantity, -1 nothing, -2 unobserved."""
    path = folder / f"T_PAAH21_C_EUOC_{stamp}.hdf"
    rows, columns = values.shape
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_(b"ODIM_H5/V2_2")
        attributes = {"object": b"COMP", "date": stamp[:8].encode(), "time": stamp[8:].encode()}
        file.create_group("what").attrs.update(attributes | {"source": source.encode()} | changes)
        file.create_group("where").attrs.update(
            {
                "projdef": b"+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000.0 +y_0=-2100000.0 +ellps=WGS84",
                "LL_lon": -10.434576838640398,
                "LL_lat": 31.746215319325056,
                "xscale": 2000.0,
                "yscale": 2000.0,
                "xsize": columns,
                "ysize": rows,
            }
        )
        file["dataset1/data1/data"] = values.astype(np.float64)
        file.create_group("dataset1/what").attrs.update(
            {
                "quantity": quantity.encode(),
                "gain": 0.1,
                "offset": 0.0,
                "undetect": -1.0,
                "nodata": -2.0,
                "startdate": b"20180824",
                "starttime": b"180000",
                "enddate": b"20180824",
                "endtime": b"181500",
            }
        )
    return path


def write_radolan(
    folder: Path, product: str, stamp: str, codes: np.ndarray, *, version: int = 3, ahead: int | None = None
) -> Path:
    """A composite ``(y, x)``, southern row first: bytes for RX, words with flags for RY and RV."""
    time = datetime.strptime(stamp, "%Y%m%d%H%M")
    nbytes = 1 if product == "RX" else 2
    size = 810141 if product == "RX" else 1620145
    forecast = "" if ahead is None else f"VV {ahead:03d} MF 00000002"
    text = (
        f"{product}{time:%d%H%M}10000{time:%m%y}BY{size:7d}VS {version}SW   2.13.1"
        f"PR E{'+00' if nbytes == 1 else '-02'}INT{5:4d}"
        f"GP{codes.shape[0]:4d}x{codes.shape[1]:4d}{forecast}MS 25<boo,ros,emd,hnr,pro,ess> "
    )
    path = folder / f"raa01-{product.lower()}_10000-{time:%y%m%d%H%M}-dwd---bin"
    content = codes.astype(np.uint8 if nbytes == 1 else "<u2").tobytes()
    text = text.replace(f"BY{size:7d}", f"BY{len(text) + 1 + len(content):7d}")
    path.write_bytes(text.encode() + b"\x03" + content)
    return path


def write_meteonet(folder: Path, values: np.ndarray, minutes: list[int], kind: str = "rainfall") -> Path:
    """Frames ``(time, y, x)`` of hundredths of a millimetre, -1 unobserved, and their coordinates."""
    dates = [datetime.strptime("20160821", "%Y%m%d") + timedelta(minutes=minute) for minute in minutes]
    path = folder / f"{kind}_NW_2016_08.3.npz"
    np.savez_compressed(path, data=values.astype(np.int16), dates=np.array(dates), miss_dates=np.array([]))
    lat, lon = 51.891 - 0.01 * np.arange(values.shape[1]), -5.837 + 0.01 * np.arange(values.shape[2])
    lons, lats = np.meshgrid(lon, lat)
    np.savez_compressed(folder / "radar_coords_NW.npz", lats=lats, lons=lons)
    return path


def write_sevir(folder: Path, values: np.ndarray, identifiers: list[str]) -> Path:
    """Events ``(event, y, x, time)`` of bytes and the catalogue that says when and where."""
    (folder / "data/vil/2018").mkdir(parents=True, exist_ok=True)
    path = folder / "data/vil/2018/SEVIR_VIL_STORMEVENTS_2018_0101_0630.h5"
    with h5py.File(path, "w") as file:
        file["vil"] = values.astype(np.uint8)
        file["id"] = np.array([name.encode() for name in identifiers], "S16")
    rows = [
        {
            "id": name,
            "img_type": "vil",
            "time_utc": "2018-06-15 12:00:00",
            "minute_offsets": ":".join(str(5 * i - 5) for i in range(values.shape[3])),
            "proj": "+proj=laea +lat_0=38 +lon_0=-98 +units=m +a=6370997.0 +ellps=sphere ",
            "llcrnrlat": 38.0,
            "llcrnrlon": -98.0,
            "urcrnrlat": 38.5,
            "urcrnrlon": -97.4,
        }
        for name in identifiers
    ]
    pd.DataFrame(rows).to_csv(folder / "CATALOG.csv", index=False)
    return path


def write_hko7(folder: Path, stamp: str, values: np.ndarray, valid: np.ndarray | None = None) -> Path:
    """An image of 480×480 bytes and, in the mirroring folder, its mask."""
    image = folder / "radarPNG" / f"RAD{stamp}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(image)
    if valid is not None:
        mask = folder / "radarPNG_mask" / f"RAD{stamp}.mask"
        mask.parent.mkdir(parents=True, exist_ok=True)
        mask.write_bytes(zlib.compress(valid.astype(bool).tobytes(), 2))
    return image


def write_bom(folder: Path, time: str, values: np.ndarray, minutes: int = 6) -> Path:
    """A Rainfields accumulation: kg m-2 over some minutes, coordinates in kilometres."""
    end = np.datetime64(time, "s")
    seconds = {"units": "seconds since 1970-01-01 00:00:00 UTC"}
    rows, columns = values.shape
    dataset = xr.Dataset(
        {
            "precipitation": (
                ("y", "x"),
                values,
                {"standard_name": "precipitation_amount", "units": "kg m-2", "grid_mapping": "proj"},
            ),
            "valid_time": ((), end.astype(np.int64), seconds | {"standard_name": "time"}),
            "start_time": ((), end.astype(np.int64) - 60 * minutes, seconds),
            "proj": (
                (),
                np.int8(0),
                {
                    "grid_mapping_name": "albers_conical_equal_area",
                    "standard_parallel": [-18.0, -36.0],
                    "longitude_of_central_meridian": 144.752,
                    "latitude_of_projection_origin": -37.852,
                    "semi_major_axis": 6378137.0,
                    "inverse_flattening": 298.257222101,
                    "false_easting": 0.0,
                    "false_northing": 0.0,
                },
            ),
        },
        coords={
            "y": (
                "y",
                128.0 - 0.5 * np.arange(rows),
                {"units": "km", "standard_name": "projection_y_coordinate"},
            ),
            "x": (
                "x",
                -128.0 + 0.5 * np.arange(columns),
                {"units": "km", "standard_name": "projection_x_coordinate"},
            ),
        },
        attrs={"title": "Bias Corrected Radar Accumulation", "Conventions": "CF-1.6"},
    )
    path = folder / f"2_{str(end).translate(str.maketrans('', '', '-:')).replace('T', '_')}.prcp-cscn.nc"
    encoding = {"precipitation": {"dtype": "int16", "scale_factor": 0.05, "_FillValue": -32768}}
    dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    return path
