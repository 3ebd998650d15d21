#!/usr/bin/env bash
# The documentation builds without a warning, private items included.
source "$(dirname "$0")/common.sh"
export RUSTDOCFLAGS="-D warnings"
cargo doc --workspace --no-deps --all-features --exclude pysync-benches
cargo doc --workspace --no-deps --document-private-items --exclude pysync-benches --exclude xtask
