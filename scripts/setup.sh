#!/usr/bin/env bash
# Sets up what building and testing need, and says in one line what cannot be had.
#
#   scripts/setup.sh            the wasm toolchain: by rustup, or by Debian's packages where rustup cannot download
#   scripts/setup.sh --tests    also a PostgreSQL and a Redis server for the tests
#
# PROVESI_WASM_TOOLCHAIN=rustup|debian forces one way. What was taken is remembered in target/wasm-toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi; }

command -v cargo >/dev/null || die "cargo is missing: install Rust 1.95 with rustup"
command -v cc >/dev/null || as_root apt-get install -y -qq gcc >/dev/null 2>&1 || die "a C compiler is missing: install gcc"

with_rustup() {
    command -v rustup >/dev/null || return 1
    rustup target list --installed 2>/dev/null | grep -qx wasm32-wasip2 && return 0
    say "adding the target wasm32-wasip2 with rustup"
    timeout 300 rustup target add wasm32-wasip2 >/dev/null 2>&1
}

# Debian 12's rustc with the sources of std, and the wasi-libc of the next release, unpacked under target/.
with_debian() {
    command -v dpkg >/dev/null && command -v apt-get >/dev/null || return 1
    if ! dpkg -s rustc-web rust-web-src >/dev/null 2>&1; then
        say "installing Debian's rustc-web and rust-web-src"
        as_root apt-get update -qq >/dev/null || return 1
        as_root apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null || return 1
    fi
    [ -f target/wasi-libc/usr/lib/wasm32-wasip2/crt1-reactor.o ] && return 0
    say "fetching wasi-libc from Debian trixie"
    local apt mirror
    apt=$(mktemp -d)
    mirror=$(apt_mirror) || return 1
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s trixie main\n' "$mirror" >"$apt/sources.list"
    local options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -qq)
    apt-get "${options[@]}" update || return 1
    (cd "$apt" && apt-get "${options[@]}" download wasi-libc/trixie) || return 1
    rm -rf target/wasi-libc
    dpkg -x "$apt"/wasi-libc_*.deb target/wasi-libc
    rm -rf "$apt"
    [ -f target/wasi-libc/usr/lib/wasm32-wasip2/crt1-reactor.o ]
}

# The mirror that the system's own sources name.
apt_mirror() {
    local files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list)
    local found
    found=$(cat "${files[@]}" 2>/dev/null | grep -vE '^\s*#' | grep -oE 'https?://[^ ]+' | grep -v security | head -n 1)
    [ -n "$found" ] && printf '%s\n' "$found"
}

way=${PROVESI_WASM_TOOLCHAIN:-auto}
case $way in
auto)
    if with_rustup; then way=rustup
    elif say "rustup cannot add wasm32-wasip2; trying Debian's packages" && with_debian; then way=debian
    else die "no wasm toolchain: run 'rustup target add wasm32-wasip2' online, or use Debian 12 with a package mirror"; fi ;;
rustup) with_rustup || die "rustup cannot add wasm32-wasip2 here" ;;
debian) with_debian || die "Debian's rustc-web, rust-web-src or wasi-libc cannot be installed here" ;;
*) die "PROVESI_WASM_TOOLCHAIN = $way: rustup or debian" ;;
esac
printf '%s\n' "$way" >target/wasm-toolchain
say "wasm toolchain: $way"

if [ "${1:-}" = --tests ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    say "installing PostgreSQL for the tests"
    if ! { as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends postgresql; } >/dev/null 2>&1; then
        say "PostgreSQL cannot be installed here: tests on it will be skipped"
    fi
fi

if [ "${1:-}" = --tests ] && ! [ -x /usr/bin/redis-server ] && ! [ -x /usr/local/bin/redis-server ]; then
    say "installing Redis for the tests"
    # Without its service: the tests start their own, and a port that nobody asked for stays closed.
    if ! { as_root apt-get update -qq && as_root env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server; } >/dev/null 2>&1; then
        say "Redis cannot be installed here: tests on it will be skipped"
    fi
fi

if [ "${1:-}" = --tests ] && ! [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    say "installing RabbitMQ for the tests"
    if ! { as_root apt-get update -qq && as_root env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends rabbitmq-server; } >/dev/null 2>&1; then
        say "RabbitMQ cannot be installed here: tests on it will be skipped"
    fi
fi
