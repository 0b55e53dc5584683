//! Finds the route of a request: per method, static segments before parameters, parameters by kind.
//!
//! Matched is the path as it was sent; parameters are percent-decoded afterwards, so that `%2F` stays inside its
//! segment.

#[cfg(any(fuzzing, test))]
mod fuzzing;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::description::Method;
use super::snapshot::{Live, Revision, Ticket, pick};
use crate::names::ServiceName;

#[cfg(any(fuzzing, test))]
pub(crate) use self::fuzzing::Patterns;

/// All routes of a snapshot.
#[derive(Default)]
pub struct RouteTable {
    by_method: BTreeMap<Method, matchit::Router<Target>>,
}

/// What answers one method on one pattern: a service, in all of its live revisions that have the route.
struct Target {
    service: ServiceName,
    salt: u64,
    variants: Vec<Variant>,
}

struct Variant {
    revision: Arc<Revision>,
    weight: u8,
    route: usize,
    /// Names and kinds of the parameters, in the order of the path.
    params: Vec<(String, ParamKind)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ParamKind {
    Any,
    Int,
    Text,
}

/// A route that answers the request.
pub struct MatchedRoute<'t> {
    /// The revision that has it.
    pub revision: &'t Arc<Revision>,
    /// Its place in the revision's description.
    pub index: usize,
    /// Parameters by name, decoded.
    pub params: Vec<(String, String)>,
}

/// What is found for a method and a path.
pub enum RouteMatch<'t> {
    /// A route.
    Found(MatchedRoute<'t>),
    /// Routes for other methods.
    OtherMethods(Vec<Method>),
    /// A parameter is no UTF-8 text or holds a NUL.
    BadText,
    /// Nothing.
    NotFound,
}

/// What a path has for the parameters of a pattern.
enum Params {
    /// All of them, by name, decoded.
    Fit(Vec<(String, String)>),
    /// One of another kind: the pattern does not match.
    OtherKind,
    /// One that is no UTF-8 text or holds a NUL.
    BadText,
}

/// Two routes answer the same requests.
#[derive(Debug, thiserror::Error)]
#[error("route {pattern} of {service} collides with {with}")]
pub struct RouteCollision {
    pattern: String,
    service: ServiceName,
    with: String,
}

impl RouteTable {
    /// Collects the routes of all live revisions.
    ///
    /// # Errors
    /// When two services answer the same requests, or one revision twice.
    pub(super) fn build(services: &BTreeMap<ServiceName, Live>) -> Result<Self, RouteCollision> {
        let mut targets: BTreeMap<(Method, String), Target> = BTreeMap::new();
        for (service, live) in services {
            for (revision, weight) in live.revisions() {
                for (route, described) in revision.description.routes.iter().enumerate() {
                    let (pattern, params) = compile(&described.pattern);
                    let target = targets.entry((described.method, pattern)).or_insert_with(|| Target {
                        service: service.clone(),
                        salt: live.salt(),
                        variants: Vec::new(),
                    });
                    let twice = target.variants.iter().any(|known| known.revision.number == revision.number);
                    if target.service != *service || twice {
                        let (pattern, service) = (described.pattern.clone(), service.clone());
                        return Err(RouteCollision { pattern, service, with: format!("one of {}", target.service) });
                    }
                    let (revision, weight) = (Arc::clone(revision), *weight);
                    target.variants.push(Variant { revision, weight, route, params });
                }
            }
        }
        let mut this = Self::default();
        for ((method, pattern), target) in targets {
            let service = target.service.clone();
            let inserted = this.by_method.entry(method).or_default().insert(pattern.clone(), target);
            inserted.map_err(|error| RouteCollision { pattern, service, with: error.to_string() })?;
        }
        Ok(this)
    }

    /// Finds what answers a method on a path, which is as it was sent.
    pub fn find(&self, method: Method, path: &str, ticket: Ticket) -> RouteMatch<'_> {
        if let Some(found) = self.find_for(method, path, ticket) {
            return found;
        }
        let others = self.methods(path);
        if others.is_empty() { RouteMatch::NotFound } else { RouteMatch::OtherMethods(others) }
    }

    /// Returns the methods that have a route for a path.
    pub fn methods(&self, path: &str) -> Vec<Method> {
        let any = Ticket::of("");
        self.by_method.keys().copied().filter(|method| self.find_for(*method, path, any).is_some()).collect()
    }

    fn find_for(&self, method: Method, path: &str, ticket: Ticket) -> Option<RouteMatch<'_>> {
        let found = self.by_method.get(&method)?.at(path).ok()?;
        let target = found.value;
        let target = pick(&target.variants, ticket, target.salt, |variant| (variant, variant.weight));
        match read(&target.params, &found.params) {
            Params::Fit(params) => {
                Some(RouteMatch::Found(MatchedRoute { revision: &target.revision, index: target.route, params }))
            }
            Params::OtherKind => None,
            Params::BadText => Some(RouteMatch::BadText),
        }
    }
}

/// Reads the parameters of a path, which is as it was sent.
fn read(described: &[(String, ParamKind)], found: &matchit::Params<'_, '_>) -> Params {
    let mut params = Vec::with_capacity(described.len());
    for ((name, kind), (_, raw)) in described.iter().zip(found.iter()) {
        let digits = raw.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match kind {
            ParamKind::Any => true,
            ParamKind::Int => digits,
            ParamKind::Text => !digits,
        };
        if !fits {
            return Params::OtherKind;
        }
        match percent_encoding::percent_decode_str(raw).decode_utf8() {
            Ok(text) if !text.contains('\0') => params.push((name.clone(), Cow::into_owned(text))),
            _ => return Params::BadText,
        }
    }
    Params::Fit(params)
}

/// Splits a pattern into what the router matches and what its parameters are.
///
/// The router's own names are positions, because two patterns may name the same segment differently.
fn compile(pattern: &str) -> (String, Vec<(String, ParamKind)>) {
    let mut params = Vec::new();
    let segments: Vec<String> = pattern
        .split('/')
        .map(|segment| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(parameter) => {
                let (name, kind) = match parameter.split_once(':') {
                    Some((name, "int")) => (name, ParamKind::Int),
                    Some((name, _)) => (name, ParamKind::Text),
                    None => (parameter, ParamKind::Any),
                };
                params.push((name.to_owned(), kind));
                format!("{{p{}}}", params.len())
            }
            None => segment.to_owned(),
        })
        .collect();
    (segments.join("/"), params)
}
