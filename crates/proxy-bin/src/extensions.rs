//! Layers of others in the stack: a program registers them, `[extensions.NAME]` configures them.
//!
//! An [`Extension`] has a name, a [`Slot`] of the canonical order, and a function that makes its
//! layer of its part of the configuration. It stands in the stack where the file has its table;
//! where the file has a table of which nobody knows, `proxyd check` says so. What is wrong in the
//! table is reported with file, line and column, by the JSON Schema of the type that it is read as.
//!
//! ```
//! use proxyd::extensions::{Extension, Extensions, Slot};
//! use tower::util::MapResponseLayer;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Greeting {
//!     /// What the field `Greeting` of every response says.
//!     text: String,
//! }
//!
//! let greeting = Extension::new("greeting", Slot::Arrived, |config: Greeting| {
//!     let value: http::HeaderValue = config.text.parse().map_err(|_| "`text` is no field value")?;
//!     Ok::<_, &str>(MapResponseLayer::new(move |mut response: http::Response<proxy_core::Body>| {
//!         response.headers_mut().insert("greeting", value.clone());
//!         response
//!     }))
//! });
//! let extensions = Extensions::new([greeting]);
//! assert_eq!(extensions.names().collect::<Vec<_>>(), ["greeting"]);
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use crate::cache::MaybeCachedBody;
use crate::config::{Diagnostic, KeyPath, schema, suggest, validate};
use crate::stack::{Erased, MaybeStacked};

/// Where in the canonical order (`docs/layer-order.md`) a layer stands, from the outside to the
/// inside.
///
/// At all of them: observe, error pages and the catch of panics stand around it, so what it does is
/// logged, a [`Refusal`](proxy_core::Refusal) gets its page, and a panic is a 500. The message is
/// framed unambiguously, fields of connections are gone, the path is in its one normal form, and
/// the client's address is that of [`Exchange::client`](proxy_core::Exchange::client), from a
/// trusted source or the peer itself; other claims were removed. Errors are answered below: the
/// inner service always gives a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slot {
    /// Around the role of every listener: each request that hygiene has let through, CONNECT
    /// included, and each response, also refusals by everything below.
    ///
    /// The route is not known yet, nobody was asked for credentials, and no rule was asked. What
    /// the layer changes in a request, routes and rules see. Content is as clients send and get it.
    Arrived,
    /// Behind clients, credentials, lists, rules, limits and input validation, in front of what the
    /// route or the forward role does.
    ///
    /// The route is known ([`Exchange::route`](proxy_core::Exchange::route); none in the forward
    /// role, or where none matches: those requests pass too, on their way to a 404). Not judged
    /// yet are inspection and, in the forward role, the guard, which judges the address that is
    /// dialled. Tunnels and what routes answer themselves pass here. Responses have the fields that
    /// the route gives them; content is coded as the client gets it.
    Permitted,
    /// Around one route to an upstream or a program, or around the forward role's `http://`
    /// requests, above compression.
    ///
    /// The request was inspected, where inspection is on, and rewritten as the route says. Stored
    /// responses pass here as well as fetched ones. Content of responses is coded as the client
    /// gets it.
    Delivered,
    /// The same below compression and inspection of responses, above the cache.
    ///
    /// Content of responses is as the upstream sent it or as it is stored: without our coding, but
    /// with the upstream's own, if it has one. What the layer makes of it is inspected and
    /// compressed after it. What it does to a request is part of what the cache looks up.
    Content,
}

/// A layer of somebody else that a configuration may ask for.
#[derive(Clone)]
pub struct Extension(Arc<Registered>);

struct Registered {
    name: String,
    slot: Slot,
    schema: &'static Value,
    make: Box<dyn Fn(Value) -> Result<ExtensionLayer, BoxError> + Send + Sync>,
}

impl Extension {
    /// A layer by the name of its table, made by `make` of what the table says, read as `C`.
    ///
    /// `make` is called when a configuration is read, also by `check`, `explain` and `test` and for
    /// each reload: it starts nothing. State that outlives a reload belongs into what it captures.
    /// An error that it gives is reported at the table's place. Layers leave side effects where
    /// [`Exchange::is_rehearsal`](proxy_core::Exchange::is_rehearsal).
    pub fn new<C, L, B, E>(
        name: &str,
        slot: Slot,
        make: impl Fn(C) -> Result<L, E> + Send + Sync + 'static,
    ) -> Self
    where
        C: DeserializeOwned + JsonSchema,
        E: Into<BoxError>,
        L: Layer<Erased> + Send + Sync + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // Without references: they would be looked for in the schema of the configuration.
        let settings = SchemaSettings::draft2020_12().with(|own| own.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<C>().to_value();
        // One for each extension of a program, and schemas live as long as it does.
        let schema: &'static Value = Box::leak(Box::new(schema::for_toml(schema)));
        let make = move |value: Value| {
            let config: C = serde_json::from_value(value)?;
            Ok(ExtensionLayer::new(make(config).map_err(Into::into)?))
        };
        Self(Arc::new(Registered { name: name.to_owned(), slot, schema, make: Box::new(make) }))
    }

