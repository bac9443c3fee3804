#!/usr/bin/env bash
# The leaderboard of the documentation, on the validation and the test split. What was computed before is kept.
#
#   experiments/leaderboard.sh [DATA [RUNS]]
set -euo pipefail
runs=${2:-runs}
"$(dirname "$0")/archives.sh" "${1:-../shared/data}" "$runs"
docs=$(dirname "$0")/../docs

split() { # NAME [OPTION...], archives as --data
    local out=$runs/leaderboard/$1
    ssldm verify --out "$out" --model small --model "$(dirname "$0")/unet" \
        --baselines persistence,extrapolation,sprog,anvil,steps,linda "${@:2}"
    cp "$out/headline.md" "$docs/leaderboard/$1.md"
    cp "$out/figures/lead-time.png" "$docs/images/leaderboard-$1.png"
}

archives=$runs/archives
mkdir -p "$docs/leaderboard"
split validation --data "$archives/knmi-validation.zarr" --data "$archives/smhi-validation.zarr"
split test --data "$archives/smhi-test.zarr" --data "$archives/meteoswiss-test.zarr"
split mrms --data "$archives/mrms-test.zarr" --lead-frames 8 --windows 8
