"""LPIPS and FVD: distances in the features of networks that were trained on photographs and films.

The networks are TorchScript files that others publish and that this package does not contain. They run as
they are, so take them from where you would take code. Only the first members are compared, as each takes
seconds.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError
from ssldm.verification.case import Case
from ssldm.verification.image import image_of

if TYPE_CHECKING:
    from torch import Tensor

MEMBERS = 4
FRAMES_OF_A_FILM = 10
"""FVD's network needs as many frames at least."""
FILM = ("film_count", "film_sum", "film_product")
"""Sums of film features, for the distance between all forecasts and all observations."""

_SIDE_OF_A_FILM = 224
# Names under which others keep the networks, in the caches of torch.hub and of NVIDIA's dnnlib.
_NAMES = {"lpips": ("vgg16_stylegan.pth", "vgg16.pt"), "fvd": ("i3d_torchscript.pt",)}
_SOURCES = {
    "lpips": "stylegan2-ada-pytorch's vgg16.pt, which has the weights of LPIPS inside",
    "fvd": "i3d_torchscript.pt of the reference implementation of FVD in PyTorch",
}


def weights_from(score: str, given: str) -> Path:
    """The file of a network.

    Args:
        score: "lpips" or "fvd".
        given: a path, or "cache" to look in the usual caches.

    Raises:
        ConfigurationError: no such file; says what is missing and where it was looked for.
    """
    import torch

    if given != "cache":
        if not Path(given).is_file():
            raise ConfigurationError(f"expected the network of {score.upper()}, found no file {given}")
        return Path(given).absolute()
    folders = (
        Path(torch.hub.get_dir()) / "checkpoints",
        Path.home() / ".cache" / "dnnlib" / "downloads",
    )
    for folder in folders:
        for name in _NAMES[score]:
            found = sorted([*folder.glob(name), *folder.glob(f"*_{name}")])
            if found:
                return found[0]
    raise ConfigurationError(
        f"{score.upper()} needs a network that is not there: {_SOURCES[score]}; give its path or put it into "
        f"{folders[0]}"
    )


