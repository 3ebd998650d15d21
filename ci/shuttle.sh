#!/usr/bin/env bash
# Is the protocol right? Random schedules with signals, timeouts and hand-offs thrown in.
source "$(dirname "$0")/common.sh"
target shuttle
export RUSTFLAGS="--cfg pysync_shuttle"
# Each crate with models has them in the same place.
for models in crates/*/tests/shuttle/main.rs; do
    crate="$(cut -d/ -f2 <<<"$models")"
    cargo test --release --package "pysync-$crate" --test shuttle -- --nocapture --test-threads=1
done
# The examples for users' own models.
cargo test --release --package pysync-lock --package pysync-cond --test model_your_own -- --test-threads=1

# What happens between two buckets of the parking lot.
(
    target two-buckets
    export RUSTFLAGS="$RUSTFLAGS --cfg pysync_two_buckets"
    cargo test --release --package pysync-parking-lot --test shuttle -- --nocapture --test-threads=1 requeue::
    cargo test --release --package pysync-cond --test shuttle -- --nocapture --test-threads=1 cond::
)
