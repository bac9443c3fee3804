"""The published weights must give the published numbers."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.paper.autoencoder import kl_divergence
from ssldm.paper.checkpoints import (
    autoencoder_config,
    autoencoder_state,
    denoiser_config,
    denoiser_state,
    infer_autoencoder_config,
    infer_denoiser_config,
)
from ssldm.paper.merge_net import Condition

TOLERANCE = {"rtol": 0.0, "atol": 1e-4}


def load(path: Path) -> tuple[dict, dict, dict]:
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads((file.metadata() or {}).get("config", "{}"))
    parts = [
        {k.removeprefix(p): v for k, v in tensors.items() if k.startswith(p)} for p in ("weights.", "io.")
    ]
    return config, *parts


def files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in {folder}")
    return found


@torch.no_grad()
def test_denoisers_compute_what_the_published_code_computes(reference: Path) -> None:
    for path in files(reference, "denoiser_*.safetensors"):
        arguments, weights, io = load(path)
        config = denoiser_config(arguments)
        network = config.build().eval()
        network.load_state_dict(denoiser_state(weights))
        batch = len(io["timestep"])
        # The downsampled context is given, at latent size already.
        downsampled = config.merge_net.pixels == "downsampled"
        pixels = io["context_downsampled" if downsampled else "context_pixels"]
        condition = Condition(
            context_latent=io["context_latent"].unflatten(0, (batch, -1)),
            context_pixels=pixels.unflatten(0, (batch, -1)),
        )
        output = network(io["noisy_latent"].transpose(1, 2), io["timestep"], condition)
        torch.testing.assert_close(
            output.transpose(1, 2), io["output"], **TOLERANCE, msg=lambda m: f"{path}: {m}"
        )


@torch.no_grad()
def test_autoencoders_compute_what_the_published_code_computes(reference: Path) -> None:
    for path in files(reference, "autoencoder*.safetensors"):
        arguments, weights, io = load(path)
        network = autoencoder_config(arguments["model"]["params"]).build().eval()
        network.load_state_dict(autoencoder_state(weights))
        mean, log_variance = network.encode(io["image"])
        torch.testing.assert_close(mean, io["posterior_mean"], **TOLERANCE)
        torch.testing.assert_close(log_variance, io["posterior_logvar"], **TOLERANCE)
        torch.testing.assert_close(kl_divergence(mean, log_variance), io["kl"], **TOLERANCE)
        torch.testing.assert_close(network.decode(io["latent"]), io["decoded"], **TOLERANCE)


def test_schedule_is_the_published_one(reference: Path) -> None:
    with safe_open(reference / "schedule.safetensors", "pt") as file:
        betas, products = file.get_tensor("betas"), file.get_tensor("alphas_cumprod")
    process = DiffusionConfig().build_forward_process()
    torch.testing.assert_close(process.betas.double(), betas, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(process.alphas_cumprod.double(), products, rtol=1e-4, atol=1e-8)


def test_configurations_can_be_read_from_the_weights_alone(reference: Path) -> None:
    for path in files(reference, "denoiser_*.safetensors"):
        arguments, weights, _ = load(path)
        assert infer_denoiser_config(weights, arguments["num_heads"]) == denoiser_config(arguments)
    for path in files(reference, "autoencoder*.safetensors"):
        arguments, weights, _ = load(path)
        assert infer_autoencoder_config(weights) == autoencoder_config(arguments["model"]["params"])
