"""The images in a KNMI file: which of them is rain, and what its codes mean."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.hdf5_attributes import Attributes, attributes_of
from ssldm.radar.formats.protocol import rate_of_decibel
from ssldm.radar.formats.stored_codes import check_code
from ssldm.radar.units import ZRRelation, rate_of_accumulation

Kind = Literal["amount", "rate", "reflectivity"]

_PARAMETER = re.compile(r"(?P<name>[^\[]*?)_?(\[(?P<unit>.*)\])?")
_UNITS: dict[str, Kind] = {
    "MM": "amount",
    "MM/H": "rate",
    "MM/HR": "rate",
    "MM/HOUR": "rate",
    "DBZ": "reflectivity",
}
_RAIN = {"PRECIPITATION", "PRECIP", "RAINFALL", "RAIN"}
_OF_AMOUNTS = {"ACCUMULATED", "ACCUMULATION", "AMOUNT", "SUM"}
# What is said of rain without being how much there is.
_NOT_THE_VALUE = {"TYPE", "QUALITY", "PROBABILITY", "ERROR", "UNCERTAINTY", "INDEX", "FLAG", "FLAGS", "MASK"}
_NUMBER = r"[+-]?\s*(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?"
_FORMULA = re.compile(
    rf"GEO\s*=\s*(?P<slope>{_NUMBER})\s*\*\s*PV\s*(?:(?P<sign>[+-])\s*(?P<offset>{_NUMBER}))?", re.IGNORECASE
)
_USUAL_FORMULAS = {"amount": "GEO=0.01*PV+0.0", "reflectivity": "GEO=0.5*PV-32.0"}
_NO_ECHO = 0


@dataclass(frozen=True)
class Image:
    """One image of a file.

    Attributes:
        name: its group.
        parameter: what it shows, as the file says.
        kind: what that is here; None is neither rain nor reflectivity.
        attributes: of its group.
        calibration: of its calibration, which may be empty.
        stored: codes ``(h, w)`` of one or two bytes, as h5py gives them.
    """

    name: str
    parameter: str
    kind: Kind | None
    attributes: Attributes
    calibration: Attributes
    stored: Any


def the_image(file: Any) -> Image:
    """The image of precipitation, or of reflectivity where there is none.

    Raises:
        ObservationError: none of either, or several, which leave open what is meant.
    """
    images = list(_images(file))
    rain = [image for image in images if image.kind in {"amount", "rate"}]
    candidates = rain or [image for image in images if image.kind == "reflectivity"]
    if not candidates:
        found = ", ".join(dict.fromkeys(image.parameter for image in images)) or "no image"
        raise ObservationError(f"expected reflectivity in DBZ or precipitation in MM or MM/H, found {found}")
    if len(candidates) > 1:
        raise ObservationError(
            f"expected one image of {'precipitation' if rain else 'reflectivity'}, found several: "
            + ", ".join(map(_described, candidates))
        )
    (image,) = candidates
    if image.stored.dtype.kind != "u" or image.stored.dtype.itemsize > 2:
        raise ObservationError(f"expected 8 or 16 bits a pixel, found {image.stored.dtype}")
    return image


def _images(file: Any) -> Iterator[Image]:
    numbers = sorted(int(name[5:]) for name in file if re.fullmatch(r"image\d+", name))
    for number in numbers:
        name = f"image{number}"
        if "image_data" not in file[name]:
            continue
        attributes = attributes_of(file, name)
        # Where there is one image, a file without a parameter is a file of precipitation.
        usual = "PRECIPITATION_[MM]" if len(numbers) == 1 else "an image without image_geo_parameter"
        given = "image_geo_parameter" in attributes
        parameter = attributes.text("image_geo_parameter") if given else usual
        calibration = attributes_of(file, f"{name}/calibration")
        yield Image(name, parameter, _kind(parameter), attributes, calibration, file[name]["image_data"])


def _kind(parameter: str) -> Kind | None:
    found = _PARAMETER.fullmatch(parameter.upper().replace(" ", ""))
    name, unit = (found["name"], found["unit"]) if found else ("", None)
    kind: Kind
    words = set(name.split("_"))
    if words & _NOT_THE_VALUE:
        return None
    if "REFLECTIVITY" in words:
        kind = "reflectivity"
    elif words & _RAIN and (unit is not None or not words - _RAIN - _OF_AMOUNTS):
        kind = "rate" if _UNITS.get(unit or "MM") == "rate" else "amount"
    else:
        return None
    return kind if unit is None or _UNITS.get(unit) == kind else None


def _described(image: Image) -> str:
    details = [
        image.attributes.text(name)
        for name in ("image_product_name", "image_datetime_valid")
        if name in image.attributes
    ]
    return f"{image.name} ({', '.join([image.parameter, *details])})"


def rates_of_codes(image: Image, relation: ZRRelation | None, minutes: float | None) -> NDArray[np.float32]:
    """Rain rate in mm/h of every code ``(256,)`` or ``(65536,)``; NaN is not observed.

    Code 0 of reflectivity is what KNMI calls missing and means no echo; other codes for missing data and for
    what no radar covers are unobserved. A file that names none means the largest code.

    Args:
        image: whose codes.
        relation: needed for reflectivity.
        minutes: the period of an amount.

    Raises:
        ObservationError: a calibration that is not understood, or missing where nothing is usual; a code that
            the image cannot hold.
    """
    largest = np.iinfo(image.stored.dtype).max
    codes = np.arange(largest + 1)
    values = _calibrated(image, codes)
    if image.kind == "reflectivity":
        rates = rate_of_decibel(values, codes == _NO_ECHO, relation or ZRRelation())
    elif image.kind == "amount" and minutes is not None:
        rates = rate_of_accumulation(values, minutes).astype(np.float32)
    else:
        rates = values.astype(np.float32)
    missing, outside = (
        _code(image, name) for name in ("calibration_missing_data", "calibration_out_of_image")
    )
    if image.kind == "reflectivity" and missing == _NO_ECHO:
        missing = None
    for code in (missing, largest if outside is None else outside):
        if code is not None:
            rates[code] = np.nan
    return rates


def _code(image: Image, name: str) -> int | None:
    """The code that the calibration gives a name, None where it does not."""
    if name not in image.calibration:
        return None
    code = image.calibration.finite(name)
    check_code(f"{image.name}/calibration/{name}", code, image.stored.dtype)
    return int(code)


def _calibrated(image: Image, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    calibration = image.calibration
    if "calibration_flag" in calibration and calibration.text("calibration_flag").upper() != "Y":
        raise ObservationError(
            f"expected a calibrated {image.name}, found calibration_flag "
            f"{calibration.text('calibration_flag')!r}"
        )
    if "calibration_formulas" in calibration:
        formula = calibration.text("calibration_formulas")
    elif image.kind == "reflectivity" or (image.kind == "amount" and image.stored.dtype.itemsize == 2):
        formula = _USUAL_FORMULAS[image.kind]
    else:
        raise ObservationError(f"expected calibration_formulas for {image.parameter}, found none")
    found = _FORMULA.fullmatch(formula)
    if found is None:
        raise ObservationError(f"expected a calibration like GEO=0.01*PV+0.0, found {formula!r}")
    slope, offset = (Fraction((found[part] or "0").replace(" ", "")) for part in ("slope", "offset"))
    if slope <= 0:
        raise ObservationError(f"expected a calibration that rises with the code, found {formula!r}")
    # As a ratio, for hundredths of a code to be what dividing by a hundred gives.
    scaled = codes * float(slope.numerator) / float(slope.denominator)
    return np.asarray(scaled - float(offset) if found["sign"] == "-" else scaled + float(offset))
