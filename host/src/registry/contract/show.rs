//! Writes types as WIT would, for people; what is too long is cut, because guests choose the types.

use std::fmt::{self, Write};

use wasmtime::component::types::{ComponentFunc, Type};

/// Longest signature of a function, in bytes.
const MAX_SIGNATURE: usize = 2000;

/// Longest type or name in the middle of a sentence, in bytes.
const MAX_PHRASE: usize = 200;

/// Writes a function's type.
pub(super) fn signature(func: &ComponentFunc) -> String {
    bounded(MAX_SIGNATURE, |out| {
        out.write_str(if func.async_() { "async func(" } else { "func(" })?;
        separated(out, func.params(), |out, (name, ty)| {
            write!(out, "{name}: ")?;
            write_type(out, &ty)
        })?;
        out.write_char(')')?;
        for ty in func.results() {
            out.write_str(" -> ")?;
            write_type(out, &ty)?;
        }
        Ok(())
    })
}

/// Writes a type, shortened.
pub(super) fn phrase(ty: &Type) -> String {
    bounded(MAX_PHRASE, |out| write_type(out, ty))
}

/// Writes names in quotes, shortened.
pub(super) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    bounded(MAX_PHRASE, |out| separated(out, names, |out, name| write!(out, "`{name}`")))
}

/// A text that refuses to grow beyond its limit.
struct Bounded {
    text: String,
    limit: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.text.len() + more.len() > self.limit {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

fn bounded(limit: usize, write: impl FnOnce(&mut Bounded) -> fmt::Result) -> String {
    let mut out = Bounded { text: String::new(), limit };
    if write(&mut out).is_err() {
        out.text.push('…');
    }
    out.text
}

fn separated<T>(
    out: &mut Bounded,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Bounded, T) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.write_str(", ")?;
        }
        write(out, item)?;
    }
    Ok(())
}

/// Writes what a generic type is made of: `list<…>`.
fn of(out: &mut Bounded, generic: &str, parts: impl Iterator<Item = Type>) -> fmt::Result {
    write!(out, "{generic}<")?;
    separated(out, parts, |out, ty| write_type(out, &ty))?;
    out.write_char('>')
}

fn write_type(out: &mut Bounded, ty: &Type) -> fmt::Result {
    match ty {
        Type::Bool => out.write_str("bool"),
        Type::S8 => out.write_str("s8"),
        Type::U8 => out.write_str("u8"),
        Type::S16 => out.write_str("s16"),
        Type::U16 => out.write_str("u16"),
        Type::S32 => out.write_str("s32"),
        Type::U32 => out.write_str("u32"),
        Type::S64 => out.write_str("s64"),
        Type::U64 => out.write_str("u64"),
        Type::Float32 => out.write_str("f32"),
        Type::Float64 => out.write_str("f64"),
        Type::Char => out.write_str("char"),
        Type::String => out.write_str("string"),
        Type::ErrorContext => out.write_str("error-context"),
        Type::List(list) => of(out, "list", std::iter::once(list.ty())),
        Type::FixedLengthList(list) => {
            out.write_str("list<")?;
            write_type(out, &list.ty())?;
            write!(out, ", {}>", list.len())
        }
        Type::Map(map) => of(out, "map", [map.key(), map.value()].into_iter()),
        Type::Option(option) => of(out, "option", std::iter::once(option.ty())),
        Type::Tuple(tuple) => of(out, "tuple", tuple.types()),
        Type::Result(result) => write_result(out, result.ok(), result.err()),
        Type::Enum(names) => members(out, "enum", names.names().map(|name| (name, None)), ""),
        Type::Flags(names) => members(out, "flags", names.names().map(|name| (name, None)), ""),
        Type::Record(record) => members(out, "record", record.fields().map(|field| (field.name, Some(field.ty))), ": "),
        Type::Variant(variant) => members(out, "variant", variant.cases().map(|case| (case.name, case.ty)), "("),
        Type::Own(_) => out.write_str("own<resource>"),
        Type::Borrow(_) => out.write_str("borrow<resource>"),
        Type::Future(future) => of(out, "future", future.ty().into_iter()),
        Type::Stream(stream) => of(out, "stream", stream.ty().into_iter()),
    }
}

fn write_result(out: &mut Bounded, ok: Option<Type>, err: Option<Type>) -> fmt::Result {
    match (ok, err) {
        (None, None) => out.write_str("result"),
        (Some(ok), None) => of(out, "result", std::iter::once(ok)),
        (Some(ok), Some(err)) => of(out, "result", [ok, err].into_iter()),
        (None, Some(err)) => {
            out.write_str("result<_, ")?;
            write_type(out, &err)?;
            out.write_char('>')
        }
    }
}

/// Writes a type of named members; what stands between a name and its type is closed again if it is a bracket.
fn members<'a>(
    out: &mut Bounded,
    kind: &str,
    members: impl Iterator<Item = (&'a str, Option<Type>)>,
    between: &str,
) -> fmt::Result {
    write!(out, "{kind} {{ ")?;
    separated(out, members, |out, (name, ty)| {
        out.write_str(name)?;
        let Some(ty) = ty else { return Ok(()) };
        out.write_str(between)?;
        write_type(out, &ty)?;
        out.write_str(if between == "(" { ")" } else { "" })
    })?;
    out.write_str(" }")
}
