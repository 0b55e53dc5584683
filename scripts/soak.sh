#!/usr/bin/env bash
# Runs in full what every test run has in short: kills of a busy host and of one that is being changed, thousands of
# swaps under load, thousands of mutated components, and thousands of aborted transactions. One after the other, so that
# each has the machine for itself.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
: >target/skipped-tests
status=0
PROVESI_SOAK=1 cargo test --locked --release -p provesi --test it -- --nocapture --test-threads=1 crash:: swaps:: deployments::mutants:: aborts:: || status=$?
if [ -s target/skipped-tests ]; then
    echo "skipped: $(wc -l <target/skipped-tests)"
    sed 's/^/  /' target/skipped-tests
fi
exit "$status"
