#!/usr/bin/env bash
# Runs in full what every test run has in short: kills of a busy host and of one that is being changed, all kinds of
# trouble at once, thousands of swaps under load, thousands of mutated components, and thousands of aborted
# transactions. One after the other, so that each has the machine for itself.
#
#   scripts/soak.sh                        all of it, about an hour and a half
#   scripts/soak.sh crash:: events::       parts, by the names of the tests
#
# What is printed begins with a seed; PROVESI_SOAK_SEED repeats the choices of a run.
set -euo pipefail
cd "$(dirname "$0")/.."
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(crash:: events::kills:: swaps:: deployments::mutants:: aborts::)
mkdir -p target
: >target/skipped-tests
log=target/soak-output
status=0
PROVESI_SOAK=1 cargo test --locked --release -p provesi --test it -- --nocapture --test-threads=1 "${parts[@]}" 2>&1 |
    tee "$log" || status=$?
# A part that is misspelt would pass.
if [ "$status" = 0 ] && ! grep -qE '^test result: ok\. [1-9]' "$log"; then
    echo "soak: no test is named like ${parts[*]}" >&2
    status=1
fi
if [ -s target/skipped-tests ]; then
    echo "skipped: $(wc -l <target/skipped-tests)"
    sed 's/^/  /' target/skipped-tests
fi
exit "$status"
