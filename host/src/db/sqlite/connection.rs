//! One connection, confined to its file and to its owner's limits, whose statements can be stopped.
//!
//! SQLite asks a progress handler every few steps whether to go on, and an authorizer, for each statement that it
//! prepares, whether it may do what it says. Both are installed once, so that a statement costs nothing more.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libsqlite3_sys as ffi;
use sqlx::sqlite::{LockedSqliteHandle, SqliteConnectOptions};
use sqlx::{ConnectOptions as _, SqliteConnection};

use crate::db::Bounds;
use crate::db::outbox::MAX_PAYLOAD;

/// Steps of SQLite's machine between two looks at the stop flag: a few microseconds of usual ones. A single step can
/// take milliseconds (a function of a large value), so not more; one look takes nanoseconds, so not fewer.
const STEPS: i32 = 100;

/// Room in a row for what is not its values.
const ROW_OVERHEAD: usize = 64 << 10;

/// Limits that do not depend on the owner; SQLite's own are as high as its data types can bear.
const LIMITS: [(c_int, c_int); 8] = [
    // Widest table and answer: no service has a tenth of it.
    (ffi::SQLITE_LIMIT_COLUMN, 512),
    // Deepest expression: the parser recurses on it.
    (ffi::SQLITE_LIMIT_EXPR_DEPTH, 256),
    // SELECTs in one UNION.
    (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 64),
    // Longest program of a statement: the longest text makes a shorter one, unless views multiply it.
    (ffi::SQLITE_LIMIT_VDBE_OP, 200_000),
    (ffi::SQLITE_LIMIT_FUNCTION_ARG, 127),
    // No other file, whatever the statement says.
    (ffi::SQLITE_LIMIT_ATTACHED, 0),
    (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 32),
    // No threads for sorting beside the connection's own.
    (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Functions that reach out of the file, or tell one guest what another did on the connection.
const DENIED_FUNCTIONS: [&str; 9] = [
    "changes",
    "fts3_tokenizer",
    "last_insert_rowid",
    "load_extension",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_log",
    "sqlite_source_id",
    "total_changes",
];

/// A connection, and the flags that its thread shares with whoever leases it.
pub(super) struct Connection {
    /// The connection itself.
    pub(super) raw: SqliteConnection,
    flags: Arc<Flags>,
}

#[derive(Default)]
struct Flags {
    /// Nobody waits for what runs.
    stop: AtomicBool,
    /// The database has rolled back since the last transaction began.
    rolled_back: AtomicBool,
}

// === impl Connection ===

impl Connection {
    /// Opens a connection and confines it.
    pub(super) async fn open(options: &SqliteConnectOptions, bounds: &Bounds) -> sqlx::Result<Self> {
        let mut raw = options.connect().await?;
        let flags = Arc::new(Flags::default());
        let mut handle = raw.lock_handle().await?;
        // Only now, for the options above have run as PRAGMAs.
        confine(&mut handle, bounds)?;
        let shared = Arc::clone(&flags);
        handle.set_progress_handler(STEPS, move || !shared.stop.load(Ordering::Relaxed));
        let shared = Arc::clone(&flags);
        handle.set_rollback_hook(move || shared.rolled_back.store(true, Ordering::Release));
        drop(handle);
        Ok(Self { raw, flags })
    }

    /// Ends what runs as interrupted, and all that would run after it.
    pub(super) fn stop(&self) {
        self.flags.stop.store(true, Ordering::Relaxed);
    }

    /// Lets statements run again, once the stopped one has ended.
    pub(super) fn resume(&self) {
        self.flags.stop.store(false, Ordering::Relaxed);
    }

    /// Notes that a transaction begins.
    pub(super) fn begin(&self) {
        self.flags.rolled_back.store(false, Ordering::Release);
    }

    /// Says whether the database has rolled back what began last.
    pub(super) fn was_rolled_back(&self) -> bool {
        self.flags.rolled_back.load(Ordering::Acquire)
    }
}

/// Sets the limits and installs the authorizer.
#[expect(unsafe_code, reason = "sqlx offers neither; SQLite has no other way to forbid ATTACH")]
fn confine(handle: &mut LockedSqliteHandle<'_>, bounds: &Bounds) -> sqlx::Result<()> {
    // An event is the host's: it has its room whatever the owner has.
    let largest = bounds.result_bytes.max(bounds.params_bytes).max(MAX_PAYLOAD).saturating_add(ROW_OVERHEAD);
    let length = (ffi::SQLITE_LIMIT_LENGTH, c_int::try_from(largest).unwrap_or(c_int::MAX));
    let database = handle.as_raw_handle().as_ptr();
    for (limit, value) in LIMITS.into_iter().chain([length]) {
        // SAFETY: the handle is open and locked; the call only writes a number into it.
        unsafe { ffi::sqlite3_limit(database, limit, value) };
    }
    let (on, answer): (c_int, *mut c_int) = (1, std::ptr::null_mut());
    // SAFETY: the handle is open and locked; this option takes an int, and a place for the answer that may be null.
    let defensive = unsafe { ffi::sqlite3_db_config(database, ffi::SQLITE_DBCONFIG_DEFENSIVE, on, answer) };
    // SAFETY: the handle is open and locked; `authorize` is a plain function that keeps no state and outlives it.
    let authorizer = unsafe { ffi::sqlite3_set_authorizer(database, Some(authorize), std::ptr::null_mut()) };
    if defensive == ffi::SQLITE_OK && authorizer == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol(format!("SQLite cannot be confined: {defensive}, {authorizer}")))
    }
}

