//! Money: whole cents inside, a JSON string with two decimals outside.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::decimal;

/// An amount in cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub i64);

/// Bytes of the longest amount: a sign, 17 digits, a point and two places.
const LONGEST: usize = 21;

impl Money {
    /// Shows it in a buffer.
    fn show(self, buffer: &mut [u8; LONGEST]) -> &str {
        let cents = self.0.unsigned_abs();
        let (whole, places) = buffer.split_at_mut(LONGEST - 3);
        places[0] = b'.';
        decimal::fill(&mut places[1..], cents % 100);
        let mut start = decimal::end(whole, cents / 100);
        if self.0 < 0 {
            start -= 1;
            whole[start] = b'-';
        }
        std::str::from_utf8(&buffer[start..]).expect("a sign, digits and a point are ASCII")
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.show(&mut [0; LONGEST]))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.show(&mut [0; LONGEST]))
    }
}

impl JsonSchema for Money {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^-?\d+\.\d{2}$" })
    }
}

/// Reads a decimal number with at most two places.
pub(crate) fn parse_cents(text: &str) -> Result<i64, Cow<'static, str>> {
    const INVALID: &str = "Introduzca un número válido.";
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(places) || (digits.contains('.') && places.is_empty()) {
        return Err(INVALID.into());
    }
    let significant = places.trim_end_matches('0');
    if significant.len() > 2 {
        return Err("Asegúrese de que no haya más de 2 decimales.".into());
    }
    let cents = format!("{whole}{significant:0<2}").parse::<i64>().unwrap_or(i64::MAX);
    Ok(if negative { -cents } else { cents })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_with_two_places() {
        for (cents, shown) in [
            (0, "0.00"),
            (5, "0.05"),
            (4_500_000, "45000.00"),
            (-150, "-1.50"),
            (-7, "-0.07"),
            (i64::MAX, "92233720368547758.07"),
            (i64::MIN, "-92233720368547758.08"),
        ] {
            assert_eq!(Money(cents).to_string(), shown);
        }
    }

    #[test]
    fn amounts_are_read_exactly() {
        for (text, cents) in [("45000", 4_500_000), ("1.5", 150), ("0.05", 5), ("2.50000", 250), ("-1", -100)] {
            assert_eq!(parse_cents(text), Ok(cents), "{text}");
        }
        for bad in ["", "abc", "1e5", "1.", ".5", "1.234", "1,5", "--1", "NaN", "0x1", "+1"] {
            assert!(parse_cents(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_cents("99999999999999999999"), Ok(i64::MAX));
    }
}
