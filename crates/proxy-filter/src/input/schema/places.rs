//! Where the schemas of a document stand, and what its references lead to (JSON Schema Core
//! 2020-12, 8 and 9).

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use percent_encoding::percent_decode_str;
use url::Url;

use super::draft::{Draft, Holds};
use super::keywords::flag;
use super::value::{Members, Value};

/// What a document without an identifier is called.
const NAMELESS: &str = "json-schema:///";

/// A schema: where it stands, and in what.
#[derive(Clone, Debug)]
pub(super) struct Place<'s> {
    pub(super) schema: &'s Value<'s>,
    pub(super) draft: Draft,
    /// Which of the resources of the document it belongs to.
    pub(super) resource: usize,
    /// From the root of the document, a JSON Pointer as a fragment.
    pub(super) path: String,
}

/// A schema with an identifier, or the document.
#[derive(Debug)]
struct Resource<'s> {
    base: Url,
    root: &'s Value<'s>,
    /// By `$anchor`, or an identifier that is a fragment.
    anchors: HashMap<Cow<'s, str>, &'s Value<'s>>,
    /// By `$dynamicAnchor`; `$recursiveAnchor` has the empty name.
    dynamic: HashMap<&'s str, &'s Value<'s>>,
}

/// All schemas of a document.
#[derive(Debug)]
pub(super) struct Places<'s> {
    resources: Vec<Resource<'s>>,
    by_uri: HashMap<String, usize>,
    /// By address: a schema is where it stands.
    places: HashMap<*const Value<'s>, Place<'s>>,
    /// As they were found.
    order: Vec<&'s Value<'s>>,
}

impl<'s> Places<'s> {
    /// # Errors
    /// Where something in it can not be a schema, or has no name of its own, and why.
    pub(super) fn of(document: &'s Value<'s>) -> Result<Self, String> {
        let base = Url::parse(NAMELESS).map_err(|error| error.to_string())?;
        let mut places = Self {
            resources: Vec::new(),
            by_uri: HashMap::new(),
            places: HashMap::new(),
            order: Vec::new(),
        };
        let own = document.members().and_then(|keywords| keywords.get("$schema"));
        let draft = own.map_or(Ok(Draft::D2020), draft_named)?;
        places.resource(base.clone(), document);
        places.enter(Place { schema: document, draft, resource: 0, path: "#".to_owned() })?;
        // Beside `$ref` it says nothing in older drafts, and yet generators write it.
        let named = document.members().and_then(|keywords| keywords.get(draft.id())?.text());
        if let Some(uri) = named.and_then(|id| base.join(id.split('#').next()?).ok()) {
            places.by_uri.entry(uri.into()).or_insert(0);
        }
        places.follow()?;
        Ok(places)
    }

    /// Every schema.
    pub(super) fn all(&self) -> impl Iterator<Item = &'s Value<'s>> {
        self.order.iter().copied()
    }

