"""The gate at the end of a denoiser: how much of the noisy latents to keep, and what to add."""

from torch import Tensor


def apply_gate(gain_and_offset: Tensor, noisy: Tensor) -> Tensor:
    """The prediction as g ⊙ z_n + h, with a gain and an offset for each latent.

    What is expected of clean latents that are normal with mean μ and deviation s has this form,

        E[z₀ | z_n] = μ + k (z_n - √ᾱ μ),  k = √ᾱ s² / (ᾱ s² + 1 - ᾱ),

    where s is small in dry places and large where rain may grow; noise and velocity, linear in z_n and z₀,
    have it too. EDM (Karras et al. 2022, table 1) has one k for all latents, that of a unit deviation. With a
    gain of its own for each, no latent need pass through the network to be kept, and a narrow network can
    sample a field that varies more here than there.

    Args:
        gain_and_offset: last layer, ``(b, t, 2*c, h, w)``: gains g, then offsets h.
        noisy: noisy latents z_n, ``(b, t, c, h, w)``.

    Returns:
        ``(b, t, c, h, w)``
    """
    gain, offset = gain_and_offset.chunk(2, dim=2)
    return gain * noisy + offset
