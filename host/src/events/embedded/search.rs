//! What of a subscriber's lanes is to be read next.
//!
//! Word says only that something has come, so a walk looks at all lanes, in the order of their names and a part at a
//! time; each has its turn in it. Between walks, a lane is read again by itself: when it may go on after a failure, or
//! when all of it has run that was in memory and the database has more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::Lane;
use super::heads::{Place, Rest, Window};

/// Lanes that are remembered of each kind; for others, all lanes are looked at.
const REMEMBERED: usize = 256;

/// What is to be read.
#[derive(Default)]
pub(super) struct Search {
    /// Whether word has come since the last walk began.
    has_word: bool,
    /// The lane that the walk under way has come to.
    passed: Option<String>,
    /// Lanes in memory of which the database has more.
    more: BTreeSet<Lane>,
    /// Of these, those of which nothing is left in memory.
    hungry: BTreeSet<Lane>,
    /// When lanes may go on.
    stalled: BTreeMap<Lane, Instant>,
    /// Those of them that may.
    ready: BTreeSet<Lane>,
    /// When to look for stalled lanes that are not remembered.
    due: Option<Instant>,
}

impl Search {
    /// Hears that something may have come.
    pub(super) fn hear(&mut self) {
        self.has_word = true;
    }

    /// Says whether there is a place to read.
    pub(super) fn has_next(&self) -> bool {
        self.has_word || self.passed.is_some() || !self.ready.is_empty() || !self.hungry.is_empty()
    }

    /// Returns the next place to read; what is found there has to be told.
    pub(super) fn next(&mut self) -> Option<Place> {
        if let Some(lane) = self.ready.pop_first() {
            return Some(Place::Of(lane));
        }
        // Before the lanes that have run: else those with much to do would be read again and again, and others never.
        if let Some(passed) = self.passed.take() {
            return Some(Place::After(passed));
        }
        if self.has_word {
            self.has_word = false;
            return Some(Place::First);
        }
        self.hungry.pop_first().map(Place::Of)
    }

    /// Notes what was found at a place.
    pub(super) fn found(&mut self, window: &Window, now: Instant) {
        if let Some(passed) = &window.passed {
            self.passed = Some(passed.clone());
        }
        for (lane, rest) in &window.lanes {
            self.forget(lane);
            match rest {
                Rest::Nothing => {}
                Rest::More => {
                    self.more.insert(lane.clone());
                }
                Rest::Stalled(wait) => self.stall(lane.clone(), now + *wait),
            }
        }
    }

    /// Notes that all of a lane has run that was in memory.
    pub(super) fn ran_out(&mut self, lane: &Lane) {
        if !self.more.remove(lane) {
            return;
        }
        if self.hungry.len() < REMEMBERED {
            self.hungry.insert(lane.clone());
        } else {
            self.hungry.clear();
            self.has_word = true;
        }
    }

    /// Notes that a lane may go on only later, and that nothing of it is in memory.
    pub(super) fn stall(&mut self, lane: Lane, until: Instant) {
        self.forget(&lane);
        if self.stalled.len() < REMEMBERED {
            self.stalled.insert(lane, until);
        } else {
            self.due = Some(self.due.map_or(until, |earlier| earlier.min(until)));
        }
    }

    /// Returns when the first of the stalled lanes may go on.
    pub(super) fn due(&self) -> Option<Instant> {
        self.stalled.values().copied().chain(self.due).min()
    }

    /// Lets those lanes go on that may by now.
    pub(super) fn wake(&mut self, now: Instant) {
        let due: Vec<Lane> =
            self.stalled.iter().filter(|(_, until)| **until <= now).map(|(lane, _)| lane.clone()).collect();
        for lane in due {
            self.stalled.remove(&lane);
            self.ready.insert(lane);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.has_word = true;
        }
    }

    fn forget(&mut self, lane: &Lane) {
        self.more.remove(lane);
        self.hungry.remove(lane);
        self.stalled.remove(lane);
        self.ready.remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lane(key: &str) -> Lane {
        Lane::read(&format!("a/{key}")).expect("a lane")
    }

    fn window(lanes: &[(&str, Rest)], passed: Option<&str>) -> Window {
        let lanes = lanes.iter().map(|(key, rest)| (lane(key), *rest)).collect();
        Window { lanes, passed: passed.map(str::to_owned), ..Window::default() }
    }

    #[test]
    fn a_walk_goes_on_to_its_end_and_begins_again_for_word_that_came_meanwhile() {
        let (mut search, now) = (Search::default(), Instant::now());
        assert!(!search.has_next());
        search.hear();
        assert_eq!(search.next(), Some(Place::First));
        search.hear();
        search.found(&window(&[], Some("a/x")), now);
        assert_eq!(search.next(), Some(Place::After("a/x".to_owned())));
        search.found(&window(&[], None), now);
        assert_eq!(search.next(), Some(Place::First), "it may have come behind the walk");
        assert!(!search.has_next() && search.next().is_none());
    }

    #[test]
    fn a_lane_with_much_to_do_is_read_again_when_it_has_run_and_after_the_others() {
        let (mut search, now) = (Search::default(), Instant::now());
        search.found(&window(&[("hot", Rest::More), ("x", Rest::Nothing)], Some("a/x")), now);
        search.ran_out(&lane("hot"));
        search.ran_out(&lane("x"));
        assert_eq!(search.next(), Some(Place::After("a/x".to_owned())));
        search.found(&window(&[("y", Rest::Nothing)], None), now);
        assert_eq!(search.next(), Some(Place::Of(lane("hot"))));
        assert!(!search.has_next(), "of the others there is no more");
    }

    #[test]
    fn a_lane_that_failed_is_read_when_it_may_go_on() {
        let (mut search, now) = (Search::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        search.stall(lane("x"), later);
        search.found(&window(&[("y", Rest::Stalled(Duration::from_secs(2)))], None), now);
        assert_eq!(search.due(), Some(later));
        search.wake(now);
        assert!(!search.has_next());
        search.wake(later);
        assert_eq!((search.next(), search.has_next()), (Some(Place::Of(lane("x"))), false));
        assert_eq!(search.due(), Some(now + Duration::from_secs(2)));
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_what_is_not_is_found_all_the_same() {
        let (mut search, now) = (Search::default(), Instant::now());
        for n in 0..2 * REMEMBERED {
            search.stall(lane(&n.to_string()), now);
        }
        assert_eq!(search.stalled.len(), REMEMBERED);
        search.wake(now);
        assert!(search.has_word, "a walk finds the rest");
        for n in 0..2 * REMEMBERED {
            let key = n.to_string();
            search.found(&window(&[(key.as_str(), Rest::More)], None), now);
            search.ran_out(&lane(&key));
        }
        assert!(search.hungry.len() <= REMEMBERED);
    }
}
