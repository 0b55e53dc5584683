#!/usr/bin/env bash
# Counts the instructions of a request's pieces under valgrind; what has grown by over 3 % since the committed baseline
# is an error that names it. Without valgrind it says so, and that is none.
#
#   scripts/counts.sh              compares with host/benches/counts/baseline.txt
#   UPDATE=1 scripts/counts.sh     writes it
set -euo pipefail
cd "$(dirname "$0")/.."
if ! valgrind --version >/dev/null 2>&1; then
    echo "counts: valgrind is not installed (apt-get install valgrind): nothing was counted"
    exit 0
fi
if [ ! -f target/components/orders.wasm ] || [ ! -f target/fixtures/fixture_hop.wasm ]; then
    scripts/setup.sh
    scripts/components.sh --fixtures
fi
arguments=()
[ -z "${UPDATE:-}" ] || arguments+=(--update)
cargo bench --locked -p provesi --bench counts -- "${arguments[@]}"
