//! The gateway's routes: which request goes where, and what is changed on the way.
//!
//! Everything here is pure: no sockets, no clock, no runtime. A [`RouteTable`] is compiled once
//! from [`RouteSpec`]s, with every mistake reported at once, and is then only read:
//!
//! - [`table`]: first match wins; no route, or only other methods
//! - [`matcher`]: what a request must be
//! - [`path`]: prefixes in whole segments, and the normal form of a path
//! - [`rewrite`]: the path on its way to the upstream
//! - [`fields`]: fields set, added and removed
//! - [`redirect`], [`respond`]: answers that need no upstream
//! - [`template`]: the placeholders in values
//! - [`spec`]: routes as text; [`from_config`] makes them from a configuration
//!
//! ```
//! use http::{HeaderMap, Method};
//! use proxyd::routes::{Lookup, MatchSpec, RouteQuery, RouteSpec, RouteTable};
//!
//! let table = RouteTable::compile(&[RouteSpec {
//!     name: "static".into(),
//!     matches: MatchSpec { path_prefixes: vec!["/static/".into()], ..MatchSpec::default() },
//!     upstream: Some("app".into()),
//!     ..RouteSpec::default()
//! }])
//! .unwrap();
//! let fields = HeaderMap::new();
//! let query = RouteQuery {
//!     listener: "web",
//!     method: &Method::GET,
//!     scheme: "http",
//!     host: "x.test",
//!     path: "/static/a.css",
//!     query: None,
//!     fields: &fields,
//! };
//! match table.lookup(&query) {
//!     Lookup::Route { route, rest } => assert_eq!((&*route.name, rest), ("static", "a.css")),
//!     other => panic!("{other:?}"),
//! }
//! ```

pub mod error;
pub mod fields;
pub mod from_config;
mod gate;
pub mod matcher;
pub mod redirect;
pub mod respond;
pub mod rewrite;
pub mod spec;
pub mod table;
pub mod template;

pub use error::RouteError;
pub use fields::{FieldContext, FieldRules, PreparedFields};
pub use proxy_core::matching::path;
pub use redirect::{Redirect, RedirectContext, RedirectError};
pub use respond::Respond;
pub use rewrite::{Rewrite, RewriteError};
pub use spec::{
    FieldsSpec, MatchSpec, RedirectSpec, ReplaceSpec, RespondSpec, RewriteSpec, RouteSpec,
};
pub use table::{Action, Lookup, Route, RouteQuery, RouteTable};
