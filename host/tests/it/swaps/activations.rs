//! When each revision may have been live, as far as the one who deployed them can know.
//!
//! A revision may be live from just before its deploy was sent until the deploy that replaced it was answered.

use std::time::Instant;

/// The revisions of one service, each of which replaced the one before.
pub(super) struct Log {
    service: &'static str,
    spans: Vec<Span>,
}

struct Span {
    revision: u64,
    from: Instant,
    until: Option<Instant>,
}

/// A request that was answered.
pub(super) struct Answered {
    /// The header `X-Provesi-Revision`.
    pub(super) revision: String,
    /// Whether it was to change something.
    pub(super) changes: bool,
    pub(super) sent: Instant,
    pub(super) received: Instant,
}

impl Log {
    /// Begins with the revision that is live since before the first request.
    pub(super) fn new(service: &'static str, revision: u64, since: Instant) -> Self {
        Self { service, spans: vec![Span { revision, from: since, until: None }] }
    }

    /// Notes a deploy that replaced the revision before.
    pub(super) fn activated(&mut self, revision: u64, sent: Instant, received: Instant) {
        let before = self.spans.last_mut().expect("it begins with one");
        before.until = Some(received);
        self.spans.push(Span { revision, from: sent, until: None });
    }

    pub(super) fn service(&self) -> &'static str {
        self.service
    }

    pub(super) fn swaps(&self) -> usize {
        self.spans.len() - 1
    }

    /// Returns when each swap was known to be done.
    pub(super) fn instants(&self) -> impl Iterator<Item = Instant> {
        self.spans.iter().filter_map(|span| span.until)
    }

    /// Says whether the revision that answered may have been live while the request ran; none for another service.
    pub(super) fn fits(&self, answered: &Answered) -> Option<bool> {
        let (service, number) = answered.revision.split_once('@')?;
        if service != self.service {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        let was_live =
            |span: &Span| span.from <= answered.received && span.until.is_none_or(|until| answered.sent <= until);
        Some(self.spans.iter().any(|span| span.revision == number && was_live(span)))
    }
}
