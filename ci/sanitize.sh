#!/usr/bin/env bash
# Does the real binary race, or touch memory that is gone? ThreadSanitizer and AddressSanitizer,
# where a nightly toolchain is installed.
source "$(dirname "$0")/common.sh"
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: the sanitizers need a nightly toolchain, and none is installed"
    exit 0
fi
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
layers=("${LAYERS[@]/#/--package=}")
(
    target tsan
    # std itself is not instrumented; the flag says that we know.
    export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
    export TSAN_OPTIONS="suppressions=$PWD/ci/tsan.supp"
    cargo +nightly test --target "$host" "${layers[@]}" --test stress
)
(
    target asan
    export LSAN_OPTIONS="suppressions=$PWD/ci/lsan.supp"
    export RUSTFLAGS="-Zsanitizer=address -Zrandomize-layout -Cunsafe-allow-abi-mismatch=sanitizer"
    cargo +nightly test --target "$host" "${layers[@]}" --test stress
)
