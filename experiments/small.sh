#!/usr/bin/env bash
# The shipped weights `small` and `unet`, from radar files to models: archives, autoencoder, denoiser, and the U-Net that
# stands beside them in verification. A run that was cut short goes on where it stopped. Takes about half a day on two cores, and 60 GB
# of disk for latents (estimates); without the overrides in `much` it is the preset's four hours and 8 GB.
#
#   experiments/small.sh [DATA [RUNS]]
set -euo pipefail
data=${1:-../shared/data}
runs=${2:-runs}
"$(dirname "$0")/archives.sh" "$data" "$runs"

frames=()
for name in knmi fmi meteoswiss smhi mrms; do frames+=(--data "$runs/archives/$name-train.zarr"); done
for name in knmi smhi mrms; do frames+=(--validation "$runs/archives/$name-validation.zarr"); done
events=()
for name in knmi fmi meteoswiss smhi bom bom-10-minutes opera mrms; do
    events+=(--data "$runs/archives/$name-train.zarr")
done
for name in knmi smhi; do events+=(--validation "$runs/archives/$name-validation.zarr"); done

# What the GPU that trained the shipped weights saw in minutes: many windows, few times each.
much=(denoiser_training.windows=12000)
for value in steps=1800 steps_per_epoch=60 batch_size=64 learning_rate=1.5e-3 warmup_steps=300 ema_decay=0.999; do
    much+=("denoiser_training.optimisation.$value")
done
much+=(residual_training.crop=32 residual_training.leads=4)
for value in steps=2400 steps_per_epoch=120 batch_size=24 warmup_steps=100 ema_decay=0.998; do
    much+=("residual_training.optimisation.$value")
done

resume() { [ -e "$1/last.ckpt" ] || [ -e "$1/residual/last.ckpt" ] && echo --resume || true; }

ssldm train autoencoder --preset small "${frames[@]}" --out "$runs/small-autoencoder" $(resume "$runs/small-autoencoder")
ssldm train denoiser --preset small "${events[@]}" --autoencoder "$runs/small-autoencoder" \
    --out "$runs/small" $(resume "$runs/small") "${much[@]}"
ssldm train unet --preset small "${events[@]}" --out "$runs/unet" $(resume "$runs/unet")
echo "weights: $runs/small/model $runs/unet/model"
