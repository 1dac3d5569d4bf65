//! From a document to schemas that can be asked (JSON Schema Core and Validation).

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::check::{Bound, Check, Checks, Count, Names, Node, NodeId, Types};
use super::draft::Draft;
use super::number::{Decimal, Exact, exact, is_whole};
use super::places::{Place, Places};

/// What one expression may take, compiled.
const EXPRESSION_SIZE: usize = 1 << 20;

/// A schema, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
    /// By resource and anchor.
    pub(super) dynamic: HashMap<(u32, u32), NodeId>,
}

/// # Errors
/// Where it is no schema, and why.
pub(super) fn compile(document: &Value) -> Result<Compiled, String> {
    let mut compiler = Compiler {
        places: Places::of(document)?,
        ids: HashMap::new(),
        found: Vec::new(),
        anchors: HashMap::new(),
    };
    let root = compiler.node(document);
    let dynamic: Vec<_> = compiler.places.dynamic().collect();
    let dynamic = dynamic.into_iter().map(|(resource, name, schema)| {
        ((resource as u32, compiler.anchor(name)), compiler.node(schema))
    });
    let dynamic = dynamic.collect();
    // What a schema refers to is found while it is compiled.
    let (mut nodes, mut paths) = (Vec::new(), Vec::new());
    while let Some(schema) = compiler.found.get(nodes.len()).copied() {
        let place = compiler.places.place(schema).cloned();
        let place = place.ok_or("a schema without a place")?;
        nodes.push(compiler.compile(&place).map_err(|error| format!("{}{error}", place.path))?);
        paths.push(place.path);
    }
    if let Some(circle) = circle(&nodes) {
        return Err(format!("#{}: it refers to itself in a circle", paths[circle]));
    }
    Ok(Compiled { nodes, root, dynamic })
}

struct Compiler<'s> {
    places: Places<'s>,
    ids: HashMap<*const Value, NodeId>,
    /// Every schema with an id, in their order.
    found: Vec<&'s Value>,
    anchors: HashMap<&'s str, u32>,
}

type Keywords<'s> = Map<String, Value>;

impl<'s> Compiler<'s> {
    fn node(&mut self, schema: &'s Value) -> NodeId {
        let next = self.found.len() as NodeId;
        let id = *self.ids.entry(std::ptr::from_ref(schema)).or_insert(next);
        if id == next {
            self.found.push(schema);
        }
        id
    }

    fn anchor(&mut self, name: &'s str) -> u32 {
        let next = self.anchors.len() as u32;
        *self.anchors.entry(name).or_insert(next)
    }

    fn compile(&mut self, place: &Place<'s>) -> Result<Node, String> {
        let keywords = match place.schema {
            Value::Bool(always) => return Ok(Node::Always(*always)),
            Value::Object(keywords) => keywords,
            _ => return Err(": expected a schema, which is an object or a boolean".to_owned()),
        };
        let mut checks = Vec::new();
        if !(place.draft.ref_is_alone() && keywords.contains_key("$ref")) {
            of_any(place.draft, keywords, &mut checks)?;
            of_numbers(place.draft, keywords, &mut checks)?;
            of_texts(keywords, &mut checks)?;
            self.of_arrays(place.draft, keywords, &mut checks)?;
            self.of_objects(place.draft, keywords, &mut checks)?;
            self.of_schemas(place.draft, keywords, &mut checks)?;
        }
        self.of_references(place, keywords, &mut checks)?;
        let before = checks.len();
        if place.draft >= Draft::D2019 {
            if let Some(rest) = keywords.get("unevaluatedItems") {
                checks.push(Check::UnevaluatedItems(self.node(rest)));
            }
            if let Some(rest) = keywords.get("unevaluatedProperties") {
                checks.push(Check::UnevaluatedMembers(self.node(rest)));
            }
        }
        let asks_for_rest = checks.len() > before;
        let resource = place.resource as u32;
        Ok(Node::Checks(Checks { resource, checks: checks.into(), asks_for_rest }))
    }

