"""What pysteps finds of this package: a nowcasting method, and an importer of every format that it reads.

pysteps loads it as a plug-in of importers when it is imported itself. It has none for nowcasting methods, so
the method is entered into its table of them.
"""

import time as clock
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from wrapt import register_post_import_hook

from ssldm.errors import ConfigurationError

_DRY_DECIBEL = -15.0
# Trained for, where a script does not say.
_MINUTES, _KILOMETRES = 5.0, 1.0


def forecast(
    precip: NDArray[np.floating],
    velocity: NDArray[np.floating] | None,
    timesteps: int | Sequence[int],
    n_ens_members: int = 24,
    *_: Any,
    precip_thr: float | None = None,
    kmperpixel: float | None = None,
    timestep: float | None = None,
    seed: int | None = None,
    model: str = "small",
    measure_time: bool = False,
    callback: Callable[[NDArray[np.float32]], None] | None = None,
    return_output: bool = True,
    **__: Any,
) -> Any:
    """`ssldm.Nowcaster.nowcast` with the signature of `pysteps.nowcasts.steps.forecast`.

    Arguments of STEPS that are not among these are taken and change nothing.

    Args:
        precip: ``(t, m, n)`` with equal steps, the newest last: rain rates in mm/h, or 10·log₁₀ of them where
            any is below 0 or ``precip_thr`` is. NaN is unobserved. Of fewer frames than the model needs the
            oldest is moved back along the motion.
        velocity: ``(2, m, n)`` in pixels a step, x then y, finite; tracked if None.
        timesteps: number of lead times, or whole ones in ascending order.
        n_ens_members: ensemble size.
        precip_thr: see ``precip``.
        kmperpixel, timestep: of the grid, and minutes of a step; 1 and 5 if None.
        seed: of the ensemble; drawn if None.
        model: see `ssldm.Nowcaster.from_pretrained`.
        measure_time, callback, return_output: as in pysteps.

    Returns:
        ``(n_ens_members, timesteps, m, n)`` in the units of ``precip``, NaN where there is no forecast. With
        measure_time a tuple of it and the seconds of start and members.

    Raises:
        ConfigurationError: fewer than two frames, a velocity of another grid, or lead times that are none.
        ObservationError: see `ssldm.Nowcaster.nowcast`.
    """
    begun = clock.perf_counter()
    frames = np.ma.filled(np.ma.asarray(precip, np.float32), np.nan)
    if frames.ndim != 3 or len(frames) < 2:
        raise ConfigurationError(f"expected precip (t, m, n) of at least 2 frames, found {frames.shape}")
    in_decibel = bool(np.nanmin(frames, initial=0.0) < 0.0) or (precip_thr is not None and precip_thr < 0.0)
    dry = min(_DRY_DECIBEL, float(np.nanmin(frames, initial=0.0)))
    if in_decibel:
        wet = np.where(frames > dry, 10.0 ** (frames / 10.0), 0.0)
        frames = np.where(np.isnan(frames), frames, wet).astype(np.float32)
    leads = _leads(timesteps)
    nowcaster = _nowcaster(model)
    motion = None if velocity is None else np.asarray(velocity, np.float32)
    needed = nowcaster.config.context_frames
    observations = _observations(frames, needed, motion, timestep, kmperpixel)
    step = float((observations["time"].values[1] - observations["time"].values[0]) / np.timedelta64(1, "s"))
    found = nowcaster.nowcast(
        observations,
        members=n_ens_members,
        seed=int(np.random.default_rng().integers(2**31)) if seed is None else seed,
        lead_time=np.timedelta64(round(step * leads[-1]), "s"),
        motion=motion,
    )
    started = clock.perf_counter()
    members = found["precipitation_rate"].values[:, [lead - 1 for lead in leads]]
    if in_decibel:
        with np.errstate(divide="ignore"):
            members = np.where(members > 0.0, np.maximum(10.0 * np.log10(members), dry), members + dry)
    if callback is not None:
        for lead in range(len(leads)):
            callback(members[:, lead])
    output = members if return_output else None
    ended = clock.perf_counter()
    return (output, started - begun, ended - started) if measure_time else output


