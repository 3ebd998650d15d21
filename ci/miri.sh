#!/usr/bin/env bash
# Undefined behaviour by the letter: Miri runs the test `miri` of each crate, and a program of a
# user's. A seed is a schedule, and a choice among the values that a weak load may see. Needs a
# nightly toolchain with Miri, and installs them. MIRI_SEEDS is how many seeds the futex parker gets.
source "$(dirname "$0")/common.sh"
if ! {
    { cargo +nightly --version || rustup toolchain install nightly --profile minimal; } &&
        rustup component add --toolchain nightly miri rust-src
} >/dev/null 2>&1; then
    echo "skipped: rustup cannot add Miri (rustup component add --toolchain nightly miri rust-src)"
    exit 0
fi
target miri
seeds="${MIRI_SEEDS:-9}"
export MIRIFLAGS="-Zmiri-strict-provenance"

# The tests of the layers under that many seeds, with more flags for cargo.
miri() {
    local count="$1"
    shift
    echo "Miri, $count seeds: ${RUSTFLAGS:-} $MIRIFLAGS $*"
    MIRIFLAGS="$MIRIFLAGS -Zmiri-many-seeds=0..$count" \
        cargo +nightly miri test --quiet "${LAYERS[@]/#/--package=}" --test miri "$@"
}

miri "$seeds"
# The other model of what a reference may do.
MIRIFLAGS="$MIRIFLAGS -Zmiri-tree-borrows" miri $((seeds / 3))
# A program that uses the crates can be checked too, and so can the C library's functions.
cargo +nightly miri run --quiet --package pysync-lock --example start_together
cargo +nightly miri test --quiet --package pysync-capi --test rust_host

# The parker of other platforms; one where std frees thread locals one by one; and a futex whose
# time has words of 32 bits.
(
    target portable
    RUSTFLAGS="--cfg pysync_portable" miri $((seeds / 3))
)
miri $((seeds / 3)) --target x86_64-pc-windows-gnu
miri $((seeds / 3)) --target i686-unknown-linux-gnu
