//! Deliveries on SQLite, with a subscriber that does as it is told; `tests/it` has real ones, on both databases.

mod hosts;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::db::{Bounds, Storage};
use crate::events::{
    Attempts, Current, DeadLetter, DeadLetterPage, DeadLetters, Deliver, DeliveryError, Stats, prepare,
};
use crate::feed::Feed;

/// Longest wait for what has to come.
const SOON: Duration = Duration::from_secs(60);

/// An event that panics, and one that takes until that has happened twice.
const PANICS: &str = "panics";
const PATIENT: &str = "patient";

/// Remembers what it got, and fails as often as it was told.
#[derive(Default)]
struct Subscriber {
    got: Mutex<Vec<(String, u32)>>,
    fails: Mutex<HashMap<String, u32>>,
    busy: Mutex<u32>,
    /// Texts of all attempts that have begun.
    begun: Mutex<Vec<String>>,
    /// Keys of which no event comes to its end.
    held: Mutex<BTreeSet<String>>,
    /// Texts that its host does not know it to subscribe to, because it lags behind.
    unknown: Mutex<BTreeSet<String>>,
    /// What has had an effect, in that order: what comes twice has one, as by the inbox of a service.
    effects: Arc<Mutex<Vec<String>>>,
    panics: AtomicU32,
}

impl Deliver for Subscriber {
    fn deliver<'a>(
        &'a self,
        _: &'a ServiceName,
        event: &'a Event,
        attempt: u32,
    ) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            if !self.has_room() {
                return Err(DeliveryError::Unavailable("no room".to_owned()));
            }
            let text = String::from_utf8(event.payload.clone()).expect("a text");
            self.begun.lock().expect("no panic").push(text.clone());
            if self.is_unknown(&text) {
                return Err(DeliveryError::Lagging);
            }
            if self.is_held(&event.key) {
                std::future::pending::<()>().await;
            }
            if text == PANICS {
                self.panics.fetch_add(1, Ordering::SeqCst);
                panic!("on purpose");
            }
            while text == PATIENT && self.panics.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let mut fails = self.fails.lock().expect("no panic");
            if let Some(left) = fails.get_mut(&text).filter(|left| **left > 0) {
                *left -= 1;
                return Err(DeliveryError::Failed("told to".to_owned()));
            }
            let mut effects = self.effects.lock().expect("no panic");
            if !effects.contains(&text) {
                effects.push(text.clone());
            }
            self.got.lock().expect("no panic").push((text, attempt));
            Ok(())
        })
    }
}

impl Subscriber {
    fn has_room(&self) -> bool {
        let mut busy = self.busy.lock().expect("no panic");
        let has_room = *busy == 0;
        *busy = busy.saturating_sub(1);
        has_room
    }

    fn is_unknown(&self, text: &str) -> bool {
        self.unknown.lock().expect("no panic").contains(text)
    }

    fn is_held(&self, key: &str) -> bool {
        self.held.lock().expect("no panic").contains(key)
    }
}

struct Always(Vec<ServiceName>);

