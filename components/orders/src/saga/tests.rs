//! Every state that one order can come to, searched and not sampled.
//!
//! Whoever places it, a client who cancels it and the task take their steps in any order; each of them, or the host
//! with all of them, ends between any two steps; inventory is away, or its answer is lost; another order takes the
//! stock meanwhile.
//!
//! A crash right after an effect and one right before the next are the same, and an effect whose answer is lost by a
//! crash is one of them. No time and no chance is in it: what fails here fails each time.

use std::collections::HashSet;
use std::convert::Infallible;

use super::{Effects, End, Reserved, Rest, Saga, Step, Unreachable, run};
use crate::domain::Status;

/// Ends of somebody, or of the host, before the work is done.
const CRASHES: u8 = 2;

/// Calls of inventory that are not answered.
const UNANSWERED: u8 = 2;

/// Warehouses, each with at most one unit; the order is for one.
type Units = [u8; 2];

/// What inventory keeps of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reservation {
    None,
    Held(usize),
    Taken(usize),
    Closed,
}

/// What is stored, in the databases of orders and inventory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    status: Status,
    step: Option<Step>,
    warehouse: Option<usize>,
    /// What others were told of the order.
    told: Vec<Status>,
    quantity: Units,
    reserved: Units,
    reservation: Reservation,
    /// Units that other orders have taken.
    others: u8,
}

/// Whether a call of inventory is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Given,
    /// It was not asked at all.
    NotAsked,
    /// It has done what it was asked for.
    Lost,
}

/// One step in a world.
struct Attempt<'w> {
    world: &'w mut World,
    answer: Answer,
    /// Whether inventory was called.
    has_called: bool,
}

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
    let expected = [End::Confirmed, End::Rejected, End::Unreachable, End::Superseded];
    assert_eq!(ends, HashSet::from(expected), "how placements ended");
    assert!(states > 10_000, "only {states} states");
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

// === impl World ===

impl World {
    fn new(quantity: Units) -> Self {
        Self {
            status: Status::Pending,
            step: Some(Step::Place),
            warehouse: None,
            told: Vec::new(),
            quantity,
            reserved: [0, 0],
            reservation: Reservation::None,
            others: 0,
        }
    }

    fn available(&self, at: usize) -> u8 {
        self.quantity[at] - self.reserved[at]
    }

    /// Returns what the task makes of it when nothing fails any more.
    fn recovered(&self) -> Self {
        let mut world = self.clone();
        for _ in 0..2 {
            let Some(step) = world.step else { break };
            let mut attempt = Attempt { world: &mut world, answer: Answer::Given, has_called: false };
            let Ok(_) = run(Saga::resume(step), &mut attempt);
        }
        assert_eq!(world.step, None, "the task leaves nothing to be done: {self:?}");
        world
    }

    /// Checks what holds at any time, and at rest.
    fn check(&self, initial: Units) {
        let sum = |units: Units| units.iter().sum::<u8>();
        assert!((0..2).all(|at| self.reserved[at] <= self.quantity[at]), "{self:?}");
        let taken = match self.reservation {
            Reservation::Taken(_) => 1,
            _ => 0,
        };
        assert_eq!(sum(initial), sum(self.quantity) + taken + self.others, "units got lost or doubled: {self:?}");
        let is_given_back = self.status == Status::Cancelled && self.step == Some(Step::Release);
        assert!(
            taken == 0 || self.status == Status::Confirmed || is_given_back,
            "stock is taken without a confirmed order: {self:?}"
        );
        if self.status == Status::Confirmed {
            assert!(self.warehouse.is_some() && self.holder() == self.warehouse, "confirmed without stock: {self:?}");
        }
        let told = match self.status {
            Status::Pending => vec![vec![]],
            Status::Cancelled => vec![vec![Status::Cancelled], vec![Status::Confirmed, Status::Cancelled]],
            decided => vec![vec![decided]],
        };
        assert!(told.contains(&self.told), "others were told otherwise, or twice: {self:?}");
        if self.step.is_none() {
            let confirmed = u8::from(self.status == Status::Confirmed);
            assert_ne!(self.status, Status::Pending, "{self:?}");
            assert_eq!((sum(self.reserved), taken), (0, confirmed), "at rest: {self:?}");
        }
    }