    /// The place of a schema.
    pub(super) fn place(&self, schema: &'s Value<'s>) -> Option<&Place<'s>> {
        self.places.get(&std::ptr::from_ref(schema))
    }

    /// Every dynamic anchor: its resource, its name, its schema.
    pub(super) fn dynamic(&self) -> impl Iterator<Item = (usize, &'s str, &'s Value<'s>)> {
        self.resources.iter().enumerate().flat_map(|(at, resource)| {
            resource.dynamic.iter().map(move |(name, schema)| (at, *name, *schema))
        })
    }

    /// Whether a resource has dynamic anchors.
    pub(super) fn is_dynamic(&self, resource: usize) -> bool {
        !self.resources[resource].dynamic.is_empty()
    }

    /// What a reference in a resource leads to.
    ///
    /// # Errors
    /// It leads to no schema of this document.
    pub(super) fn resolve(&self, from: usize, reference: &str) -> Result<&'s Value<'s>, String> {
        let nowhere = || format!("{reference:?} leads nowhere");
        let (at, fragment) = self.target(from, reference)?;
        let resource = &self.resources[at];
        let target = match fragment.starts_with('/') {
            true => resource.root.pointer(&fragment),
            false if fragment.is_empty() => Some(resource.root),
            false => resource.anchors.get(&*fragment).copied(),
        };
        target.filter(|target| self.place(target).is_some()).ok_or_else(nowhere)
    }

    /// The name of the dynamic anchor that a reference leads to, if it leads to one.
    pub(super) fn dynamic_name(&self, from: usize, reference: &str) -> Option<&'s str> {
        let (at, fragment) = self.target(from, reference).ok()?;
        self.resources[at].dynamic.get_key_value(&*fragment).map(|(name, _)| *name)
    }

    /// The resource and the fragment, decoded.
    fn target<'r>(&self, from: usize, reference: &'r str) -> Result<(usize, Cow<'r, str>), String> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let wrong =
            |error: &dyn std::fmt::Display| format!("{reference:?} is no reference: {error}");
        let fragment = percent_decode_str(fragment).decode_utf8().map_err(|error| wrong(&error))?;
        if uri.is_empty() {
            return Ok((from, fragment));
        }
        let uri = self.resources[from].base.join(uri).map_err(|error| wrong(&error))?;
        let at = self.by_uri.get(uri.as_str()).copied();
        let at =
            at.ok_or_else(|| format!("{reference:?} leads to another document: none is fetched"))?;
        Ok((at, fragment))
    }

    /// Enters what pointers lead to below keywords that no draft has: schemas nevertheless, since they
    /// are referred to. All before anything is compiled, so that their names count wherever they stand.
    fn follow(&mut self) -> Result<(), String> {
        let mut known = 0;
        while known < self.order.len() {
            let mut references = Vec::new();
            for place in self.order[known..].iter().filter_map(|schema| self.place(schema)) {
                let Some(keywords) = place.schema.members() else { continue };
                let own = ["$ref", "$recursiveRef", "$dynamicRef"].into_iter();
                let own = own.filter_map(|keyword| keywords.get(keyword)?.text());
                references.extend(own.map(|reference| (place.resource, reference)));
            }
            known = self.order.len();
            // What is around others first: it says what they belong to.
            references.sort_by_key(|(_, reference)| reference.matches('/').count());
            for (from, reference) in references {
                if let Some(place) = self.hidden(from, reference) {
                    self.enter(place)?;
                }
            }
        }
        Ok(())
    }

    /// The place that a reference in a resource leads to, where it is none so far.
    fn hidden(&self, from: usize, reference: &str) -> Option<Place<'s>> {
        let (at, pointer) = self.target(from, reference).ok()?;
        let root = self.resources[at].root;
        let schema = root.pointer(&pointer).filter(|schema| self.place(schema).is_none())?;
        let ends = pointer.match_indices('/').map(|(end, _)| end);
        let above = |end| Some((end, self.place(root.pointer(&pointer[..end])?)?));
        let (end, around) = ends.rev().find_map(above)?;
        let path = format!("{}{}", around.path, &pointer[end..]);
        Some(Place { schema, path, ..around.clone() })
    }

    /// Gives a number to a resource; none where there is one of this name.
    fn resource(&mut self, base: Url, root: &'s Value<'s>) -> Option<usize> {
        let at = self.resources.len();
        match self.by_uri.entry(base.to_string()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(at),
        };
        let (anchors, dynamic) = (HashMap::new(), HashMap::new());
        self.resources.push(Resource { base, root, anchors, dynamic });
        Some(at)
    }

    /// Takes down a schema and those within it.
    fn enter(&mut self, mut place: Place<'s>) -> Result<(), String> {
        let schema = place.schema;
        if let Some(known) = self.place(schema) {
            // Found by a reference before what is around it, which has a name of its own.
            let is_own = std::ptr::eq(self.resources[known.resource].root, schema);
            return match is_own || known.resource == place.resource {
                true => Ok(()),
                false => {
                    Err(format!("{}: expected below $defs: it is of two resources", known.path))
                }
            };
        }
        self.order.push(schema);
        if let Value::Members(keywords) = schema {
            self.identify(&mut place, keywords)?;
        }
        self.places.insert(std::ptr::from_ref(schema), place.clone());
        let Value::Members(keywords) = schema else { return Ok(()) };
        let alone = place.draft.ref_is_alone() && keywords.has("$ref");
        for (keyword, value) in keywords.iter() {
            match place.draft.holds(keyword) {
                // What stands beside such a reference may be referred to, but says nothing.
                Some(_) if alone && !matches!(keyword, "definitions" | "$defs") => {}
                Some(holds) => self.enter_within(&place, keyword, value, holds)?,
                None => {}
            }
        }
        Ok(())
    }

    fn enter_within(
        &mut self,
        around: &Place<'s>,
        keyword: &str,
        value: &'s Value<'s>,
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
            (Holds::Members | Holds::MembersOrNames, Value::Members(members)) => {
                let names =
                    |value: &Value<'_>| holds == Holds::MembersOrNames && value.items().is_some();
                let mut schemas = members.iter().filter(|(_, value)| !names(value));
                schemas.try_for_each(|(name, schema)| self.enter(within(schema, name)))
            }
            (Holds::Schemas | Holds::SchemaOrSchemas, Value::Items(items)) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, schema)| self.enter(within(schema, &at.to_string())))
            }
            (Holds::Schema | Holds::SchemaOrSchemas, schema) => self.enter(within(schema, "")),
            (Holds::Members | Holds::MembersOrNames, _) => {
                Err(format!("{}/{keyword}: expected an object of schemas", around.path))
            }
            (Holds::Schemas, _) => {
                Err(format!("{}/{keyword}: expected a list of schemas", around.path))
            }
        }
    }

    /// Reads what a schema is called.
    fn identify(&mut self, place: &mut Place<'s>, keywords: &'s Members<'s>) -> Result<(), String> {
        let path = &place.path;
        let text = |keyword: &str| match keywords.get(keyword) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(&**text)),
            Some(_) => Err(format!("{path}/{keyword}: expected a text")),
        };
        if let Some(uri) = keywords.get("$schema") {
            let draft = draft_named(uri).map_err(|error| format!("{path}/$schema: {error}"))?;
            // Without an identifier it is no document of its own.
            if text(draft.id())?.is_some() {
                place.draft = draft;
            }
        }
        let draft = place.draft;
        if draft.ref_is_alone() && keywords.has("$ref") {
            return Ok(());
        }
        let twice = |keyword: &str, name: &str| {
            format!("{path}/{keyword}: {name:?} is the name of another schema too")
        };
        let is_newer = draft >= Draft::D2019;
        let mut resource = place.resource;
        let mut anchors = Vec::new();
        if let Some(id) = text(draft.id())? {
            let wrong =
                |error: &dyn std::fmt::Display| format!("{path}/{}: {id:?}: {error}", draft.id());
            let (uri, fragment) = id.split_once('#').unwrap_or((id, ""));
            if !uri.is_empty() {
                let base = self.resources[resource].base.join(uri).map_err(|e| wrong(&e))?;
                resource =
                    self.resource(base, place.schema).ok_or_else(|| twice(draft.id(), id))?;
            }
            if !fragment.is_empty() && is_newer {
                return Err(wrong(&"a fragment is said by $anchor"));
            }
            if !fragment.is_empty() {
                let name = percent_decode_str(fragment).decode_utf8().map_err(|e| wrong(&e))?;
                anchors.push((draft.id(), name));
            }
        }
        if is_newer && let Some(anchor) = text("$anchor")? {
            anchors.push(("$anchor", anchor.into()));
        }
        if draft == Draft::D2020
            && let Some(anchor) = text("$dynamicAnchor")?
        {
            anchors.push(("$dynamicAnchor", anchor.into()));
            self.resources[resource].dynamic.insert(anchor, place.schema);
        }
        for (keyword, name) in anchors {
            match self.resources[resource].anchors.entry(name) {
                // One schema may say its name twice.
                Entry::Occupied(own) if !std::ptr::eq(*own.get(), place.schema) => {
                    return Err(twice(keyword, own.key()));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(entry) => drop(entry.insert(place.schema)),
            }
        }
        let recurs =
            flag(keywords, "$recursiveAnchor").map_err(|error| format!("{path}{error}"))?;
        if draft == Draft::D2019 && recurs {
            if !std::ptr::eq(self.resources[resource].root, place.schema) {
                return Err(format!(
                    "{path}/$recursiveAnchor: expected it beside $id, or at the root"
                ));
            }
            self.resources[resource].dynamic.insert("", place.schema);
        }
        place.resource = resource;
        Ok(())
    }
}

fn draft_named(uri: &Value<'_>) -> Result<Draft, String> {
    let draft = uri.text().and_then(Draft::named);
    draft.ok_or_else(|| {
        format!(
            "$schema is {:?}: expected a draft of json-schema.org, 4, 6, 7, 2019-09 or 2020-12",
            uri.text().unwrap_or("no text")
        )
    })
}
