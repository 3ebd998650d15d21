#!/usr/bin/env bash
# Is the protocol right? Random schedules with signals, timeouts and hand-offs thrown in.
source "$(dirname "$0")/common.sh"
target shuttle
export RUSTFLAGS="--cfg pysync_shuttle"
for layer in "${LAYERS[@]}"; do
    cargo test --release --package "$layer" --test shuttle -- --nocapture --test-threads=1
done
# The example for users' own models.
cargo test --release --package pysync-lock --test model_your_own -- --test-threads=1
