#!/usr/bin/env bash
# Builds components into target/components/<name>.wasm with the toolchain that scripts/setup.sh has found.
#
#   scripts/components.sh [--fixtures]     --fixtures: the tests' own components too, into target/fixtures/
set -euo pipefail
cd "$(dirname "$0")/.."
way=$(cat target/wasm-toolchain)
# Another rustc makes other artifacts: each way has a folder of its own.
build=target/wasm-$way
out=${PROVESI_COMPONENTS_OUT:-target/components}
packages=(auth products inventory orders)
fixtures=()
[ "${1:-}" = --fixtures ] && for manifest in host/tests/fixtures/*/Cargo.toml; do
    fixtures+=("$(basename "$(dirname "$manifest")")")
done

arguments=(build --locked --profile component --target wasm32-wasip2)
for package in "${packages[@]}"; do arguments+=(-p "provesi-$package"); done
for fixture in "${fixtures[@]}"; do arguments+=(-p "fixture-$fixture"); done

export CARGO_TARGET_DIR=$build
if [ "$way" = debian ]; then
    sysroot=$(rustc --print sysroot)
    host=$(rustc -vV | sed -n 's/^host: //p')
    wasi=$PWD/target/wasi-libc/usr/lib/wasm32-wasip2
    export RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc
    export PATH="$sysroot/lib/rustlib/$host/bin:$sysroot/lib/rustlib/$host/bin/gcc-ld:$PATH"
    export CARGO_TARGET_WASM32_WASIP2_LINKER=wasm-component-ld
    export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-C link-self-contained=no -L native=$wasi -C link-arg=$wasi/crt1-reactor.o"
    arguments+=(-Zbuild-std=std,panic_abort)
fi
cargo "${arguments[@]}"

# A host may be reading the old file: each is replaced whole.
publish() {
    mkdir -p "$2"
    cp "$build/wasm32-wasip2/component/$1.wasm" "$2/.$1.new"
    mv "$2/.$1.new" "$2/$1.wasm"
}
for package in "${packages[@]}"; do publish "$package" "$out"; done
for fixture in "${fixtures[@]}"; do publish "fixture_${fixture//-/_}" target/fixtures; done