impl Current for Always {
    fn is_current(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

impl Current for Subscriber {
    fn is_current(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

impl Directory for Always {
    fn subscribers(&self, topic: &str) -> Vec<ServiceName> {
        if topic == "a.said" { self.0.clone() } else { Vec::new() }
    }

    fn topics(&self, _: &ServiceName) -> Vec<String> {
        vec!["a.said".to_owned()]
    }
}

struct Case {
    broker: Embedded,
    subscriber: Arc<Subscriber>,
    courier: Courier,
    database: Arc<Database>,
    folder: Arc<tempfile::TempDir>,
}

async fn case(attempts: u32) -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = Storage::sqlite(folder.path().to_owned(), Duration::from_secs(10)).expect("a folder");
    let bounds = Bounds {
        connections: 4,
        result_bytes: 16 << 20,
        statement_bytes: 64 << 10,
        params_bytes: 1 << 20,
        statement_timeout: Duration::from_secs(10),
    };
    let database = Arc::new(storage.open("host", bounds).await.expect("opens"));
    prepare(&database).await.expect("makes the tables");
    host(Arc::new(folder), database, Subscriber::default(), attempts).await
}

/// Starts a host; on SQLite all leases that others hold are free from then on.
async fn host(folder: Arc<tempfile::TempDir>, database: Arc<Database>, subscriber: Subscriber, attempts: u32) -> Case {
    let leases = Arc::new(Leases::open(Arc::clone(&database)).await.expect("opens"));
    let (wakes, stats) = (Arc::new(Wakes::new(Arc::clone(&database))), Arc::new(Stats::default()));
    let dead = Arc::new(DeadLetters::new(Arc::clone(&database), Arc::new(Feed::new()), Arc::clone(&stats)));
    let (name, subscriber): (ServiceName, _) = ("b".parse().expect("a name"), Arc::new(subscriber));
    let courier = Courier {
        subscriber: name.clone(),
        topics: vec!["a.said".to_owned()],
        deliver: Arc::clone(&subscriber) as Arc<dyn Deliver>,
        attempts: Attempts(attempts),
        dead,
        stats,
        unavailable: Arc::default(),
    };
    let broker = Embedded::new(Arc::clone(&database), Arc::new(Always(vec![name])), leases, wakes);
    Case { broker, subscriber, courier, database, folder }
}

fn event(number: u32, key: &str, text: &str) -> Event {
    Event {
        id: format!("id-{number}"),
        topic: "a.said".to_owned(),
        key: key.to_owned(),
        source: "a".parse().expect("a name"),
        time_us: 1,
        payload: text.as_bytes().to_vec(),
    }
}

/// How long deliveries run.
#[derive(Clone, Copy)]
enum Until {
    /// As many have been handled.
    Handled(usize),
    /// Nothing waits any more.
    Empty,
}

impl Case {
    /// Runs deliveries; returns all that has been handled, in its order.
    async fn deliver(&self, until: Until) -> Vec<(String, u32)> {
        let stop = CancellationToken::new();
        let enough = async {
            loop {
                let over = match until {
                    Until::Handled(count) => self.got().len() >= count,
                    Until::Empty => {
                        let soon = Instant::now() + Duration::from_secs(60);
                        let depth = self.broker.store.depth(&self.courier.subscriber, soon).await;
                        depth.expect("counts") == Depth::of(0, None)
                    }
                };
                if over {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = async {
            tokio::select! {
                () = self.broker.run(&self.courier, &stop) => panic!("it has ended by itself"),
                () = enough => {}
            }
        };
        tokio::time::timeout(SOON, ended).await.expect("all are delivered");
        self.got()
    }

    fn got(&self) -> Vec<(String, u32)> {
        self.subscriber.got.lock().expect("no panic").clone()
    }

    fn fail(&self, text: &str, times: u32) {
        self.subscriber.fails.lock().expect("no panic").insert(text.to_owned(), times);
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let page = DeadLetterPage { limit: 10, ..DeadLetterPage::default() };
        self.courier.dead.list(&page).await.expect("lists")
    }
}

fn of<'g>(got: &'g [(String, u32)], prefix: &str) -> Vec<&'g str> {
    got.iter().map(|(text, _)| text.as_str()).filter(|text| text.starts_with(prefix)).collect()
}

#[tokio::test]
async fn what_is_published_twice_is_delivered_once_and_in_order() {
    let case = case(3).await;
    let events: Vec<Event> =
        (0..300).map(|n| event(n, &format!("k{}", n % 3), &format!("k{} {n:03}", n % 3))).collect();
    for batch in events.chunks(100) {
        case.broker.publish(batch).await.expect("takes them");
        case.broker.publish(batch).await.expect("knows them");
    }
    let got = case.deliver(Until::Empty).await;
    assert_eq!(got.len(), 300);
    for key in ["k0", "k1", "k2"] {
        let texts = of(&got, key);
        assert_eq!(texts.len(), 100);
        assert!(texts.is_sorted(), "{key}: {texts:?}");
    }
}

#[tokio::test]
async fn a_key_with_much_to_do_takes_no_place_of_others() {
    let case = case(3).await;
    case.subscriber.held.lock().expect("no panic").insert("hot".to_owned());
    let hot: Vec<Event> = (0..300).map(|n| event(n, "hot", &format!("hot {n:03}"))).collect();
    case.broker.publish(&hot).await.expect("takes them");
    case.broker.publish(&[event(300, "a", "a1"), event(301, "z", "z1")]).await.expect("takes them");
    let mut got = case.deliver(Until::Handled(2)).await;
    got.sort();
    assert_eq!(got, [("a1".to_owned(), 1), ("z1".to_owned(), 1)]);
    case.subscriber.held.lock().expect("no panic").clear();
    let got = case.deliver(Until::Empty).await;
    let texts = of(&got, "hot");
    assert_eq!(texts.len(), 300);
    assert!(texts.is_sorted(), "{texts:?}");
}

#[tokio::test]
async fn keys_that_one_read_does_not_reach_have_their_turn() {
    let case = case(3).await;
    let events: Vec<Event> =
        (0..400).map(|n| event(n, &format!("k{:03}", n % 200), &format!("k{:03} {}", n % 200, n / 200))).collect();
    case.broker.publish(&events).await.expect("takes them");
    let got = case.deliver(Until::Empty).await;
    assert_eq!(got.len(), 400);
    for key in 0..200 {
        let texts = of(&got, &format!("k{key:03} ")).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(texts, [format!("k{key:03} 0"), format!("k{key:03} 1")]);
    }
}

#[tokio::test]
async fn deliveries_of_a_host_that_knows_no_lanes_are_found() {
    let case = case(3).await;
    case.broker.publish(&[event(1, "x", "x1"), event(2, "x", "x2")]).await.expect("takes them");
    case.database.execute("UPDATE deliveries SET lane = NULL", &[]).await.expect("stores");
    case.broker.publish(&[event(3, "x", "x3")]).await.expect("takes it");
    let got = case.deliver(Until::Empty).await;
    assert_eq!(of(&got, "x"), ["x1", "x2", "x3"], "the lane begins with what had none");
}

#[tokio::test]
async fn a_delivery_that_panics_ends_no_other_and_is_no_attempt() {
    let case = case(1).await;
    case.broker.publish(&[event(1, "x", PANICS), event(2, "y", PATIENT)]).await.expect("takes them");
    assert_eq!(case.deliver(Until::Handled(1)).await, [(PATIENT.to_owned(), 1)]);
    let begun = case.subscriber.begun.lock().expect("no panic").clone();
    assert_eq!(begun.iter().filter(|text| *text == PATIENT).count(), 1, "{begun:?}");
    assert!(case.letters().await.is_empty());
}

#[tokio::test]
async fn an_event_that_fails_stalls_its_key_and_no_other() {
    let case = case(u32::MAX).await;
    case.fail("x1", u32::MAX);
    let events = [event(1, "x", "x1"), event(2, "x", "x2"), event(3, "y", "y1"), event(4, "y", "y2")];
    case.broker.publish(&events).await.expect("takes them");
    let got = case.deliver(Until::Handled(2)).await;
    assert_eq!(got, [("y1".to_owned(), 1), ("y2".to_owned(), 1)]);
    case.fail("x1", 0);
    let got = case.deliver(Until::Empty).await;
    assert_eq!(of(&got, "x"), ["x1", "x2"]);
    let (_, attempt) = got.iter().find(|(text, _)| text == "x1").expect("it was handled");
    assert!(*attempt > 1, "the attempts before are counted: {got:?}");
    assert!(case.letters().await.is_empty());
}

#[tokio::test]
async fn after_the_last_attempt_the_key_goes_on_without_the_event() {
    let case = case(2).await;
    case.fail("x1", 2);
    case.broker.publish(&[event(1, "x", "x1"), event(2, "x", "x2")]).await.expect("takes them");
    let got = case.deliver(Until::Empty).await;
    assert_eq!(got, [("x2".to_owned(), 1)]);
    let letters = case.letters().await;
    assert_eq!(letters.len(), 1);
    let letter = case.courier.dead.find(letters[0].id).await.expect("reads").expect("it is there");
    assert_eq!((letter.event, letter.attempts, letter.reason.as_str()), (event(1, "x", "x1"), 2, "told to"));
    case.courier.dead.replay(letter.id, &case.broker).await.expect("replays").expect("it is there");
    assert!(case.letters().await.is_empty());
    let got = case.deliver(Until::Empty).await;
    assert_eq!(got[1], ("x1".to_owned(), 1), "all attempts anew");
    assert!(case.courier.dead.replay(letter.id, &case.broker).await.expect("answers").is_none());
}

#[tokio::test]
async fn a_subscriber_without_room_loses_no_attempt() {
    let case = case(1).await;
    *case.subscriber.busy.lock().expect("no panic") = 3;
    case.broker.publish(&[event(1, "x", "x1")]).await.expect("takes it");
    assert_eq!(case.deliver(Until::Empty).await, [("x1".to_owned(), 1)]);
    assert!(case.letters().await.is_empty());
}

#[tokio::test]
async fn an_event_without_subscribers_is_kept_by_nobody() {
    let case = case(1).await;
    let nobodys = Event { topic: "a.meant".to_owned(), ..event(1, "x", "x1") };
    case.broker.publish(&[nobodys, event(2, "x", "x2")]).await.expect("takes them");
    assert_eq!(case.deliver(Until::Empty).await, [("x2".to_owned(), 1)]);
}
