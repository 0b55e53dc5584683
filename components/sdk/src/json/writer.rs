//! One value of JSON, whatever it is.

use serde::ser::{Error as _, Serialize, Serializer};

use super::NoJson;
use super::open::Open;
use super::text::{number, quoted};

/// Writes one value.
pub(super) struct Writer<'o>(pub(super) &'o mut Vec<u8>);

impl<'o> Writer<'o> {
    fn raw(self, text: &str) -> Result<(), NoJson> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes a number that is too wide for [`number`].
    fn wide(self, number: impl ToString) -> Result<(), NoJson> {
        self.raw(&number.to_string())
    }

    /// Writes a number by the rules of `serde_json`.
    fn float<T: Serialize>(self, number: T) -> Result<(), NoJson> {
        serde_json::to_writer(self.0, &number).map_err(NoJson::custom)
    }

    /// Begins the content of an enum's variant.
    fn variant(self, name: &str, begin: &str, end: &'static str) -> Open<'o> {
        self.0.push(b'{');
        quoted(self.0, name);
        self.0.push(b':');
        Open::begin(self.0, begin, end)
    }
}

impl<'o> Serializer for Writer<'o> {
    type Ok = ();
    type Error = NoJson;
    type SerializeSeq = Open<'o>;
    type SerializeTuple = Open<'o>;
    type SerializeTupleStruct = Open<'o>;
    type SerializeTupleVariant = Open<'o>;
    type SerializeMap = Open<'o>;
    type SerializeStruct = Open<'o>;
    type SerializeStructVariant = Open<'o>;

    fn serialize_bool(self, value: bool) -> Result<(), NoJson> {
        if value { self.raw("true") } else { self.raw("false") }
    }

    fn serialize_i8(self, value: i8) -> Result<(), NoJson> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), NoJson> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), NoJson> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), NoJson> {
        if value < 0 {
            self.0.push(b'-');
        }
        self.serialize_u64(value.unsigned_abs())
    }

    fn serialize_i128(self, value: i128) -> Result<(), NoJson> {
        self.wide(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), NoJson> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), NoJson> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), NoJson> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), NoJson> {
        number(self.0, value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), NoJson> {
        self.wide(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), NoJson> {
        self.float(value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), NoJson> {
        self.float(value)
    }

    fn serialize_char(self, value: char) -> Result<(), NoJson> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), NoJson> {
        quoted(self.0, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), NoJson> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), NoJson> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NoJson> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), NoJson> {
        self.raw("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), NoJson> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), NoJson> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), NoJson> {
        self.serialize_some(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NoJson> {
        let mut open = Open::begin(self.0, "{", "}");
        open.field(variant, value)?;
        open.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'o>, NoJson> {
        Ok(Open::begin(self.0, "[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'o>, NoJson> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'o>, NoJson> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'o>, NoJson> {
        Ok(self.variant(variant, "[", "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'o>, NoJson> {
        Ok(Open::begin(self.0, "{", "}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'o>, NoJson> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'o>, NoJson> {
        Ok(self.variant(variant, "{", "}}"))
    }
}
