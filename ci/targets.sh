#!/usr/bin/env bash
# The crates compile without a warning for every platform that README.md names, the documentation
# of pysync-parking-lot names the same ones, and the timed waits work in 32 bits. Installs what std
# it needs.
source "$(dirname "$0")/common.sh"
target targets
export RUSTFLAGS="-D warnings"

# The target triples of the section `Platforms` of a file.
triples() {
    awk '/# Platforms$/ { on = 1; next } /^(\/\/! )?#+ / { on = 0 } on' "$1" |
        grep -oE '`[a-z0-9_]+(-[a-z0-9_]+){2,3}`' | tr -d '`' | sort
}
if ! diff <(triples README.md) <(triples crates/parking-lot/src/lib.rs); then
    echo "error: README.md (<) and crates/parking-lot/src/lib.rs (>) name different platforms" >&2
    exit 1
fi
if ! command -v rustup >/dev/null; then
    echo "skipped: without rustup there is no std for other targets"
    exit 0
fi

crates=("${LAYERS[@]/#/--package=}" --package=pysync)
checked=()
missing=()
for triple in $(triples README.md); do
    if ! rustup --quiet target add "$triple"; then
        echo "rustup cannot add the target $triple" >&2
        missing+=("$triple")
        continue
    fi
    echo "$triple"
    cargo check --quiet --target "$triple" "${crates[@]}"
    cargo check --quiet --target "$triple" "${crates[@]}" --all-features
    checked+=("$triple")
done

# What is particular to 32 bits: the kernel's time has words of that size, whatever the C library's
# `time_t` has; libc has a cfg for that. Here musl's programs run without a C library of the host.
gnu32=i686-unknown-linux-gnu
musl32=i686-unknown-linux-musl
if [[ " ${checked[*]} " == *" $gnu32 "* ]]; then
    echo "$gnu32 with a time_t of 64 bits"
    RUSTFLAGS="$RUSTFLAGS --cfg libc_unstable_gnu_time_bits=\"64\"" \
        cargo check --quiet --target "$gnu32" "${crates[@]}"
fi
if [[ " ${checked[*]} " == *" $musl32 "* && "$(uname -sm)" == "Linux x86_64" ]]; then
    export CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
    for cfg in "" "--cfg libc_unstable_musl_v1_2"; do
        RUSTFLAGS="$RUSTFLAGS $cfg" cargo test --quiet --target "$musl32" \
            "${LAYERS[@]/#/--package=}" --test miri --test timeout --test parker
    done
fi

if [ ${#missing[@]} -gt 0 ]; then
    echo "skipped ${#missing[@]} of $((${#missing[@]} + ${#checked[@]})) targets: ${missing[*]}"
else
    echo "${#checked[@]} targets"
fi
