//! Arrays and objects of JSON.

use serde::ser::{self, Serialize};

use super::text::quoted;
use super::{NoJson, write};

/// An array or object that has begun.
pub(super) struct Open<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
    end: &'static str,
}

impl<'o> Open<'o> {
    /// Begins one.
    pub(super) fn begin(out: &'o mut Vec<u8>, begin: &str, end: &'static str) -> Self {
        out.extend_from_slice(begin.as_bytes());
        Self { out, empty: true, end }
    }

    fn comma(&mut self) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        self.comma();
        write(self.out, value)
    }

    /// Writes a field of an object.
    pub(super) fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), NoJson> {
        self.comma();
        quoted(self.out, key);
        self.out.push(b':');
        write(self.out, value)
    }

    /// Ends it.
    pub(super) fn close(self) -> Result<(), NoJson> {
        let Self { out, end, .. } = self;
        end.bytes().for_each(|byte| out.push(byte));
        Ok(())
    }
}

macro_rules! array {
    ($kind:ident, $element:ident) => {
        impl ser::$kind for Open<'_> {
            type Ok = ();
            type Error = NoJson;

            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
                self.element(value)
            }

            fn end(self) -> Result<(), NoJson> {
                self.close()
            }
        }
    };
}

array!(SerializeSeq, serialize_element);
array!(SerializeTuple, serialize_element);
array!(SerializeTupleStruct, serialize_field);
array!(SerializeTupleVariant, serialize_field);

macro_rules! object {
    ($kind:ident) => {
        impl ser::$kind for Open<'_> {
            type Ok = ();
            type Error = NoJson;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), NoJson> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), NoJson> {
                self.close()
            }
        }
    };
}

object!(SerializeStruct);
object!(SerializeStructVariant);

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = NoJson;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoJson> {
        self.comma();
        let start = self.out.len();
        write(self.out, key)?;
        match self.out.get(start) {
            Some(b'"') => {}
            // Numbers and truth values become texts.
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.out.insert(start, b'"');
                self.out.push(b'"');
            }
            _ => return Err(NoJson("a key is no text".to_owned())),
        }
        self.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoJson> {
        write(self.out, value)
    }

    fn end(self) -> Result<(), NoJson> {
        self.close()
    }
}
