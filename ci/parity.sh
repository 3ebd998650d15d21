#!/usr/bin/env bash
# Every C symbol has its Rust or a reason, by the committed index and, where the pinned source
# release lies beside the checkout, by that source; and docs/parity-table.md says so. CPYTHON names
# another place for the release.
source "$(dirname "$0")/common.sh"
cargo xtask parity --problems

table=$(mktemp)
trap 'rm -f "$table"' EXIT
cargo xtask parity --format markdown >"$table"
if ! diff -u docs/parity-table.md "$table"; then
    echo "docs/parity-table.md is out of date: cargo xtask parity --format markdown > docs/parity-table.md"
    exit 1
fi

source_release="${CPYTHON:-../shared/cpython/cpython-3.13.15.tar.xz}"
if [ -e "$source_release" ]; then
    cargo xtask parity --problems --cpython "$source_release"
else
    # Not a step that is skipped: the index says as much, if the source is what it was.
    echo "by the committed index alone: the pinned source is not at $source_release"
fi
