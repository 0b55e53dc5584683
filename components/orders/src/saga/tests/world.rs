//! What is stored of one order, and what each step makes of it: the databases of orders and inventory, in small.

use std::convert::Infallible;

use super::super::{Effects, End, Reserved, Rest, Saga, Step, Unreachable, run};
use crate::domain::Status;

/// Warehouses, each with at most one unit; the order is for one.
pub(super) type Units = [u8; 2];

/// What inventory keeps of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reservation {
    None,
    Held(usize),
    Taken(usize),
    Closed,
}

/// What is stored, in the databases of orders and inventory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) status: Status,
    pub(super) step: Option<Step>,
    pub(super) warehouse: Option<usize>,
    /// What others were told of the order.
    told: Vec<Status>,
    pub(super) quantity: Units,
    reserved: Units,
    pub(super) reservation: Reservation,
    /// Units that other orders have taken.
    pub(super) others: u8,
    /// Whether inventory was put back to what it was before the order.
    is_put_back: bool,
}

/// Whether a call of inventory is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Given,
    /// It was not asked at all.
    NotAsked,
    /// It has done what it was asked for.
    Lost,
}

/// One step in a world.
pub(super) struct Attempt<'w> {
    pub(super) world: &'w mut World,
    pub(super) answer: Answer,
    /// Whether inventory was called.
    pub(super) has_called: bool,
}

// === impl World ===

impl World {
    pub(super) fn new(quantity: Units) -> Self {
        Self {
            status: Status::Pending,
            step: Some(Step::Place),
            warehouse: None,
            told: Vec::new(),
            quantity,
            reserved: [0, 0],
            reservation: Reservation::None,
            others: 0,
            is_put_back: false,
        }
    }

    pub(super) fn available(&self, at: usize) -> u8 {
        self.quantity[at] - self.reserved[at]
    }

    /// Returns what the task makes of it when nothing fails any more.
    pub(super) fn recovered(&self) -> Self {
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
    pub(super) fn check(&self, initial: Units) {
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
            let is_lost = self.is_put_back && self.step == Some(Step::Settle) && self.holder().is_none();
            let has_stock = self.warehouse.is_some() && self.holder() == self.warehouse;
            assert!(has_stock || is_lost, "confirmed without stock: {self:?}");
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
    pub(super) fn check_end(&self, end: End, rest: Rest) {
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

    pub(super) fn reserve(&mut self, at: usize) -> Reserved {
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

    pub(super) fn is_unsettled(&self) -> bool {
        (self.status, self.step) == (Status::Confirmed, Some(Step::Settle))
    }

    /// Undoes all that inventory has done for the order, as when an older copy of its data takes the place of them.
    pub(super) fn put_back(&mut self) {
        match self.reservation {
            Reservation::Held(at) => self.reserved[at] -= 1,
            Reservation::Taken(at) => self.quantity[at] += 1,
            Reservation::None | Reservation::Closed => {}
        }
        self.reservation = Reservation::None;
        self.is_put_back = true;
    }

    /// Moves the order on, in one statement, with what others are told.
    pub(super) fn decide(&mut self, from: Status, to: Status, step: Step) -> bool {
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

    fn unsettled(&mut self) -> Result<Option<usize>, Infallible> {
        Ok(self.world.warehouse.filter(|_| self.world.is_unsettled()))
    }

    fn give_up(&mut self) -> Result<bool, Infallible> {
        Ok(self.world.is_unsettled() && self.world.decide(Status::Confirmed, Status::Cancelled, Step::Release))
    }

    fn finish(&mut self, step: Step) -> Result<(), Infallible> {
        self.world.step.take_if(|left| *left == step);
        Ok(())
    }
}
