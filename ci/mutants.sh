#!/usr/bin/env bash
# Would a wrong line be caught? Weakens or drops one thing at a time; a model or a test must fail. Those
# of the packages that have changed since all their mutants were killed; with `ci/mutants.sh --all` each of
# all packages.
# Records in ci/mutants.verified which packages have none that survive.
source "$(dirname "$0")/common.sh"
case "${1:-}" in
    "") cargo xtask mutants --changed --record ;;
    --all) cargo xtask mutants --record ;;
    *) echo "usage: ci/mutants.sh [--all]" >&2; exit 2 ;;
esac
