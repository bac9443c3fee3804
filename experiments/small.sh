#!/usr/bin/env bash
# The shipped weights `small`, from radar files to a model: archives of the train and validation split, autoencoder,
# denoiser. Takes about two hours on two cores; a run that was cut short goes on where it stopped.
#
#   experiments/small.sh [DATA [RUNS]]
set -euo pipefail
data=${1:-../shared/data}
runs=${2:-runs}
archives=$runs/archives

archive() { # NAME SOURCE [OPTION...]
    local out=$archives/$1.zarr source=$2
    shift 2
    [ -e "$out" ] || ssldm archive build $source "$out" "$@"
}

archive knmi-train "$data/knmi_h5" --end 2010-08-26T05:30
archive knmi-validation "$data/knmi_h5" --start 2010-08-26T05:35
archive smhi-train "$data/smhi_npy/2021_05_11_*" --end 2021-05-11T17:30
archive smhi-validation "$data/smhi_npy/2021_05_11_*" --start 2021-05-11T17:35
archive meteoswiss-train "$data/mch_gif/20150515"
archive fmi-train "$data/fmi_pgm"

events=()
for name in knmi fmi meteoswiss smhi; do events+=(--data "$archives/$name-train.zarr"); done
for name in knmi smhi; do events+=(--validation "$archives/$name-validation.zarr"); done

resume() { [ -e "$1/last.ckpt" ] && echo --resume || true; }

ssldm train autoencoder --preset small "${events[@]}" --out "$runs/small-autoencoder" $(resume "$runs/small-autoencoder")
ssldm train denoiser --preset small "${events[@]}" --autoencoder "$runs/small-autoencoder" \
    --out "$runs/small" $(resume "$runs/small")
echo "weights: $runs/small/model"
