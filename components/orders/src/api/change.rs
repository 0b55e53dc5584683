//! Cancels orders and moves them to another status.

use provesi_sdk::{Choice as _, Error, Request, Response, Result, Text, input};

use super::{not_found, only_customer, read};
use crate::domain::Status;
use crate::{placement, store};

input! {
    /// The status to move to.
    pub(crate) struct NewStatus {
        status: Text<20>,
    }
}

pub(crate) fn cancel(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    let customer = only_customer(request);
    let (status, owner) = store::status(id)?.ok_or_else(not_found)?;
    if customer.is_some() && owner != customer {
        return Err(not_found());
    }
    if customer.is_some() && status == Status::InTransit {
        return Err(Error::forbidden());
    }
    become_status(id, status, Status::Cancelled)
}

pub(crate) fn status(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    let body: NewStatus = request.json()?;
    let next = Status::parse(&body.status)
        .ok_or_else(|| Error::field("status", provesi_sdk::list::no_choice(&body.status)))?;
    let (status, _) = store::status(id)?.ok_or_else(not_found)?;
    // Only placement confirms: a confirmed order has stock.
    if matches!(next, Status::Confirmed | Status::Rejected) && status == Status::Pending {
        return Err(Error::conflict("El pedido todavía se está procesando"));
    }
    become_status(id, status, next)
}

fn become_status(id: i64, from: Status, to: Status) -> Result<Response> {
    if !from.may_become(to) {
        let (from, to) = (from.display(), to.display());
        return Err(Error::conflict(format!("Un pedido en estado {from} no puede pasar a {to}")));
    }
    let has_moved = match to {
        Status::Cancelled => placement::cancel(&store::draft(id)?.ok_or_else(not_found)?, from)?,
        _ => store::advance(id, from, to)?,
    };
    if !has_moved {
        return Err(Error::conflict("El pedido cambió mientras tanto, intente de nuevo"));
    }
    read::show(id, None, |order| Response::ok(&order))
}
