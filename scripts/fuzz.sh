#!/usr/bin/env bash
# Fuzzes what strangers' bytes come into first, one target after the other, and says how many inputs each one took.
#
#   scripts/fuzz.sh [target ...]            all five, a minute each
#   FUZZ_SECONDS=1800 scripts/fuzz.sh       half an hour each: what a release should have had
#
# It needs a nightly toolchain; with cargo-fuzz it uses that, without it the same flags. New inputs stay in fuzz/corpus,
# what fails in fuzz/artifacts; `cargo +nightly fuzz fmt|tmin|cmin` (with cargo-fuzz) make something of them.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(request response sql token deploy)

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "FUZZ_SECONDS = $seconds: a whole number of seconds"
for target in "${targets[@]}"; do
    [ -f "fuzz/fuzz_targets/$target.rs" ] || die "there is no target $target in fuzz/fuzz_targets"
done
command -v c++ >/dev/null || die "a C++ compiler is missing: install g++"
cargo +nightly --version >/dev/null 2>&1 || die "a nightly toolchain is missing: rustup toolchain install nightly --profile minimal"

# The same versions as the rest; what only the targets need is added to the copy.
cp Cargo.lock fuzz/Cargo.lock
host=$(rustc +nightly -vV | sed -n 's/^host: //p')

if cargo +nightly fuzz --version >/dev/null 2>&1; then
    build() { cargo +nightly fuzz build --target "$host" "$1"; }
else
    say "cargo-fuzz is not installed (cargo install cargo-fuzz); building with its flags"
    flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
    flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
    flags="$flags -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing"
    build() {
        RUSTFLAGS="$flags" cargo +nightly build --manifest-path fuzz/Cargo.toml --target-dir fuzz/target \
            --target "$host" --release --bin "$1"
    }
fi

status=0
mkdir -p target
results=target/fuzz-results
: >"$results"
for target in "${targets[@]}"; do
    say "$target: building"
    build "$target"
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    say "$target: $seconds s"
    outcome=passed
    ASAN_OPTIONS=detect_odr_violation=0 "fuzz/target/$host/release/$target" \
        -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" "fuzz/corpus/$target" "fuzz/seeds/$target" \
        >"target/fuzz-$target.log" 2>&1 || { outcome=FAILED status=1; tail -n 40 "target/fuzz-$target.log"; }
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "target/fuzz-$target.log" | tail -n 1)
    printf '%-10s %12s inputs  %s\n' "$target" "${count:-?}" "$outcome" | tee -a "$results"
done
echo
cat "$results"
[ "$status" = 0 ] || printf 'the inputs that fail are in fuzz/artifacts\n' >&2
exit "$status"
