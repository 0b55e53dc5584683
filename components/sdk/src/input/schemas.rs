//! The JSON Schemas of the field types.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{Choice, Chosen, Decimal, Email, Int, Omittable, Patch, Secret, Text};

macro_rules! schema {
    ([$($generics:tt)*] $ty:ty, $generator:ident => $schema:expr) => {
        impl<$($generics)*> JsonSchema for $ty {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($ty).into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

schema!([const MAX: usize] Text<MAX>, _generator => json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX }));
schema!([const MIN: i64, const MAX: i64] Int<MIN, MAX>, _generator => json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX }));
schema!([const MAX_CENTS: i64] Decimal<MAX_CENTS>, _generator => json_schema!({ "type": ["string", "number"], "pattern": r"^\d+(\.\d{1,2})?$" }));
schema!([] Email, _generator => json_schema!({ "type": "string", "format": "email", "maxLength": 254 }));

schema!([] Secret, _generator => json_schema!({ "type": "string", "minLength": 1, "maxLength": 128, "writeOnly": true }));
schema!([C: Choice] Chosen<C>, _generator => json_schema!({ "enum": C::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>() }));

macro_rules! may_be_left_out {
    ($field:ident<$t:ident> as $like:ty) => {
        impl<$t: JsonSchema> JsonSchema for $field<$t> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $t::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$like>::json_schema(generator)
            }

            // A field that may be left out is not among the required ones.
            fn _schemars_private_is_option() -> bool {
                true
            }
        }
    };
}

may_be_left_out!(Omittable<T> as T);
may_be_left_out!(Patch<T> as Option<T>);
