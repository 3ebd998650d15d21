# Sourced by the scripts beside it: the workspace root as the current folder, and strict mode.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
# What is built here is built once: what rustc would keep for the next time is half of the disk.
export CARGO_INCREMENTAL=0

# Each way of building has a target folder of its own, or they would rebuild each other's crates.
target() {
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/$1"
}

PARKED=(pysync-platform pysync-parking-lot pysync-lock pysync-critical-section pysync-cond pysync-boc
    pysync-monitor pysync-reclaim)
# pysync-robust does not stand on the parker, and so its tests need no run with another one.
LAYERS=("${PARKED[@]}" pysync-robust)
