//! Parameters: what a request may say about the arguments of a program, and nothing else.
//!
//! Every placeholder stands for one declared parameter with a type, and becomes one word or part
//! of one: there is no shell that could read more into it.

mod checked;
mod interpreter;
mod kind;
mod path;
mod sources;
mod template;

pub use checked::{Checked, ParamError, Params};
pub use interpreter::code_arguments;
pub(crate) use interpreter::reads_code_from_stdin;
pub use kind::Kind;
pub(crate) use kind::below;
pub use path::PathPattern;
pub use sources::Source;
pub use template::{Template, TemplateError};

/// The longest value where nothing else is said, in bytes.
pub const MAX_LENGTH: usize = 1024;

/// One declared parameter.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Param {
    /// Where it comes from.
    pub source: Source,
    /// What it is called there, where that is not its own name: fields have names of their own.
    pub wire_name: Option<Box<str>>,
    /// What values it may have.
    pub kind: Kind,
    /// The value of requests that have none. Without one it is required.
    pub default: Option<Box<str>>,
    /// Whether it stays out of log, audit and `explain`.
    pub secret: bool,
    /// Whether a value may begin with `-`, and look like an option.
    pub allow_dash: bool,
    /// The longest value, in bytes. Default [`MAX_LENGTH`].
    pub max_length: usize,
    /// For a URL: whether the proxy fetches what it names and gives it to the program as standard
    /// input. Default: no, the program sees the URL, and what it does with it is its own affair.
    pub fetch: bool,
}

impl Param {
    /// A required parameter.
    pub const fn new(source: Source, kind: Kind) -> Self {
        Self {
            source,
            wire_name: None,
            kind,
            default: None,
            secret: false,
            allow_dash: false,
            max_length: MAX_LENGTH,
            fetch: false,
        }
    }

    /// The value of requests that have none.
    #[must_use]
    pub fn or(mut self, default: &str) -> Self {
        self.default = Some(default.into());
        self
    }

    /// Keeps it out of log, audit and `explain`.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Gives the program what the URL names.
    #[must_use]
    pub fn fetch(mut self) -> Self {
        self.fetch = true;
        self
    }

    /// Lets a value begin with `-`.
    #[must_use]
    pub fn allow_dash(mut self) -> Self {
        self.allow_dash = true;
        self
    }
}