    /// The name of its table.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it stands.
    pub fn slot(&self) -> Slot {
        self.0.slot
    }
}

impl std::fmt::Debug for Extension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extension")
            .field("name", &self.0.name)
            .field("slot", &self.0.slot)
            .finish_non_exhaustive()
    }
}

/// A layer as one type, whatever it is.
#[derive(Clone)]
pub struct ExtensionLayer(Arc<dyn Fn(Erased) -> Erased + Send + Sync>);

impl ExtensionLayer {
    /// Erases the type of a layer.
    pub fn new<L, B>(layer: L) -> Self
    where
        L: Layer<Erased> + Send + Sync + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(move |inner| Erased::new(layer.layer(inner))))
    }
}

impl Layer<Erased> for ExtensionLayer {
    type Service = Erased;

    fn layer(&self, inner: Erased) -> Erased {
        (self.0)(inner)
    }
}

impl std::fmt::Debug for ExtensionLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExtensionLayer")
    }
}

/// The extensions that a program knows. The first stands outside of the others in its slot.
#[derive(Clone, Debug, Default)]
pub struct Extensions(Arc<[Extension]>);

/// The same names in the same order are the same.
impl PartialEq for Extensions {
    fn eq(&self, other: &Self) -> bool {
        self.names().eq(other.names())
    }
}

impl Extensions {
    /// These. Of two with one name the first counts.
    pub fn new(extensions: impl IntoIterator<Item = Extension>) -> Self {
        Self(extensions.into_iter().collect())
    }

    /// The names of their tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Extension::name)
    }

    /// By name, the schema of the table.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, &'static Value)> {
        self.0.iter().map(|extension| (extension.name(), extension.0.schema))
    }

    /// What is wrong with `[extensions]` of a configuration.
    pub(crate) fn judge(&self, written: &Value) -> Vec<Diagnostic> {
        let path = KeyPath::of("extensions");
        let Some(all) = written.get("extensions") else { return Vec::new() };
        let Some(all) = all.as_object() else {
            return vec![Diagnostic::error(&path, "expected a table")];
        };
        let mut found = Vec::new();
        for (name, value) in all {
            let path = path.key(name);
            match self.0.iter().find(|own| own.name() == name) {
                Some(own) => found.extend(validate::validate_by(own.0.schema, value, &path)),
                None => found.push(Diagnostic::error(&path, self.unknown(name)).on_key()),
            }
        }
        found
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.names().collect();
        match (suggest::nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => format!("no extension has this name; did you mean `{near}`?"),
            (None, true) => "this program has no extensions".to_owned(),
            (None, false) => {
                format!("no extension has this name; there are `{}`", names.join("`, `"))
            }
        }
    }

    /// The layers that a configuration asks for.
    ///
    /// # Errors
    /// What those who make them say, each with the path of its table.
    pub(crate) fn install(&self, tables: &BTreeMap<String, Value>) -> (Installed, Vec<Diagnostic>) {
        let (mut layers, mut found) = (Vec::new(), Vec::new());
        for extension in &*self.0 {
            let Some(table) = tables.get(extension.name()) else { continue };
            match (extension.0.make)(table.clone()) {
                Ok(layer) => layers.push((extension.slot(), layer)),
                Err(error) => {
                    let path = KeyPath::of("extensions").key(extension.name());
                    found.push(Diagnostic::error(&path, error.to_string()));
                }
            }
        }
        (Installed(layers), found)
    }
}

/// The layers of a configuration, the outermost of each slot first.
#[derive(Clone, Debug, Default)]
pub struct Installed(Vec<(Slot, ExtensionLayer)>);

impl Installed {
    /// One more, inside of the others of its slot.
    pub fn push(&mut self, slot: Slot, layer: ExtensionLayer) {
        self.0.push((slot, layer));
    }

    /// A service below those of a slot.
    pub(crate) fn around<S>(&self, slot: Slot, service: MaybeStacked<S>) -> MaybeStacked<S>
    where
        S: Service<Request<Body>, Response = Response<MaybeCachedBody>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        self.at(slot).fold(service, |service, layer| service.wrap(Some(layer)))
    }

    /// Those of a slot, the innermost first, as they are put around a service.
    pub(crate) fn at(&self, slot: Slot) -> impl Iterator<Item = ExtensionLayer> {
        let own = self.0.iter().rev().filter(move |(own, _)| *own == slot);
        own.map(|(_, layer)| layer.clone())
    }
}
