//! The steps of an order: place, settle, release. Each is durable before the next and can be repeated.

use provesi_sdk::{Error, Result, clock};

use crate::domain;
use crate::peers::{self, Claim, StockError};
use crate::store::{self, Draft, Step};

/// Age in seconds from which an order with a step left counts as abandoned: twice the deadline of a request.
const ABANDONED_AFTER: i64 = 10;

/// How placement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In a warehouse.
    Confirmed,
    /// No warehouse had enough.
    Rejected,
}

/// Places a stored order and takes its stock.
///
/// # Errors
/// When inventory cannot be asked: the order is rejected then, and holds nothing in the end.
pub(crate) fn place(draft: &Draft) -> Result<Placed> {
    match try_place(draft) {
        Ok(Outcome::Confirmed) => Ok(Placed::Confirmed),
        // Whoever cancelled it, or the task, gives back what it holds.
        Ok(Outcome::Cancelled) => Ok(Placed::Rejected),
        Ok(Outcome::NoStock) => {
            store::reject(draft.id)?;
            store::done(draft.id, Step::Release)?;
            Ok(Placed::Rejected)
        }
        Err(Failed::Stock) => {
            store::reject(draft.id)?;
            // If this fails too, the task gives back what the order may hold.
            let _ = release(draft.id);
            Err(Error::unavailable("Error al comunicarse con el servicio de inventario"))
        }
        Err(Failed::Own(error)) => Err(error),
    }
}

/// Finishes or undoes what was abandoned; returns how many orders could not be dealt with yet.
pub(crate) fn recover() -> Result<usize> {
    let mut left = 0;
    for draft in store::unfinished(clock::now().plus_seconds(-ABANDONED_AFTER))? {
        let outcome = match draft.step() {
            Some(Step::Place) => place(&draft).map(drop),
            Some(Step::Settle) => settle(draft.id),
            Some(Step::Release) => release(draft.id),
            None => Ok(()),
        };
        left += usize::from(outcome.is_err());
    }
    Ok(left)
}

/// Gives back what an order holds or has taken.
pub(crate) fn release(order: i64) -> Result<()> {
    peers::release(order).map_err(|_| unavailable())?;
    store::done(order, Step::Release)
}

fn settle(order: i64) -> Result<()> {
    peers::settle(order).map_err(|_| unavailable())?;
    store::done(order, Step::Settle)
}

enum Outcome {
    Confirmed,
    NoStock,
    Cancelled,
}

enum Failed {
    Stock,
    Own(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

fn try_place(draft: &Draft) -> Result<Outcome, Failed> {
    // A crash between reserving and confirming left the units held: they are this order's.
    let mut warehouse = peers::holder(draft.id).map_err(|_| Failed::Stock)?;
    if warehouse.is_none() {
        let mut candidates = peers::candidates(draft.product_id, draft.units).map_err(|_| Failed::Stock)?;
        domain::rank(&mut candidates, draft.main_warehouse.as_deref(), draft.latitude, draft.longitude);
        for candidate in candidates {
            let claim = Claim {
                order_id: draft.id,
                product_id: draft.product_id,
                warehouse_id: candidate.id,
                units: draft.units,
            };
            match peers::reserve(claim) {
                Ok(()) => {
                    warehouse = Some(candidate);
                    break;
                }
                Err(StockError::Insufficient) => {}
                Err(StockError::Mismatch | StockError::Unavailable) => return Err(Failed::Stock),
            }
        }
    }
    let Some(warehouse) = warehouse else { return Ok(Outcome::NoStock) };
    if !store::confirm(draft.id, &warehouse)? {
        let _ = release(draft.id);
        return Ok(Outcome::Cancelled);
    }
    // The order is confirmed whatever happens now; the task settles what is not settled here.
    let _ = settle(draft.id);
    Ok(Outcome::Confirmed)
}

fn unavailable() -> Error {
    Error::unavailable("Error al comunicarse con el servicio de inventario")
}
