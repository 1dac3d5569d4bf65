//! `FilterLayer`.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::policy::Policy;
use crate::service::Filter;
use crate::shadow::Shadow;

/// Asks its policies before a request is passed on. See the [crate](crate).
#[derive(Clone)]
pub struct FilterLayer {
    policies: Arc<Policies>,
}

impl FilterLayer {
    /// A layer that asks these: one policy, a list or array of policies of one kind, or
    /// [`Policies`] of several kinds.
    pub fn new(policies: impl Into<Policies>) -> Self {
        Self { policies: Arc::new(policies.into()) }
    }
}

impl<S> Layer<S> for FilterLayer {
    type Service = Filter<S>;
    fn layer(&self, inner: S) -> Filter<S> {
        Filter::new(inner, Arc::clone(&self.policies))
    }
}

impl fmt::Debug for FilterLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterLayer").field("policies", &self.policies).finish()
    }
}

/// Policies in the order in which they are asked; the first that does not allow ends it.
///
/// ```
/// use proxy_filter::policies::{HostPolicy, MethodPolicy};
/// use proxy_filter::{FilterLayer, Policies};
///
/// let layer = FilterLayer::new(
///     Policies::new()
///         .then(MethodPolicy::allow([http::Method::GET, http::Method::HEAD]))
///         .then(HostPolicy::deny(["ads.test", "*.tracker.test"])?),
/// );
/// # drop(layer);
/// # Ok::<(), proxy_core::NameError>(())
/// ```
#[derive(Clone, Default)]
pub struct Policies {
    list: Vec<Arc<dyn Policy>>,
}

impl Policies {
    /// None: every request passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, asked after those before it.
    #[must_use]
    pub fn then(self, policy: impl Policy) -> Self {
        self.then_shared(Arc::new(policy))
    }

    /// One more, which others hold too.
    #[must_use]
    pub fn then_shared(mut self, policy: Arc<dyn Policy>) -> Self {
        self.list.push(policy);
        self
    }

    /// All of another list.
    #[must_use]
    pub fn then_all(mut self, policies: Self) -> Self {
        self.list.extend(policies.list);
        self
    }

    /// The same policies, none of which enforces: each writes into the record what it would have
    /// done. For a candidate, beside what is in force.
    #[must_use]
    pub fn shadow(self) -> Self {
        let shadow = |policy| Arc::new(Shadow::shared(policy)) as Arc<dyn Policy>;
        Self { list: self.list.into_iter().map(shadow).collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn list(&self) -> &[Arc<dyn Policy>] {
        &self.list
    }
}

impl<P: Policy> From<P> for Policies {
    fn from(policy: P) -> Self {
        Self::new().then(policy)
    }
}

impl<P: Policy> From<Vec<P>> for Policies {
    fn from(policies: Vec<P>) -> Self {
        policies.into_iter().fold(Self::new(), Self::then)
    }
}

impl<P: Policy, const N: usize> From<[P; N]> for Policies {
    fn from(policies: [P; N]) -> Self {
        policies.into_iter().fold(Self::new(), Self::then)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("len", &self.list.len()).finish_non_exhaustive()
    }
}
