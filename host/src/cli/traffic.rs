//! `traffic`, `rollback` and `remove`: move the pointer of a service, or take it away.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::host::Host;
use super::{screen, show};
use crate::names::ServiceName;

/// How traffic is split.
#[derive(clap::Args)]
pub struct Traffic {
    /// Name of the service.
    service: ServiceName,
    /// Revisions and their parts of the traffic, 100 in all.
    #[arg(value_name = "REV=PERCENT", required = true, value_parser = weight)]
    weights: Vec<Weight>,
    #[command(flatten)]
    pub(super) host: Host,
}

/// Which revision gets the traffic back.
#[derive(clap::Args)]
pub struct Rollback {
    /// Name of the service.
    service: ServiceName,
    /// The revision [default: the one before].
    #[arg(long, value_name = "REV", value_parser = clap::value_parser!(u32).range(1..))]
    to: Option<u32>,
    #[command(flatten)]
    pub(super) host: Host,
}

/// Which service goes.
#[derive(clap::Args)]
pub struct Remove {
    /// Name of the service.
    service: ServiceName,
    #[command(flatten)]
    pub(super) host: Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weight {
    revision: u32,
    percent: u8,
}

impl Traffic {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let weights = weights(&self.weights)?;
        let path = format!("/v1/services/{}/traffic", self.service);
        let answer = client.send(Method::PUT, &path, &json!({ "weights": weights })).await?;
        screen::show(&answer, self.host.json, show::moved)
    }
}

impl Rollback {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let body = self.to.map_or_else(|| json!({}), |to| json!({ "to": to }));
        let path = format!("/v1/services/{}/rollback", self.service);
        let answer = client.send(Method::POST, &path, &body).await?;
        screen::show(&answer, self.host.json, show::moved)
    }
}

impl Remove {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let answer = client.delete(&format!("/v1/services/{}", self.service)).await?;
        if self.host.json { screen::raw(&answer) } else { screen::text(&format!("{} is removed", self.service)) }
    }
}

fn weight(text: &str) -> Result<Weight, String> {
    let parts = text.split_once('=').map(|(revision, percent)| {
        let percent = percent.strip_suffix('%').unwrap_or(percent);
        (revision.parse::<u32>().ok(), percent.parse::<u8>().ok())
    });
    match parts {
        Some((Some(revision @ 1..), Some(percent @ 0..=100))) => Ok(Weight { revision, percent }),
        _ => Err("a part looks like 7=90: revision 7 gets 90 % of the traffic".to_owned()),
    }
}

/// Each revision once; whether they add up is the host's to say.
fn weights(parts: &[Weight]) -> Result<BTreeMap<String, u8>, Failure> {
    let mut weights = BTreeMap::new();
    for Weight { revision, percent } in parts {
        if weights.insert(revision.to_string(), *percent).is_some() {
            return Err(Failure::Usage(format!("revision {revision} is named twice")));
        }
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_names_a_revision_and_a_percentage() {
        assert_eq!(weight("7=90"), Ok(Weight { revision: 7, percent: 90 }));
        assert_eq!(weight("7=90%"), Ok(Weight { revision: 7, percent: 90 }));
        for bad in ["7", "=", "7=", "0=10", "7=101", "-1=5", "7:90", "a=1"] {
            assert!(weight(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_revision_that_is_named_twice_is_a_mistake_of_usage() {
        let twice = ["7=90", "7=10"].map(|part| weight(part).expect("a part"));
        assert_eq!(weights(&twice).expect_err("twice").exit_code(), 2);
        let once = ["7=90", "6=10"].map(|part| weight(part).expect("a part"));
        assert_eq!(json!(weights(&once).expect("each once")), json!({"6": 10, "7": 90}));
    }
}
