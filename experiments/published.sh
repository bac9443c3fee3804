#!/usr/bin/env bash
# The paper's recipe at the size of `paper-small`, a contestant of the leaderboard: autoencoder and then denoiser, on the events that
# the shipped weights learned from. A run that was cut short goes on where it stopped.
#
#   experiments/published.sh [DATA [RUNS]]
set -euo pipefail
data=${1:-../shared/data}
runs=${2:-runs}
"$(dirname "$0")/archives.sh" "$data" "$runs"

archives() { for name in $2; do echo "--$1" "$runs/archives/$name.zarr"; done; }
frames=$(archives data "knmi-train fmi-train meteoswiss-train smhi-train mrms-train")
validation=$(archives validation "knmi-validation smhi-validation mrms-validation")
events=$(archives data "knmi-train fmi-train meteoswiss-train smhi-train bom-train bom-10-minutes-train opera-train mrms-train \
    beryl-train knmi-showers-train knmi-winter-train")
held=$(archives validation "knmi-validation smhi-validation")

resume() { [ -e "$1/last.ckpt" ] && echo --resume || true; }

ssldm train autoencoder --preset paper-small $frames $validation --out "$runs/published-autoencoder" \
    $(resume "$runs/published-autoencoder")
ssldm train denoiser --preset paper-small $events $held --autoencoder "$runs/published-autoencoder" --out "$runs/published" \
    $(resume "$runs/published")
echo "weights: $runs/published/model"