def import_ssldm_radar(filename: str, **options: Any) -> tuple[NDArray[np.float32], None, dict[str, Any]]:
    """The last frame of a file in any format that `ssldm.open_radar` reads, as pysteps' importers give it.

    Args:
        filename: path of the file.
        **options: of `ssldm.open_radar`.

    Returns:
        Rain rate ``(m, n)`` in mm/h, NaN unobserved, first row in the north; no quality; and metadata.

    Raises:
        ObservationError: see `ssldm.open_radar`.
    """
    from ssldm.drawable import north_up
    from ssldm.products.grid import PixelGrid
    from ssldm.radar.open import open_radar

    frame = north_up(open_radar(filename, **options))[-1].load()
    grid = PixelGrid.of_fields(frame)
    west, north = grid.x - grid.dx / 2.0, grid.y - grid.dy / 2.0
    rate = frame.values
    wet = rate[rate > 0.0]
    metadata = {
        "projection": "" if grid.crs is None else grid.crs.to_proj4(),
        "x1": west,
        "x2": west + grid.dx * grid.width,
        "y1": north + grid.dy * grid.height,
        "y2": north,
        "xpixelsize": abs(grid.dx),
        "ypixelsize": abs(grid.dy),
        "cartesian_unit": "m",
        "yorigin": "upper",
        "institution": frame.attrs.get("institution", "unknown"),
        "accutime": float(frame.attrs.get("accumulation_minutes", _MINUTES)),
        "unit": "mm/h",
        "transform": None,
        "zerovalue": 0.0,
        "threshold": float(wet.min()) if wet.size else 0.0,
        "zr_a": 200.0,
        "zr_b": 1.6,
    }
    return rate, None, metadata


@lru_cache(maxsize=2)
def _nowcaster(model: str) -> Any:
    from ssldm.forecast.nowcaster import Nowcaster

    return Nowcaster.from_pretrained(model)


def _leads(timesteps: int | Sequence[int]) -> list[int]:
    leads = list(range(1, timesteps + 1)) if isinstance(timesteps, int) else [*timesteps]
    whole = bool(leads) and all(float(lead).is_integer() and lead >= 1 for lead in leads)
    if not whole or leads != sorted(set(leads)):
        raise ConfigurationError(f"expected whole timesteps in ascending order, found {timesteps!r:.80}")
    return [int(lead) for lead in leads]


def _observations(
    rate: NDArray[np.floating],
    needed: int,
    velocity: NDArray[np.float32] | None,
    timestep: float | None,
    kmperpixel: float | None,
) -> xr.DataArray:
    """Frames of equal steps, as many as are needed."""
    from ssldm.radar.grid import Grid
    from ssldm.radar.motion import advect, estimate_motion
    from ssldm.radar.observations import observations

    if velocity is not None and velocity.shape != (2, *rate.shape[1:]):
        raise ConfigurationError(f"expected velocity {(2, *rate.shape[1:])}, found {velocity.shape}")
    missing = needed - len(rate)
    if missing > 0:
        motion = estimate_motion(rate) if velocity is None else velocity
        earlier = advect(np.nan_to_num(rate[0], nan=0.0), -motion, missing)[::-1]
        rate = np.concatenate([np.where(np.isnan(earlier), rate[:1], earlier), rate])
    step = np.timedelta64(round(60.0 * (_MINUTES if timestep is None else timestep)), "s")
    times = np.datetime64("2000-01-01", "ns") + np.arange(len(rate)) * step
    metres = 1000.0 * (_KILOMETRES if kmperpixel is None else kmperpixel)
    height, width = rate.shape[1:]
    edges = {"west": 0.0, "south": 0.0, "east": metres * width, "north": metres * height}
    grid = Grid.from_edges((height, width), **edges, crs=None)
    return observations(rate.astype(np.float32), list(times), grid, {})


def _enter(interface: ModuleType) -> None:
    interface._nowcast_methods["ssldm"] = forecast  # noqa: SLF001  # pysteps has no other way


register_post_import_hook(_enter, "pysteps.nowcasts.interface")
