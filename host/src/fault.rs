//! What can go wrong with an invocation, as types that others branch on.
//!
//! Not here: status codes (see `gateway::error`), how a wasmtime error becomes one of these
//! (see `runtime::classify`).

use std::time::Duration;

use crate::names::{ComponentDigest, ServiceName};

/// A guest broke its contract.
#[derive(Debug, thiserror::Error)]
pub enum GuestFault {
    /// The guest aborted; the text is wasmtime's reason.
    #[error("trapped: {0}")]
    Trap(String),
    /// A typed call of the guest failed, and its function has no case for that; the text says which, and why.
    #[error("trapped on a typed call that failed: {0}")]
    PeerFailed(String),
    /// The guest was still running or waiting at its deadline.
    #[error("did not finish before its deadline")]
    Deadline,
    /// The guest wanted more linear memory or table elements than its limit.
    #[error("wanted more memory than its limit")]
    Memory,
    /// The guest answered something that is no HTTP response.
    #[error("answered something invalid: {0}")]
    InvalidResponse(String),
    /// Typed calls are nested deeper than the limit, most likely in a circle.
    #[error("typed calls are nested deeper than {0}")]
    Depth(u8),
    /// One request wanted more typed calls than its limit, in all its services together.
    #[error("made more typed calls than the {0} that one request may make")]
    FanOut(u32),
    /// The guest does not know an operation that its own description names.
    #[error("does not know its own operation {0:?}")]
    UndeclaredOperation(String),
    /// The guest called a capability while none answers.
    #[error("called the capability {0:?} while it does not answer")]
    Denied(&'static str),
}

impl GuestFault {
    /// All words that [`GuestFault::kind`] can return.
    pub const KINDS: [&'static str; 9] = [
        "trap",
        "peer-failed",
        "deadline",
        "memory",
        "invalid-response",
        "depth",
        "fan-out",
        "undeclared-operation",
        "denied",
    ];

    /// Returns the stable word for the kind: a label of metrics and a field of the log.
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.index()]
    }

    /// Returns the place of its kind in [`GuestFault::KINDS`].
    pub fn index(&self) -> usize {
        match self {
            Self::Trap(_) => 0,
            Self::PeerFailed(_) => 1,
            Self::Deadline => 2,
            Self::Memory => 3,
            Self::InvalidResponse(_) => 4,
            Self::Depth(_) => 5,
            Self::FanOut(_) => 6,
            Self::UndeclaredOperation(_) => 7,
            Self::Denied(_) => 8,
        }
    }
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The component broke its contract.
    #[error("service {service} ({digest}) {fault}")]
    Guest {
        /// The service whose component it was.
        service: ServiceName,
        /// The component, exactly.
        digest: ComponentDigest,
        /// What it did.
        #[source]
        fault: GuestFault,
    },
    /// The service's queue is full.
    #[error("service {service} has no room for another invocation")]
    Overloaded {
        /// The service that is full.
        service: ServiceName,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The operation fails, and is left alone for a while.
    #[error("service {service} is left alone, because this operation of it fails")]
    BreakerOpen {
        /// The service that fails.
        service: ServiceName,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The deadline passed while the invocation waited for its turn.
    #[error("service {service} did not come to it before the deadline")]
    QueueDeadline {
        /// The service that is busy.
        service: ServiceName,
    },
    /// No live service exports the interface.
    #[error("no live service exports {interface}")]
    NoExporter {
        /// The interface that was called.
        interface: String,
    },
    /// The host itself failed.
    #[error("the host failed")]
    Host(#[source] wasmtime::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_has_its_own_word() {
        let text = String::new;
        for (fault, word) in [
            (GuestFault::Trap(text()), "trap"),
            (GuestFault::PeerFailed(text()), "peer-failed"),
            (GuestFault::Deadline, "deadline"),
            (GuestFault::Memory, "memory"),
            (GuestFault::InvalidResponse(text()), "invalid-response"),
            (GuestFault::Depth(8), "depth"),
            (GuestFault::FanOut(256), "fan-out"),
            (GuestFault::UndeclaredOperation(text()), "undeclared-operation"),
            (GuestFault::Denied("sql"), "denied"),
        ] {
            assert_eq!(fault.kind(), word, "{fault}");
        }
    }
}