    fn of_arrays(
        &mut self,
        draft: Draft,
        keywords: &'s Keywords<'s>,
        checks: &mut Vec<Check>,
    ) -> Result<(), String> {
        checks.extend(count(keywords, "minItems", "maxItems")?.map(Check::ItemCount));
        if flag(keywords, "uniqueItems")? {
            checks.push(Check::UniqueItems);
        }
        let (first, rest) = match draft {
            Draft::D2020 => (self.list(keywords, "prefixItems")?, keywords.get("items")),
            _ => match keywords.get("items") {
                Some(Value::Array(_)) => {
                    (self.list(keywords, "items")?, keywords.get("additionalItems"))
                }
                items => (None, items),
            },
        };
        let rest = rest.map(|rest| self.node(rest));
        if first.is_some() || rest.is_some() {
            checks.push(Check::Items { first: first.unwrap_or_default(), rest });
        }
        if let Some(what) = keywords.get("contains").filter(|_| draft >= Draft::D6) {
            let mut count = match draft >= Draft::D2019 {
                true => count(keywords, "minContains", "maxContains")?,
                false => None,
            }
            .unwrap_or(Count { least: 1, most: u64::MAX });
            if !keywords.contains_key("minContains") {
                count.least = 1;
            }
            let evaluates = draft >= Draft::D2020;
            checks.push(Check::Contains { what: self.node(what), count, evaluates });
        }
        Ok(())
    }

