//! PostgreSQL: one database and one role per owner.
//!
//! The server says which type each parameter has, and values are encoded for it: a guest need not know whether
//! a column is INTEGER or BIGINT, and NULL has no type to get wrong.
//!
//! Not here: what becomes of a connection after its use (see `lease`), who may connect to what (see `provision`).

mod lease;

use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgPoolOptions, PgRow, PgTypeInfo, PgValueFormat,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Either, Executor as _, PgConnection, PgPool, Postgres, Row as _,
    SqlSafeStr as _, SqlStr, Statement as _, Type, TypeInfo as _, ValueRef as _,
};

pub(super) use self::lease::Lease;
use super::lease::Stop;
use super::{Bounds, PackedRows, SqlError, Value};

/// PostgreSQL counts from 2000-01-01.
const EPOCH_2000_MICROS: i64 = 946_684_800_000_000;

/// The longest time that the server's settings can hold.
const LONGEST_MILLIS: u128 = 2_147_483_647;

/// Longest wait for a lock where statements may take longer.
const LONGEST_LOCK: Duration = Duration::from_secs(10);

/// Rest after which a connection is asked whether it still works.
const RESTED: Duration = Duration::from_millis(500);

/// Connects with an owner's own role; no session waits, computes or idles in a transaction longer than one statement
/// may take.
pub(super) async fn open(options: PgConnectOptions, bounds: Bounds, acquire_timeout: Duration) -> sqlx::Result<PgPool> {
    let statement = bounds.statement_timeout;
    let millis = |time: Duration| format!("{}ms", time.as_millis().clamp(1, LONGEST_MILLIS));
    let options = options.options([
        ("statement_timeout", millis(statement)),
        ("lock_timeout", millis(statement.min(LONGEST_LOCK))),
        ("idle_in_transaction_session_timeout", millis(statement)),
    ]);
    PgPoolOptions::new()
        .max_connections(bounds.connections.max(1))
        .acquire_timeout(acquire_timeout)
        // A round trip for each statement would double its time; one for a connection that has rested finds those
        // that a restart of the server has cut.
        .test_before_acquire(false)
        .before_acquire(|connection, found| {
            Box::pin(async move {
                if found.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// Runs one statement and packs its rows.
async fn fetch(
    connection: &mut PgConnection,
    statement: &str,
    params: &[Value],
    limit: usize,
) -> Result<PackedRows, Stop> {
    let statement = AssertSqlSafe(statement).into_sql_str();
    let arguments = bind(connection, &statement, params).await?;
    let mut stream = sqlx::query_with(statement, arguments).fetch(connection);
    let mut rows = PackedRows::new();
    while let Some(row) = stream.try_next().await? {
        pack(&row, &mut rows).map_err(Stop::GivenUp)?;
        rows.end_row(row.len(), limit).map_err(Stop::GivenUp)?;
    }
    Ok(rows)
}

/// Runs one statement and counts the rows it changed.
async fn execute(connection: &mut PgConnection, statement: &str, params: &[Value]) -> Result<u64, Stop> {
    let statement = AssertSqlSafe(statement).into_sql_str();
    let arguments = bind(connection, &statement, params).await?;
    Ok(sqlx::query_with(statement, arguments).execute(connection).await?.rows_affected())
}

/// Runs all statements of a script.
async fn run(connection: &mut PgConnection, script: &str) -> Result<(), Stop> {
    Ok(sqlx::raw_sql(AssertSqlSafe(script)).execute(connection).await.map(drop)?)
}

/// Encodes the parameters for the types that the server found; it is asked once per connection and statement.
async fn bind(connection: &mut PgConnection, statement: &SqlStr, params: &[Value]) -> Result<PgArguments, Stop> {
    if params.is_empty() {
        return Ok(PgArguments::default());
    }
    let prepared = connection.prepare(statement.clone()).await?;
    let Some(Either::Left(types)) = prepared.parameters() else {
        return Err(Stop::Refused(SqlError::Invalid("the server names no parameter types".to_owned())));
    };
    arguments(params, types).map_err(Stop::Refused)
}

fn arguments(params: &[Value], types: &[PgTypeInfo]) -> Result<PgArguments, SqlError> {
    if types.len() != params.len() {
        let (wanted, given) = (types.len(), params.len());
        return Err(SqlError::Invalid(format!("the statement has {wanted} parameters and got {given}")));
    }
    let mut arguments = PgArguments::default();
    for (index, (value, type_info)) in params.iter().zip(types).enumerate() {
        let bytes = encode(value, type_info)
            .ok_or_else(|| SqlError::Invalid(format!("parameter ${} does not fit {type_info}", index + 1)))?;
        arguments
            .add(Encoded { bytes, type_info: type_info.clone() })
            .map_err(|error| SqlError::Invalid(error.to_string()))?;
    }
    Ok(arguments)
}

/// Encodes a value for a type; none when they do not fit, `Some(None)` for NULL.
fn encode(value: &Value, type_info: &PgTypeInfo) -> Option<Option<Vec<u8>>> {
    let bytes = match (value, type_info.name()) {
        (Value::Null, _) => return Some(None),
        (Value::Boolean(value), "BOOL") => vec![u8::from(*value)],
        (Value::Integer(value), "INT8") => value.to_be_bytes().to_vec(),
        (Value::Integer(value), "INT4") => i32::try_from(*value).ok()?.to_be_bytes().to_vec(),
        (Value::Integer(value), "INT2") => i16::try_from(*value).ok()?.to_be_bytes().to_vec(),
        #[expect(clippy::cast_precision_loss, reason = "an integer for a column of floats is meant as one")]
        (Value::Integer(value), "FLOAT8") => (*value as f64).to_be_bytes().to_vec(),
        (Value::Real(value), "FLOAT8") => value.to_be_bytes().to_vec(),
        #[expect(clippy::cast_possible_truncation, reason = "the column has single precision")]
        (Value::Real(value), "FLOAT4") => (*value as f32).to_be_bytes().to_vec(),
        (Value::Text(value), "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" | "UNKNOWN") => value.as_bytes().to_vec(),
        (Value::Text(value), "JSONB") => [&[1], value.as_bytes()].concat(),
        (Value::Blob(value), "BYTEA") => value.clone(),
        (Value::Timestamp(micros), "TIMESTAMPTZ" | "TIMESTAMP") => {
            micros.checked_sub(EPOCH_2000_MICROS)?.to_be_bytes().to_vec()
        }
        (Value::Timestamp(micros), "INT8") => micros.to_be_bytes().to_vec(),
        _ => return None,
    };
    Some(Some(bytes))
}

/// A value in PostgreSQL's binary format.
struct Encoded {
    bytes: Option<Vec<u8>>,
    type_info: PgTypeInfo,
}

impl Type<Postgres> for Encoded {
    fn type_info() -> PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Encoded {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.type_info.clone())
    }
}

fn pack(row: &PgRow, rows: &mut PackedRows) -> Result<(), SqlError> {
    for index in 0..row.len() {
        let cell = row.try_get_raw(index)?;
        if cell.is_null() {
            rows.null();
            continue;
        }
        let type_info = cell.type_info().into_owned();
        let wrong = || SqlError::Invalid(format!("column {} has type {type_info}: cast it", index + 1));
        if cell.format() != PgValueFormat::Binary {
            return Err(wrong());
        }
        let bytes = cell.as_bytes().map_err(|_| wrong())?;
        unpack(type_info.name(), bytes, rows).ok_or_else(wrong)?;
    }
    Ok(())
}

/// Packs one binary value; none when its type is not one that crosses.
fn unpack(type_name: &str, bytes: &[u8], rows: &mut PackedRows) -> Option<()> {
    match type_name {
        "BOOL" => rows.boolean(bytes.first()? != &0),
        "INT2" => rows.integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        "INT4" => rows.integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        "INT8" => rows.integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        "FLOAT4" => rows.real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        "FLOAT8" => rows.real(f64::from_be_bytes(bytes.try_into().ok()?)),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" | "UNKNOWN" => rows.text(std::str::from_utf8(bytes).ok()?),
        "JSONB" => rows.text(std::str::from_utf8(bytes.get(1..)?).ok()?),
        "BYTEA" => rows.blob(bytes),
        "TIMESTAMPTZ" | "TIMESTAMP" => {
            rows.timestamp(i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_2000_MICROS)?);
        }
        _ => return None,
    }
    Some(())
}
