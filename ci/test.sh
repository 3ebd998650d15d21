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
# Programs that check what they have done.
for example in pool rollback transfers; do
    cargo run --release --quiet --package pysync-monitor --example "$example" >/dev/null
done
cargo run --release --quiet --package pysync-reclaim --example file_backed >/dev/null 2>&1
# Locks that wait just as C's do.
(
    target faithful
    RUSTFLAGS="--cfg pysync_faithful" cargo test --package pysync-lock --tests
)
(
    target portable
    RUSTFLAGS="--cfg pysync_portable" cargo test "${parked[@]}" --tests
)
