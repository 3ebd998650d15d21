#!/usr/bin/env bash
# Does a real free-threaded CPython run on our locks? The short form: both interpreters, the
# internal tests three times, and two modules. Where the pinned source release lies beside the
# checkout; CPYTHON names another place for it, CPYTHON_WORK another folder to build in.
source "$(dirname "$0")/common.sh"
source_release="${CPYTHON:-../shared/cpython/cpython-3.13.15.tar.xz}"
if [ ! -e "$source_release" ]; then
    echo "skipped: the CPython source release is not at $source_release"
    exit 0
fi
if ! command -v make >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev make binutils; } \
        >/dev/null 2>&1 || true
fi
for tool in cc make ld objcopy nm addr2line; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: CPython cannot be built without $tool"
        exit 0
    fi
done
cargo xtask cpython test --source "$source_release" \
    --work "${CPYTHON_WORK:-${CARGO_TARGET_DIR:-target}/cpython}" \
    --internal 3 --only test_free_threading --only test_thread