    fn of_objects(
        &mut self,
        draft: Draft,
        keywords: &'s Keywords<'s>,
        checks: &mut Vec<Check>,
    ) -> Result<(), String> {
        checks.extend(count(keywords, "minProperties", "maxProperties")?.map(Check::MemberCount));
        if let Some(required) = keywords.get("required") {
            checks.push(Check::Required(
                names(required).ok_or("/required: expected a list of names")?,
            ));
        }
        let named = self.members(keywords, "properties")?;
        let like = self.members(keywords, "patternProperties")?;
        let rest = keywords.get("additionalProperties").map(|rest| self.node(rest));
        if named.is_some() || like.is_some() || rest.is_some() {
            let like = like.unwrap_or_default().into_iter();
            let like =
                like.map(|(pattern, node)| Ok((expression(pattern, "patternProperties")?, node)));
            let named = named.unwrap_or_default().into_iter();
            let mut named: Vec<_> = named.map(|(name, node)| (name.into(), node)).collect();
            named.sort_unstable();
            checks.push(Check::Members {
                named: named.into(),
                like: like.collect::<Result<_, String>>()?,
                rest,
            });
        }
        if let Some(names) = keywords.get("propertyNames").filter(|_| draft >= Draft::D6) {
            checks.push(Check::MemberNames(self.node(names)));
        }
        let (mut required, mut schemas) = (Vec::new(), Vec::new());
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            if keyword != "dependencies" && draft < Draft::D2019 {
                continue;
            }
            let wrong = || format!("/{keyword}: expected an object");
            let Some(all) = keywords.get(keyword) else { continue };
            for (name, then) in all.as_object().ok_or_else(wrong)? {
                match then {
                    Value::Array(_) if keyword != "dependentSchemas" => {
                        let wrong = || format!("/{keyword}/{name}: expected a list of names");
                        required.push((name.as_str().into(), names(then).ok_or_else(wrong)?));
                    }
                    _ if keyword == "dependentRequired" => {
                        return Err(format!("/{keyword}/{name}: expected a list of names"));
                    }
                    _ => schemas.push((name.as_str().into(), self.node(then))),
                }
            }
        }
        if !required.is_empty() {
            checks.push(Check::DependentRequired(required.into()));
        }
        if !schemas.is_empty() {
            checks.push(Check::DependentSchemas(schemas.into()));
        }
        Ok(())
    }

    fn of_schemas(
        &mut self,
        draft: Draft,
        keywords: &'s Keywords<'s>,
        checks: &mut Vec<Check>,
    ) -> Result<(), String> {
        if let Some(not) = keywords.get("not") {
            checks.push(Check::Not(self.node(not)));
        }
        for (keyword, check) in [
            ("allOf", Check::AllOf as fn(Box<[NodeId]>) -> Check),
            ("anyOf", Check::AnyOf),
            ("oneOf", Check::OneOf),
        ] {
            if let Some(list) = self.list(keywords, keyword)? {
                if list.is_empty() {
                    return Err(format!("/{keyword}: expected at least one schema"));
                }
                checks.push(check(list));
            }
        }
        if let Some(condition) = keywords.get("if").filter(|_| draft >= Draft::D7) {
            checks.push(Check::If {
                condition: self.node(condition),
                then: keywords.get("then").map(|then| self.node(then)),
                otherwise: keywords.get("else").map(|otherwise| self.node(otherwise)),
            });
        }
        Ok(())
    }

    fn of_references(
        &mut self,
        place: &Place<'s>,
        keywords: &'s Keywords<'s>,
        checks: &mut Vec<Check>,
    ) -> Result<(), String> {
        for (keyword, drafts) in [
            ("$ref", Draft::D4..=Draft::D2020),
            ("$recursiveRef", Draft::D2019..=Draft::D2019),
            ("$dynamicRef", Draft::D2020..=Draft::D2020),
        ] {
            let Some(reference) = keywords.get(keyword).filter(|_| drafts.contains(&place.draft))
            else {
                continue;
            };
            let wrong = |error: &str| format!("/{keyword}: {error}");
            let reference = reference.as_str().ok_or_else(|| wrong("expected a reference"))?;
            let to =
                self.places.resolve(place.resource, reference).map_err(|error| wrong(&error))?;
            let own = self.node(to);
            let name = self.places.dynamic_name(place.resource, reference);
            checks.push(match name.filter(|_| keyword != "$ref") {
                Some(name) => Check::DynamicRef { anchor: self.anchor(name), own },
                None => Check::Ref(own),
            });
        }
        Ok(())
    }

    fn list(
        &mut self,
        keywords: &'s Keywords<'s>,
        keyword: &str,
    ) -> Result<Option<Box<[NodeId]>>, String> {
        let Some(list) = keywords.get(keyword) else { return Ok(None) };
        let list =
            list.as_array().ok_or_else(|| format!("/{keyword}: expected a list of schemas"))?;
        Ok(Some(list.iter().map(|schema| self.node(schema)).collect()))
    }

    fn members(
        &mut self,
        keywords: &'s Keywords<'s>,
        keyword: &str,
    ) -> Result<Option<Vec<(&'s str, NodeId)>>, String> {
        let Some(all) = keywords.get(keyword) else { return Ok(None) };
        let all =
            all.as_object().ok_or_else(|| format!("/{keyword}: expected an object of schemas"))?;
        Ok(Some(all.iter().map(|(name, schema)| (name.as_str(), self.node(schema))).collect()))
    }
}

