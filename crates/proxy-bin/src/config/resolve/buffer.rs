//! Content that is held for slow clients.

use proxy_upstream::buffer::{BufferConfig, BufferLimits, OnLimit};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{BufferOf, BufferOnLimit, BufferRules, BufferSwitch, Config};
use crate::config::resolved::{Buffer, Route};

impl Resolver<'_> {
    /// Where files are made, if any route needs them.
    pub(super) fn buffer(&mut self, config: &Config, routes: &[Route]) -> Option<Buffer> {
        let is_used = routes.iter().any(|route| route.buffer.is_some());
        let raw = &config.buffer;
        let path = KeyPath::of("buffer");
        if !is_used {
            if !raw.is_default() {
                self.warning(&path, "has no effect: no route says `buffer`");
            }
            return None;
        }
        let holds = |route: &Route| route.buffer.is_some_and(|own| own.request.is_some());
        if raw.on_limit != BufferOnLimit::default() && !routes.iter().any(holds) {
            self.warning(&path.key("on_limit"), "has no effect: no route holds requests");
        }
        let directory = match &raw.directory {
            Some(own) => self.origins.folder(&path.key("directory")).join(own),
            None => std::env::temp_dir(),
        };
        if !directory.is_dir() {
            let message = format!("expected a directory, found none at `{}`", directory.display());
            match raw.directory {
                Some(_) => self.error(&path.key("directory"), message),
                None => self.error_on_key(&path, message),
            }
        }
        Some(Buffer { directory, max_disk: raw.max_disk.bytes() })
    }

    /// What of a route is held.
    pub(super) fn route_buffer(&mut self, config: &Config, index: usize) -> Option<BufferConfig> {
        let route = &config.routes[index];
        let switch = route.buffer.as_ref().or(config.defaults.buffer.as_ref())?;
        let answers = route.redirect.is_some() || route.respond.is_some() || route.exec.is_some();
        if answers {
            if route.buffer.is_some() {
                let path = KeyPath::of("routes").index(index).key("buffer");
                self.error_on_key(&path, "needs an `upstream`: nothing else waits for clients");
            }
            return None;
        }
        let none = |of| BufferRules { of, memory: None, disk: None, on_limit: None };
        let own = match switch {
            BufferSwitch::Of(of) => none(*of),
            BufferSwitch::With(own) => own.clone(),
        };
        if own.on_limit.is_some() && own.of == BufferOf::Response && route.buffer.is_some() {
            let path = KeyPath::of("routes").index(index).key("buffer").key("on_limit");
            let message = "is about requests, and only responses are held: beyond the limits their \
                           upstream waits; did you mean `of = \"both\"`?";
            self.error_on_key(&path, message);
        }
        let raw = &config.buffer;
        let limits = BufferLimits {
            memory: own.memory.unwrap_or(raw.memory).bytes(),
            disk: own.disk.unwrap_or(raw.disk).bytes(),
            on_limit: match own.on_limit.unwrap_or(raw.on_limit) {
                BufferOnLimit::Refuse => OnLimit::Refuse,
                BufferOnLimit::Stream => OnLimit::Stream,
            },
        };
        let held = |is: bool| is.then_some(limits);
        let config = BufferConfig {
            request: held(matches!(own.of, BufferOf::Request | BufferOf::Both)),
            response: held(matches!(own.of, BufferOf::Response | BufferOf::Both)),
        };
        (own.of != BufferOf::Off).then_some(config)
    }
}
