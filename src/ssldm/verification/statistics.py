"""All scores of the protocol from sums that add up: over windows, events, workers, in any order."""

from collections.abc import Iterable, Mapping

import numpy as np
import xarray as xr

from ssldm.config import Config
from ssldm.errors import ConfigurationError
from ssldm.verification.amounts import over_periods
from ssldm.verification.case import Case
from ssldm.verification.contingency import contingency_counts, contingency_scores
from ssldm.verification.coverage import coverage_scores
from ssldm.verification.crps import crps_scores, crps_sums, weighted_crps_scores, weighted_crps_sums
from ssldm.verification.ensemble import error_scores, error_sums, rank_counts, rank_scores
from ssldm.verification.image import image_scores, image_sums
from ssldm.verification.looks import looks_scores, looks_sums
from ssldm.verification.multivariate import multivariate_scores, multivariate_sums
from ssldm.verification.neighbourhood import fraction_sums, fractions_skill_score
from ssldm.verification.perceptual import lpips
from ssldm.verification.probability import probability_counts, probability_scores
from ssldm.verification.sal import sal_scores, sal_sums
from ssldm.verification.spectrum import spectrum_scores, spectrum_sums


class Protocol(Config):
    """What is scored.

    Attributes:
        thresholds: rain rates in mm/h.
        pools: sides in pixels of the blocks on which CSI and CRPS are formed.
        period_frames: of the periods whose amounts are scored, 12 for an hour of five-minute frames.
        scales: sides in pixels of the neighbourhoods of the fractions skill score.
        images: whether structural similarity and the like are, which takes scikit-image.
    """

    thresholds: tuple[float, ...] = (0.5, 2.0, 8.0)
    pools: tuple[int, ...] = (1, 4, 16)
    scales: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    period_frames: int = 12
    images: bool = True


def statistics_of(case: Case, protocol: Protocol, rng: np.random.Generator) -> xr.Dataset:
    """The sums of one case; counts are integers.

    Args:
        case: forecast and observation.
        protocol: what to score.
        rng: deals out ties of the rank histogram; the same for a case wherever it is computed.
    """
    return xr.Dataset(
        {
            "contingency": contingency_counts(case, protocol.thresholds, protocol.pools),
            "probability": probability_counts(case, protocol.thresholds),
            "ranks": rank_counts(case, rng),
            "crps": crps_sums(case, protocol.pools),
            "weighted_crps": weighted_crps_sums(case, protocol.thresholds),
            "amount": crps_sums(over_periods(case, protocol.period_frames), protocol.pools),
            "multivariate": multivariate_sums(case),
            "error": error_sums(case),
            "fractions": fraction_sums(case, protocol.thresholds, protocol.scales),
            "spectrum": spectrum_sums(case),
            **({"image": image_sums(case)} if protocol.images else {}),
            "looks": looks_sums(case),
            "sal": sal_sums(case),
            "cases": xr.DataArray(np.int64(1)),
            # Those whose forecast has members that are independent of each other.
            "ensembles": xr.DataArray(np.int64(case.groups.max() > 0)),
        }
    )


def merge(parts: Iterable[xr.Dataset]) -> xr.Dataset:
    """The sum of statistics; of counts it is exact, of other sums up to rounding.

    Raises:
        ConfigurationError: nothing to merge, or statistics of another protocol or ensemble size.
    """
    total: xr.Dataset | None = None
    for part in parts:
        if total is None:
            total = part
            continue
        try:
            with xr.set_options(arithmetic_join="exact"):
                total = total + part
        except ValueError as error:
            raise ConfigurationError(
                f"expected statistics of one protocol and ensemble size ({str(error).splitlines()[0]})"
            ) from error
    if total is None:
        raise ConfigurationError("expected statistics to merge, found none")
    return total


def first_scores_of(statistics: xr.Dataset) -> xr.Dataset:
    """CRPS, mean rain and errors of `scores_of` alone, as where every window is scored."""
    drawn = statistics["ensembles"] == statistics["cases"]
    return xr.Dataset({**crps_scores(statistics["crps"], drawn), **error_scores(statistics["error"], drawn)})


def scores_of(statistics: xr.Dataset) -> xr.Dataset:
    """Every score of (merged) statistics; a dimension that is not summed, such as lead time, stays.

    Sum over ``lead_time`` first for the scores of all lead times together. Where a score is not defined
    (no rain at all, a single member) it is NaN.
    """
    drawn = statistics["ensembles"] == statistics["cases"]
    found: Mapping[str, xr.DataArray] = {
        **contingency_scores(statistics["contingency"]),
        **probability_scores(statistics["probability"]),
        **rank_scores(statistics["ranks"]),
        **crps_scores(statistics["crps"], drawn),
        "crps_above": weighted_crps_scores(statistics["weighted_crps"]),
        **{f"{name}_amount": score for name, score in crps_scores(statistics["amount"], drawn).items()},
        **multivariate_scores(statistics["multivariate"]),
        **error_scores(statistics["error"], drawn),
        "fss": fractions_skill_score(statistics["fractions"]),
        **spectrum_scores(statistics["spectrum"]),
        **looks_scores(statistics["looks"]),
        **sal_scores(statistics["sal"]),
    }
    if "image" in statistics:
        found = {**found, **image_scores(statistics["image"])}
    if "coverage" in statistics:
        found = {**found, **coverage_scores(statistics["coverage"])}
    if "lpips" in statistics:
        found = {**found, "lpips": lpips(statistics["lpips"])}
    return xr.Dataset(dict(found))