@dataclass(frozen=True)
class Perceptual:
    """Sums of LPIPS and FVD.

    Attributes:
        lpips: TorchScript of VGG-16 whose output's squared distance is LPIPS (Zhang et al. 2018); None to
            leave it out.
        fvd: TorchScript of I3D (Unterthiner et al. 2018); None to leave it out.
    """

    lpips: Path | None = None
    fvd: Path | None = None

    def identity(self) -> dict[str, str]:
        """Hashes of the networks."""
        files = {"lpips": self.lpips, "fvd": self.fvd}
        return {
            name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for name, file in files.items() if file
        }

    def __call__(self, case: Case) -> xr.Dataset:
        """The sums of one case; pixels that do not count are dry in forecast and observation alike."""
        members = case.members[:MEMBERS]
        pictures = image_of(case.truth), image_of(members)
        found: dict[str, xr.DataArray] = {}
        if self.lpips is not None:
            found["lpips"] = self._lpips_sums(*pictures, np.asarray(case.valid.any(axis=(1, 2))))
        if self.fvd is not None:
            found |= self._film_sums(*pictures)
        return xr.Dataset(found)

    def _lpips_sums(
        self, truth: NDArray[np.float64], members: NDArray[np.float64], counted: NDArray[np.bool_]
    ) -> xr.DataArray:
        """Sums ``(lead_time, lpips_term)`` over members of pictures ``(t, h, w)`` and ``(m, t, h, w)``."""
        observed = self._picture_features(truth)
        sums = np.zeros((len(truth), 2))
        for member in members:
            sums[:, 0] += ((self._picture_features(member) - observed) ** 2).sum(axis=1)
            sums[:, 1] += counted
        return xr.DataArray(
            sums, dims=("lead_time", "lpips_term"), coords={"lpips_term": ["distance", "pictures"]}
        )

    def _picture_features(self, pictures: NDArray[np.float64]) -> NDArray[np.float64]:
        import torch

        colours = torch.from_numpy(255.0 * pictures).float()[:, None].expand(-1, 3, -1, -1)
        with torch.inference_mode():
            network = _network(self.lpips)
            parts = [network(part, resize_images=False, return_lpips=True) for part in colours.split(1)]
        return np.asarray(torch.cat(parts).double().numpy())

    def _film_sums(self, truth: NDArray[np.float64], members: NDArray[np.float64]) -> dict[str, xr.DataArray]:
        """Count, sum and sum of products of the features of ``film`` forecast and observed."""
        # One film a window, of ensembles too: the distance falls with the number of films.
        features = [self._film_features(film)[None] for film in (members[0], truth)]
        sources = {"film": ["forecast", "observed"]}
        values = (
            (("film",), [float(len(part)) for part in features]),
            (("film", "feature"), [part.sum(axis=0) for part in features]),
            (("film", "feature", "other_feature"), [part.T @ part for part in features]),
        )
        return {
            name: xr.DataArray(np.asarray(value), dims=dims, coords=sources)
            for name, (dims, value) in zip(FILM, values, strict=True)
        }

    def _film_features(self, film: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of frames ``(t, h, w)``, as one film of 224×224 pixels with values from -1 to 1."""
        import torch

        scale = [_SIDE_OF_A_FILM / side for side in film.shape[1:]]
        resized = scipy.ndimage.zoom(film, (1.0, *scale), order=1, grid_mode=True, mode="nearest")
        colours = torch.from_numpy(2.0 * resized - 1.0).float()[None, None].expand(-1, 3, -1, -1, -1)
        with torch.inference_mode():
            features = _network(self.fvd)(colours, rescale=False, resize=False, return_features=True)
        return np.asarray(features[0].double().numpy())


def lpips(sums: xr.DataArray) -> xr.DataArray:
    """Mean distance; 0 is perfect."""
    count = sums.sel(lpips_term="pictures", drop=True)
    return sums.sel(lpips_term="distance", drop=True) / count.where(count > 0)


class LPIPS:
    """The distance of pictures as a term of a loss, through which gradients flow.

    Args:
        network: see `Perceptual.lpips`.
    """

    def __init__(self, network: Path) -> None:
        self.network = network

    def __call__(self, one: "Tensor", other: "Tensor") -> "Tensor":
        """Mean distance of pictures ``(n, 1, h, w)`` with values from -1 to 1; a scalar."""
        network = _network(self.network)
        features = [
            network(
                127.5 * (picture + 1.0).expand(-1, 3, -1, -1).float(), resize_images=False, return_lpips=True
            )
            for picture in (one, other)
        ]
        distance: Tensor = ((features[0] - features[1]) ** 2).sum(dim=1).mean()
        return distance


def frechet_video_distance(sums: xr.Dataset) -> float:
    """FVD of all films together: |μ - ν|² + tr(Σ + Τ - 2 (ΣΤ)^½) of their features; 0 is perfect.

    It depends on the number of films, strongly where there are few: compare only reports of as many
    windows. NaN where there are fewer than two films.

    Args:
        sums: `FILM`, of all cases together.
    """
    count, total, product = (sums[name] for name in FILM)
    means, covariances = [], []
    for source in ("forecast", "observed"):
        number = float(count.sel(film=source))
        if number < 2:
            return float("nan")
        mean = total.sel(film=source).values / number
        means.append(mean)
        second = product.sel(film=source).values / number
        covariances.append((second - np.outer(mean, mean)) * number / (number - 1))
    # The trace of a square root is the sum of the roots of the eigenvalues, which are not negative.
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    overlap = np.sqrt(np.maximum(eigenvalues.real, 0.0)).sum()
    distance = ((means[0] - means[1]) ** 2).sum() + sum(np.trace(c) for c in covariances) - 2.0 * overlap
    return float(max(distance, 0.0))


@cache  # not kept in values, which are sent to processes
def _network(file: Path | None) -> Any:
    import torch

    try:
        network = torch.jit.load(str(file), map_location="cpu").eval()
    except RuntimeError as error:
        raise ConfigurationError(f"{file}: expected TorchScript ({str(error).splitlines()[0]})") from error
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network
