#!/usr/bin/env bash
# The formatting is rustfmt's.
source "$(dirname "$0")/common.sh"
cargo fmt --all --check
