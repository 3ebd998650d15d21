#!/usr/bin/env bash
# Whether the `use` lines swap: two crates that use parking_lot, r2d2 and serial_test, run their own
# tests first as they are published, and then with our types for parking_lot's. Not part of
# `cargo xtask ci`, since it fetches them and what they depend on.
source "$(dirname "$0")/common.sh"
target swap
root="$PWD"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
failed=0

# A package that depends on both, for cargo to bring their sources.
mkdir -p "$folder/fetch/src"
cat >"$folder/fetch/Cargo.toml" <<'EOT'
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"

[dependencies]
r2d2 = "0.8"
serial_test = "4"

[workspace]
EOT
touch "$folder/fetch/src/lib.rs"
cargo vendor --quiet --manifest-path "$folder/fetch/Cargo.toml" "$folder/vendor" >/dev/null

# The crate $1 as published, a workspace of its own, in folder/$2.
copy() {
    mkdir -p "$folder/$2"
    cp -r "$folder/vendor/$1/." "$folder/$2"
    rm -f "$folder/$2/Cargo.lock"
    printf '\n[workspace]\n' >>"$folder/$2/Cargo.toml"
}

# Puts our crates for parking_lot in folder/$1: in the manifest, and in the `use` lines.
swap() {
    local manifest="$folder/$1/Cargo.toml"
    # A dev-dependency at most from now on, so the library proper cannot name it.
    sed -i 's/^\[dependencies\.parking_lot\]$/[dev-dependencies.parking_lot]/' "$manifest"
    cat >>"$manifest" <<EOT

[dependencies.pysync-cond]
path = "$root/crates/cond"

[dependencies.pysync-lock]
path = "$root/crates/lock"
EOT
    # `Condvar` and its result are in one module, and the locks in another. `RwLock` stays: one test
    # of serial_test's waits for its own with a timeout, which CPython's readers-writer lock has not.
    find "$folder/$1" -name '*.rs' -exec sed -i -E \
        -e 's/use parking_lot::\{Condvar, (.*)\};/use pysync_cond::guarded::Condvar;\nuse pysync_lock::guarded::{\1};/' \
        -e 's/use parking_lot::(Condvar|WaitTimeoutResult);/use pysync_cond::guarded::\1;/' \
        -e '/use parking_lot::RwLock;/!s/use parking_lot::/use pysync_lock::guarded::/' \
        {} +
    (cd "$folder/$1" && grep -rnE '(pysync_(cond|lock)|parking_lot)::' --include='*.rs' .)
    # Without the tests, and so without parking_lot.
    cargo check --quiet --manifest-path "$manifest" --features "$2" 2>"$folder/$1.log" ||
        { cat "$folder/$1.log" >&2; exit 1; }
}

# Runs the tests in folder/$1 with the features $2, and sets `passed` to their number. Up to three
# times: r2d2's look at what has happened after so many milliseconds.
run() {
    local log="$folder/$1.log" attempt
    for attempt in 1 2 3; do
        if cargo test --quiet --manifest-path "$folder/$1/Cargo.toml" --features "$2" >"$log" 2>&1; then
            break
        fi
        echo "attempt $attempt:"
        grep -E '^(error|test result|    [a-z_:]+$)' "$log" || true
        if [ "$attempt" -eq 3 ]; then
            cat "$log" >&2
            failed=1
        fi
    done
    passed="$(awk '/^test result: ok/ { sum += $4 } END { print sum + 0 }' "$log")"
}

# The crate $1 with the features $2.
check() {
    copy "$1" "$1"
    echo "== $(sed -n '/^name = /{s/.*"\(.*\)"/\1/p;q}' "$folder/$1/Cargo.toml")" \
        "$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' "$folder/$1/Cargo.toml")"
    run "$1" "$2"
    local published="$passed"
    echo "as published: $published tests passed"
    copy "$1" "$1-swapped"
    swap "$1-swapped" "$2"
    run "$1-swapped" "$2"
    echo "with pysync: $passed tests passed"
    if [ "$published" -eq 0 ] || [ "$passed" -ne "$published" ]; then
        failed=1
    fi
}

check r2d2 ''
check serial_test 'file_locks,test_logging'
exit "$failed"
