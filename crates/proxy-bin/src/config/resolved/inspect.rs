//! What is inspected, and how.

use proxy_filter::inspect::Engine;
use proxy_filter::inspect::response::ResponseEngine;

/// How a route, or the forward role, is inspected.
#[derive(Clone, Debug)]
pub struct InspectPolicy {
    /// What judges requests.
    pub requests: Engine,
    /// What judges responses, where anything is looked for in them.
    pub responses: Option<ResponseEngine>,
}
