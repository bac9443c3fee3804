"""Small networks that are called like those of LPIPS and FVD, as TorchScript."""

from pathlib import Path

import torch
from torch import Tensor, nn


class Pictures(nn.Module):
    """Mean and standard deviation of pictures with values from 0 to 255, of one of their channels."""

    def forward(self, x: Tensor, resize_images: bool, return_lpips: bool) -> Tensor:
        assert return_lpips
        assert not resize_images
        assert x.shape[1] == 3
        return torch.stack([x[:, 1].mean((1, 2)), x[:, 2].std((1, 2))], dim=1)


class Films(nn.Module):
    """Mean brightness of film halves with values from -1 to 1."""

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        assert return_features
        assert not rescale
        assert not resize
        assert list(x.shape[3:]) == [224, 224]
        half = x.shape[2] // 2
        return torch.stack([x[:, 0, :half].mean((1, 2, 3)), x[:, 1, half:].mean((1, 2, 3))], dim=1)


def write_networks(folder: Path) -> tuple[Path, Path]:
    """The files of the two."""
    paths = folder / "vgg16.pt", folder / "i3d.pt"
    for network, path in zip((Pictures(), Films()), paths, strict=True):
        torch.jit.script(network).save(str(path))
    return paths
