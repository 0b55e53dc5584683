//! `Idempotency-Key`: the same key and body within 24 hours gives the first answer again, and has one effect.
//!
//! The key is stored in the transaction of the effect itself, so that neither exists without the other; two
//! requests with one key meet at its primary key. Needs [`MIGRATION`].

use crate::sql::{self, Connection, Transaction};
use crate::{Error, Migration, Request, Response, Result, clock, json, params, row};

/// The table of keys, for the service's list of migrations.
pub const MIGRATION: Migration = Migration::new(
    "0000_idempotency_keys",
    include_str!("../../../migrations/sdk/sqlite/0000_idempotency_keys.sql"),
    include_str!("../../../migrations/sdk/postgres/0000_idempotency_keys.sql"),
);

/// The header, for the headers of a route.
pub const HEADER: &str = "idempotency-key";

/// How long a key is remembered.
const LIFE_SECONDS: i64 = 24 * 3600;

/// Longest key.
const MAX_KEY: usize = 200;

/// The key of one request, with who sent it and for what.
#[derive(Debug)]
pub struct Key {
    owner: String,
    operation: String,
    key: String,
    body: String,
}

row! {
    struct Stored {
        body: String,
        status: i64,
        answer: String,
    }
}

/// What is known of a key.
#[derive(Debug)]
pub enum Known {
    /// Nothing: do it.
    New,
    /// It was done; the text is what was remembered.
    Done {
        /// Status of the first answer; 0 while there is none.
        status: u16,
        /// What was remembered of it.
        answer: String,
    },
}

/// Takes the key of a request.
///
/// # Errors
/// When it is no key.
pub fn key(request: &Request) -> Result<Option<Key>> {
    let Some(key) = request.header(HEADER) else { return Ok(None) };
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::field("Idempotency-Key", "Debe tener de 1 a 200 caracteres ASCII visibles."));
    }
    let owner = request.caller().map_or_else(|| "-".to_owned(), |caller| caller.user_id.to_string());
    let target: String = match request.query_pairs() {
        [] => request.path_values(),
        _ => format!("{}?{:?}", request.path_values(), request.query_pairs()),
    };
    let body = format!("{:016x}{:016x}", fnv(target.as_bytes()), fnv(&without_passwords(request.body())));
    Ok(Some(Key { owner, operation: request.operation().to_owned(), key: key.to_owned(), body }))
}

/// Does a thing once per key: runs the closure in a transaction and remembers its answer in the same one.
///
/// # Errors
/// What the closure returns, which is not remembered; 409 for a key with another body.
pub fn once(request: &Request, mut work: impl FnMut(&Transaction) -> Result<Response>) -> Result<Response> {
    let Some(key) = key(request)? else { return sql::transaction(work) };
    let outcome = sql::transaction(|tx| {
        if let Known::Done { status, answer } = key.find(tx)? {
            return Ok(Response::raw_json(status, answer));
        }
        // Claimed before the work: of two at once the second waits here, and then finds the first one's answer.
        key.remember(tx, 0, "")?;
        key.complete(tx, work(tx)?)
    });
    match outcome {
        // Another request with the same key came first: its answer is there now.
        Err(Error::Sql(error)) if sql::broke(&error, "idempotency_keys_pkey") => sql::transaction(|tx| {
            let Known::Done { status, answer } = key.find(tx)? else {
                return Err(Error::conflict("La clave de idempotencia está en uso, intente de nuevo"));
            };
            Ok(Response::raw_json(status, answer))
        }),
        other => other,
    }
}

impl Key {
    /// Looks the key up.
    ///
    /// # Errors
    /// 409 when it came with another body.
    pub fn find(&self, tx: &impl Connection) -> Result<Known> {
        const FIND: &str = "SELECT body, status, answer FROM idempotency_keys \
            WHERE owner = $1 AND operation = $2 AND key = $3 AND created_at > $4";
        let since = clock::now().plus_seconds(-LIFE_SECONDS);
        let found = tx.first::<Stored>(FIND, params![&self.owner, &self.operation, &self.key, since])?;
        match found {
            None => Ok(Known::New),
            Some(stored) if stored.body == self.body => {
                let status = u16::try_from(stored.status).unwrap_or(200);
                Ok(Known::Done { status, answer: stored.answer })
            }
            Some(_) => Err(Error::conflict("La clave de idempotencia ya se usó con otro contenido")),
        }
    }

    /// Gives a stored key its answer and returns it; if another request was first, returns that one's instead.
    ///
    /// # Errors
    /// When the database does not answer.
    pub fn complete(&self, tx: &impl Connection, response: Response) -> Result<Response> {
        // The first answer stays: all requests with the key get the same one.
        const COMPLETE: &str = "UPDATE idempotency_keys SET status = $1, answer = $2 \
            WHERE owner = $3 AND operation = $4 AND key = $5 AND status = 0";
        let answer = String::from_utf8_lossy(&response.body).into_owned();
        let params = params![i64::from(response.status), answer, &self.owner, &self.operation, &self.key];
        if tx.execute(COMPLETE, params)? == 0
            && let Known::Done { status, answer } = self.find(tx)?
            && status > 0
        {
            return Ok(Response::raw_json(status, answer));
        }
        Ok(response)
    }

    /// Stores the key with its answer; those past their life make room.
    ///
    /// # Errors
    /// The constraint `idempotency_keys_pkey` when the key is there already.
    pub fn remember(&self, tx: &Transaction, status: u16, answer: &str) -> Result<()> {
        const EXPIRE: &str = "DELETE FROM idempotency_keys WHERE created_at <= $1";
        const STORE: &str = "INSERT INTO idempotency_keys (owner, operation, key, body, status, answer, created_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let now = clock::now();
        tx.execute(EXPIRE, params![now.plus_seconds(-LIFE_SECONDS)])?;
        let status = i64::from(status);
        tx.execute(STORE, params![&self.owner, &self.operation, &self.key, &self.body, status, answer, now])?;
        Ok(())
    }
}

/// Takes passwords out of a JSON body: what is kept of it must not help anybody to guess them.
fn without_passwords(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice(body) {
        Ok(serde_json::Value::Object(mut object)) => {
            object.retain(|name, _| !name.contains("password"));
            json::to_vec(&object).unwrap_or_default()
        }
        _ => body.to_owned(),
    }
}

/// FNV-1a, 64 bit: tells a repeated body from another one; nobody gains by a collision with their own key.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
