"""Reading the checkpoints of the published code: key names and configuration, kept apart from the networks.

The published U-Net keeps OpenAI's flat numbering (`input_blocks.3.1.qkv.weight`), the autoencoder LDM's;
its attentions use 1×1 convolutions where ours use linear layers, so those weights lose trailing axes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import ValidationError
from torch import Tensor

from ssldm.config import first_fault
from ssldm.errors import ModelError
from ssldm.paper.autoencoder import AutoencoderConfig
from ssldm.paper.denoiser import DenoiserConfig
from ssldm.paper.merge_net import MergeNetConfig

# The published code repeats its one radar channel three times.
_PIXEL_CHANNELS = 3
_RESIDUAL = {
    "in_layers.0": "norm_in",
    "in_layers.2": "conv_in",
    "emb_layers.1": "embedding",
    "out_layers.0": "norm_out",
    "out_layers.3": "conv_out",
    "skip_connection": "skip",
}
_RESIDUAL_PATTERN = re.compile(
    r"(.*?)(in_layers\.0|in_layers\.2|emb_layers\.1|out_layers\.0|out_layers\.3|skip_connection)(\..*)"
)


def _rename_residual(key: str) -> str:
    match = _RESIDUAL_PATTERN.fullmatch(key)
    return f"{match[1]}{_RESIDUAL[match[2]]}{match[3]}" if match else key


def _block_entry(entry: int, rest: str, enlarges: bool) -> str:
    """The name within one of our blocks of what stands at ``entry`` within a published one."""
    if entry == 0:
        return f"residual.{rest}"
    if enlarges:
        return f"enlarge.{rest}"
    return f"cascade.{entry - 1}.{rest.removeprefix('fn.fn.')}"


def _rename_denoiser_key(key: str, enlarging: frozenset[tuple[int, int]]) -> str:
    key = _rename_residual(key)
    for pattern, name in _FIXED_DENOISER_NAMES:
        if (match := re.fullmatch(pattern, key)) is not None:
            return match.expand(name)
    if (match := re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.*)", key)) is None:
        raise ModelError(f"expected a key of the published denoiser, found {key!r}")
    side, index, entry, rest = match[1], int(match[2]), int(match[3]), match[4]
    enlarges = side == "output" and (index, entry) in enlarging
    name = _block_entry(entry, rest, enlarges)
    if side == "input":
        return f"down.{index - 1}.{name}"
    return f"up.{index}.{name}" if enlarges else f"up.{index}.block.{name}"


_FIXED_DENOISER_NAMES = [
    (r"time_embed\.(.*)", r"time_embed.\1"),
    (r"input_blocks\.0\.0\.(.*)", r"conv_in.\1"),
    (r"middle_block\.0\.(.*)", r"middle.0.residual.\1"),
    (r"middle_block\.1\.(.*)", r"middle.0.cascade.0.\1"),
    (r"middle_block\.2\.(.*)", r"middle.1.residual.\1"),
    (r"out\.0\.(.*)", r"norm_out.\1"),
    (r"out\.2\.(.*)", r"conv_out.\1"),
    (r"downto32\.input_blocks\.(.*)", r"merge_net.pixel_encoder.conv_in.\1"),
    (r"downto32\.downs\.(\d+)\.0\.(\d+)\.(.*)", r"merge_net.pixel_encoder.stages.\1.blocks.\2.\3"),
    (r"downto32\.downs\.(\d+)\.1\.(.*)", r"merge_net.pixel_encoder.stages.\1.attention.\2"),
    (r"downto32\.downs\.(\d+)\.2\.(.*)", r"merge_net.pixel_encoder.stages.\1.out.\2"),
    (r"downto32\.out\.0\.(.*)", r"merge_net.pixel_encoder.residual_out.\1"),
    (r"downto32\.out\.1\.(.*)", r"merge_net.pixel_encoder.norm_out.\1"),
    (r"downto32\.out\.3\.(.*)", r"merge_net.pixel_encoder.conv_out.\1"),
]


def denoiser_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict of a denoiser from the published one.

    Raises:
        ModelError: a key that the published denoiser does not have.
    """
    enlarging = _enlarging_entries(published)
    return {
        _rename_denoiser_key(key, enlarging): value.squeeze(-1) if _is_conv1d(key, value) else value
        for key, value in published.items()
    }


