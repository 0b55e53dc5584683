//! Watches canaries: one that is worse than what serves beside it loses its traffic by itself.

use tokio_util::sync::CancellationToken;

use super::Registry;
use super::snapshot::Live;
use super::stats::Window;
use crate::config::CanaryConfig;
use crate::names::RevisionNumber;

impl Registry {
    /// Watches all canaries, until told to stop.
    pub async fn watch_canaries(&self, config: CanaryConfig, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(config.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let snapshot = self.snapshot();
            for (service, live) in snapshot.services() {
                if let Some((canary, reason)) = verdict(live, &config) {
                    self.return_canary(service, canary, &reason).await;
                }
            }
        }
    }
}

/// Says why a service's canary has to go; none when it has none, or it does well.
fn verdict(live: &Live, config: &CanaryConfig) -> Option<(RevisionNumber, String)> {
    let canary = live.canary()?;
    let (watched, _) = live.revisions().iter().find(|(revision, _)| revision.number == canary)?;
    let (stable, _) = live.revisions().iter().find(|(revision, _)| revision.number != canary)?;
    let reason = worse(watched.stats.last(config.window), stable.stats.last(config.window), config)?;
    Some((canary, reason))
}

/// Requests below which the 99th percentile is merely the slowest one.
const PERCENTILE: u64 = 100;

/// Compares the last seconds of a canary with those of what serves beside it.
fn worse(canary: Window, stable: Window, config: &CanaryConfig) -> Option<String> {
    if canary.requests < u64::from(config.min_requests) {
        return None;
    }
    let (errors, others) = (share(canary), share(stable));
    if errors > config.max_error_share && errors > others {
        return Some(format!(
            "{:.1} % of its {} requests failed, of the other revision's {:.1} %; {:.1} % are allowed",
            errors * 100.0,
            canary.requests,
            others * 100.0,
            config.max_error_share * 100.0
        ));
    }
    let bound = stable.p99.mul_f64(config.max_p99_ratio).max(config.p99_floor);
    let enough = canary.requests.min(stable.requests) >= PERCENTILE;
    (enough && canary.p99 > bound).then(|| {
        format!(
            "its 99th percentile is {:?}, over {} times the other's {:?}",
            canary.p99, config.max_p99_ratio, stable.p99
        )
    })
}

#[expect(clippy::cast_precision_loss, reason = "a minute has far fewer requests than a float has digits")]
fn share(window: Window) -> f64 {
    if window.requests == 0 { 0.0 } else { window.errors as f64 / window.requests as f64 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn window(requests: u64, errors: u64, p99_ms: u64) -> Window {
        Window { requests, errors, p99: Duration::from_millis(p99_ms) }
    }

    #[test]
    fn a_canary_goes_when_it_fails_more_or_is_slower_than_allowed() {
        let config = CanaryConfig::default();
        let stable = window(1000, 1, 100);
        assert_eq!(worse(window(100, 5, 100), stable, &config), None, "5 % are allowed");
        assert!(worse(window(100, 6, 100), stable, &config).is_some_and(|reason| reason.contains("6.0 %")));
        assert_eq!(worse(window(100, 0, 200), stable, &config), None, "twice as slow is allowed");
        assert!(worse(window(100, 0, 201), stable, &config).is_some_and(|reason| reason.contains("percentile")));
    }

    #[test]
    fn a_canary_is_not_judged_by_a_handful_or_for_what_fails_everywhere() {
        let config = CanaryConfig::default();
        assert_eq!(worse(window(19, 19, 500), window(1000, 0, 1), &config), None);
        assert_eq!(worse(window(100, 50, 10), window(1000, 600, 10), &config), None);
        assert_eq!(worse(window(100, 0, 500), window(3, 0, 1), &config), None, "nothing to compare with");
        assert_eq!(worse(window(99, 0, 500), window(1000, 0, 1), &config), None, "no 99th percentile yet");
        assert_eq!(worse(window(100, 0, 40), window(1000, 0, 1), &config), None, "fast enough for anybody");
    }
}
