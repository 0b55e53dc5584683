//! Says in what two types differ, by structure.
//!
//! wasmtime's own equality is not used for nested types: it panics on resources of components that do not run, and
//! it says only that types differ. Sizes and depths are bounded by the validation of components.

use std::collections::BTreeSet;

use wasmtime::component::types::{ComponentFunc, Type};

use super::show::{phrase, quoted};

/// Named parts of a type, in their order: parameters, fields, cases, flags.
type Members<'a> = Vec<(&'a str, Option<Type>)>;

/// Says in what the type of an exported function differs from the imported one, if it does.
///
/// Names of parameters count, as in the component model: else two parameters of one type could change places unseen.
pub(super) fn difference(expected: &ComponentFunc, actual: &ComponentFunc) -> Option<String> {
    if expected.async_() != actual.async_() {
        return Some("one is asynchronous, the other is not".to_owned());
    }
    members("parameter", &params(expected), &params(actual))
        .or_else(|| places("result", &expected.results().collect::<Vec<_>>(), &actual.results().collect::<Vec<_>>()))
}

fn params(func: &ComponentFunc) -> Members<'_> {
    func.params().map(|(name, ty)| (name, Some(ty))).collect()
}

fn differ(expected: &Type, actual: &Type) -> Option<String> {
    match (expected, actual) {
        (Type::List(e), Type::List(a)) => within("an element", differ(&e.ty(), &a.ty())),
        (Type::FixedLengthList(e), Type::FixedLengthList(a)) if e.len() == a.len() => {
            within("an element", differ(&e.ty(), &a.ty()))
        }
        (Type::Map(e), Type::Map(a)) => {
            within("a key", differ(&e.key(), &a.key())).or_else(|| within("a value", differ(&e.value(), &a.value())))
        }
        (Type::Option(e), Type::Option(a)) => within("the option", differ(&e.ty(), &a.ty())),
        (Type::Result(e), Type::Result(a)) => optional("ok", e.ok().as_ref(), a.ok().as_ref())
            .or_else(|| optional("error", e.err().as_ref(), a.err().as_ref())),
        (Type::Tuple(e), Type::Tuple(a)) => {
            places("place", &e.types().collect::<Vec<_>>(), &a.types().collect::<Vec<_>>())
        }
        (Type::Record(e), Type::Record(a)) => {
            let expected: Members<'_> = e.fields().map(|field| (field.name, Some(field.ty))).collect();
            let actual: Members<'_> = a.fields().map(|field| (field.name, Some(field.ty))).collect();
            members("field", &expected, &actual)
        }
        (Type::Variant(e), Type::Variant(a)) => {
            let expected: Members<'_> = e.cases().map(|case| (case.name, case.ty)).collect();
            let actual: Members<'_> = a.cases().map(|case| (case.name, case.ty)).collect();
            members("case", &expected, &actual)
        }
        (Type::Enum(e), Type::Enum(a)) => names("case", &e.names().collect::<Vec<_>>(), &a.names().collect::<Vec<_>>()),
        (Type::Flags(e), Type::Flags(a)) => {
            names("flag", &e.names().collect::<Vec<_>>(), &a.names().collect::<Vec<_>>())
        }
        (Type::Future(e), Type::Future(a)) => optional("the future", e.ty().as_ref(), a.ty().as_ref()),
        (Type::Stream(e), Type::Stream(a)) => optional("the stream", e.ty().as_ref(), a.ty().as_ref()),
        (Type::Own(_) | Type::Borrow(_), _) | (_, Type::Own(_) | Type::Borrow(_)) => {
            Some("resources cannot cross between services".to_owned())
        }
        // Only types without parts, and types of two kinds, get here.
        _ => (expected != actual).then(|| instead(&phrase(expected), &phrase(actual))),
    }
}

fn within(place: &str, inner: Option<String>) -> Option<String> {
    inner.map(|inner| format!("{place}: {inner}"))
}

fn instead(expected: &str, actual: &str) -> String {
    format!("{actual} instead of {expected}")
}

fn optional(place: &str, expected: Option<&Type>, actual: Option<&Type>) -> Option<String> {
    let inner = match (expected, actual) {
        (Some(expected), Some(actual)) => differ(expected, actual),
        (None, None) => None,
        (Some(expected), None) => Some(instead(&phrase(expected), "nothing")),
        (None, Some(actual)) => Some(instead("nothing", &phrase(actual))),
    };
    within(place, inner)
}

fn places(what: &str, expected: &[Type], actual: &[Type]) -> Option<String> {
    if expected.len() != actual.len() {
        return Some(format!("has {} {what}s instead of {}", actual.len(), expected.len()));
    }
    let mut pairs = expected.iter().zip(actual).enumerate();
    pairs.find_map(|(at, (e, a))| within(&format!("{what} {}", at + 1), differ(e, a)))
}

fn members(what: &str, expected: &[(&str, Option<Type>)], actual: &[(&str, Option<Type>)]) -> Option<String> {
    let wanted: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let given: Vec<&str> = actual.iter().map(|(name, _)| *name).collect();
    names(what, &wanted, &given).or_else(|| {
        let mut pairs = expected.iter().zip(actual);
        pairs.find_map(|((name, e), (_, a))| optional(&format!("{what} `{name}`"), e.as_ref(), a.as_ref()))
    })
}

/// Says in what lists of names differ: in what is missing, in what is new, else in their order.
fn names(what: &str, expected: &[&str], actual: &[&str]) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (wanted, given): (BTreeSet<_>, BTreeSet<_>) = (expected.iter().collect(), actual.iter().collect());
    let missing = quoted(expected.iter().filter(|name| !given.contains(name)).copied());
    let new = quoted(actual.iter().filter(|name| !wanted.contains(name)).copied());
    Some(match (missing.is_empty(), new.is_empty()) {
        (false, true) => format!("{what} {missing} is missing"),
        (true, false) => format!("{what} {new} is new"),
        (false, false) => format!("{what} {}", instead(&missing, &new)),
        (true, true) => format!("the {what}s are in another order: {}", quoted(actual.iter().copied())),
    })
}
