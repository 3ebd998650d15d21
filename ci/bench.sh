#!/usr/bin/env bash
# The benchmarks run, each once and briefly, and lockbench measures every cell that it should.
# Nothing here says how fast anything is.
source "$(dirname "$0")/common.sh"
cargo bench --package pysync-benches --bench uncontended -- --test
cargo test --release --package pysync-benches --bins --tests
