//! Reads what waits for a subscriber: of each lane only its oldest, so that no lane takes the place of others.
//!
//! The index `deliveries_lane (subscriber, lane, event_seq)` leads from one lane to the next and to the oldest of each,
//! so a read costs the same however much waits. What is read of a lane is never more than what comes before the rest.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Event, Lane};
use crate::db::{Cell, Database, SqlError, Value};
use crate::names::ServiceName;

/// Lanes that one read looks at.
const LANES: usize = 64;

/// Deliveries of one lane that one read looks at, and so those of one lane in memory.
const OF_LANE: usize = 8;

/// Deliveries that one read takes, at most.
const TAKEN: usize = 128;

/// Payload bytes that one read takes; one delivery more is always taken.
const TAKEN_BYTES: i64 = 4 << 20;

/// Events that one statement reads.
const EVENTS: usize = 64;

/// Deliveries without a lane that one statement gives one.
const ADOPTED: u64 = 1000;

/// Longer than any wait that a failure makes: a stalled key that should wait longer waits for a clock that has been
/// put back since.
pub(super) const LONGEST_STALL_US: i64 = 60_000_000;

/// An event that waits for one subscriber.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) seq: i64,
    /// How often the subscriber has failed at it.
    pub(super) failures: u32,
    pub(super) event: Event,
}

/// Where a read looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the first lanes, in the order of their names.
    First,
    /// At those that follow another one.
    After(String),
    /// At one lane.
    Of(Lane),
}

/// What a lane has besides what was read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// Perhaps more.
    More,
    /// Nothing of it may run for this time.
    Stalled(Duration),
}

/// What one read has found.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What is not in memory yet, each lane in its order.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) lanes: Vec<(Lane, Rest)>,
    /// The last lane that was looked at, when others follow.
    pub(super) passed: Option<String>,
}

/// Reads the heads of lanes.
pub(super) struct Heads {
    database: Arc<Database>,
    walk: String,
    one: String,
    events: String,
}

/// One of the oldest deliveries of a lane.
#[derive(Clone, Debug)]
struct Head {
    lane: String,
    seq: i64,
    failures: u32,
    bytes: i64,
    /// When the lane may go on, and the time by the same clock.
    until_us: Option<i64>,
    now_us: i64,
}

/// What is taken of heads.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// Places and failures of what is to be read.
    taken: Vec<(i64, u32)>,
    lanes: Vec<(Lane, Rest)>,
    passed: Option<String>,
}

// === impl Heads ===

impl Heads {
    pub(super) fn new(database: Arc<Database>) -> Self {
        let walk = format!(
            "WITH RECURSIVE walk (lane, n) AS (SELECT (SELECT f.lane FROM deliveries f WHERE f.subscriber = $1 \
             AND f.lane > $2 ORDER BY f.lane LIMIT 1), 1 UNION ALL SELECT (SELECT f.lane FROM deliveries f \
             WHERE f.subscriber = $1 AND f.lane > walk.lane ORDER BY f.lane LIMIT 1), n + 1 FROM walk \
             WHERE lane IS NOT NULL AND n < {LANES}) SELECT lane FROM walk WHERE lane IS NOT NULL"
        );
        let one = "SELECT CAST($2 AS TEXT) AS lane";
        let places: Vec<String> = (1..=EVENTS).map(|place| format!("${place}")).collect();
        let events = format!(
            "SELECT seq, id, topic, key, source, time_us, payload FROM events WHERE seq IN ({})",
            places.join(", ")
        );
        Self { walk: of_lanes(&database, &walk), one: of_lanes(&database, one), events, database }
    }

    /// Reads the oldest that waits at a place, without what is known already and what stalls.
    pub(super) async fn read(
        &self,
        subscriber: &ServiceName,
        place: &Place,
        known: &BTreeSet<i64>,
    ) -> Result<Window, SqlError> {
        let mut heads = self.look(subscriber, place).await?;
        // Where one has no lane yet, what was read of its lane may be what comes after it.
        while self.adopt(subscriber).await? {
            heads = self.look(subscriber, place).await?;
        }
        let choice = choose(&heads, known);
        let mut events = self.events(&choice.taken).await?;
        let delivery = |(seq, failures): (i64, u32)| Some(Delivery { seq, failures, event: events.remove(&seq)? });
        let deliveries = choice.taken.into_iter().filter_map(delivery).collect();
        // After one lane that was asked for by its name, no others follow.
        let passed = choice.passed.filter(|_| !matches!(place, Place::Of(_)));
        Ok(Window { deliveries, lanes: choice.lanes, passed })
    }

    async fn look(&self, subscriber: &ServiceName, place: &Place) -> Result<Vec<Head>, SqlError> {
        let (statement, lane) = match place {
            Place::First => (&self.walk, String::new()),
            Place::After(passed) => (&self.walk, passed.clone()),
            Place::Of(lane) => (&self.one, lane.to_string()),
        };
        let params = [Value::Text(subscriber.to_string()), Value::Text(lane)];
        let rows = self.database.query(statement, &params).await?;
        Ok(rows.rows().filter_map(|row| head(&row)).collect())
    }

