//! How large a layer's types are.

use std::fmt;

/// The size of an inner type and of the one around it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The inner type.
    pub inner: usize,
    /// The layer's type around it.
    pub outer: usize,
}

impl Size {
    /// What the layer adds.
    pub const fn overhead(&self) -> usize {
        self.outer.saturating_sub(self.inner)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} around {} (+{})", self.outer, self.inner, self.overhead())
    }
}

/// What the suite measured. A future as small as one box, whatever is inside, is a boxed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The service.
    pub service: Size,
    /// The future of a call.
    pub future: Size,
    /// The request's body, as the inner service gets it.
    pub request_body: Size,
    /// The response's body.
    pub response_body: Size,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "service {}, future {}, request body {}, response body {}",
            self.service, self.future, self.request_body, self.response_body
        )
    }
}
