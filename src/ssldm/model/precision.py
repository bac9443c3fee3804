"""Whether a device computes in bfloat16 itself: where it only emulates it, that is a hundred times slower."""

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are computed by the hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
