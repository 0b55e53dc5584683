//! Times what a request is made of, piece by piece, on one thread, in release code of the library.
//!
//! A piece that nothing public reaches alone is measured through the nearest function that is; its name says what the
//! number contains, and the difference to its neighbour is the piece.
//!
//! Not here: throughput, and what many connections do to each other (see `compare`).

mod calls;
mod databases;
mod rooms;
mod routing;
#[path = "../support/services.rs"]
mod services;
mod tiny;

use std::hint::black_box;

use criterion::Criterion;
use provesi::identity::Claims;

use self::rooms::Rooms;

/// As in the host: what is timed makes hundreds of small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let rooms = Rooms::demo()?;
    routing::routes(&mut criterion);
    routing::snapshots(&mut criterion, &rooms);
    routing::contracts(&mut criterion, &rooms);
    calls::instances(&mut criterion, &rooms);
    calls::bytes(&mut criterion, &rooms);
    calls::hop(&mut criterion, &rooms);
    databases::layers(&mut criterion, &rooms)?;
    tokens(&mut criterion, &rooms)?;
    criterion.final_summary();
    Ok(())
}

/// What the gateway does with a bearer token.
fn tokens(criterion: &mut Criterion, rooms: &Rooms) -> anyhow::Result<()> {
    let claims = Claims { user_id: 1, username: "operario".to_owned(), role: "OPERARIO".to_owned(), ttl_seconds: 3600 };
    let token = rooms.identity.issue(&claims)?.text;
    criterion.bench_function("token: check of a JWT", |bencher| {
        bencher.iter(|| rooms.identity.verify(black_box(token.as_str())).expect("a token that was just signed"));
    });
    Ok(())
}