fn of_any(draft: Draft, keywords: &Keywords<'_>, checks: &mut Vec<Check>) -> Result<(), String> {
    if let Some(named) = keywords.get("type") {
        let list = match named {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut types = Types::default();
        let mut add = |name: &str| types.add(name, draft == Draft::D4);
        if !list.iter().all(|name| name.as_str().is_some_and(&mut add)) {
            return Err(format!(
                "/type: {named} is no type: expected null, boolean, object, array, number, string or integer"
            ));
        }
        checks.push(Check::Type(types));
    }
    if let Some(constant) = keywords.get("const").filter(|_| draft >= Draft::D6) {
        checks.push(Check::Const(constant.clone()));
    }
    if let Some(values) = keywords.get("enum") {
        let values = values.as_array().ok_or("/enum: expected a list of values")?;
        let mut texts: Vec<Box<str>> =
            values.iter().filter_map(Value::as_str).map(Into::into).collect();
        texts.sort_unstable();
        let others = values.iter().filter(|value| !value.is_string()).cloned().collect();
        checks.push(Check::Enum { texts: texts.into(), others });
    }
    Ok(())
}

fn of_numbers(
    draft: Draft,
    keywords: &Keywords<'_>,
    checks: &mut Vec<Check>,
) -> Result<(), String> {
    let limit = |keyword: &str| -> Result<Option<Exact>, String> {
        let wrong = || format!("/{keyword}: expected a number");
        let number = |value: &Value| value.as_number().map(exact).ok_or_else(wrong);
        keywords.get(keyword).map(number).transpose()
    };
    for (inclusive, strict, lower) in
        [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
    {
        let exclusive = draft == Draft::D4 && flag(keywords, strict)?;
        checks
            .extend(limit(inclusive)?.map(|limit| Check::Bound(Bound { limit, lower, exclusive })));
        if draft > Draft::D4 {
            let limit = limit(strict)?;
            checks.extend(limit.map(|limit| Check::Bound(Bound { limit, lower, exclusive: true })));
        }
    }
    if let Some(unit) = keywords.get("multipleOf") {
        let unit = unit.as_number().filter(|unit| unit.as_f64().is_some_and(|unit| unit > 0.0));
        checks.push(Check::MultipleOf(Decimal::of(
            unit.ok_or("/multipleOf: expected a number above 0")?,
        )));
    }
    Ok(())
}

fn of_texts(keywords: &Keywords<'_>, checks: &mut Vec<Check>) -> Result<(), String> {
    checks.extend(count(keywords, "minLength", "maxLength")?.map(Check::Length));
    if let Some(pattern) = keywords.get("pattern") {
        let pattern = pattern.as_str().ok_or("/pattern: expected an expression")?;
        checks.push(Check::Pattern(expression(pattern, "pattern")?));
    }
    Ok(())
}

/// As ECMA-262 means it, where that can be had without backtracking.
fn expression(pattern: &str, keyword: &str) -> Result<Regex, String> {
    let wrong =
        |why: &str| format!("/{keyword}: {pattern:?} is no expression that can be used: {why}");
    let own = jsonschema_regex::to_rust_regex(pattern).map_err(|()| wrong("it does not parse"))?;
    let built = RegexBuilder::new(&own).size_limit(EXPRESSION_SIZE).build();
    built.map_err(|error| wrong(&error.to_string()))
}

/// None where neither is said.
fn count(keywords: &Keywords<'_>, least: &str, most: &str) -> Result<Option<Count>, String> {
    let number = |keyword: &str| {
        let whole = |number: &Value| {
            let number = number.as_number().filter(|number| is_whole(number))?;
            number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
        };
        let wrong = || format!("/{keyword}: expected a whole number, 0 or more");
        keywords.get(keyword).map(|number| whole(number).ok_or_else(wrong)).transpose()
    };
    Ok(match (number(least)?, number(most)?) {
        (None, None) => None,
        (least, most) => Some(Count { least: least.unwrap_or(0), most: most.unwrap_or(u64::MAX) }),
    })
}

fn flag(keywords: &Keywords<'_>, keyword: &str) -> Result<bool, String> {
    let wrong = || format!("/{keyword}: expected true or false");
    keywords.get(keyword).map_or(Ok(false), |flag| flag.as_bool().ok_or_else(wrong))
}

fn names(list: &Value) -> Option<Names> {
    list.as_array()?.iter().map(|name| name.as_str().map(Into::into)).collect()
}

/// A schema that puts a value before itself, and would without end.
fn circle(nodes: &[Node]) -> Option<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let next = |node: usize| match &nodes[node] {
        Node::Always(_) => Vec::new(),
        Node::Checks(all) => all.checks.iter().flat_map(Check::of_the_same_value).collect(),
    };
    let mut states = vec![State::New; nodes.len()];
    for start in 0..nodes.len() {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        let mut way = vec![(start, next(start))];
        while let Some((node, left)) = way.last_mut() {
            let Some(to) = left.pop().map(|to| to as usize) else {
                states[*node] = State::Done;
                way.pop();
                continue;
            };
            match states[to] {
                State::Open => return Some(to),
                State::Done => {}
                State::New => {
                    states[to] = State::Open;
                    way.push((to, next(to)));
                }
            }
        }
    }
    None
}
