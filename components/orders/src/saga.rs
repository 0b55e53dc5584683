//! What is done for an order at its peers, step by step: the decisions, pure.
//!
//! Each step has one effect, which is durable before the next step and can be repeated. Whoever takes an order out of
//! PENDING says in the same statement what is left to be done, SETTLE or RELEASE; after a RELEASE nothing can be held
//! for the order any more. So it does not matter who goes on with an order, when, how often, or how many do at once:
//! the request that placed it, the task `recover` after a crash, or somebody who cancels it. `tests` tries all of it.
//!
//! Inventory may be put back to an older copy of its data and know nothing of a confirmed order that is still to be
//! settled. Then its units are reserved again where it was confirmed; where there are none any more it is cancelled, so
//! that no confirmed order is without stock.
//!
//! Not here: the effects themselves (see `placement`).

use crate::domain::Status;

/// What is left to be done with the stock of other services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Find a warehouse and reserve.
    Place,
    /// Take the reserved units for good.
    Settle,
    /// Give back what is held or was taken.
    Release,
}

/// A peer that could not be asked, or whose answer was lost: what it was asked for may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The units are held.
    Held,
    /// The warehouse has not so many.
    Insufficient,
    /// The order holds units elsewhere, or can hold none any more: somebody else goes on with it.
    Refused,
}

/// The effects that steps have for one order.
pub trait Effects {
    /// A warehouse.
    type Warehouse: Clone;
    /// Why the order's own database has not answered; the effect may be there all the same.
    type Error;

    /// Finds the warehouse whose units the order holds or has taken.
    ///
    /// # Errors
    /// When inventory is [`Unreachable`].
    fn holder(&mut self) -> Result<Option<Self::Warehouse>, Unreachable>;

    /// Lists the warehouses with enough units, the best one first.
    ///
    /// # Errors
    /// When inventory is [`Unreachable`].
    fn candidates(&mut self) -> Result<Vec<Self::Warehouse>, Unreachable>;

    /// Holds the units in a warehouse.
    ///
    /// # Errors
    /// When inventory is [`Unreachable`].
    fn reserve(&mut self, warehouse: &Self::Warehouse) -> Result<Reserved, Unreachable>;

    /// Takes the held units for good; says whether the order has taken any, now or before.
    ///
    /// # Errors
    /// When inventory is [`Unreachable`].
    fn settle(&mut self) -> Result<bool, Unreachable>;

    /// Gives back what is held or was taken; nothing can be held afterwards.
    ///
    /// # Errors
    /// When inventory is [`Unreachable`].
    fn release(&mut self) -> Result<(), Unreachable>;

    /// Makes a PENDING order CONFIRMED, SETTLE left, and tells of it; says whether it was pending.
    ///
    /// # Errors
    /// When the database has not answered.
    fn confirm(&mut self, warehouse: &Self::Warehouse) -> Result<bool, Self::Error>;

    /// Makes a PENDING order REJECTED, RELEASE left, and tells of it; says whether it was pending.
    ///
    /// # Errors
    /// When the database has not answered.
    fn reject(&mut self) -> Result<bool, Self::Error>;

    /// Makes an order of a status CANCELLED, RELEASE left, and tells of it; says whether it had the status.
    ///
    /// # Errors
    /// When the database has not answered.
    fn cancel(&mut self, from: Status) -> Result<bool, Self::Error>;

    /// Finds the warehouse where the order is CONFIRMED with SETTLE left; none when it is not.
    ///
    /// # Errors
    /// When the database has not answered.
    fn unsettled(&mut self) -> Result<Option<Self::Warehouse>, Self::Error>;

    /// Makes a CONFIRMED order with SETTLE left CANCELLED, RELEASE left, and tells of it; says whether it was so.
    ///
    /// # Errors
    /// When the database has not answered.
    fn give_up(&mut self) -> Result<bool, Self::Error>;

    /// Notes that nothing is left to be done, if it was this step that was.
    ///
    /// # Errors
    /// When the database has not answered.
    fn finish(&mut self, step: Step) -> Result<(), Self::Error>;
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The order is confirmed.
    Confirmed,
    /// The order is rejected: no warehouse has enough.
    Rejected,
    /// The order is rejected: inventory could not be asked.
    Unreachable,
    /// The order is cancelled.
    Cancelled,
    /// What was left of an earlier decision is done.
    Resumed,
    /// Somebody else has decided; the order says what.
    Superseded,
}

/// What is left after the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rest {
    /// Nothing by this one.
    Nothing,
    /// The order's step, for the task: inventory could not be asked, or contradicts itself.
    Step,
}

