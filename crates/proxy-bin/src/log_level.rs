//! What the process says of itself on standard error, and how much: changed while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// `PROXYD_LOG` has it.
    ///
    /// # Errors
    /// A text that names none. Then the level stays as it was.
    pub fn set(&self, text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err("expected a level, such as \"info\" or \"debug\"".to_owned());
        }
        let filter = EnvFilter::try_new(text).map_err(|error| error.to_string())?;
        (self.reload)(filter)?;
        text.clone_into(&mut self.text.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
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
