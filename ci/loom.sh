#!/usr/bin/env bash
# Are the orderings enough? Every interleaving that loom finds within a bound of preemptions.
source "$(dirname "$0")/common.sh"
target loom
export RUSTFLAGS="--cfg pysync_loom"
export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"
for layer in "${LAYERS[@]}"; do
    cargo test --release --package "$layer" --test loom -- --nocapture --test-threads=1
done
# The example for users' own models.
cargo test --release --package pysync-lock --test model_your_own -- --test-threads=1