    /// Gives lanes to deliveries that a host has stored which knows none; says whether there were any.
    async fn adopt(&self, subscriber: &ServiceName) -> Result<bool, SqlError> {
        const ANY: &str = "SELECT 1 FROM deliveries WHERE subscriber = $1 AND lane IS NULL LIMIT 1";
        let subscriber = [Value::Text(subscriber.to_string())];
        if self.database.query(ANY, &subscriber).await?.count == 0 {
            return Ok(false);
        }
        let adopt = format!(
            "UPDATE deliveries SET lane = COALESCE((SELECT e.source || '/' || e.key FROM events e \
             WHERE e.seq = deliveries.event_seq), '/') WHERE subscriber = $1 AND event_seq IN (SELECT event_seq \
             FROM deliveries WHERE subscriber = $1 AND lane IS NULL ORDER BY event_seq LIMIT {ADOPTED})"
        );
        while self.database.execute(&adopt, &subscriber).await? >= ADOPTED {}
        Ok(true)
    }

    async fn events(&self, taken: &[(i64, u32)]) -> Result<HashMap<i64, Event>, SqlError> {
        let mut events = HashMap::with_capacity(taken.len());
        for places in taken.chunks(EVENTS) {
            let last = places.last().map(|(seq, _)| *seq).unwrap_or_default();
            // Always as many parameters, so that there is one statement to prepare.
            let params: Vec<Value> =
                (0..EVENTS).map(|at| Value::Integer(places.get(at).map_or(last, |(seq, _)| *seq))).collect();
            let rows = self.database.query(&self.events, &params).await?;
            events.extend(rows.rows().filter_map(|row| event(&row)));
        }
        Ok(events)
    }
}

/// Makes the statement that reads the heads of lanes, which another one names.
fn of_lanes(database: &Database, lanes: &str) -> String {
    // On PostgreSQL the range, not the lane itself, sees to it that no other index gives the order that is asked for.
    let (oldest, bound) = if database.is_shared() {
        let oldest = format!(
            "LATERAL (SELECT x.lane, x.event_seq, x.failures FROM deliveries x WHERE x.subscriber = $1 \
             AND x.lane >= w.lane ORDER BY x.lane, x.event_seq LIMIT {OF_LANE})"
        );
        (oldest, String::new())
    } else {
        let bound = format!(
            " AND d.subscriber = $1 AND d.event_seq <= COALESCE((SELECT x.event_seq FROM deliveries x \
             WHERE x.subscriber = $1 AND x.lane = w.lane ORDER BY x.event_seq LIMIT 1 OFFSET {}), {})",
            OF_LANE - 1,
            i64::MAX
        );
        ("deliveries".to_owned(), bound)
    };
    format!(
        "SELECT w.lane, d.event_seq, d.failures, LENGTH(e.payload), s.until_us, {} FROM ({lanes}) w \
         CROSS JOIN {oldest} d JOIN events e ON e.seq = d.event_seq LEFT JOIN stalled s ON s.subscriber = $1 \
         AND s.source = e.source AND s.key = e.key WHERE d.lane = w.lane{bound} ORDER BY w.lane, d.event_seq",
        database.clock()
    )
}

/// Chooses what is read of heads, which are in the order of lanes and places.
fn choose(heads: &[Head], known: &BTreeSet<i64>) -> Choice {
    // One moment for all: rows of one lane must not be judged by two.
    let now_us = heads.first().map(|head| head.now_us).unwrap_or_default();
    let (mut choice, mut bytes, mut seen) = (Choice::default(), 0, 0);
    for lane in heads.chunk_by(|one, other| one.lane == other.lane) {
        let (name, before) = (&lane[0].lane, choice.taken.len());
        let mut rest = if lane.len() < OF_LANE { Rest::Nothing } else { Rest::More };
        if let Some(wait) = lane[0].stalled(now_us) {
            rest = Rest::Stalled(wait);
        } else {
            for head in lane.iter().filter(|head| !known.contains(&head.seq)) {
                if choice.taken.len() >= TAKEN || bytes >= TAKEN_BYTES {
                    if choice.taken.len() > before {
                        choice.pass(name, Rest::More);
                    }
                    return choice;
                }
                choice.taken.push((head.seq, head.failures));
                bytes += head.bytes;
            }
        }
        choice.pass(name, rest);
        seen += 1;
    }
    if seen < LANES {
        choice.passed = None;
    }
    choice
}

// === impl Choice ===

impl Choice {
    fn pass(&mut self, lane: &str, rest: Rest) {
        self.passed = Some(lane.to_owned());
        self.lanes.extend(Lane::read(lane).map(|lane| (lane, rest)));
    }
}

// === impl Head ===