    /// Checks that an end is no lie.
    fn check_end(&self, end: End, rest: Rest) {
        let was_told = |status| self.told.contains(&status);
        let holds = match end {
            End::Confirmed => was_told(Status::Confirmed),
            End::Rejected | End::Unreachable => self.status == Status::Rejected,
            End::Cancelled => self.status == Status::Cancelled,
            End::Resumed | End::Superseded => self.status != Status::Pending,
        };
        assert!(holds, "{end:?}: {self:?}");
        assert!(rest == Rest::Nothing || end != End::Superseded, "{end:?} leaves nothing: {self:?}");
    }

    fn holder(&self) -> Option<usize> {
        match self.reservation {
            Reservation::Held(at) | Reservation::Taken(at) => Some(at),
            Reservation::None | Reservation::Closed => None,
        }
    }

    fn reserve(&mut self, at: usize) -> Reserved {
        match self.reservation {
            Reservation::Held(held) | Reservation::Taken(held) if held == at => Reserved::Held,
            Reservation::None if self.available(at) == 0 => Reserved::Insufficient,
            Reservation::None => {
                self.reserved[at] += 1;
                self.reservation = Reservation::Held(at);
                Reserved::Held
            }
            _ => Reserved::Refused,
        }
    }

    fn settle(&mut self) -> bool {
        if let Reservation::Held(at) = self.reservation {
            self.quantity[at] -= 1;
            self.reserved[at] -= 1;
            self.reservation = Reservation::Taken(at);
        }
        matches!(self.reservation, Reservation::Taken(_))
    }

    fn release(&mut self) {
        match self.reservation {
            Reservation::Held(at) => self.reserved[at] -= 1,
            Reservation::Taken(at) => self.quantity[at] += 1,
            Reservation::None | Reservation::Closed => {}
        }
        self.reservation = Reservation::Closed;
    }

    /// Moves the order on, in one statement, with what others are told.
    fn decide(&mut self, from: Status, to: Status, step: Step) -> bool {
        if self.status != from {
            return false;
        }
        self.status = to;
        self.step = Some(step);
        self.told.push(to);
        true
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    fn call<T>(&mut self, act: impl FnOnce(&mut World) -> T) -> Result<T, Unreachable> {
        self.has_called = true;
        match self.answer {
            Answer::Given => Ok(act(self.world)),
            Answer::NotAsked => Err(Unreachable),
            Answer::Lost => {
                drop(act(self.world));
                Err(Unreachable)
            }
        }
    }
}

impl Effects for Attempt<'_> {
    type Warehouse = usize;
    type Error = Infallible;

    fn holder(&mut self) -> Result<Option<usize>, Unreachable> {
        self.call(|world| world.holder())
    }

    fn candidates(&mut self) -> Result<Vec<usize>, Unreachable> {
        self.call(|world| (0..2).filter(|at| world.available(*at) > 0).collect())
    }

    fn reserve(&mut self, warehouse: &usize) -> Result<Reserved, Unreachable> {
        self.call(|world| world.reserve(*warehouse))
    }

    fn settle(&mut self) -> Result<bool, Unreachable> {
        self.call(World::settle)
    }

    fn release(&mut self) -> Result<(), Unreachable> {
        self.call(World::release)
    }

    fn confirm(&mut self, warehouse: &usize) -> Result<bool, Infallible> {
        let is_own = self.world.decide(Status::Pending, Status::Confirmed, Step::Settle);
        if is_own {
            self.world.warehouse = Some(*warehouse);
        }
        Ok(is_own)
    }

    fn reject(&mut self) -> Result<bool, Infallible> {
        Ok(self.world.decide(Status::Pending, Status::Rejected, Step::Release))
    }

    fn cancel(&mut self, from: Status) -> Result<bool, Infallible> {
        Ok(self.world.decide(from, Status::Cancelled, Step::Release))
    }

    fn finish(&mut self, step: Step) -> Result<(), Infallible> {
        self.world.step.take_if(|left| *left == step);
        Ok(())
    }
}
