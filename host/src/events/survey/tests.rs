//! What is not known holds up nobody, and is not taken for nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{BoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::db::outbox::create_outbox;
use crate::db::{Bounds, Storage, TransactionOptions};
use crate::events::{Courier, Event, Stats, prepare};
use crate::feed::Feed;

/// A subscriber of whom the broker never says what waits.
const MUTE: &str = "mute";

/// A broker that is only asked.
#[derive(Default)]
struct Asked(AtomicUsize);

impl Broker for Asked {
    fn publish<'a>(&'a self, _: &'a [Event]) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(std::future::pending())
    }

    fn run<'a>(&'a self, _: &'a Courier, _: &'a CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn redeliver<'a>(&'a self, _: &'a ServiceName, _: &'a Event) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(std::future::pending())
    }

    fn kind(&self) -> &'static str {
        "asked"
    }

    fn reach(&self, _: Instant) -> BoxFuture<'_, Reach> {
        Box::pin(std::future::ready(Reach::Connected))
    }

    fn depth<'a>(
        &'a self,
        subscriber: &'a ServiceName,
        _: Instant,
    ) -> BoxFuture<'a, Result<Option<Depth>, BrokerError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if subscriber.as_str() == MUTE {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(Ok(Some(Depth::of(3, None)))))
    }
}

struct Case {
    survey: Survey,
    broker: Arc<Asked>,
    dead: Arc<DeadLetters>,
    _folder: tempfile::TempDir,
}

fn name(text: &str) -> ServiceName {
    text.parse().expect("a name")
}

async fn open(folder: &std::path::Path, owner: &str) -> Arc<Database> {
    let storage = Storage::sqlite(folder.to_owned(), Duration::from_secs(30)).expect("a folder");
    let bounds = Bounds {
        connections: 2,
        result_bytes: 1 << 20,
        statement_bytes: 64 << 10,
        params_bytes: 1 << 20,
        statement_timeout: Duration::from_secs(30),
    };
    Arc::new(storage.open(owner, bounds).await.expect("opens"))
}

async fn outbox(folder: &std::path::Path, owner: &str) -> Arc<Database> {
    let database = open(folder, owner).await;
    create_outbox(&database).await.expect("makes it");
    database
}

/// Makes a survey of members, each with its outbox, if it has one, and whether it subscribes.
async fn case(members: Vec<(&'static str, Option<Arc<Database>>, bool)>) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let own = open(folder.path(), "host").await;
    prepare(&own).await.expect("makes the tables");
    case_on(own, folder, members)
}

fn case_on(
    own: Arc<Database>,
    folder: tempfile::TempDir,
    members: Vec<(&'static str, Option<Arc<Database>>, bool)>,
) -> Case {
    let dead = Arc::new(DeadLetters::new(own, Arc::new(Feed::new()), Arc::new(Stats::default())));
    let broker = Arc::new(Asked::default());
    let members: BTreeMap<ServiceName, Member> = members
        .into_iter()
        .map(|(service, outbox, subscribes)| (name(service), Member { outbox, subscribes }))
        .collect();
    let asked = Arc::clone(&broker) as Arc<dyn Broker>;
    let survey = Survey::new(Arc::clone(&dead), asked, Box::new(move || members.clone()));
    Case { survey, broker, dead, _folder: folder }
}

#[tokio::test]
async fn what_does_not_answer_is_unknown_and_holds_up_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let (busy, idle) = (outbox(folder.path(), "busy").await, outbox(folder.path(), "idle").await);
    let reads = TransactionOptions { writes: false, serializable: false };
    let held = busy.begin(reads).await.expect("the only connection that reads");
    let case = case(vec![("busy", Some(busy), false), ("idle", Some(idle), true), (MUTE, None, true)]).await;
    let found = tokio::time::timeout(15 * SURVEY_TIMEOUT, case.survey.take()).await.expect("it is bounded");
    drop(held);
    assert_eq!(found.broker, BrokerState { kind: "asked", reach: Reach::Connected });
    let dead_letters = Some(0);
    assert_eq!(found.services[&name("busy")], Standing { dead_letters, ..Standing::default() });
    assert_eq!(found.services[&name(MUTE)], Standing { dead_letters, ..Standing::default() });
    let (outbox, deliveries) = (Some(Depth::of(0, None)), Some(Depth::of(3, None)));
    assert_eq!(found.services[&name("idle")], Standing { outbox, deliveries, dead_letters });
}

#[tokio::test]
async fn dead_letters_are_told_of_services_that_have_nothing_to_do_with_events_any_more() {
    let case = case(vec![("b", None, true)]).await;
    let event = Event {
        id: "e-1".to_owned(),
        topic: "a.said".to_owned(),
        key: "k".to_owned(),
        source: name("a"),
        time_us: 1,
        payload: b"1".to_vec(),
    };
    case.dead.bury(&name("gone"), &event, 3, "no").await.expect("buries");
    let found = case.survey.take().await;
    let dead_letters = |service: &str| found.services[&name(service)].dead_letters;
    assert_eq!((dead_letters("b"), dead_letters("gone")), (Some(0), Some(1)));
    assert_eq!(found.services.len(), 2);
}

#[tokio::test]
async fn dead_letters_that_cannot_be_counted_are_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    // It has no tables.
    let own = open(folder.path(), "host").await;
    let case = case_on(own, folder, vec![("b", None, true)]);
    let found = case.survey.take().await;
    assert_eq!(found.services[&name("b")].dead_letters, None);
}

#[tokio::test]
async fn many_who_ask_at_once_get_one_answer() {
    const ASKING: usize = 50;
    let case = case(vec![("b", None, true)]).await;
    let found = join_all((0..ASKING).map(|_| case.survey.take())).await;
    assert!(found.iter().all(|found| found.services[&name("b")].deliveries.is_some()));
    // One, and one more wherever a busy machine has paused for as long as an answer is told again.
    let asked = case.broker.0.load(Ordering::SeqCst);
    assert!(asked < ASKING / 2, "{asked} times");
}
