"""Structure, amplitude and location (SAL): is rain of the right shape, amount and place?

Wernli et al. (2008), with the threshold of Wernli et al. (2009): the objects of a field are its pixels from a
fifteenth of the 95th percentile of its rain on. (pysteps takes thunderstorm cells of 50 pixels and more for
objects, which leaves out what members may have too much of.)
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.verification.case import Case
from ssldm.verification.looks import looked_at, objects_of

_SHARE, _PERCENTILE = 1.0 / 15.0, 95.0
_TERMS = ("structure", "amplitude", "location", "structure_error", "amplitude_error", "frames")


def sal_sums(case: Case) -> xr.DataArray:
    """Sums ``(lead_time, sal_term)``, means over some members, see `looked_at`.

    Pixels that do not count are dry on both sides; ``frames`` are those where both sides have rain.
    """
    members = looked_at(case)
    observed = [_Field.of(frame) for frame in case.truth]
    sums = np.zeros((len(observed), len(_TERMS)))
    for member in members:
        for lead, (frame, truth) in enumerate(zip(member, observed, strict=True)):
            forecast = _Field.of(frame)
            if forecast and truth:
                structure, amplitude, location = _sal(forecast, truth, float(np.hypot(*frame.shape)))
                sums[lead] += structure, amplitude, location, abs(structure), abs(amplitude), 1.0
    return xr.DataArray(
        sums / len(members), dims=("lead_time", "sal_term"), coords={"sal_term": list(_TERMS)}
    )


def sal_scores(sums: xr.DataArray) -> dict[str, xr.DataArray]:
    """Mean components of single members, and mean magnitude of the two that have a sign."""
    frames = sums.sel(sal_term="frames", drop=True)
    return {
        f"sal_{term}": sums.sel(sal_term=term, drop=True) / frames.where(frames > 0) for term in _TERMS[:-1]
    }


@dataclass(frozen=True)
class _Field:
    """What is compared of a field.

    Attributes:
        amount: mean rain rate of the domain, mm/h.
        centre: of mass, in pixels.
        volume: mean, by rain, of the objects' rain over their strongest rain, in pixels.
        scatter: mean distance, by rain, of the objects' centres of mass from that of the field, in pixels.
    """

    amount: float
    centre: NDArray[np.float64]
    volume: float
    scatter: float

    @classmethod
    def of(cls, rate: NDArray[np.floating]) -> "_Field | None":
        """Of rain rates ``(h, w)`` in mm/h; None where it is dry."""
        rate = rate.astype(np.float64)
        wet = rate >= WET_MM_PER_HOUR
        if not wet.any():
            return None
        labels = objects_of(rate >= _SHARE * np.percentile(rate[wet], _PERCENTILE))
        place = np.nonzero(labels)
        number, within = labels[place] - 1, rate[place]
        rain = np.bincount(number, within)
        strongest = np.zeros(len(rain))
        np.maximum.at(strongest, number, within)
        centres = np.stack([np.bincount(number, within * along) for along in place], axis=1) / rain[:, None]
        everywhere = np.nonzero(rate)
        centre = np.array([np.average(along, weights=rate[everywhere]) for along in everywhere])
        return cls(
            float(rate.mean()),
            centre,
            float(np.average(rain / strongest, weights=rain)),
            float(np.average(np.hypot(*(centres - centre).T), weights=rain)),
        )


def _sal(forecast: _Field, observed: _Field, diagonal: float) -> tuple[float, float, float]:
    """S and A from -2 to 2, L from 0 to 2; 0 is perfect."""
    apart = float(np.hypot(*(forecast.centre - observed.centre)))
    location = apart / diagonal + 2.0 * abs(forecast.scatter - observed.scatter) / diagonal
    return (
        _relative(forecast.volume, observed.volume),
        _relative(forecast.amount, observed.amount),
        location,
    )


def _relative(forecast: float, observed: float) -> float:
    return (forecast - observed) / (0.5 * (forecast + observed))
