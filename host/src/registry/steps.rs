//! The steps of a deploy: told to operators as they begin, and timed.

use std::time::{Duration, Instant};

use super::status::Timings;
use crate::feed::{Event, Feed, Kind};
use crate::names::{ComponentDigest, ServiceName};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Compile,
    Link,
    Describe,
    Contract,
    Migrate,
    Activate,
}

/// The clock of one deploy.
pub(super) struct Steps<'f> {
    told: Option<(&'f Feed, &'f ServiceName, ComponentDigest)>,
    started: Instant,
    running: Option<(Step, Instant)>,
    timings: Timings,
}

impl<'f> Steps<'f> {
    /// Starts the clock of a deploy that operators follow.
    pub(super) fn told(feed: &'f Feed, service: &'f ServiceName, digest: ComponentDigest) -> Self {
        Self { told: Some((feed, service, digest)), ..Self::silent() }
    }

    /// Starts the clock of something that nobody follows.
    pub(super) fn silent() -> Self {
        Self { told: None, started: Instant::now(), running: None, timings: Timings::default() }
    }

    /// Ends the running step and begins the next.
    pub(super) fn begin(&mut self, step: Step) {
        self.end();
        self.running = Some((step, Instant::now()));
        if let Some((feed, service, digest)) = self.told {
            feed.publish(Event {
                digest: Some(digest.to_string()),
                detail: Some(step.as_str().to_owned()),
                ..Event::new(Kind::DeployStep, service.as_str())
            });
        }
    }

    /// Ends the clock and tells the times.
    pub(super) fn finish(mut self) -> Timings {
        self.end();
        self.timings.total = ms(self.started.elapsed());
        self.timings
    }

    fn end(&mut self) {
        let Some((step, since)) = self.running.take() else { return };
        let slot = match step {
            Step::Compile => &mut self.timings.compile,
            Step::Link => &mut self.timings.link,
            Step::Describe => &mut self.timings.describe,
            Step::Contract => &mut self.timings.contract,
            Step::Migrate => &mut self.timings.migrate,
            Step::Activate => &mut self.timings.activate,
        };
        *slot += ms(since.elapsed());
    }
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Link => "link",
            Self::Describe => "describe",
            Self::Contract => "contract",
            Self::Migrate => "migrate",
            Self::Activate => "activate",
        }
    }
}

/// Microseconds are enough, and short to read.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
