#!/usr/bin/env bash
# All tests, then those of the layers as users build them: optimised, with every feature, and
# with the parker of other platforms.
source "$(dirname "$0")/common.sh"
cargo test --workspace
layers=("${LAYERS[@]/#/--package=}")
# ci/robust.sh runs pysync-robust optimised.
parked=("${PARKED[@]/#/--package=}")
cargo test --release "${parked[@]}" --tests
cargo test --all-features "${layers[@]}" --package=pysync
# Locks that wait just as C's do.
(
    target faithful
    RUSTFLAGS="--cfg pysync_faithful" cargo test --package pysync-lock --tests
)
(
    target portable
    RUSTFLAGS="--cfg pysync_portable" cargo test "${parked[@]}" --tests
)
