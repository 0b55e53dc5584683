//! Bodies: structs whose field types say what is allowed, read so that every wrong field is named.
//!
//! A type is its rule: `Text<100>` is a text of 1 to 100 characters, `Option<T>` may be absent or null, `Omittable<T>`
//! may be absent but not null, `Patch<T>` tells absent from null. Unknown fields are ignored.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde_json::{Map, Value};

use crate::{Error, FieldErrors, Result};

mod schemas;

const REQUIRED: &str = "Este campo es requerido.";
const NULL: &str = "Este campo no puede ser nulo.";

/// A JSON object that a handler reads.
pub trait Body: Sized {
    /// Takes the fields out of an object; a wrong one adds its message.
    fn from_object(object: &Map<String, Value>, errors: &mut FieldErrors) -> Option<Self>;

    /// Reads bytes.
    ///
    /// # Errors
    /// When they are no JSON object, or fields are wrong.
    fn read(bytes: &[u8]) -> Result<Self> {
        let object = json_object(bytes)?;
        let mut errors = FieldErrors::default();
        let body = Self::from_object(&object, &mut errors);
        body.filter(|_| errors.is_empty()).ok_or(Error::Fields(errors))
    }
}

/// Reads bytes as a JSON object, for handlers whose checks have an order of their own.
///
/// # Errors
/// When they are none.
pub fn json_object(bytes: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::field("non_field_errors", "Se esperaba un objeto JSON.")),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let detail = format!("Error al analizar el JSON: línea {line}, columna {column}.");
            Err(Error::Rejected { status: 400, detail, retry_after: None })
        }
    }
}

/// What one field of a body can be.
pub trait Field: Sized {
    /// Reads a value that is there and not null.
    ///
    /// # Errors
    /// The message for the client.
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>>;

    /// What the field is when it is absent.
    ///
    /// # Errors
    /// The message for the client.
    fn absent() -> Result<Self, Cow<'static, str>> {
        Err(REQUIRED.into())
    }

    /// What the field is when it is null.
    ///
    /// # Errors
    /// The message for the client.
    fn null() -> Result<Self, Cow<'static, str>> {
        Err(NULL.into())
    }

    /// Reads the field of an object.
    fn read(object: &Map<String, Value>, name: &str, errors: &mut FieldErrors) -> Option<Self> {
        let read = match object.get(name) {
            None => Self::absent(),
            Some(Value::Null) => Self::null(),
            Some(value) => Self::from_value(value),
        };
        read.map_err(|message| errors.add(name, message)).ok()
    }
}

/// Declares a struct that is read from a body; each field's type is its rule.
#[macro_export]
macro_rules! input {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty $(= $json:literal)?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, $crate::schemars::JsonSchema)]
        #[schemars(crate = "provesi_sdk::schemars")]
        $vis struct $name {
            $($(#[$field_meta])* $(#[schemars(rename = $json)])? $field_vis $field: $ty),*
        }

        impl $crate::Body for $name {
            fn from_object(
                object: &$crate::JsonObject,
                errors: &mut $crate::FieldErrors,
            ) -> Option<Self> {
                $(let $field = <$ty as $crate::Field>::read(
                    object, $crate::input!(@name $field $($json)?), errors);)*
                Some(Self { $($field: $field?),* })
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $json:literal) => { $json };
}

/// A text of 1 to `MAX` characters, trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int<const MIN: i64, const MAX: i64>(pub i64);

/// A decimal number with two places from 0 to `MAX_CENTS`, kept in hundredths; a number or a numeric text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal<const MAX_CENTS: i64>(pub i64);

/// An e-mail address of at most 254 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// A password: 1 to 128 characters, not trimmed, never shown.
pub struct Secret(String);

/// One of the texts of a [`Choice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen<C>(pub C);

/// A field that may be absent but not null: one with a default, or a change of a value that is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omittable<T>(pub Option<T>);

/// A field of a change: absent leaves the value as it is, null clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Leave it.
    #[default]
    Keep,
    /// Clear it.
    Clear,
    /// Set it.
    Set(T),
}

/// A set of texts of which one is chosen.
pub trait Choice: Sized + Copy + 'static {
    /// The texts and what they mean.
    const ALL: &'static [(&'static str, Self)];

    /// Finds what a text means.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    }
}

