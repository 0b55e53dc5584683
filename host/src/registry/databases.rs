//! The databases of the services that are open.
//!
//! One for all revisions of a service whose limits give it the same bounds. A revision that is only made, and may be
//! refused yet, takes nothing from those that serve: another's bounds open the same database beside the present one,
//! and what no revision holds any more is let go of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;
use crate::db::{Bounds, Database, OpenError, Storage};
use crate::names::ServiceName;

/// The open databases of the services.
#[derive(Default)]
pub(super) struct Databases(Mutex<Open>);

/// By service, the oldest first.
type Open = HashMap<ServiceName, Vec<(Bounds, Arc<Database>)>>;

impl Databases {
    /// Returns the database of a service with the bounds of its limits.
    ///
    /// # Errors
    /// When it is not open yet and cannot be opened.
    pub(super) async fn open(
        &self,
        storage: &Storage,
        service: &ServiceName,
        limits: &Limits,
    ) -> Result<Arc<Database>, OpenError> {
        let bounds = bounds(limits);
        if let Some(database) = self.find(service, bounds) {
            return Ok(database);
        }
        self.let_go();
        let database = Arc::new(storage.open(&service.identifier(), bounds).await?);
        let opened = (bounds, Arc::clone(&database));
        self.with(|open| open.entry(service.clone()).or_default().push(opened));
        // The first of them, if another revision was made meanwhile.
        Ok(self.find(service, bounds).unwrap_or(database))
    }

    /// Returns the database of a service if one of its revisions has opened it.
    pub(super) fn known(&self, service: &ServiceName) -> Option<Arc<Database>> {
        self.with(|open| open.get(service)?.first().map(|(_, database)| Arc::clone(database)))
    }

    /// Lets go of those that no revision holds any more.
    pub(super) fn let_go(&self) {
        let mut gone = Vec::new();
        self.with(|open| {
            open.retain(|_, databases| {
                gone.extend(databases.extract_if(.., |(_, database)| Arc::strong_count(database) == 1));
                !databases.is_empty()
            });
        });
        // Here, so that nobody waits for the connections to end.
        drop(gone);
    }

    /// Closes all of them, after what runs on them.
    pub(super) async fn close(&self) {
        let open = self.with(std::mem::take);
        for (_, database) in open.into_values().flatten() {
            database.close().await;
        }
    }

    fn find(&self, service: &ServiceName, bounds: Bounds) -> Option<Arc<Database>> {
        self.with(|open| {
            let (_, database) = open.get(service)?.iter().find(|(known, _)| *known == bounds)?;
            Some(Arc::clone(database))
        })
    }

    fn with<R>(&self, work: impl FnOnce(&mut Open) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn bounds(limits: &Limits) -> Bounds {
    let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    Bounds {
        connections: limits.sql_connections,
        result_bytes: bytes(limits.sql_result),
        statement_bytes: bytes(limits.sql_statement),
        params_bytes: bytes(limits.sql_params),
        statement_timeout: limits.deadline,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_revision_that_is_refused_leaves_the_database_to_those_that_serve() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::sqlite(folder.path().to_owned(), Duration::from_secs(5)).expect("a folder");
        let databases = Databases::default();
        let service: ServiceName = "a".parse().expect("a name");
        let narrow = Limits { sql_connections: 2, ..Limits::default() };
        let wide = Limits { sql_connections: 3, ..Limits::default() };
        let open = async |limits: &Limits| databases.open(&storage, &service, limits).await.expect("it opens");
        let serving = open(&narrow).await;
        drop(open(&wide).await);
        assert!(Arc::ptr_eq(&serving, &open(&narrow).await), "the next revision shares what serves");
        assert!(databases.known(&service).is_some_and(|known| Arc::ptr_eq(&serving, &known)));

        databases.let_go();
        assert_eq!(databases.with(|open| open[&service].len()), 1, "what was opened for nobody is let go of");
        drop(serving);
        databases.let_go();
        assert!(databases.known(&service).is_none());
    }
}
