//! What requests may look like.

use proxy_filter::input::InputRules;

/// Rules for all requests, and others for some routes.
#[derive(Clone, Debug)]
pub struct Input {
    /// For all.
    pub all: InputRules,
    /// In the place of those, by the name of the route.
    pub routes: Vec<(String, InputRules)>,
}
