//! What is wrong with a route, and where in it.

use std::collections::BTreeSet;

/// One mistake in one route. Compiling a table reports all of them at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route `{route}`: {key}: {message}")]
pub struct RouteError {
    /// The route's position among the routes, from 0.
    pub index: usize,
    /// The route's name.
    pub route: String,
    /// The key within the route, as in `match.hosts[0]` or `request_fields.set.X-Name`.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
    /// Whether the key's value came from `[defaults]`.
    pub inherited: bool,
}

/// Collects the mistakes of one route.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    index: usize,
    route: &'a str,
    inherited: &'a BTreeSet<&'static str>,
    errors: Vec<RouteError>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(index: usize, route: &'a str, inherited: &'a BTreeSet<&'static str>) -> Self {
        Self { index, route, inherited, errors: Vec::new() }
    }

    /// Notes that the value of `key` is wrong.
    pub(super) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let key = key.into();
        let top = key.split(['.', '[']).next().unwrap_or_default();
        self.errors.push(RouteError {
            index: self.index,
            route: self.route.to_owned(),
            inherited: self.inherited.contains(top),
            key,
            message: message.into(),
        });
    }

    /// The value, or a note that the value of `key` is wrong.
    pub(super) fn take<T, E: ToString>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(key, error.to_string())).ok()
    }

    pub(super) fn into_errors(self) -> Vec<RouteError> {
        self.errors
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Running one compile step of a route in a test.

    use super::*;

    /// What `compile` made, or the messages of what it noted, as `key: message`.
    pub(in crate::routes) fn compiled<T>(
        compile: impl FnOnce(&mut Problems<'_>) -> T,
    ) -> Result<T, Vec<String>> {
        let inherited = BTreeSet::new();
        let mut problems = Problems::new(0, "r", &inherited);
        let made = compile(&mut problems);
        let errors = problems.into_errors();
        if errors.is_empty() {
            return Ok(made);
        }
        Err(errors.into_iter().map(|error| format!("{}: {}", error.key, error.message)).collect())
    }
}
