//! Routes, snapshots and contracts: what a request looks up, and what a change of the services builds and checks.

use std::cell::LazyCell;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::Criterion;
use provesi::registry::{Live, Method, Party, Registry, RouteMatch, Snapshot, Ticket, breaches};

use super::rooms::Rooms;

/// Services of a small host and of a large one; each has five routes.
const SERVICES: [u32; 2] = [4, 1000];

/// Finds the route of a request, with a parameter to decode.
pub(crate) fn routes(criterion: &mut Criterion) {
    for services in SERVICES {
        // Made only if the filter lets the bench run: a thousand services take a while.
        let rooms = LazyCell::new(|| Rooms::of_tiny_services(services).expect("services that start"));
        criterion.bench_function(&format!("route: match, {services} services"), |bencher| {
            let snapshot = rooms.registry.snapshot();
            let (path, ticket) = (format!("/api/tiny-{}/17/", services / 2), Ticket::draw());
            let find = |path: &str| matches!(snapshot.routes().find(Method::Get, path, ticket), RouteMatch::Found(_));
            assert!(find(&path), "{path} is answered");
            bencher.iter(|| find(black_box(path.as_str())));
        });
        criterion.bench_function(
            &format!("snapshot: build with its checks and swap, {services} services"),
            |bencher| {
                let swapped = ArcSwap::from_pointee(Snapshot::default());
                bencher.iter(|| swapped.store(build(&rooms.registry)));
            },
        );
    }
}

/// Takes a snapshot, as each request does, and builds the next one of the demo.
pub(crate) fn snapshots(criterion: &mut Criterion, rooms: &Rooms) {
    criterion.bench_function("snapshot: taken and given back", |bencher| {
        bencher.iter(|| rooms.registry.snapshot());
    });
    criterion.bench_function("snapshot: build with its checks and swap, the demo", |bencher| {
        let swapped = ArcSwap::from_pointee(Snapshot::default());
        bencher.iter(|| swapped.store(build(&rooms.registry)));
    });
}

/// Checks all typed imports of the demo.
pub(crate) fn contracts(criterion: &mut Criterion, rooms: &Rooms) {
    let snapshot = rooms.registry.snapshot();
    let live = snapshot.services().flat_map(|(_, live)| Live::revisions(live));
    let parties: Vec<Party<'_>> = live
        .map(|(revision, _)| Party {
            service: revision.service.as_str(),
            label: revision.to_string(),
            compiled: revision.linked.compiled(),
        })
        .collect();
    criterion.bench_function("contract: check of the demo", |bencher| {
        bencher.iter(|| parties.iter().map(|consumer| breaches(consumer, black_box(&parties)).len()).sum::<usize>());
    });
}

fn build(registry: &Registry) -> Arc<Snapshot> {
    let next = Snapshot::build(registry.snapshot().to_services());
    Arc::new(next.expect("services that live together fit together"))
}
