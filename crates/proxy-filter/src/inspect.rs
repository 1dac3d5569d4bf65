//! Inspection of requests: what an attack looks like.
//!
//! An [`Inspector`] judges a request head and, where there is content worth a look, gives an
//! [`Inspection`] that is fed the content chunk by chunk. Both are traits, so that another engine
//! can stand in their place; [`Engine`] is the built-in one.
//!
//! ```
//! use proxy_core::RequestHead;
//! use proxy_filter::inspect::{Engine, InspectConfig, Inspector, Next};
//!
//! let engine = Engine::new(InspectConfig::default()).expect("the built-in rules compile");
//! let request = http::Request::get("/item?id=1%27+or+1=1--+").body(()).unwrap();
//! let start = engine.begin(RequestHead::of(&request), false);
//! assert!(matches!(start.next, Next::Block));
//! assert_eq!(start.report.findings[0].class.token(), "sqli");
//! ```
//!
//! # How it judges
//!
//! 1. *Extraction* ([`extract`]): the request is taken apart into values, each with a place (query,
//!    cookie, JSON string, ...) and the name of its parameter.
//! 2. *Structure*: a value that is itself JSON, a URL, a query string or base64 text is taken apart
//!    again, to a fixed depth. So a whole URL in a parameter is not read as a shell command because
//!    of its ampersands, and an attack inside it is still read as what it is.
//! 3. *Normalisation* ([`normalise`]): percent escapes, `%u`, overlong and fullwidth forms, HTML
//!    entities, JavaScript escapes, to a fixed depth.
//! 4. *Detection*: regular expressions behind a literal prefilter, and readers of grammars
//!    (SQL, HTML, JavaScript, shell, paths, URLs) that say *signals*. Rules are data: each names an
//!    expression, words or a signal, and gives it an id, a class, a score and a reason.
//! 5. *Score*: the rules that match one value add up, each once. A request scores what its worst
//!    value scores plus the rules about the request as a whole; at the threshold it is refused.
//!    Values do not add up with each other: real requests have many odd ones.
//!
//! Every step is linear in the size of the input with constants fixed by the configuration.
//! Nothing here reads a clock, a file or the environment.

mod coding;
mod config;
mod detect;
mod document;
mod engine;
pub mod extract;
mod head;
mod judge;
mod kinds;
pub mod layer;
pub mod normalise;
pub mod response;
mod rules;
mod steps;
mod stream;
mod structure;
mod value;
mod verdict;

pub use coding::{Coding, CodingError, ContentDecoder};
pub use config::{Exclusion, InspectConfig, InspectError, OnLimit};
pub use detect::Signal;
pub use engine::Engine;
pub use layer::{
    Inspect, InspectBody, InspectFuture, InspectLayer, InspectMetrics, Inspected, InspectedResponse,
};
pub use response::ResponseInspectLayer;
pub use rules::{Rule, RuleError, RuleSet};
pub use value::{Place, Places};
pub use verdict::{Class, Finding, Inspection, Inspector, Mode, Next, Report, Start, Step};