def _enlarging_entries(published: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Block and entry of the residual blocks that double the size."""
    pattern = re.compile(r"output_blocks\.(\d+)\.([1-9]\d*)\.in_layers\.0\.weight")
    return frozenset((int(match[1]), int(match[2])) for key in published if (match := pattern.fullmatch(key)))


def _is_conv1d(key: str, value: Tensor) -> bool:
    return value.ndim == 3 and key.endswith(("qkv.weight", "proj_out.weight"))


_AUTOENCODER_NAMES = [
    (r"encoder\.down\.(\d+)\.block\.(\d+)\.(.*)", r"encoder.down_blocks.\1.resnets.\2.\3"),
    (r"encoder\.down\.(\d+)\.downsample\.conv\.(.*)", r"encoder.down_blocks.\1.downsamplers.0.conv.\2"),
    (r"decoder\.up\.(\d+)\.block\.(\d+)\.(.*)", r"decoder.up_blocks.\1.resnets.\2.\3"),
    (r"decoder\.up\.(\d+)\.upsample\.conv\.(.*)", r"decoder.up_blocks.\1.upsamplers.0.conv.\2"),
    (r"(\w+)\.mid\.block_1\.(.*)", r"\1.mid_block.resnets.0.\2"),
    (r"(\w+)\.mid\.block_2\.(.*)", r"\1.mid_block.resnets.1.\2"),
    (r"(\w+)\.mid\.attn_1\.norm\.(.*)", r"\1.mid_block.attentions.0.group_norm.\2"),
    (r"(\w+)\.mid\.attn_1\.([qkv])\.(.*)", r"\1.mid_block.attentions.0.to_\2.\3"),
    (r"(\w+)\.mid\.attn_1\.proj_out\.(.*)", r"\1.mid_block.attentions.0.to_out.0.\2"),
    (r"(\w+)\.norm_out\.(.*)", r"\1.conv_norm_out.\2"),
    (r"((?:\w+\.)?(?:conv_in|conv_out|quant_conv|post_quant_conv)\..*)", r"\1"),
]


def autoencoder_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict of an autoencoder from the published one (training losses under ``loss.`` are left out).

    Raises:
        ModelError: a key that the published autoencoder does not have.
    """
    levels = 1 + max((int(k.split(".")[2]) for k in published if k.startswith("decoder.up.")), default=0)
    state = {}
    for key, value in published.items():
        if key.startswith("loss."):
            continue
        for pattern, name in _AUTOENCODER_NAMES:
            if (match := re.fullmatch(pattern, key)) is not None:
                renamed = match.expand(name).replace("nin_shortcut", "conv_shortcut")
                break
        else:
            raise ModelError(f"expected a key of the published autoencoder, found {key!r}")
        # The published decoder numbers its levels from the finest, diffusers in order of computation.
        if (match := re.match(r"decoder\.up_blocks\.(\d+)", renamed)) is not None:
            renamed = renamed.replace(match[0], f"decoder.up_blocks.{levels - 1 - int(match[1])}", 1)
        linear = ".attentions.0.to_" in renamed and value.ndim == 4
        state[f"backbone.{renamed}"] = value.flatten(1) if linear else value
    return state


def denoiser_config(arguments: Mapping[str, Any]) -> DenoiserConfig:
    """Our configuration from the published constructor's arguments.

    Raises:
        ModelError: a variant of the published network that no checkpoint of it uses.
    """
    for name in ("use_scale_shift_norm", "resblock_updown", "time_atten", "st", "transformer_merge"):
        if not arguments.get(name, True):
            raise ModelError(f"expected {name} = true as in the published model, found {arguments[name]!r}")
    latent = int(arguments["out_channels"])
    pixels: Literal["none", "downsampled", "encoder"] = (
        "none" if not arguments["use_latent"] else "encoder" if arguments["use_netdown"] else "downsampled"
    )
    per_frame = latent + (0 if pixels == "none" else _PIXEL_CHANNELS)
    frames = (int(arguments["in_channels"]) - latent) // per_frame
    return DenoiserConfig(
        merge_net=MergeNetConfig(
            context_frames=frames, latent_channels=latent, pixels=pixels, pixel_channels=_PIXEL_CHANNELS
        ),
        width=arguments["model_channels"],
        multipliers=tuple(arguments["channel_mult"]),
        blocks=arguments["num_res_blocks"],
        attention_reductions=tuple(arguments["attention_resolutions"]),
        spatial_heads=arguments["num_heads"],
    )


def autoencoder_config(arguments: Mapping[str, Any]) -> AutoencoderConfig:
    """Our configuration from the published ``model.params``."""
    sizes = arguments["ddconfig"]
    return AutoencoderConfig(
        channels=sizes["in_channels"],
        latent_channels=arguments["embed_dim"],
        width=sizes["ch"],
        multipliers=tuple(sizes["ch_mult"]),
        blocks=sizes["num_res_blocks"],
    )


def infer_denoiser_config(published: Mapping[str, Tensor], spatial_heads: int) -> DenoiserConfig:
    """The configuration that a published state dict implies.

    Only the number of spatial heads leaves no trace in it, but that they divide the channels that they attend
    over; the temporal heads have a bias each.

    Raises:
        ModelError: keys that the published denoiser has are missing, or so many heads do not divide channels.
    """
    try:
        width = published["time_embed.0.weight"].shape[1]
        latent = published["out.2.weight"].shape[0]
        in_channels = published["input_blocks.0.0.weight"].shape[1]
        count = 1 + max(int(key.split(".")[1]) for key in published if key.startswith("output_blocks."))
        enlarging = sorted(index for index, _ in _enlarging_entries(published))
        per_level = 1 + enlarging[0] if enlarging else count
        levels = count // per_level
        multipliers = tuple(
            published[f"output_blocks.{(levels - 1 - level) * per_level}.0.out_layers.3.weight"].shape[0]
            // width
            for level in range(levels)
        )
        temporal = {key.rpartition(".")[2]: value.shape for key, value in published.items()}
        temporal_heads, temporal_head_channels = temporal["null_attn_bias"][0], temporal["q_scale"][0]
    except KeyError as error:
        raise ModelError(f"expected the published denoiser, found no {error}") from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"expected the published denoiser, found other keys or shapes ({error})") from error
    attentions = [key for key in published if re.fullmatch(r"(?!downto32).*\.proj_out\.weight", key)]
    attended = sorted({published[key].shape[0] for key in attentions})
    if wrong := [channels for channels in attended if channels % spatial_heads]:
        fitting = [n for n in range(1, attended[0] + 1) if not any(c % n for c in attended)]
        raise ModelError(
            f"expected a number of spatial heads that divides the {wrong[0]} channels of an attention "
            f"({', '.join(map(str, fitting))}), found {spatial_heads}"
        )
    pixels: Literal["none", "downsampled", "encoder"] = "none"
    if any(key.startswith("downto32.") for key in published):
        pixels = "encoder"
    elif (in_channels - latent) % (latent + _PIXEL_CHANNELS) == 0:
        pixels = "downsampled"
    per_frame = latent + (0 if pixels == "none" else _PIXEL_CHANNELS)
    try:
        return DenoiserConfig(
            merge_net=MergeNetConfig(
                context_frames=(in_channels - latent) // per_frame,
                latent_channels=latent,
                pixels=pixels,
                pixel_channels=_PIXEL_CHANNELS,
            ),
            width=width,
            multipliers=multipliers,
            blocks=per_level - 1,
            attention_reductions=tuple(
                2**level
                for level in range(levels)
                if f"input_blocks.{1 + level * per_level}.1.qkv.weight" in published
            ),
            spatial_heads=spatial_heads,
            temporal_heads=temporal_heads,
            temporal_head_channels=temporal_head_channels,
        )
    except ValidationError as error:
        raise ModelError(f"expected the published denoiser ({first_fault(error, DenoiserConfig)})") from error


def infer_autoencoder_config(published: Mapping[str, Tensor]) -> AutoencoderConfig:
    """The configuration that a published autoencoder's state dict implies.

    Raises:
        ModelError: keys that the published autoencoder has are missing.
    """
    try:
        width, channels = published["encoder.conv_in.weight"].shape[:2]
        levels = 1 + max(int(key.split(".")[2]) for key in published if key.startswith("encoder.down."))
        blocks = 1 + max(
            int(key.split(".")[4]) for key in published if key.startswith("encoder.down.0.block.")
        )
        return AutoencoderConfig(
            channels=channels,
            latent_channels=published["post_quant_conv.weight"].shape[1],
            width=width,
            multipliers=tuple(
                published[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] // width
                for level in range(levels)
            ),
            blocks=blocks,
        )
    except ValidationError as error:
        fault = first_fault(error, AutoencoderConfig)
        raise ModelError(f"expected the published autoencoder ({fault})") from error
    except KeyError as error:
        raise ModelError(f"expected the published autoencoder, found no {error}") from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise ModelError(
            f"expected the published autoencoder, found other keys or shapes ({error})"
        ) from error
