//! `status`, `revisions` and `audit`: show what is, and how it came about.

use super::answers::{AuditEntry, Revision, Service};
use super::client::Client;
use super::failure::Failure;
use super::host::Host;
use super::{screen, show};
use crate::names::ServiceName;

/// What is shown of the services.
#[derive(clap::Args)]
pub struct Status {
    /// Name of a service, for its details.
    service: Option<ServiceName>,
    #[command(flatten)]
    pub(super) host: Host,
}

/// Whose revisions are listed.
#[derive(clap::Args)]
pub struct Revisions {
    /// Name of the service.
    service: ServiceName,
    #[command(flatten)]
    pub(super) host: Host,
}

/// Which changes are listed.
#[derive(clap::Args)]
pub struct Audit {
    /// Name of a service [default: all].
    service: Option<ServiceName>,
    /// Entries at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    pub(super) host: Host,
}

impl Status {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let json = self.host.json;
        match &self.service {
            None => {
                let answer = client.get("/v1/services").await?;
                screen::show(&answer, json, |services: &Vec<Service>| show::services(services, screen::WIDTH))
            }
            Some(name) => {
                let answer = client.get(&format!("/v1/services/{name}")).await?;
                screen::show(&answer, json, |service| show::service(service, screen::WIDTH))
            }
        }
    }
}

impl Revisions {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let answer = client.get(&format!("/v1/services/{}/revisions", self.service)).await?;
        let render = |revisions: &Vec<Revision>| show::revisions(revisions, screen::WIDTH);
        screen::show(&answer, self.host.json, render)
    }
}

impl Audit {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let service = self.service.as_ref().map(|name| format!("&service={name}")).unwrap_or_default();
        let answer = client.get(&format!("/v1/audit?limit={}{service}", self.limit)).await?;
        let render = |entries: &Vec<AuditEntry>| show::audit(entries, screen::WIDTH);
        screen::show(&answer, self.host.json, render)
    }
}
