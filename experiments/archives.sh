#!/usr/bin/env bash
# Archives of the train, validation and test split, from radar files; what is there is left as it is.
#
#   experiments/archives.sh [DATA [RUNS]]
set -euo pipefail
data=${1:-../shared/data}
archives=${2:-runs}/archives

archive() { # NAME SOURCE [OPTION...]
    local out=$archives/$1.zarr source=$2
    shift 2
    [ -e "$out" ] || ssldm archive build "$source" "$out" "$@"
}

archive knmi-train "$data/knmi_h5" --end 2010-08-26T05:30
archive smhi-train "$data/smhi_npy/2021_05_11_*" --end 2021-05-11T17:30
archive meteoswiss-train "$data/mch_gif/20150515"
archive fmi-train "$data/fmi_pgm"
archive mrms-train "$data/mrms_grib2" --crop=-90,20,-60,55
archive bom-train "$data/bom_nc"
archive bom-10-minutes-train "$data/bom_c10_nc"
archive opera-train "$data/opera_odim/T_PABV21_*"
archive beryl-train "$data/eccc_beryl_nc"
archive knmi-showers-train "$data/knmi_2021_h5" --start 2021-02-02T00:00 --end 2021-02-03T00:00
archive knmi-winter-train "$data/knmi_2021_h5" --start 2021-02-06T00:00 --end 2021-02-07T00:00

archive knmi-validation "$data/knmi_h5" --start 2010-08-26T05:35
archive smhi-validation "$data/smhi_npy/2021_05_11_*" --start 2021-05-11T17:35

archive knmi-evening-validation "$data/knmi_2021_h5" --start 2021-02-04T00:00 --end 2021-02-05T00:00
archive knmi-dry-validation "$data/knmi_2021_h5" --start 2021-01-07T00:00 --end 2021-01-08T00:00
archive knmi-dry-later-validation "$data/knmi_2021_h5" --start 2021-02-08T00:00 --end 2021-02-09T00:00

archive mrms-validation "$data/mrms_grib2" --crop=-95,20,-90,55 # between the other two

archive smhi-test "$data/smhi_npy/2017_02_06_*"
archive meteoswiss-test "$data/mch_gif/20170131"
archive mrms-test "$data/mrms_grib2" --crop=-130,20,-95,55 --step 6
