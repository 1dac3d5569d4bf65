//! Tables of handles.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata};

use super::SharedRecorder;
use super::labels::{METHODS, STATUSES};

const METADATA: Metadata<'_> = Metadata::new("proxy_observe", Level::INFO, Some("proxy_observe"));

/// Makes handles.
#[derive(Clone)]
pub(super) struct Registry(SharedRecorder);

impl Registry {
    pub(super) fn new(recorder: SharedRecorder) -> Self {
        Self(recorder)
    }

    pub(super) fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        let labels: Vec<_> = labels.iter().map(|(k, v)| Label::new(*k, (*v).to_owned())).collect();
        self.0.register_counter(&Key::from_parts(name, labels), &METADATA)
    }

    pub(super) fn gauge(&self, name: &'static str) -> Gauge {
        self.0.register_gauge(&Key::from_name(name), &METADATA)
    }

    pub(super) fn gauge_of(
        &self,
        name: &'static str,
        key: &'static str,
        value: &'static str,
    ) -> Gauge {
        let labels = vec![Label::from_static_parts(key, value)];
        self.0.register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: Vec<Label>) -> Histogram {
        self.0.register_histogram(&Key::from_parts(name, labels), &METADATA)
    }
}

/// A value for each configured name, one for `none` and one for `_OTHER`.
pub(super) struct ByName<T> {
    none: T,
    other: T,
    /// Sorted.
    named: Box<[(Arc<str>, T)]>,
}

impl<T> ByName<T> {
    pub(super) fn new(mut names: Vec<Arc<str>>, make: impl Fn(&str) -> T) -> Self {
        names.sort_unstable();
        names.dedup();
        Self {
            none: make("none"),
            other: make("_OTHER"),
            named: names.into_iter().map(|name| (Arc::clone(&name), make(&name))).collect(),
        }
    }

    pub(super) fn get(&self, name: Option<&str>) -> &T {
        let Some(name) = name else { return &self.none };
        match self.named.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => &self.named[at].1,
            Err(_) => &self.other,
        }
    }
}

/// A histogram for each status, made when it is first seen.
pub(super) struct ByStatus {
    name: &'static str,
    labels: Box<[Label]>,
    handles: OnceLock<Box<[OnceLock<Histogram>]>>,
}

impl ByStatus {
    pub(super) fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        let labels = labels.iter().map(|(k, v)| Label::new(*k, (*v).to_owned())).collect();
        Self { name, labels, handles: OnceLock::new() }
    }

    /// `status` is an index into [`STATUSES`].
    pub(super) fn get(&self, registry: &Registry, status: usize) -> &Histogram {
        let handles =
            self.handles.get_or_init(|| STATUSES.iter().map(|_| OnceLock::new()).collect());
        handles[status].get_or_init(|| {
            let mut labels = self.labels.to_vec();
            labels.push(Label::from_static_parts("status", STATUSES[status]));
            registry.histogram(self.name, labels)
        })
    }
}

/// The same for each method.
pub(super) struct ByMethodAndStatus([ByStatus; METHODS.len()]);

impl ByMethodAndStatus {
    pub(super) fn new(name: &'static str, route: &str) -> Self {
        Self(METHODS.map(|method| ByStatus::new(name, &[("route", route), ("method", method)])))
    }

    pub(super) fn get(&self, registry: &Registry, method: usize, status: usize) -> &Histogram {
        self.0[method].get(registry, status)
    }
}

/// A counter for each token of ours, made when it is first seen. For rare events: the table is
/// short, and searched.
pub(super) struct ByToken {
    registry: Registry,
    name: &'static str,
    /// A further label, the same for all.
    of: Option<(&'static str, Box<str>)>,
    key: &'static str,
    seen: RwLock<Vec<(&'static str, Counter)>>,
}

impl ByToken {
    pub(super) const fn new(registry: Registry, name: &'static str, key: &'static str) -> Self {
        Self { registry, name, of: None, key, seen: RwLock::new(Vec::new()) }
    }

    pub(super) fn of(mut self, key: &'static str, value: &str) -> Self {
        self.of = Some((key, value.into()));
        self
    }

    pub(super) fn count(&self, token: &'static str) {
        let counted = |seen: &[(&'static str, Counter)]| {
            let found = seen.iter().find(|(known, _)| *known == token);
            found.map(|(_, counter)| counter.increment(1)).is_some()
        };
        if counted(&self.seen.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if !counted(&seen) {
            let own = (self.key, token);
            let counter = match &self.of {
                Some((key, value)) => self.registry.counter(self.name, &[(*key, value), own]),
                None => self.registry.counter(self.name, &[own]),
            };
            counter.increment(1);
            seen.push((token, counter));
        }
    }
}
