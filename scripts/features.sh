#!/usr/bin/env bash
# Checks that `make run` and `make test` share all that they compile: each dependency must have the same features in a
# build of the host and in the build of the tests, which has dev-dependencies too.
set -euo pipefail
cd "$(dirname "$0")/.."
features() { cargo tree --locked --prefix none --format '{p} [{f}]' "$@" | sed 's/ (\*)$//' | sort -u; }
run=$(features --edges no-dev)
tests=$(features --edges all --workspace --exclude 'fixture-*')
alone=$(comm -23 <(printf '%s\n' "$run") <(printf '%s\n' "$tests"))
if [ -n "$alone" ]; then
    echo "features: dev-dependencies change these; name in host/Cargo.toml what they add:" >&2
    echo "$alone" >&2
    exit 1
fi
