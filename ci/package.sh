#!/usr/bin/env bash
# The crates can be packaged, and each package builds by itself. A warning is an error, but for one:
# tests and examples stay out of the packages, since they stand on pysync-testing, which is not
# published, and cargo says so of each.
source "$(dirname "$0")/common.sh"
target package
# cargo keeps what it has unpacked and built of a version, and ours stays the same while the sources
# change.
rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/{src,cache}/-*/pysync-* "$CARGO_TARGET_DIR"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# The other crates are for this checkout only, and to build them takes minutes.
cargo package --workspace --allow-dirty --locked \
    --exclude xtask --exclude pysync-benches --exclude pysync-testing 2>&1 | tee "$log" |
    grep -v '^warning: ignoring \(test\|example\) '
if grep '^warning' "$log" | grep -qv '^warning: ignoring \(test\|example\) '; then
    echo "error: cargo package warns" >&2
    exit 1
fi
