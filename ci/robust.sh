#!/usr/bin/env bash
# The mutex between processes, optimised, on both C libraries: deaths of every kind, a kill after every
# instruction, and a thousand at any moment. PYSYNC_KILLS is how many. Installs musl's compiler and std.
source "$(dirname "$0")/common.sh"
if [ "$(uname -s)" != Linux ]; then
    echo "skipped: there are robust mutexes on Linux only"
    exit 0
fi
# With --nocapture the tests say how many instructions and kills there were.
robust() {
    cargo test --release --package pysync-robust "$@"
}
processes=(--test process --test kill -- --nocapture --test-threads=1)
robust "${processes[@]}"

musl="$(uname -m)-unknown-linux-musl"
if ! command -v musl-gcc >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends musl-tools; } \
        >/dev/null 2>&1 || true
fi
if ! command -v musl-gcc >/dev/null; then
    echo "skipped on musl: there is no musl-gcc, and none can be installed"
    exit 0
fi
if ! { command -v rustup && rustup --quiet target add "$musl"; } >/dev/null 2>&1; then
    echo "skipped on musl: rustup cannot add the target $musl"
    exit 0
fi
robust --target "$musl" "${processes[@]}"
robust --target "$musl" --tests -- --skip between:: --skip deaths:: --skip lost_wake:: --skip step:: \
    --skip wakes:: --skip kills_
