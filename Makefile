.DEFAULT_GOAL := help
.PHONY: help run test soak fuzz components check audit smoke setup bench bench-deploys bench-events bench-isolation bench-scale counts

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: components ## Sets up what is missing, builds, and serves the demo on :8000
	@scripts/run.sh

test: ## Sets up what is missing, builds, and runs every test
	@scripts/setup.sh --tests
	@scripts/components.sh --fixtures
	@scripts/test.sh

soak: ## The proofs in full: kills, all trouble at once, swaps, mutants; over an hour (SOAK=crash:: for a part)
	@scripts/setup.sh --tests
	@scripts/components.sh --fixtures
	@scripts/soak.sh $(SOAK)

fuzz: ## Fuzzes what takes strangers' bytes; FUZZ_SECONDS a target, 60 unless set, 1800 for a release
	@scripts/fuzz.sh

components: setup ## Builds the four services into target/components
	@scripts/components.sh

check: ## What CI checks besides tests: format, features, lints, docs
	cargo fmt --all --check
	scripts/features.sh
	cargo clippy --locked --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --no-deps --workspace --document-private-items

bench: ## Measures requests against a native twin, with wrk; takes about an hour (BENCH_ROUNDS, BENCH_SECONDS, BENCH_ONLY)
	@scripts/setup.sh --tests
	@scripts/components.sh --fixtures
	cargo bench --locked -p provesi --bench compare

bench-deploys: setup ## Measures how long deploys take, and how much longer their neighbours do meanwhile
	@scripts/components.sh --fixtures
	cargo bench --locked -p provesi --bench deploys

bench-events: ## Measures events a second, their lag, and orders with and without; BENCH_SECONDS each, 5 unless set
	@scripts/setup.sh --tests
	@scripts/components.sh --fixtures
	cargo bench --locked -p provesi --bench events

bench-isolation: setup ## Measures what endless loops and a flood on one service do to others; BENCH_SECONDS a window, 5 unless set
	@scripts/components.sh --fixtures
	cargo bench --locked -p provesi --bench isolation

bench-scale: setup ## Measures 4, 100 and 1 000 services, connections and sizes; about ten minutes (BENCH_COPIES)
	@scripts/components.sh --fixtures
	cargo bench --locked -p provesi --bench scale

counts: ## Counts instructions under valgrind; fails on growth over 3 %, UPDATE=1 writes the baseline
	@scripts/counts.sh

audit: ## Licences, bans and sources of the dependencies; advisories where they can be fetched
	@scripts/audit.sh

smoke: components ## Starts a host, orders, sees the stock fall, deploys, rolls back
	cargo build --locked --release
	@scripts/smoke.sh

setup: ## Sets up the wasm toolchain
	@scripts/setup.sh
