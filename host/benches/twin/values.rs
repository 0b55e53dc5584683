//! Money and times: whole numbers in the databases, texts in JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset, Timelike as _};
use serde::{Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Database, Decode, Encode, Postgres, Sqlite, Type};

/// PostgreSQL counts from 2000-01-01.
const EPOCH_2000_MICROS: i64 = 946_684_800_000_000;

/// `timestamptz` in PostgreSQL's own catalogue.
const TIMESTAMPTZ: PgTypeInfo = PgTypeInfo::with_oid(Oid(1184));

/// Seconds by which Bogotá is behind UTC, all year.
const BOGOTA: i32 = 5 * 3600;

/// An amount in cents; in JSON a text with two decimals.
#[derive(Clone, Copy)]
pub(super) struct Money(pub(super) i64);

/// Microseconds since 1970, UTC; in JSON an ISO 8601 text at −05:00.
#[derive(Clone, Copy)]
pub(super) struct Timestamp(i64);

// === impl Money ===

impl<DB: Database> Type<DB> for Money
where
    i64: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <i64 as Type<DB>>::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        <i64 as Type<DB>>::compatible(ty)
    }
}

impl<'r, DB: Database> Decode<'r, DB> for Money
where
    i64: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'r, DB>>::decode(value).map(Self)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sign, cents) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        serializer.collect_str(&format_args!("{sign}{}.{:02}", cents / 100, cents % 100))
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// Returns the moment now.
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(utc) = DateTime::from_timestamp_micros(self.0) else { return serializer.serialize_str("") };
        let bogota = FixedOffset::west_opt(BOGOTA).expect("five hours are within a day");
        let local = utc.with_timezone(&bogota).naive_local();
        let (date, time) = (local.date(), local.time());
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let micros = time.nanosecond() / 1000;
        serializer.collect_str(&format_args!("{date}T{hour:02}:{minute:02}:{second:02}.{micros:06}-05:00"))
    }
}

impl Type<Sqlite> for Timestamp {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(ty)
    }
}

impl Encode<'_, Sqlite> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Sqlite>>::encode_by_ref(&self.0, buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Timestamp {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        <i64 as Decode<'r, Sqlite>>::decode(value).map(Self)
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        TIMESTAMPTZ
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<'_, Postgres>>::encode_by_ref(&(self.0 - EPOCH_2000_MICROS), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<i64 as Decode<'r, Postgres>>::decode(value)? + EPOCH_2000_MICROS))
    }
}
