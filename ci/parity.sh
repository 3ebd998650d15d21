#!/usr/bin/env bash
# Every C symbol has its Rust or a reason, by the committed index and, where the pinned source
# release lies beside the checkout, by that source. CPYTHON names another place for it.
source "$(dirname "$0")/common.sh"
cargo xtask parity --problems
source_release="${CPYTHON:-../shared/cpython/cpython-3.13.15.tar.xz}"
if [ -e "$source_release" ]; then
    cargo xtask parity --problems --cpython "$source_release"
else
    echo "skipped the comparison with the pinned source: it is not at $source_release"
fi
