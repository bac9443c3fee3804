#!/usr/bin/env bash
# The shipped weights `small`, autoencoder and then prior, and the weights `unet` that stand beside them in verification, from radar
# files to models. A run that was cut short goes on where it stopped.
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
all=("${events[@]}")
for name in beryl knmi-showers knmi-winter; do all+=(--data "$runs/archives/$name-train.zarr"); done
for name in knmi smhi; do events+=(--validation "$runs/archives/$name-validation.zarr"); done

resume() { [ -e "$1/last.ckpt" ] && echo --resume || true; }

ssldm train autoencoder --preset small "${frames[@]}" --out "$runs/small-autoencoder" $(resume "$runs/small-autoencoder")
ssldm train prior --preset small "${all[@]}" --autoencoder "$runs/small-autoencoder" --out "$runs/small-prior" $(resume "$runs/small-prior")
ssldm train unet --preset small "${events[@]}" --out "$runs/unet" $(resume "$runs/unet")
echo "weights: $runs/small-prior/model $runs/unet/model"
