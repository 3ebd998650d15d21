#!/usr/bin/env bash
# The Python package: no warning from clippy; the wheel and the source distribution build, and the wheel works in
# a new environment: its tests, with the programs of its README, the examples, the types. PYTHON names another
# Python than the machine's.
source "$(dirname "$0")/common.sh"
python="${PYTHON:-python3}"
usable() { "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if ! usable && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends python3 python3-venv; } \
        >/dev/null 2>&1 || true
fi
if ! usable; then
    echo "skipped: $python is not a Python from 3.11 on with venv and ensurepip"
    exit 0
fi
# It is in no workspace that the other scripts look at.
package=(--manifest-path crates/python/Cargo.toml)
cargo fmt "${package[@]}" -- --check
PYO3_PYTHON="$python" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/python/clippy" \
    cargo clippy --quiet --locked "${package[@]}" --all-targets -- -D warnings
# Ten minutes are its budget.
timeout --kill-after=10 600 cargo xtask python test --python "$python" \
    --work "${CARGO_TARGET_DIR:-target}/python"
