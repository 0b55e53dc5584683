//! Instances and calls, without a database.

use std::sync::Arc;

use criterion::Criterion;
use provesi::bindings::exports::provesi::platform::service::Request;
use provesi::dispatch::View;
use provesi::names::RequestId;

use super::rooms::{Rooms, invocation, request};

/// Bytes of an answer of twenty products.
const BYTES: usize = 8_000;

/// Makes instances that do nothing, and next to nothing.
pub(crate) fn instances(criterion: &mut Criterion, rooms: &Rooms) {
    let id = RequestId::generate();
    let hello = rooms.revision("hello").expect("hello is live");
    criterion.bench_function("instance: make, describe itself, drop (hello)", |bencher| {
        bencher
            .to_async(&rooms.tokio)
            .iter(|| async { hello.linked.describe(invocation(&id)).await.expect("a description") });
    });
    let none = Rooms::of_tiny_services(1).expect("a service that starts");
    let tiny = none.revision("tiny-0").expect("it is live");
    criterion.bench_function("instance: make, lift 5 constant routes, drop (a component without code)", |bencher| {
        bencher
            .to_async(&none.tokio)
            .iter(|| async { tiny.linked.describe(invocation(&id)).await.expect("a description") });
    });
    let view = rooms.view("hello").expect("hello is live");
    handle(
        criterion,
        rooms,
        "call: hello (permit, fresh instance, call, check of the answer)",
        &view,
        &request("hello", &[], Vec::new()),
    );
}

/// Moves as many bytes as twenty products have: the difference to hello is lowering or lifting, and a guest's work.
pub(crate) fn bytes(criterion: &mut Criterion, rooms: &Rooms) {
    let view = rooms.view("hello").expect("hello is live");
    let size = BYTES.to_string();
    let lifted = request("hello-of-a-size", &[("bytes", size.as_str())], Vec::new());
    handle(criterion, rooms, "call: hello that makes 8 kB, which are lifted", &view, &lifted);
    let lowered = request("hello", &[], vec![b'x'; BYTES]);
    handle(criterion, rooms, "call: hello that is given 8 kB, which are lowered", &view, &lowered);
}

/// Calls a service that calls hello through its typed interface.
pub(crate) fn hop(criterion: &mut Criterion, rooms: &Rooms) {
    let view = rooms.view("hop").expect("hop is live");
    let request = request("hop", &[], Vec::new());
    handle(criterion, rooms, "call: hop, which calls hello (two fresh instances)", &view, &request);
}

/// Times one request through `dispatch`.
pub(crate) fn handle(criterion: &mut Criterion, rooms: &Rooms, name: &str, view: &View, request: &Request) {
    let (id, request) = (RequestId::generate(), Arc::new(request.clone()));
    criterion.bench_function(name, |bencher| {
        bencher.to_async(&rooms.tokio).iter(|| async {
            let answer =
                rooms.dispatch.handle(view.clone(), id.clone(), Arc::clone(&request)).await.expect("an answer");
            assert_eq!(answer.status.as_u16(), 200);
            answer
        });
    });
}
