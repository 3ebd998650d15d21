#!/usr/bin/env bash
# Are the orderings enough? Every interleaving that loom finds within a bound of preemptions.
source "$(dirname "$0")/common.sh"
target loom
export RUSTFLAGS="--cfg pysync_loom"
export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"
# Each crate with models has them in the same place.
for models in crates/*/tests/loom/main.rs; do
    crate="$(cut -d/ -f2 <<<"$models")"
    cargo test --release --package "pysync-$crate" --test loom -- --nocapture --test-threads=1
done
# The examples for users' own models.
cargo test --release --package pysync-lock --package pysync-cond --test model_your_own -- --test-threads=1

# What happens between two buckets of the parking lot.
(
    target two-buckets
    export RUSTFLAGS="$RUSTFLAGS --cfg pysync_two_buckets"
    for crate in pysync-parking-lot pysync-cond; do
        cargo test --release --package "$crate" --test loom -- --nocapture --test-threads=1 requeue::
    done
    cargo test --release --package pysync-monitor --test loom -- --nocapture --test-threads=1
)
