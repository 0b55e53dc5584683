//! The text is `serde_json`'s, byte by byte.

use std::collections::BTreeMap;

use serde::Serialize;

use super::*;

#[track_caller]
fn same<T: Serialize + ?Sized>(value: &T) {
    let written = String::from_utf8(to_vec(value).expect("JSON")).expect("UTF-8");
    assert_eq!(written, serde_json::to_string(value).expect("JSON"));
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype(u16);

#[derive(Serialize)]
struct Tuple(i8, &'static str);

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Named { name: &'static str, sides: u8 },
    Nothing {},
}

#[derive(Serialize)]
struct All<'a> {
    id: i64,
    #[serde(rename = "a \"name\"")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<bool>,
    nothing: Option<bool>,
    shapes: Vec<Shape>,
    pair: (bool, char),
    units: ((), Unit, Empty),
    #[serde(flatten)]
    more: BTreeMap<&'a str, f32>,
}

#[test]
fn structs_enums_and_lists_are_written_as_by_serde_json() {
    let shapes = vec![
        Shape::Point,
        Shape::Circle(0.1),
        Shape::Line(-1, 2),
        Shape::Named { name: "\u{1}", sides: 3 },
        Shape::Nothing {},
    ];
    same(&All {
        id: -7,
        name: "Íñigo\n",
        absent: None,
        nothing: None,
        shapes,
        pair: (true, '"'),
        units: ((), Unit, Empty {}),
        more: BTreeMap::from([("x", 1.5), ("y", f32::MIN_POSITIVE)]),
    });
    same(&[Tuple(1, "a"), Tuple(-128, "")]);
    same(&Newtype(65_535));
    same::<[u8]>(&[]);
    same(&BTreeMap::<String, i64>::new());
    same(&serde_json::json!({ "a": [1, -2, 2.5, null, true, false, "b"], "c": {}, "d": [], "e": u64::MAX }));
}

#[test]
fn numbers_are_written_as_by_serde_json() {
    for number in [0, 9, 10, 99, 12_345, i64::MAX, i64::MIN, -1] {
        same(&number);
    }
    same(&u64::MAX);
    same(&(i128::MIN, u128::MAX));
    for number in [0.0, -0.0, 1.0, 0.1, 1e21, 1e-7, 33.33, f64::MAX, f64::NAN, f64::INFINITY] {
        same(&number);
    }
}

#[test]
fn each_character_is_escaped_wherever_it_stands() {
    let special: Vec<char> = ('\0'..='\u{a0}').chain(['ñ', '€', '\u{2028}', '🙂']).collect();
    for place in 0..=17 {
        for character in &special {
            let text = format!("{}{character}{}", "a".repeat(place), "ñ".repeat(place % 5));
            same(&text);
        }
    }
    same("");
    same(&special.iter().collect::<String>());
}

#[test]
fn keys_are_texts_or_become_texts() {
    same(&BTreeMap::from([("a\"", 1), ("b", 2)]));
    same(&BTreeMap::from([(-1, 1), (2, 2)]));
    same(&BTreeMap::from([(true, 1), (false, 2)]));
    same(&BTreeMap::from([('x', 1)]));
    let error = to_vec(&BTreeMap::from([(vec![1], 1)])).expect_err("a list is no key");
    assert_eq!(error.to_string(), "a key is no text");
}

#[test]
fn bytes_are_a_list_of_numbers() {
    struct Bytes;
    impl Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&[0, 255])
        }
    }
    same(&Bytes);
}

#[test]
fn what_a_value_says_against_being_written_is_the_error() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("not today"))
        }
    }
    assert_eq!(to_vec(&[Refuses]).expect_err("refused").to_string(), "not today");
}
