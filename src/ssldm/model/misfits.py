"""What the parts of a model ask of each other: a misfit names its keys, what they are, and what would fit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ssldm.model.block_autoencoder import BlockAutoencoderConfig
from ssldm.model.stacked_denoiser import StackedDenoiserConfig
from ssldm.paper.pixel_encoder import halves_to

if TYPE_CHECKING:
    from ssldm.model.latent_diffusion import ModelParts


def misfits_of_parts(parts: "ModelParts") -> Iterator[str]:
    """Of autoencoder and denoiser."""
    merge_net, autoencoder = parts.denoiser.merge_net, parts.autoencoder
    block = isinstance(autoencoder, BlockAutoencoderConfig)
    if block and parts.scaling.kind != "power":
        yield f"autoencoder.kind=block needs scaling.kind=power, found {parts.scaling.kind}"
    if merge_net.latent_channels != autoencoder.latent_channels:
        yield (
            f"expected equal numbers, found autoencoder.latent_channels={autoencoder.latent_channels} and "
            f"denoiser.merge_net.latent_channels={merge_net.latent_channels}"
        )
    if merge_net.pixels == "encoder" and not halves_to(autoencoder.stride):
        yield (
            "denoiser.merge_net.pixels=encoder needs an autoencoder whose latent pixels are 1, 2, 4, 8, … "
            f"pixels wide, found {autoencoder.stride}: choose another {_side_keys(block)}, "
            "or denoiser.merge_net.pixels=downsampled"
        )


def misfits_of_frames(parts: "ModelParts", context: int, lead: int, before: str = "") -> Iterator[str]:
    """Of the numbers of frames.

    Args:
        parts: of the model.
        context, lead: T_in and T_out.
        before: of their keys, such as "window.".
    """
    own = parts.denoiser.merge_net.context_frames
    if own != context:
        yield (
            f"expected equal numbers of frames, found {before}context_frames={context} "
            f"and denoiser.merge_net.context_frames={own}"
        )
    if isinstance(parts.denoiser, StackedDenoiserConfig) and parts.denoiser.lead_frames != lead:
        yield (
            f"expected equal numbers of frames, found {before}lead_frames={lead} "
            f"and denoiser.lead_frames={parts.denoiser.lead_frames}"
        )


def turning_fault(parts: "ModelParts") -> str:
    """What an autoencoder whose latents are to turn with its frames would have to be; empty if they do."""
    autoencoder = parts.autoencoder
    if not isinstance(autoencoder, BlockAutoencoderConfig):
        return (
            "a block autoencoder, whose latents turn with its frames, "
            f"found autoencoder.kind={autoencoder.kind}"
        )
    if not autoencoder.turns:
        return (
            "an autoencoder whose latents turn with its frames, of frequencies alike in y and x: "
            f"autoencoder.latent_channels of {_turning_channels(autoencoder)}, "
            f"found {autoencoder.latent_channels}"
        )
    return ""


def _turning_channels(autoencoder: BlockAutoencoderConfig) -> str:
    numbers = range(1, autoencoder.side**2 + 1)
    fitting = [n for n in numbers if autoencoder.model_copy(update={"latent_channels": n}).turns]
    nearest = sorted(fitting, key=lambda n: abs(n - autoencoder.latent_channels))[:4]
    return ", ".join(str(n) for n in sorted(nearest))


def _side_keys(block: bool) -> str:
    return "autoencoder.side" if block else "autoencoder.patch"
