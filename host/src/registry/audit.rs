//! The audit trail: every attempt to change something, refused ones too, with who, when and from where.

use super::status::AuditEntry;
use super::store::{Store, StoreError, integer, now_us, rfc3339, text};
use crate::db::{SqlError, Transaction, Value};
use crate::names::{ComponentDigest, RevisionNumber, ServiceName};

const INSERT: &str = "INSERT INTO audit (at_us, service, action, outcome, revision, digest, who, origin, reason) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Longest reason that is kept; a chain of causes is a few hundred characters.
const MAX_REASON: usize = 4096;

/// Who changes something, and from where.
#[derive(Clone, Debug)]
pub struct Actor {
    /// A name, as the client gives it.
    pub by: String,
    /// An address, or what in the host itself acts.
    pub from: String,
}

impl Actor {
    /// Names a part of the host that acts by itself.
    pub fn host(part: &str) -> Self {
        Self { by: part.to_owned(), from: "host".to_owned() }
    }
}

/// What was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Deploy,
    Check,
    Traffic,
    RollBack,
    CanaryReturn,
    Remove,
    Seed,
    Access,
    Replay,
    Discard,
}

/// One line to be written.
pub(super) struct Entry {
    pub(super) service: String,
    pub(super) action: Action,
    pub(super) refused: bool,
    pub(super) revision: Option<RevisionNumber>,
    pub(super) digest: Option<ComponentDigest>,
    pub(super) actor: Actor,
    pub(super) reason: Option<String>,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Check => "check",
            Self::Traffic => "traffic",
            Self::RollBack => "rollback",
            Self::CanaryReturn => "canary-return",
            Self::Remove => "remove",
            Self::Seed => "seed",
            Self::Access => "access",
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

impl Entry {
    /// Makes the line of something that was done.
    pub(super) fn done(service: &ServiceName, action: Action, actor: &Actor) -> Self {
        Self {
            service: service.to_string(),
            action,
            refused: false,
            revision: None,
            digest: None,
            actor: actor.clone(),
            reason: None,
        }
    }

    /// Makes the line of something that was refused.
    pub(super) fn refused(service: &str, action: Action, actor: &Actor, reason: String) -> Self {
        let (service, actor) = (service.to_owned(), actor.clone());
        Self { service, action, refused: true, revision: None, digest: None, actor, reason: Some(reason) }
    }

    /// Writes the line in the transaction of what it tells.
    pub(super) async fn insert(&self, tx: &mut Transaction) -> Result<(), SqlError> {
        tx.execute(INSERT, &self.params()).await.map(drop)
    }

    fn params(&self) -> [Value; 9] {
        let optional = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.to_owned()));
        let reason = self.reason.as_deref().map(|reason| &reason[..reason.floor_char_boundary(MAX_REASON)]);
        [
            Value::Integer(now_us()),
            Value::Text(self.service.clone()),
            Value::Text(self.action.as_str().to_owned()),
            Value::Text(if self.refused { "refused" } else { "done" }.to_owned()),
            self.revision.map_or(Value::Null, |number| Value::Integer(number.0.into())),
            optional(self.digest.map(|digest| digest.to_string()).as_deref()),
            Value::Text(self.actor.by.clone()),
            Value::Text(self.actor.from.clone()),
            optional(reason),
        ]
    }
}

impl Store {
    /// Writes a line that belongs to no other change.
    pub(super) async fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        Ok(self.database().execute(INSERT, &entry.params()).await.map(drop)?)
    }

    /// Reads the newest lines, newest first.
    pub(super) async fn audit(&self, service: Option<&ServiceName>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        const ALL: &str = "SELECT id, at_us, service, action, outcome, revision, digest, who, origin, reason \
            FROM audit ORDER BY id DESC LIMIT $1";
        const ONE: &str = "SELECT id, at_us, service, action, outcome, revision, digest, who, origin, reason \
            FROM audit WHERE service = $2 ORDER BY id DESC LIMIT $1";
        let limit = Value::Integer(limit.into());
        let rows = match service {
            None => self.database().query(ALL, &[limit]).await?,
            Some(service) => self.database().query(ONE, &[limit, Value::Text(service.to_string())]).await?,
        };
        let entries = rows.rows().map(|row| {
            let column = |index| text(&row, index).map(str::to_owned);
            AuditEntry {
                id: integer(&row, 0).unwrap_or_default(),
                at: rfc3339(integer(&row, 1).unwrap_or_default()),
                service: column(2).unwrap_or_default(),
                action: column(3).unwrap_or_default(),
                outcome: column(4).unwrap_or_default(),
                revision: integer(&row, 5),
                digest: column(6),
                by: column(7).unwrap_or_default(),
                from: column(8).unwrap_or_default(),
                reason: column(9),
            }
        });
        Ok(entries.collect())
    }
}
