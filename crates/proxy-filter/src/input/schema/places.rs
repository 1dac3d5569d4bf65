//! Where the schemas of a document stand, and what its references lead to (JSON Schema Core
//! 2020-12, 8 and 9).

use std::collections::HashMap;

use serde_json::{Map, Value};
use url::Url;

use super::draft::{Draft, Holds};

/// What a document without an identifier is called.
const NAMELESS: &str = "json-schema:///";

/// A schema: where it stands, and in what.
#[derive(Clone, Debug)]
pub(super) struct Place<'s> {
    pub(super) schema: &'s Value,
    pub(super) draft: Draft,
    /// Which of the resources of the document it belongs to.
    pub(super) resource: usize,
    /// From the root of the document, a JSON Pointer.
    pub(super) path: String,
}

/// A schema with an identifier, or the document.
#[derive(Debug)]
struct Resource<'s> {
    base: Url,
    root: &'s Value,
    /// By `$anchor`, or an identifier that is a fragment.
    anchors: HashMap<&'s str, &'s Value>,
    /// By `$dynamicAnchor`; `$recursiveAnchor` has the empty name.
    dynamic: HashMap<&'s str, &'s Value>,
}

/// All schemas of a document.
#[derive(Debug)]
pub(super) struct Places<'s> {
    resources: Vec<Resource<'s>>,
    by_uri: HashMap<String, usize>,
    /// By address: a schema is where it stands.
    places: HashMap<*const Value, Place<'s>>,
}

impl<'s> Places<'s> {
    pub(super) fn of(document: &'s Value) -> Result<Self, String> {
        let base = Url::parse(NAMELESS).map_err(|error| error.to_string())?;
        let mut places =
            Self { resources: Vec::new(), by_uri: HashMap::new(), places: HashMap::new() };
        let draft = match document.get("$schema") {
            Some(uri) => draft_named(uri)?,
            None => Draft::D2020,
        };
        places.resource(base, document);
        places.enter(Place { schema: document, draft, resource: 0, path: String::new() })?;
        Ok(places)
    }

    /// The place of a schema that [`Places::resolve`] gave, or that is within one.
    pub(super) fn place(&self, schema: &'s Value) -> Option<&Place<'s>> {
        self.places.get(&std::ptr::from_ref(schema))
    }

    /// Every dynamic anchor: its resource, its name, its schema.
    pub(super) fn dynamic(&self) -> impl Iterator<Item = (usize, &'s str, &'s Value)> {
        let of = |(at, resource): (usize, &Resource<'s>)| {
            let own: Vec<_> = resource.dynamic.iter().map(|(name, to)| (at, *name, *to)).collect();
            own
        };
        self.resources.iter().enumerate().flat_map(of)
    }

    /// What a reference in a resource leads to.
    pub(super) fn resolve(&mut self, from: usize, reference: &str) -> Result<&'s Value, String> {
        let (at, fragment) = self.target(from, reference)?;
        let root = self.resources[at].root;
        if fragment.is_empty() {
            return Ok(root);
        }
        let nowhere = || format!("{reference:?} leads nowhere");
        if !fragment.starts_with('/') {
            let anchor = self.resources[at].anchors.get(&*fragment);
            return anchor.copied().ok_or_else(nowhere);
        }
        let target = root.pointer(&fragment).ok_or_else(nowhere)?;
        if self.place(target).is_none() {
            // Below a keyword that no draft has: a schema nevertheless, since it is referred to.
            let mut around = self.place(root).cloned().ok_or_else(nowhere)?;
            for (end, _) in fragment.match_indices('/').skip(1) {
                let above = root.pointer(&fragment[..end]).and_then(|above| self.place(above));
                if let Some(above) = above {
                    around = above.clone();
                }
            }
            let path = fragment.into_owned();
            self.enter(Place { schema: target, path, ..around })?;
        }
        Ok(target)
    }

