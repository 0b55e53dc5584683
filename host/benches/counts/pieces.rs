//! The pieces that are counted, each run as often as makes its first steps unimportant.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use arc_swap::ArcSwap;
use provesi::db::{Caller, PackedRows, SqlError, Value};
use provesi::identity::Claims;
use provesi::registry::{Method, Party, RouteMatch, Snapshot, Ticket, breaches};

use super::rooms::{ROWS, Rooms, SERVICES};
use super::say;

/// The function within which callgrind collects; compilers may add to a name.
pub(crate) const COUNTED: &str = "counts::pieces::counted*";

/// The function after which callgrind writes down what it has collected.
pub(crate) const COLLECTED: &str = "counts::pieces::collected*";

/// Runs before those that are counted: lazy values are made, caches filled.
const WARM_UP: u32 = 3;

/// What a service asks for when it lists things.
const LIST: &str = "SELECT t.id, t.name, t.description, t.sku, t.supplier, t.supplier_name, t.unit_price, \
    t.cost_price, t.category, t.min_stock, t.max_stock, t.is_active, t.is_special, t.created_at, t.updated_at \
    FROM things t WHERE t.is_active = $1 ORDER BY t.name, t.id";

/// All pieces of some rooms.
pub(crate) struct Pieces<'r>(Vec<Piece<'r>>);

struct Piece<'r> {
    name: String,
    times: u32,
    run: Box<dyn FnMut() + 'r>,
}

impl<'r> Pieces<'r> {
    /// Makes the pieces; each is seen to do what its name says.
    pub(crate) fn of(rooms: &'r Rooms) -> anyhow::Result<Self> {
        let mut pieces = Self(Vec::new());
        pieces.routes(rooms)?;
        pieces.snapshots(rooms);
        pieces.contracts(rooms)?;
        pieces.tokens(rooms)?;
        pieces.statements(rooms)?;
        Ok(pieces)
    }

    /// Runs them all, and says of each how often it ran and what it is called.
    pub(crate) fn run(self) {
        for Piece { name, times, mut run } in self.0 {
            (0..WARM_UP).for_each(|_| run());
            counted(black_box(&mut *run), black_box(times));
            say(&format!("{times} {name}"));
        }
    }

    fn add(&mut self, name: &str, times: u32, run: impl FnMut() + 'r) {
        self.0.push(Piece { name: name.to_owned(), times, run: Box::new(run) });
    }

    fn routes(&mut self, rooms: &'r Rooms) -> anyhow::Result<()> {
        let (snapshot, ticket) = (rooms.registry.snapshot(), Ticket::of("counts"));
        let path = format!("/api/tiny-{}/17/", SERVICES / 2);
        let find = move |path: &str| matches!(snapshot.routes().find(Method::Get, path, ticket), RouteMatch::Found(_));
        ensure!(find(&path), "{path} has no route");
        let missing = path.replace("17", "no-number");
        ensure!(!find(&missing), "{missing} has a route");
        let again = find.clone();
        self.add("route: match, with a parameter", 1000, move || {
            black_box(find(black_box(path.as_str())));
        });
        self.add("route: no match", 1000, move || {
            black_box(again(black_box(missing.as_str())));
        });
        Ok(())
    }

    fn snapshots(&mut self, rooms: &'r Rooms) {
        self.add("snapshot: taken and given back", 1000, move || {
            black_box(rooms.registry.snapshot());
        });
        let swapped = ArcSwap::from_pointee(Snapshot::default());
        self.add(&format!("snapshot: build with its checks and swap, {SERVICES} services"), 5, move || {
            let next = Snapshot::build(rooms.registry.snapshot().to_services());
            swapped.store(Arc::new(next.expect("services that live together fit together")));
        });
    }

    fn contracts(&mut self, rooms: &'r Rooms) -> anyhow::Result<()> {
        let parties = rooms.typed.iter();
        let parties: Vec<Party<'r>> =
            parties.map(|(name, compiled)| Party { service: name, label: (*name).to_owned(), compiled }).collect();
        let check = move || parties.iter().map(|consumer| breaches(consumer, black_box(&parties)).len()).sum::<usize>();
        ensure!(check() == 0, "the demo does not fit together");
        self.add("contract: check of the demo", 20, move || {
            black_box(check());
        });
        Ok(())
    }

    fn tokens(&mut self, rooms: &'r Rooms) -> anyhow::Result<()> {
        let (username, role) = ("operario".to_owned(), "OPERARIO".to_owned());
        let token = rooms.identity.issue(&Claims { user_id: 1, username, role, ttl_seconds: 3600 })?.text;
        self.add("token: check of a JWT", 10, move || {
            black_box(rooms.identity.verify(black_box(token.as_str())).expect("a token that was just signed"));
        });
        Ok(())
    }

    fn statements(&mut self, rooms: &'r Rooms) -> anyhow::Result<()> {
        let refused = move || {
            let caller = Caller::Guest { until: Instant::now() + Duration::from_secs(60) };
            rooms.tokio.block_on(rooms.database.query_for(caller, black_box(LIST), &[]))
        };
        ensure!(matches!(refused(), Err(SqlError::Invalid(_))), "a statement without its parameter is not refused");
        self.add("sql: a guest's statement is read, and refused for want of a parameter", 200, move || {
            black_box(refused().is_err());
        });
        let list = move || -> Result<PackedRows, SqlError> {
            rooms.tokio.block_on(rooms.database.query(black_box(LIST), &[Value::Boolean(true)]))
        };
        ensure!(list()?.count == ROWS, "the list has not {ROWS} rows");
        self.add("sql: 20 rows of 15 cells, what the asking thread does", 50, move || {
            black_box(list().expect("rows"));
        });
        Ok(())
    }
}

/// Runs a piece a number of times: what callgrind collects, on this thread alone.
#[inline(never)]
fn counted(piece: &mut dyn FnMut(), times: u32) {
    for _ in 0..times {
        piece();
    }
    collected(times);
}

/// Ends one count and begins the next.
#[inline(never)]
fn collected(times: u32) {
    black_box(times);
}
