//! Things in lanes: within one lane strictly one after the other, different lanes at once.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::Event;
use crate::names::ServiceName;

/// What stays in order: the events of one publisher about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    source: ServiceName,
    key: String,
}

impl Lane {
    /// Returns the lane of an event.
    pub fn of(event: &Event) -> Self {
        Self { source: event.source.clone(), key: event.key.clone() }
    }

    /// Reads a lane as it is written; none when it is written otherwise.
    pub fn read(text: &str) -> Option<Self> {
        // A service's name has no slash; a key may.
        let (source, key) = text.split_once('/')?;
        Some(Self { source: source.parse().ok()?, key: key.to_owned() })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.key)
    }
}

/// Items that wait for the ones before them in their lane.
pub struct Keyed<T> {
    /// Lanes with something to take and nothing taken, in the order in which they came to be so.
    ready: VecDeque<Lane>,
    lanes: HashMap<Lane, VecDeque<T>>,
    waiting: usize,
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), lanes: HashMap::new(), waiting: 0 }
    }
}

impl<T> Keyed<T> {
    /// Adds an item at the end of its lane.
    pub fn push(&mut self, lane: Lane, item: T) {
        self.waiting += 1;
        if let Some(queue) = self.lanes.get_mut(&lane) {
            // The lane is taken, or ready already.
            queue.push_back(item);
        } else {
            self.lanes.insert(lane.clone(), VecDeque::from([item]));
            self.ready.push_back(lane);
        }
    }

    /// Takes the next item of a lane from which none is taken.
    pub fn take(&mut self) -> Option<(Lane, T)> {
        let lane = self.ready.pop_front()?;
        let item = self.lanes.get_mut(&lane)?.pop_front()?;
        self.waiting -= 1;
        Some((lane, item))
    }

    /// Says that what was taken from a lane is done: the next one may be taken.
    pub fn done(&mut self, lane: Lane) {
        match self.lanes.get(&lane) {
            Some(queue) if queue.is_empty() => drop(self.lanes.remove(&lane)),
            Some(_) => self.ready.push_back(lane),
            None => {}
        }
    }

    /// Gives what was taken back to the front of its lane: it is the next to be taken, at once.
    pub fn give_back(&mut self, lane: Lane, item: T) {
        self.waiting += 1;
        self.lanes.entry(lane.clone()).or_default().push_front(item);
        self.ready.push_back(lane);
    }

    /// Drops a lane from which something was taken, and returns what waited in it.
    pub fn clear(&mut self, lane: &Lane) -> Vec<T> {
        let queue = self.lanes.remove(lane).unwrap_or_default();
        self.waiting -= queue.len();
        queue.into()
    }

    /// Says whether something waits in a lane, besides what is taken from it.
    pub fn has_next(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_some_and(|queue| !queue.is_empty())
    }

    /// Returns how many items wait, without those that are taken.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(key: &str) -> Lane {
        Lane { source: "a".parse().expect("a name"), key: key.to_owned() }
    }

    fn keyed(items: &[(&str, u32)]) -> Keyed<u32> {
        let mut keyed = Keyed::default();
        for (key, item) in items {
            keyed.push(lane(key), *item);
        }
        keyed
    }

    #[test]
    fn one_key_is_strictly_in_order_and_others_go_on() {
        let mut keyed = keyed(&[("x", 1), ("x", 2), ("y", 3), ("x", 4)]);
        let (x, first) = keyed.take().expect("an item");
        assert_eq!(first, 1);
        assert!(keyed.has_next(&x), "what is behind it");
        let (y, other) = keyed.take().expect("the other key");
        assert_eq!(other, 3);
        assert!(!keyed.has_next(&y), "it was the only one");
        assert!(keyed.take().is_none(), "both keys are taken");
        keyed.push(lane("y"), 5);
        assert!(keyed.take().is_none(), "what comes later waits behind what is taken");
        keyed.done(y);
        assert_eq!(keyed.take().expect("the key is free").1, 5);
        keyed.done(x);
        let (x, second) = keyed.take().expect("the next of the key");
        assert_eq!(second, 2);
        keyed.done(x);
        assert_eq!(keyed.take().expect("the last of the key").1, 4);
        assert_eq!(keyed.waiting(), 0);
    }

    #[test]
    fn a_lane_is_read_as_it_is_written() {
        for key in ["", "x", "a/b", "/", "ñ"] {
            assert_eq!(Lane::read(&lane(key).to_string()), Some(lane(key)), "{key:?}");
        }
        for text in ["", "a", "/x", "No Name/x"] {
            assert_eq!(Lane::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_given_back_comes_first_again() {
        let mut keyed = keyed(&[("x", 1), ("x", 2)]);
        let (x, first) = keyed.take().expect("an item");
        keyed.give_back(x, first);
        assert_eq!(keyed.waiting(), 2);
        assert_eq!(keyed.take().expect("the same").1, 1);
        assert!(keyed.take().is_none());
    }

    #[test]
    fn a_dropped_lane_begins_anew() {
        let mut keyed = keyed(&[("x", 1), ("x", 2), ("x", 3), ("y", 4)]);
        let (x, _) = keyed.take().expect("an item");
        assert_eq!(keyed.clear(&x), [2, 3]);
        keyed.push(x, 5);
        let rest: Vec<_> = std::iter::from_fn(|| keyed.take()).map(|(_, item)| item).collect();
        assert_eq!(rest, [4, 5]);
    }

    #[test]
    fn publishers_that_use_the_same_key_do_not_wait_for_each_other() {
        let mut keyed = keyed(&[("x", 1)]);
        keyed.push(Lane { source: "b".parse().expect("a name"), key: "x".to_owned() }, 2);
        assert_eq!(std::iter::from_fn(|| keyed.take()).count(), 2);
    }
}
