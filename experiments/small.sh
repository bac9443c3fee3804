#!/usr/bin/env bash
# The shipped weights `small`, autoencoder and then prior, and the weights `unet` that stand beside them in verification, from radar
# files to models. A run that was cut short goes on where it stopped.
#
#   experiments/small.sh [DATA [RUNS [PERCENT]]]      PERCENT of the steps of each training
set -euo pipefail
data=${1:-../shared/data}
runs=${2:-runs}
percent=${3:-100}
"$(dirname "$0")/archives.sh" "$data" "$runs"

frames=()
for name in knmi fmi meteoswiss smhi mrms; do frames+=(--data "$runs/archives/$name-train.zarr"); done
for name in knmi smhi mrms; do frames+=(--validation "$runs/archives/$name-validation.zarr"); done
events=()
for name in knmi fmi meteoswiss smhi bom bom-10-minutes opera mrms; do
    events+=(--data "$runs/archives/$name-train.zarr")
done
all=("${events[@]}")
for name in beryl knmi-showers knmi-winter; do all+=(--data "$runs/archives/$name-train.zarr"); done
for name in knmi smhi; do events+=(--validation "$runs/archives/$name-validation.zarr"); done

resume() { [ -e "$1/last.ckpt" ] && echo --resume || true; }

# Of the preset's steps: 10,000, 4,800 and 2,000.
steps() { echo "$1_training.optimisation.steps=$(($2 * percent / 100))"; }

ssldm train autoencoder --preset small "${frames[@]}" --out "$runs/small-autoencoder" $(resume "$runs/small-autoencoder") \
    "$(steps autoencoder 10000)"
ssldm train prior --preset small "${all[@]}" --autoencoder "$runs/small-autoencoder" --out "$runs/small-prior" \
    $(resume "$runs/small-prior") "$(steps prior 4800)"
ssldm train unet --preset small "${events[@]}" --out "$runs/unet" $(resume "$runs/unet") "$(steps unet 2000)"
echo "weights: $runs/small-prior/model $runs/unet/model"
