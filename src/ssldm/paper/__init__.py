"""The networks of SSLDM-ISI (Ling et al., 2024): torch only, latents in, latents out."""