/// Allows what reads or changes this file's own tables and nothing else: no other file, no PRAGMA, no temporary or
/// virtual table, no savepoint beside the host's transaction.
#[expect(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn authorize(
    _data: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    let allowed = match action {
        // SAFETY: SQLite passes the table's name as a NUL-terminated text, or null.
        ffi::SQLITE_READ => unsafe { !is_any(first, &["dbstat"]) },
        // SAFETY: SQLite passes the function's name as a NUL-terminated text, or null.
        ffi::SQLITE_FUNCTION => unsafe { !is_any(second, &DENIED_FUNCTIONS) },
        // What ALTER TABLE does to the rows that are there; a statement that names it is refused before.
        // SAFETY: SQLite passes the PRAGMA's name as a NUL-terminated text.
        ffi::SQLITE_PRAGMA => unsafe { is_any(first, &["quick_check"]) },
        ffi::SQLITE_SELECT
        | ffi::SQLITE_RECURSIVE
        | ffi::SQLITE_INSERT
        | ffi::SQLITE_UPDATE
        | ffi::SQLITE_DELETE
        | ffi::SQLITE_TRANSACTION
        | ffi::SQLITE_CREATE_TABLE
        | ffi::SQLITE_CREATE_INDEX
        | ffi::SQLITE_CREATE_VIEW
        | ffi::SQLITE_CREATE_TRIGGER
        | ffi::SQLITE_ALTER_TABLE
        | ffi::SQLITE_DROP_TABLE
        | ffi::SQLITE_DROP_INDEX
        | ffi::SQLITE_DROP_VIEW
        | ffi::SQLITE_DROP_TRIGGER
        | ffi::SQLITE_REINDEX
        | ffi::SQLITE_ANALYZE => true,
        _ => false,
    };
    if allowed { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

/// Says whether a name is one of those listed, in any case.
///
/// # Safety
/// The name is null or a NUL-terminated text.
#[expect(unsafe_code, reason = "names come from SQLite as C texts")]
unsafe fn is_any(name: *const c_char, listed: &[&str]) -> bool {
    if name.is_null() {
        return false;
    }
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    listed.iter().any(|listed| name.eq_ignore_ascii_case(listed.as_bytes()))
}