/// Where somebody stands with an order: what is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Saga<W> {
    /// Find what an earlier try holds.
    Find,
    /// List the warehouses with enough units.
    List,
    /// Reserve in the first one; the others come next.
    Reserve(W, Vec<W>),
    /// Confirm, with units held in a warehouse.
    Confirm(W),
    /// Reject, for a reason.
    Reject(End),
    /// Cancel what has a status.
    Cancel(Status),
    /// Take the held units.
    Settle(End),
    /// Find where to reserve again what inventory knows nothing of.
    Lost(End),
    /// Reserve again, where the order is confirmed.
    Regain(W, End),
    /// Take what is held again.
    SettleAgain(End),
    /// Cancel what is confirmed and has no stock.
    GiveUp,
    /// Give the units back.
    Release(End),
    /// Note that the step is done.
    Finish(Step, End),
    /// Nothing.
    Ended(End, Rest),
}

// === impl Saga ===

impl<W: Clone> Saga<W> {
    /// Goes on where an order's stored step says.
    pub fn resume(step: Step) -> Self {
        match step {
            Step::Place => Self::Find,
            Step::Settle => Self::Settle(End::Resumed),
            Step::Release => Self::Release(End::Resumed),
        }
    }

    /// Has the next effect, and says what comes after it.
    ///
    /// # Errors
    /// When the order's own database has not answered; the task goes on with the order then.
    pub fn advance<E: Effects<Warehouse = W>>(self, effects: &mut E) -> Result<Self, E::Error> {
        Ok(match self {
            Self::Find => match effects.holder() {
                Ok(Some(warehouse)) => Self::Confirm(warehouse),
                Ok(None) => Self::List,
                Err(Unreachable) => Self::Reject(End::Unreachable),
            },
            Self::List => match effects.candidates() {
                Ok(candidates) => Self::reserve_in(candidates),
                Err(Unreachable) => Self::Reject(End::Unreachable),
            },
            Self::Reserve(warehouse, others) => match effects.reserve(&warehouse) {
                Ok(Reserved::Held) => Self::Confirm(warehouse),
                Ok(Reserved::Insufficient) => Self::reserve_in(others),
                Ok(Reserved::Refused) | Err(Unreachable) => Self::Reject(End::Unreachable),
            },
            Self::Confirm(warehouse) => Self::decided(effects.confirm(&warehouse)?, Self::Settle(End::Confirmed)),
            Self::Reject(why) => Self::decided(effects.reject()?, Self::Release(why)),
            Self::Cancel(from) => Self::decided(effects.cancel(from)?, Self::Release(End::Cancelled)),
            Self::Settle(end) => match effects.settle() {
                Ok(true) => Self::Finish(Step::Settle, end),
                Ok(false) => Self::Lost(end),
                Err(Unreachable) => Self::Ended(end, Rest::Step),
            },
            // Most often it was cancelled meanwhile: giving up finds that out too.
            Self::Lost(end) => match effects.unsettled()? {
                Some(warehouse) => Self::Regain(warehouse, end),
                None => Self::GiveUp,
            },
            Self::Regain(warehouse, end) => match effects.reserve(&warehouse) {
                Ok(Reserved::Held) => Self::SettleAgain(end),
                Ok(Reserved::Insufficient | Reserved::Refused) => Self::GiveUp,
                Err(Unreachable) => Self::Ended(end, Rest::Step),
            },
            Self::SettleAgain(end) => match effects.settle() {
                Ok(true) => Self::Finish(Step::Settle, end),
                // Not in a circle: the task comes back to it.
                Ok(false) | Err(Unreachable) => Self::Ended(end, Rest::Step),
            },
            Self::GiveUp => Self::decided(effects.give_up()?, Self::Release(End::Cancelled)),
            Self::Release(end) => match effects.release() {
                Ok(()) => Self::Finish(Step::Release, end),
                Err(Unreachable) => Self::Ended(end, Rest::Step),
            },
            Self::Finish(step, end) => {
                effects.finish(step)?;
                Self::Ended(end, Rest::Nothing)
            }
            ended @ Self::Ended(..) => ended,
        })
    }

    fn reserve_in(candidates: Vec<W>) -> Self {
        let mut candidates = candidates.into_iter();
        match candidates.next() {
            Some(first) => Self::Reserve(first, candidates.collect()),
            None => Self::Reject(End::Rejected),
        }
    }

    /// Goes on only when the decision was this one's: what follows belongs to whoever took the order out of its status.
    fn decided(is_own: bool, next: Self) -> Self {
        if is_own { next } else { Self::Ended(End::Superseded, Rest::Nothing) }
    }
}

/// Takes all steps that can be taken.
///
/// # Errors
/// When the order's own database has not answered; the task goes on with the order then.
pub fn run<E: Effects>(mut saga: Saga<E::Warehouse>, effects: &mut E) -> Result<(End, Rest), E::Error> {
    loop {
        saga = match saga {
            Saga::Ended(end, rest) => return Ok((end, rest)),
            going => going.advance(effects)?,
        };
    }
}

#[cfg(test)]
mod tests;
