//! `RequestHead`: what a policy sees of a request.

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

use crate::exchange::Exchange;

/// A borrowed view of a request without its content. `Copy`, so that policies are object-safe
/// and never depend on the body's type.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target; after hygiene its path is the normal form.
    pub target: &'a Uri,
    /// The HTTP version of this hop.
    pub version: Version,
    /// The fields.
    pub fields: &'a HeaderMap,
    /// What earlier layers left.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    /// The view of a request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            target: request.uri(),
            version: request.version(),
            fields: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The exchange record, where a server put one.
    pub fn exchange(&self) -> Option<&'a Exchange> {
        self.extensions.get::<Exchange>()
    }
}
