#!/usr/bin/env bash
# The libraries compile with the Rust that Cargo.toml promises, with every feature but lock_api_05,
# which needs a newer one. Installs that Rust.
source "$(dirname "$0")/common.sh"
version="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
toolchain="$version.0"
if ! { cargo "+$toolchain" --version ||
    rustup toolchain install "$toolchain" --profile minimal --no-self-update; } >/dev/null 2>&1; then
    echo "skipped: Rust $toolchain is not installed, and rustup cannot install it"
    exit 0
fi
target msrv
crates=("${LAYERS[@]/#/--package=}" --package=pysync)
# A C compiler may be missing; pysync-capi's build script needs one.
if command -v cc >/dev/null; then
    crates+=(--package=pysync-capi)
fi
cargo "+$toolchain" check --locked "${crates[@]}"
cargo "+$toolchain" check --locked "${crates[@]}" --features tracing,loom,shuttle