impl Head {
    /// Returns how long the lane has to wait; none when it may go on.
    fn stalled(&self, now_us: i64) -> Option<Duration> {
        let wait = self.until_us?.checked_sub(now_us).filter(|wait| (1..LONGEST_STALL_US).contains(wait))?;
        u64::try_from(wait).ok().map(Duration::from_micros)
    }
}

fn head(row: &[Cell<'_>]) -> Option<Head> {
    let [
        Cell::Text(lane),
        Cell::Integer(seq),
        Cell::Integer(failures),
        Cell::Integer(bytes),
        ref until,
        Cell::Integer(now_us),
    ] = *row
    else {
        return None;
    };
    let until_us = if let Cell::Integer(until) = *until { Some(until) } else { None };
    let failures = u32::try_from(failures).unwrap_or(u32::MAX);
    Some(Head { lane: lane.to_owned(), seq, failures, bytes, until_us, now_us })
}

fn event(row: &[Cell<'_>]) -> Option<(i64, Event)> {
    let [
        Cell::Integer(seq),
        Cell::Text(id),
        Cell::Text(topic),
        Cell::Text(key),
        Cell::Text(source),
        Cell::Integer(time_us),
        Cell::Blob(payload),
    ] = *row
    else {
        return None;
    };
    let event = Event {
        id: id.to_owned(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        source: source.parse().ok()?,
        time_us,
        payload: payload.to_vec(),
    };
    Some((seq, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes heads of lanes of one publisher from keys, each with the places of what waits.
    fn heads(lanes: &[(&str, std::ops::Range<i64>)], bytes: i64) -> Vec<Head> {
        let of_lane = |(key, seqs): &(&str, std::ops::Range<i64>)| {
            let lane = format!("a/{key}");
            let head =
                move |seq| Head { lane: lane.clone(), seq, failures: 0, bytes, until_us: None, now_us: 1_000_000 };
            seqs.clone().map(head).collect::<Vec<_>>()
        };
        lanes.iter().flat_map(of_lane).collect()
    }

    fn lane(key: &str) -> Lane {
        Lane::read(&format!("a/{key}")).expect("a lane")
    }

    fn seqs(choice: &Choice) -> Vec<i64> {
        choice.taken.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn what_is_known_is_not_taken_again_and_a_full_lane_may_have_more() {
        let heads = heads(&[("x", 1..9), ("y", 20..22)], 10);
        let choice = choose(&heads, &BTreeSet::from([1, 2, 20, 21]));
        assert_eq!(seqs(&choice), [3, 4, 5, 6, 7, 8]);
        assert_eq!(choice.lanes, [(lane("x"), Rest::More), (lane("y"), Rest::Nothing)]);
        assert_eq!(choice.passed, None, "there are no more lanes");
        assert_eq!(choose(&[], &BTreeSet::new()), Choice::default());
    }

    #[test]
    fn a_stalled_lane_waits_unless_a_clock_was_put_back() {
        let mut heads = heads(&[("x", 1..3), ("y", 3..5), ("z", 5..7)], 10);
        for (head, until_us) in heads.iter_mut().zip([1_500_000, 1_500_000, 1_000_000, 1_000_000, i64::MAX, i64::MAX]) {
            head.until_us = Some(until_us);
        }
        let choice = choose(&heads, &BTreeSet::new());
        assert_eq!(seqs(&choice), [3, 4, 5, 6]);
        assert_eq!(choice.lanes[0], (lane("x"), Rest::Stalled(Duration::from_millis(500))));
    }

    #[test]
    fn a_read_that_is_full_goes_on_where_it_has_taken_something() {
        // One delivery more than fits is taken.
        let large = heads(&[("x", 1..2), ("y", 2..4), ("z", 4..5)], TAKEN_BYTES / 2);
        let choice = choose(&large, &BTreeSet::new());
        assert_eq!((seqs(&choice), choice.passed.as_deref()), (vec![1, 2], Some("a/y")));
        assert_eq!(choice.lanes[1], (lane("y"), Rest::More));
        let larger = heads(&[("x", 1..2), ("y", 2..4)], TAKEN_BYTES);
        let choice = choose(&larger, &BTreeSet::new());
        assert_eq!((seqs(&choice), choice.passed.as_deref()), (vec![1], Some("a/x")));
        assert_eq!(choice.lanes, [(lane("x"), Rest::Nothing)]);
    }

    #[test]
    fn as_many_lanes_as_fit_are_followed_by_others() {
        let names: Vec<String> = (0..LANES).map(|n| format!("{n:02}")).collect();
        let lanes: Vec<_> = names.iter().zip(1..).map(|(name, seq)| (name.as_str(), seq..seq + 1)).collect();
        let choice = choose(&heads(&lanes, 10), &BTreeSet::new());
        assert_eq!((choice.taken.len(), choice.passed.as_deref()), (LANES, Some("a/63")));
        let choice = choose(&heads(&lanes[..LANES - 1], 10), &BTreeSet::new());
        assert_eq!((choice.taken.len(), choice.passed), (LANES - 1, None));
    }
}
