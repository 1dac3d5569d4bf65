//! What the process says of itself on standard error, and how much: changed while it runs.

use std::fmt;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{EnvFilter, reload};

/// The longest text that names a level.
const LONGEST: usize = 1024;

type Reload = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

/// The level. A clone is the same.
#[derive(Clone)]
pub struct LogLevel {
    text: Arc<Mutex<String>>,
    reload: Arc<Reload>,
}

impl LogLevel {
    /// The level of a subscriber, by the handle of its filter, which this text has set.
    pub fn new<S: 'static>(text: &str, handle: reload::Handle<EnvFilter, S>) -> Self {
        let reload = move |filter| handle.reload(filter).map_err(|error| error.to_string());
        Self { text: Arc::new(Mutex::new(text.to_owned())), reload: Arc::new(reload) }
    }

    /// The text that set it.
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets it: `error`, `warn`, `info`, `debug`, `trace`, `off`, or a list of these by target, as
    /// `PROXYD_LOG` has it. Targets are parts of this program (`proxy_server=debug`), and what it is
    /// made of is never shown from below `info`: that writes down fields and addresses as they come,
    /// whatever `[privacy]` says.
    ///
    /// # Errors
    /// A text that names none. Then the level stays as it was.
    pub fn set(&self, text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err("expected a level, such as \"info\" or \"debug\"".to_owned());
        }
        let filter = EnvFilter::try_new(within(text)?).map_err(|error| error.to_string())?;
        (self.reload)(filter)?;
        text.clone_into(&mut self.text.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// What our targets begin with.
const OWN: &str = "proxy";

/// The same for our own targets alone.
fn within(text: &str) -> Result<String, String> {
    let mut directives = Vec::new();
    for directive in text.split(',').map(str::trim) {
        match directive.split_once('=') {
            Some((target, _)) if target.starts_with(OWN) => directives.push(directive.to_owned()),
            Some((target, _)) => {
                return Err(format!("`{target}` is no part of this program: expected `{OWN}...`"));
            }
            None if directive.starts_with(OWN) => directives.push(directive.to_owned()),
            None => {
                let level = LevelFilter::from_str(directive)
                    .map_err(|_| format!("expected a level, found `{directive}`"))?;
                directives.push(level.min(LevelFilter::INFO).to_string());
                directives.push(format!("{OWN}={level}"));
            }
        }
    }
    Ok(directives.join(","))
}

impl Default for LogLevel {
    /// That of nobody: there is no subscriber.
    fn default() -> Self {
        Self {
            text: Arc::new(Mutex::new("off".to_owned())),
            reload: Arc::new(|_| Err("there is nothing to set".to_owned())),
        }
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_targets_say_more_than_info() {
        for (text, becomes) in [
            ("debug", Ok("info,proxy=debug")),
            ("warn", Ok("warn,proxy=warn")),
            ("off", Ok("off,proxy=off")),
            ("info, proxy_server=trace", Ok("info,proxy=info,proxy_server=trace")),
            ("proxyd::serve=debug", Ok("proxyd::serve=debug")),
            ("h2=trace", Err(())),
            ("info,rustls=debug", Err(())),
            ("loud", Err(())),
        ] {
            let given = within(text);
            assert_eq!(given.as_deref().map_err(|_| ()), becomes, "{text}");
        }
    }
}
