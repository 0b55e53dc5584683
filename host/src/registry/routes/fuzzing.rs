//! Patterns without revisions behind them, for the room `fuzzing`: the way of a path, and nothing else.

use super::{ParamKind, Params, compile, read};

/// Patterns by their place in a list.
pub(crate) struct Patterns(matchit::Router<(usize, Vec<(String, ParamKind)>)>);

impl Patterns {
    /// Collects patterns, which must not collide.
    pub(crate) fn new(patterns: &[&str]) -> Self {
        let mut router = matchit::Router::new();
        for (place, pattern) in patterns.iter().enumerate() {
            let (pattern, params) = compile(pattern);
            router.insert(pattern, (place, params)).expect("patterns that do not collide");
        }
        Self(router)
    }

    /// Finds the pattern of a path and its parameters; none when there is no pattern or a parameter is no text.
    pub(crate) fn find(&self, path: &str) -> Option<(usize, Vec<(String, String)>)> {
        let found = self.0.at(path).ok()?;
        let (place, described) = found.value;
        match read(described, &found.params) {
            Params::Fit(params) => Some((*place, params)),
            Params::OtherKind | Params::BadText => None,
        }
    }
}
