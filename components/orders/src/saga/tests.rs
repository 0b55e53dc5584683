//! Every state that one order can come to, searched and not sampled.
//!
//! Whoever places it, a client who cancels it and the task take their steps in any order; each of them, or the host
//! with all of them, ends between any two steps; inventory is away, or its answer is lost; another order takes the
//! stock meanwhile; inventory is put back to what it was before the order.
//!
//! A crash right after an effect and one right before the next are the same, and an effect whose answer is lost by a
//! crash is one of them. No time and no chance is in it: what fails here fails each time.

mod world;

use std::collections::HashSet;

use self::world::{Answer, Attempt, Reservation, Units, World};
use super::{End, Reserved, Saga, Step};
use crate::domain::Status;

/// Ends of somebody, or of the host, before the work is done.
const CRASHES: u8 = 2;

/// Calls of inventory that are not answered.
const UNANSWERED: u8 = 2;

/// A world, where everybody stands in it, and what may still go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    world: World,
    /// Whoever places the order, a client who cancels it, the task.
    actors: [Option<Saga<usize>>; 3],
    crashes: u8,
    unanswered: u8,
    cancels: u8,
    thefts: u8,
    losses: u8,
}

const PLACING: usize = 0;
const CANCELLING: usize = 1;
const RECOVERING: usize = 2;

#[test]
fn whatever_crashes_and_whoever_comes_between_stock_leaves_for_confirmed_orders_only_and_once() {
    let mut ends = HashSet::new();
    let mut states = 0;
    for initial in [[1, 1], [1, 0], [0, 0]] {
        states += search(initial, &mut ends);
    }
    // A search that comes nowhere would find nothing.
    let expected = [End::Confirmed, End::Rejected, End::Unreachable, End::Cancelled, End::Superseded];
    assert_eq!(ends, HashSet::from(expected), "how placements ended");
    assert!(states > 10_000, "only {states} states");
}

#[test]
fn what_inventory_has_lost_is_reserved_again_in_its_warehouse_or_the_order_is_cancelled() {
    for (taken_by_others, status, reservation) in
        [(0, Status::Confirmed, Reservation::Taken(0)), (1, Status::Cancelled, Reservation::Closed)]
    {
        let mut world = World::new([1, 1]);
        assert_eq!(world.reserve(0), Reserved::Held);
        assert!(world.decide(Status::Pending, Status::Confirmed, Step::Settle));
        world.warehouse = Some(0);
        world.put_back();
        world.quantity[0] -= taken_by_others;
        world.others += taken_by_others;
        let ended = world.recovered();
        ended.check([1, 1]);
        assert_eq!((ended.status, ended.reservation, ended.quantity), (status, reservation, [0, 1]));
    }
}

/// Visits every state from a new order on and returns how many there are; notes how placements end.
fn search(initial: Units, ends: &mut HashSet<End>) -> usize {
    let first = State {
        world: World::new(initial),
        actors: [Some(Saga::resume(Step::Place)), None, None],
        crashes: CRASHES,
        unanswered: UNANSWERED,
        cancels: 1,
        thefts: 1,
        losses: 1,
    };
    let mut seen = HashSet::from([first.clone()]);
    let mut left = vec![first];
    while let Some(state) = left.pop() {
        state.world.check(initial);
        state.world.recovered().check(initial);
        for next in state.next(ends) {
            if seen.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    seen.len()
}

// === impl State ===

impl State {
    fn next(&self, ends: &mut HashSet<End>) -> Vec<Self> {
        let mut next = Vec::new();
        for (at, actor) in self.actors.iter().enumerate() {
            let Some(saga) = actor else { continue };
            for answer in [Answer::Given, Answer::NotAsked, Answer::Lost] {
                next.extend(self.advanced(at, saga, answer, ends));
            }
            if self.crashes > 0 {
                let mut crashed = Self { crashes: self.crashes - 1, ..self.clone() };
                crashed.actors[at] = None;
                next.push(crashed);
            }
        }
        if self.crashes > 0 {
            next.push(Self { crashes: self.crashes - 1, actors: [None, None, None], ..self.clone() });
        }
        // The task does not know whether somebody is still at it: a clock may be wrong by any time.
        if let (None, Some(step)) = (&self.actors[RECOVERING], self.world.step) {
            next.push(self.with(RECOVERING, Saga::resume(step)));
        }
        if self.cancels > 0 && self.world.status.may_become(Status::Cancelled) {
            let cancelling = self.with(CANCELLING, Saga::Cancel(self.world.status));
            next.push(Self { cancels: self.cancels - 1, ..cancelling });
        }
        for at in (0..2).filter(|at| self.thefts > 0 && self.world.available(*at) > 0) {
            let mut stolen = Self { thefts: self.thefts - 1, ..self.clone() };
            stolen.world.quantity[at] -= 1;
            stolen.world.others += 1;
            next.push(stolen);
        }
        if self.losses > 0 && self.world.is_unsettled() && !self.actors.iter().flatten().any(cannot_know) {
            let mut lost = Self { losses: self.losses - 1, ..self.clone() };
            lost.world.put_back();
            next.push(lost);
        }
        next
    }

    fn with(&self, at: usize, saga: Saga<usize>) -> Self {
        let mut state = self.clone();
        state.actors[at] = Some(saga);
        state
    }

    /// Takes one step of somebody; none when an answer that is not given is nothing that the step waits for.
    fn advanced(&self, at: usize, saga: &Saga<usize>, answer: Answer, ends: &mut HashSet<End>) -> Option<Self> {
        let mut state = self.clone();
        let mut attempt = Attempt { world: &mut state.world, answer, has_called: false };
        let Ok(saga) = saga.clone().advance(&mut attempt);
        if answer != Answer::Given {
            if !attempt.has_called {
                return None;
            }
            state.unanswered = state.unanswered.checked_sub(1)?;
        }
        state.actors[at] = match saga {
            Saga::Ended(end, rest) => {
                state.world.check_end(end, rest);
                if at == PLACING {
                    ends.insert(end);
                }
                None
            }
            going => Some(going),
        };
        Some(state)
    }
}

/// Says whether somebody goes on with what inventory has answered before it is put back, so that nobody could tell: what
/// is about to be reserved elsewhere for a confirmed order, and what was settled and is only to be noted.
fn cannot_know(saga: &Saga<usize>) -> bool {
    matches!(saga, Saga::Find | Saga::List | Saga::Reserve(..) | Saga::Finish(Step::Settle, _))
}
