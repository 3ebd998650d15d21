#!/usr/bin/env bash
# The audit's site in a real browser: it loads, search finds, pointing and clicking light up both
# sides, the filter filters, no error on the console. Where the pinned source release lies beside
# the checkout; CPYTHON names another place for it, CHROMIUM another browser.
source "$(dirname "$0")/common.sh"
source_release="${CPYTHON:-../shared/cpython/cpython-3.13.15.tar.xz}"
if [ ! -e "$source_release" ]; then
    echo "skipped: the CPython source release is not at $source_release"
    exit 0
fi
export CHROMIUM="${CHROMIUM:-chromium}"
if ! command -v "$CHROMIUM" >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core; } \
        >/dev/null 2>&1 || true
fi
if ! command -v "$CHROMIUM" >/dev/null; then
    echo "skipped: there is no Chromium here and none can be installed"
    exit 0
fi
PARITY_SITE="$(realpath -m "${CARGO_TARGET_DIR:-target}")/parity-site"
export PARITY_SITE
# 1: written, and the audit has problems, which the parity step reports.
cargo xtask parity report --cpython "$source_release" --out "$PARITY_SITE" || [ $? -eq 1 ]
cargo test --package xtask --test site -- --ignored
