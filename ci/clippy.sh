#!/usr/bin/env bash
# No warning from the compiler or from clippy, in any target, with any feature or model cfg.
source "$(dirname "$0")/common.sh"
cargo clippy --workspace --all-targets -- -D warnings
cargo clippy --workspace --all-features --exclude pysync-benches -- -D warnings
layers=("${LAYERS[@]/#/--package=}")
for cfg in pysync_loom pysync_shuttle pysync_portable pysync_faithful; do
    (
        target "clippy-$cfg"
        RUSTFLAGS="--cfg $cfg" cargo clippy "${layers[@]}" --all-targets -- -D warnings
    )
done
