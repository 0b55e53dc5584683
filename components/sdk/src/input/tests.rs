//! Every wrong field is named, in the contract's words.

use schemars::JsonSchema as _;

use super::*;

#[derive(Debug)]
struct Pet {
    name: Text<5>,
    age: Option<Int<0, 30>>,
    price: Decimal<10_000>,
    tame: Omittable<bool>,
    note: Patch<Text<10>>,
}

impl Body for Pet {
    fn from_object(object: &Map<String, Value>, errors: &mut FieldErrors) -> Option<Self> {
        let name = Field::read(object, "name", errors);
        let age = Field::read(object, "age", errors);
        let price = Field::read(object, "price", errors);
        let tame = Field::read(object, "tame", errors);
        let note = Field::read(object, "note", errors);
        Some(Self { name: name?, age: age?, price: price?, tame: tame?, note: note? })
    }
}

fn errors(body: &str) -> FieldErrors {
    match Pet::read(body.as_bytes()) {
        Err(Error::Fields(errors)) => errors,
        other => panic!("{other:?}"),
    }
}

#[test]
fn good_fields_are_read_and_trimmed() {
    let pet = Pet::read(br#"{"name": " Rex ", "price": "12.5", "note": null, "more": 1}"#).expect("valid");
    assert_eq!((&*pet.name, pet.age, pet.price.0, pet.note), ("Rex", None, 1250, Patch::Clear));
    let pet = Pet::read(br#"{"name": "Rex", "age": 3, "price": 100}"#).expect("valid");
    assert_eq!((pet.age, pet.price.0, pet.note), (Some(Int(3)), 10_000, Patch::Keep));
}

#[test]
fn null_is_refused_where_a_field_may_only_be_absent() {
    let mut expected = FieldErrors::default();
    expected.add("name", NULL);
    expected.add("price", NULL);
    expected.add("tame", NULL);
    assert_eq!(errors(r#"{"name": null, "age": null, "price": null, "tame": null, "note": null}"#), expected);
    let pet = Pet::read(br#"{"name": "Rex", "age": null, "price": 1}"#).expect("valid");
    assert_eq!((pet.age, pet.tame), (None, Omittable(None)));
    let pet = Pet::read(br#"{"name": "Rex", "price": 1, "tame": false}"#).expect("valid");
    assert_eq!(pet.tame, Omittable(Some(false)));
}

#[test]
fn a_field_that_may_only_be_absent_is_neither_required_nor_nullable_in_the_schema() {
    let generator = &mut schemars::SchemaGenerator::default();
    let (plain, omittable) = (bool::json_schema(generator), Omittable::<bool>::json_schema(generator));
    assert_eq!(plain, omittable);
    assert!(Omittable::<bool>::_schemars_private_is_option());
}

#[test]
fn all_wrong_fields_are_named_at_once() {
    let mut expected = FieldErrors::default();
    expected.add("name", REQUIRED);
    expected.add("age", "Asegúrese de que este valor es menor o igual a 30.");
    expected.add("price", "Introduzca un número válido.");
    expected.add("note", "Debe ser un texto válido.");
    assert_eq!(errors(r#"{"age": 31, "price": true, "note": 5}"#), expected);
}

#[test]
fn what_is_no_object_is_refused() {
    assert!(matches!(Pet::read(b"{\"name\":"), Err(Error::Rejected { status: 400, .. })));
    assert!(matches!(Pet::read(b""), Err(Error::Rejected { status: 400, .. })));
    assert!(matches!(Pet::read(b"\xff"), Err(Error::Rejected { status: 400, .. })));
    assert!(matches!(Pet::read(b"[]"), Err(Error::Fields(_))));
}

#[test]
fn addresses_have_a_name_a_host_and_a_dot() {
    let read = |text: &str| Email::from_value(&Value::String(text.to_owned()));
    for good in ["a@b.co", "ana.maria+1@logistica.com"] {
        assert!(read(good).is_ok(), "{good}");
    }
    for bad in ["", "a", "a@b", "@b.co", "a@b..co", "a b@c.co", "a@-b.co", "a@b@c.co", "a\0@b.co"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