// === impl Field ===

impl<T: Field> Field for Option<T> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        T::from_value(value).map(Some)
    }

    fn absent() -> Result<Self, Cow<'static, str>> {
        Ok(None)
    }

    fn null() -> Result<Self, Cow<'static, str>> {
        Ok(None)
    }
}

impl<T: Field> Field for Omittable<T> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        T::from_value(value).map(|value| Self(Some(value)))
    }

    fn absent() -> Result<Self, Cow<'static, str>> {
        Ok(Self(None))
    }
}

impl<T: Field> Field for Patch<T> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        T::from_value(value).map(Self::Set)
    }

    fn absent() -> Result<Self, Cow<'static, str>> {
        Ok(Self::Keep)
    }

    fn null() -> Result<Self, Cow<'static, str>> {
        Ok(Self::Clear)
    }
}

impl<const MAX: usize> Field for Text<MAX> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let text = text(value)?.trim();
        if text.is_empty() {
            return Err("Este campo no puede estar vacío.".into());
        }
        if text.chars().count() > MAX {
            return Err(format!("Asegúrese de que este campo no tenga más de {MAX} caracteres.").into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl<const MIN: i64, const MAX: i64> Field for Int<MIN, MAX> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or("Introduzca un número entero válido.")?;
        if number < MIN {
            return Err(format!("Asegúrese de que este valor es mayor o igual a {MIN}.").into());
        }
        if number > MAX {
            return Err(format!("Asegúrese de que este valor es menor o igual a {MAX}.").into());
        }
        Ok(Self(number))
    }
}

impl<const MAX_CENTS: i64> Field for Decimal<MAX_CENTS> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            _ => return Err("Introduzca un número válido.".into()),
        };
        let cents = crate::money::parse_cents(&text)?;
        if cents < 0 {
            return Err("Asegúrese de que este valor es mayor o igual a 0.".into());
        }
        if cents > MAX_CENTS {
            let max = crate::Money(MAX_CENTS);
            return Err(format!("Asegúrese de que este valor es menor o igual a {max}.").into());
        }
        Ok(Self(cents))
    }
}

impl Field for Email {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let Text(text) = Text::<254>::from_value(value)?;
        let valid = text.split_once('@').is_some_and(|(local, domain)| {
            let label = |label: &str| {
                !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-') && !label.starts_with('-')
            };
            let plain = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
            (1..=64).contains(&local.len())
                && local.chars().all(plain)
                && domain.contains('.')
                && domain.split('.').all(label)
        });
        if valid { Ok(Self(text)) } else { Err("Introduzca una dirección de correo electrónico válida.".into()) }
    }
}

impl Field for bool {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        value.as_bool().ok_or_else(|| "Debe ser un booleano válido.".into())
    }
}

impl Field for f64 {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| "Introduzca un número válido.".into())
    }
}

impl<C: Choice> Field for Chosen<C> {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let text = text(value)?.trim();
        C::parse(text).map(Self).ok_or_else(|| crate::list::no_choice(text).into())
    }
}

impl Field for Secret {
    fn from_value(value: &Value) -> Result<Self, Cow<'static, str>> {
        let text = text(value)?;
        if text.is_empty() {
            return Err("Este campo no puede estar vacío.".into());
        }
        if text.chars().count() > 128 {
            return Err("Asegúrese de que este campo no tenga más de 128 caracteres.".into());
        }
        Ok(Self(text.to_owned()))
    }
}

fn text(value: &Value) -> Result<&str, Cow<'static, str>> {
    let text = value.as_str().ok_or("Debe ser un texto válido.")?;
    // PostgreSQL stores no NUL, and no name needs one.
    if text.contains('\0') { Err("No se permiten caracteres nulos.".into()) } else { Ok(text) }
}

// === impl Patch ===

impl<T> Patch<T> {
    /// Applies the change to a value that may be absent.
    pub fn apply(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// Maps what is set.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(map(value)),
        }
    }
}

// === impl Text, Email ===

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