    /// The name of the dynamic anchor that a reference leads to, if it leads to one.
    pub(super) fn dynamic_name(&self, from: usize, reference: &str) -> Option<&'s str> {
        let (at, fragment) = self.target(from, reference).ok()?;
        self.resources[at].dynamic.get_key_value(&*fragment).map(|(name, _)| *name)
    }

    /// The resource and the fragment, decoded.
    fn target<'r>(
        &self,
        from: usize,
        reference: &'r str,
    ) -> Result<(usize, std::borrow::Cow<'r, str>), String> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let wrong =
            |error: &dyn std::fmt::Display| format!("{reference:?} is no reference: {error}");
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8();
        let fragment = fragment.map_err(|error| wrong(&error))?;
        if uri.is_empty() {
            return Ok((from, fragment));
        }
        let uri = self.resources[from].base.join(uri).map_err(|error| wrong(&error))?;
        let at = self.by_uri.get(uri.as_str()).copied();
        let at =
            at.ok_or_else(|| format!("{reference:?} leads to another document: none is fetched"))?;
        Ok((at, fragment))
    }

    fn resource(&mut self, base: Url, root: &'s Value) -> usize {
        let at = self.resources.len();
        // Of two with one identifier the first stays.
        self.by_uri.entry(base.to_string()).or_insert(at);
        let (anchors, dynamic) = (HashMap::new(), HashMap::new());
        self.resources.push(Resource { base, root, anchors, dynamic });
        at
    }

    /// Takes down a schema and those within it.
    fn enter(&mut self, mut place: Place<'s>) -> Result<(), String> {
        if let Value::Object(keywords) = place.schema {
            self.identify(&mut place, keywords)?;
            let alone = place.draft.ref_is_alone() && keywords.contains_key("$ref");
            for (keyword, value) in keywords {
                match place.draft.holds(keyword) {
                    // What stands beside such a reference may be referred to, but says nothing.
                    Some(_) if alone && !matches!(&**keyword, "definitions" | "$defs") => {}
                    Some(holds) => self.enter_within(&place, keyword, value, holds)?,
                    None => {}
                }
            }
        }
        self.places.insert(std::ptr::from_ref(place.schema), place);
        Ok(())
    }

    fn enter_within(
        &mut self,
        around: &Place<'s>,
        keyword: &str,
        value: &'s Value,
        holds: Holds,
    ) -> Result<(), String> {
        let within = |schema, name: &str| {
            let (draft, resource) = (around.draft, around.resource);
            let slash = if name.is_empty() { "" } else { "/" };
            let name = name.replace('~', "~0").replace('/', "~1");
            let path = format!("{}/{keyword}{slash}{name}", around.path);
            Place { schema, draft, resource, path }
        };
        match (holds, value) {
            (Holds::Members | Holds::MembersOrNames, Value::Object(members)) => {
                let names = |value: &Value| holds == Holds::MembersOrNames && value.is_array();
                let mut schemas = members.iter().filter(|(_, value)| !names(value));
                schemas.try_for_each(|(name, schema)| self.enter(within(schema, name)))
            }
            (Holds::Schemas | Holds::SchemaOrSchemas, Value::Array(items)) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, schema)| self.enter(within(schema, &at.to_string())))
            }
            (Holds::Schema | Holds::SchemaOrSchemas, schema) => self.enter(within(schema, "")),
            // Said when it is compiled.
            _ => Ok(()),
        }
    }

    /// Reads what a schema is called.
    fn identify(
        &mut self,
        place: &mut Place<'s>,
        keywords: &'s Map<String, Value>,
    ) -> Result<(), String> {
        let text = |keyword: &str| keywords.get(keyword).and_then(Value::as_str);
        if let Some(uri) = keywords.get("$schema") {
            let draft =
                draft_named(uri).map_err(|error| format!("{}/$schema: {error}", place.path))?;
            if text(draft.id()).is_some() {
                place.draft = draft;
            }
        }
        let draft = place.draft;
        if draft.ref_is_alone() && keywords.contains_key("$ref") {
            return Ok(());
        }
        if let Some(id) = text(draft.id()) {
            let (uri, fragment) = id.split_once('#').unwrap_or((id, ""));
            if !uri.is_empty() {
                let base = self.resources[place.resource].base.join(uri);
                let wrong = |error| format!("{}/{}: {id:?}: {error}", place.path, draft.id());
                place.resource = self.resource(base.map_err(wrong)?, place.schema);
            }
            if !fragment.is_empty() {
                self.resources[place.resource].anchors.insert(fragment, place.schema);
            }
        }
        let resource = &mut self.resources[place.resource];
        if let Some(anchor) = text("$anchor").filter(|_| draft >= Draft::D2019) {
            resource.anchors.insert(anchor, place.schema);
        }
        if let Some(anchor) = text("$dynamicAnchor").filter(|_| draft >= Draft::D2020) {
            resource.anchors.insert(anchor, place.schema);
            resource.dynamic.insert(anchor, place.schema);
        }
        if draft == Draft::D2019 && keywords.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
            resource.dynamic.insert("", place.schema);
        }
        Ok(())
    }
}

fn draft_named(uri: &Value) -> Result<Draft, String> {
    let draft = uri.as_str().and_then(Draft::named);
    draft.ok_or_else(|| {
        format!(
            "$schema is {uri}: expected a draft of json-schema.org, 4, 6, 7, 2019-09 or 2020-12"
        )
    })
}
