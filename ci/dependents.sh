#!/usr/bin/env bash
# What a program gets that depends on pysync-lock: a short lock file, and locks of every type in a
# `static`, whatever cfg is set. A cfg of another crate's changes nothing. One of ours goes with a
# feature of its name, without which it says so.
source "$(dirname "$0")/common.sh"
target dependents
root="$PWD"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# A crate in folder/$1 that depends on pysync-lock with the features $2.
dependent() {
    mkdir -p "$folder/$1/src"
    cat >"$folder/$1/Cargo.toml" <<EOF
[package]
name = "dependent"
version = "0.0.0"
edition = "2024"

[dependencies]
pysync-lock = { path = "$root/crates/lock", features = [$2] }

[workspace]
EOF
    cat >"$folder/$1/src/lib.rs" <<'EOF'
use pysync_lock::{Event, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, SeqLock, guarded};

pub static MUTEX: Mutex = Mutex::new();
pub static RECURSIVE: RecursiveMutex = RecursiveMutex::new();
pub static RW: RwMutex = RwMutex::new();
pub static SEQ: SeqLock = SeqLock::new();
pub static EVENT: Event = Event::new();
pub static ONCE: OnceFlag = OnceFlag::new();
pub static RAW: RawMutex = RawMutex::new();
pub static GUARDED: guarded::Mutex<u64> = guarded::Mutex::new(0);
pub static GUARDED_RW: guarded::RwLock<u64> = guarded::RwLock::new(0);
pub static GUARDED_REENTRANT: guarded::ReentrantMutex<u64> = guarded::ReentrantMutex::new(0);
pub static GUARDED_SEQ: guarded::SeqLock<(u64, u8)> = guarded::SeqLock::new((0, 0));
pub static GUARDED_ONCE: guarded::OnceCell<String> = guarded::OnceCell::new();
EOF
    local manifest="$folder/$1/Cargo.toml"
    cargo generate-lockfile --quiet --offline --manifest-path "$manifest" 2>/dev/null ||
        cargo generate-lockfile --quiet --manifest-path "$manifest"
}

# Compiles the crate in folder/$1 with the flags $2.
compile() {
    echo "$1: ${2:-no cfg}"
    RUSTFLAGS="$2" cargo check --quiet --manifest-path "$folder/$1/Cargo.toml"
}

dependent plain ''
# Itself, three crates of ours, and five others. No checker, and nothing for Windows.
most=16
names="$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/plain/Cargo.lock")"
count="$(wc -l <<<"$names")"
echo "$count packages in the lock file:" $names
if [ "$count" -gt "$most" ]; then
    echo "error: more than $most packages in the lock file of a crate that depends on pysync-lock" >&2
    exit 1
fi

compile plain ''
compile plain '--cfg loom'
compile plain '--cfg shuttle'
for checker in loom shuttle; do
    dependent "$checker" "\"$checker\""
    compile "$checker" ''
    compile "$checker" "--cfg pysync_$checker"
    says="\`--cfg pysync_$checker\` needs the feature \`$checker\`"
    if said="$(compile plain "--cfg pysync_$checker" 2>&1)" || ! grep -qF "$says" <<<"$said"; then
        echo "error: without the feature $checker, --cfg pysync_$checker does not say what it needs" >&2
        echo "$said" >&2
        exit 1
    fi
done
