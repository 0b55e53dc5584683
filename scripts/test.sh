#!/usr/bin/env bash
# Runs all tests and says how many ran on which database, and what was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
: >target/skipped-tests
log=target/test-output
status=0
# Two at a time: each test has a host of its own, and on PostgreSQL a server too.
cargo test --locked --release --workspace --exclude 'fixture-*' --no-fail-fast -- --test-threads=2 2>&1 | tee "$log" || status=$?
count() { grep -cE "$1" "$log" || true; }
echo
# A skipped test counts as passed for cargo.
skipped() { grep -cE "$1" target/skipped-tests || true; }
on() { echo $(($(count "::$1 \.\.\. ok\$") - $(skipped "::$1: "))); }
echo "on SQLite: $(on sqlite) passed; on PostgreSQL: $(on postgres) passed; on Redis: $(on redis) passed"
if [ -s target/skipped-tests ]; then
    echo "skipped: $(wc -l <target/skipped-tests), $(skipped 'no PostgreSQL') without PostgreSQL, $(skipped 'no Redis') without Redis, $(skipped 'no RabbitMQ') without RabbitMQ"
    sed 's/^/  /' target/skipped-tests
fi
echo "tests: $(count '^test .*\.\.\. ok$') passed, $(count '^test .*\.\.\. FAILED$') failed"
exit "$status"
