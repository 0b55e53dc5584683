//! Writes types as WIT would, for people.

use wasmtime::component::types::{ComponentFunc, Type};

/// Depth to which nested types are written out.
const MAX_DEPTH: usize = 6;

/// Writes a function's type.
pub(super) fn signature(func: &ComponentFunc) -> String {
    let params: Vec<String> = func.params().map(|(name, ty)| format!("{name}: {}", show(&ty, 0))).collect();
    let results: Vec<String> = func.results().map(|ty| show(&ty, 0)).collect();
    let arrow = if results.is_empty() { "" } else { " -> " };
    format!("func({}){arrow}{}", params.join(", "), results.join(", "))
}

fn show(ty: &Type, depth: usize) -> String {
    if depth > MAX_DEPTH {
        return "…".to_owned();
    }
    let inner = |ty: &Type| show(ty, depth + 1);
    let optional = |ty: Option<Type>| ty.map_or_else(|| "_".to_owned(), |ty| inner(&ty));
    let join = |items: Vec<String>| items.join(", ");
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Float32 => "f32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", inner(&list.ty())),
        Type::Option(option) => format!("option<{}>", inner(&option.ty())),
        Type::Tuple(tuple) => format!("tuple<{}>", join(tuple.types().map(|ty| inner(&ty)).collect())),
        Type::Result(result) => format!("result<{}, {}>", optional(result.ok()), optional(result.err())),
        Type::Enum(names) => format!("enum {{ {} }}", join(names.names().map(str::to_owned).collect())),
        Type::Flags(names) => format!("flags {{ {} }}", join(names.names().map(str::to_owned).collect())),
        Type::Record(record) => {
            let fields = record.fields().map(|field| format!("{}: {}", field.name, inner(&field.ty)));
            format!("record {{ {} }}", join(fields.collect()))
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, inner(ty)),
                None => case.name.to_owned(),
            });
            format!("variant {{ {} }}", join(cases.collect()))
        }
        other => format!("{other:?}"),
    }
}
