#!/usr/bin/env bash
# The benchmarks run, each once and briefly, lockbench measures every cell that it should, and
# the uncontended way is what docs/performance.md says. Nothing here says how fast anything is.
source "$(dirname "$0")/common.sh"
cargo bench --package pysync-benches --bench uncontended -- --test
cargo test --release --package pysync-benches --bins --tests

if [ "$(uname -m)" = x86_64 ]; then
    asm="$(mktemp)"
    trap 'rm -f "$asm"' EXIT
    cargo rustc --release --package pysync-lock --example uncontended -- \
        -C codegen-units=1 -C debuginfo=0 --emit asm="$asm"
    for function in lock unlock; do
        body="$(sed -n "/^$function:/,/\.cfi_endproc/p" "$asm" | grep -v '^\s*\.')"
        echo "$body"
        if [ "$(grep -c cmpxchg <<<"$body")" != 1 ]; then
            echo "error: $function of crates/lock/examples/uncontended.rs: not one compare-exchange" >&2
            exit 1
        fi
    done
fi
