//! The steps of an order with their effects: at inventory, and in the service's own database.
//!
//! Not here: which step comes when (see `saga`).

use provesi_sdk::{Error, Result, clock, log};

use crate::domain::{self, Status, Warehouse};
use crate::peers::{self, Claim, StockError};
use crate::saga::{self, Effects, End, Reserved, Rest, Saga, Step, Unreachable};
use crate::store::{self, Draft};

/// Age in seconds from which an order with a step left counts as abandoned: twice the deadline of a request. It is also
/// the shortest time between two attempts of the task at one order.
const ABANDONED_AFTER: i64 = 10;

/// Seconds after which a run of the task leaves the rest to the next one; the call that it is at may take as long again
/// before its deadline.
const RUN: i64 = 4;

/// Places a stored order and takes its stock; the order itself says how it ended.
///
/// # Errors
/// When inventory cannot be asked: the order is rejected then, and holds nothing in the end.
pub(crate) fn place(draft: &Draft) -> Result<()> {
    match saga::run(Saga::resume(Step::Place), &mut Order(draft))? {
        (End::Unreachable, _) => Err(Error::unavailable("Error al comunicarse con el servicio de inventario")),
        _ => Ok(()),
    }
}

/// Cancels an order that has a status, and gives back what it holds; says whether it still had it.
///
/// The order is cancelled whatever happens at inventory: the task gives back what is not given back here.
pub(crate) fn cancel(draft: &Draft, from: Status) -> Result<bool> {
    let (end, _) = saga::run(Saga::Cancel(from), &mut Order(draft))?;
    Ok(end != End::Superseded)
}

/// Finishes or undoes what was abandoned; returns how many orders of those at hand could not be dealt with yet.
pub(crate) fn recover() -> Result<usize> {
    let started = clock::now();
    let drafts = store::unfinished(started, ABANDONED_AFTER)?;
    let mut waiting = 0;
    for (done, draft) in drafts.iter().enumerate() {
        if clock::now() > started.plus_seconds(RUN) {
            return Ok(waiting + drafts.len() - done);
        }
        let Some(step) = draft.step() else { continue };
        let outcome = store::attempt(draft.id).and_then(|()| saga::run(Saga::resume(step), &mut Order(draft)));
        waiting += usize::from(!matches!(outcome, Ok((_, Rest::Nothing))));
    }
    Ok(waiting)
}

/// The order that steps are taken for.
struct Order<'d>(&'d Draft);

impl Effects for Order<'_> {
    type Warehouse = Warehouse;
    type Error = Error;

    fn holder(&mut self) -> Result<Option<Warehouse>, Unreachable> {
        let holder = peers::holder(self.0.id).map_err(|_| Unreachable)?;
        Ok(holder.map(Into::into))
    }

    fn candidates(&mut self) -> Result<Vec<Warehouse>, Unreachable> {
        let draft = self.0;
        let mut candidates = peers::candidates(draft.product_id, draft.units).map_err(|_| Unreachable)?;
        domain::rank(&mut candidates, draft.main_warehouse.as_deref(), draft.latitude, draft.longitude);
        Ok(candidates.into_iter().map(Into::into).collect())
    }

    fn reserve(&mut self, warehouse: &Warehouse) -> Result<Reserved, Unreachable> {
        let Draft { id: order_id, product_id, units, .. } = *self.0;
        match peers::reserve(Claim { order_id, product_id, warehouse_id: warehouse.id, units }) {
            Ok(()) => Ok(Reserved::Held),
            Err(StockError::Insufficient) => Ok(Reserved::Insufficient),
            Err(StockError::Mismatch) => Ok(Reserved::Refused),
            Err(StockError::Unavailable) => Err(Unreachable),
        }
    }

    fn settle(&mut self) -> Result<bool, Unreachable> {
        match peers::settle(self.0.id) {
            Ok(()) => Ok(true),
            Err(StockError::Mismatch) => Ok(false),
            Err(StockError::Insufficient | StockError::Unavailable) => Err(Unreachable),
        }
    }

    fn release(&mut self) -> Result<(), Unreachable> {
        peers::release(self.0.id).map_err(|_| Unreachable)
    }

    fn confirm(&mut self, warehouse: &Warehouse) -> Result<bool> {
        store::confirm(self.0.id, warehouse)
    }

    fn reject(&mut self) -> Result<bool> {
        store::reject(self.0.id)
    }

    fn cancel(&mut self, from: Status) -> Result<bool> {
        store::cancel(self.0.id, from)
    }

    fn unsettled(&mut self) -> Result<Option<Warehouse>> {
        store::unsettled(self.0.id)
    }

    fn give_up(&mut self) -> Result<bool> {
        let is_own = store::give_up(self.0.id)?;
        if is_own {
            let id = self.0.id.to_string();
            log::error(
                "a confirmed order is cancelled: inventory has lost its units and has no others",
                &[("order", &id)],
            );
        }
        Ok(is_own)
    }

    fn finish(&mut self, step: Step) -> Result<()> {
        store::finish(self.0.id, step)
    }
}
