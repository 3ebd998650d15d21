#!/usr/bin/env bash
# Would a wrong line be caught? Weakens or drops one thing at a time; a model or a test must fail.
source "$(dirname "$0")/common.sh"
cargo xtask mutants
