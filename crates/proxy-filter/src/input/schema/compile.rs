//! From a document to schemas that can be asked (JSON Schema Core and Validation).

use std::collections::HashMap;

use super::check::{Check, Checks, Count, Node, NodeId};
use super::circle::circle;
use super::draft::Draft;
use super::expression::Expression;
use super::keywords::{count, flag, names, of_any, of_numbers, of_texts};
use super::places::{Place, Places};
use super::value::{Members, Value};

/// What all expressions of a schema may take, compiled.
const EXPRESSIONS_SIZE: usize = 32 << 20;

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
pub(super) fn compile(document: &Value<'_>) -> Result<Compiled, String> {
    let mut compiler = Compiler {
        places: Places::of(document)?,
        ids: HashMap::new(),
        found: Vec::new(),
        anchors: HashMap::new(),
    };
    let root = compiler.node(document);
    // Whether it is referred to or not: what is wrong is to be said before it is used.
    let all: Vec<_> = compiler.places.all().collect();
    for schema in all {
        compiler.node(schema);
    }
    let dynamic: Vec<_> = compiler.places.dynamic().collect();
    let dynamic = dynamic.into_iter().map(|(resource, name, schema)| {
        ((resource as u32, compiler.anchor(name)), compiler.node(schema))
    });
    let dynamic: HashMap<_, _> = dynamic.collect();
    let (mut nodes, mut paths, mut size) = (Vec::new(), Vec::new(), 0);
    while let Some(schema) = compiler.found.get(nodes.len()).copied() {
        let place = compiler.places.place(schema).cloned();
        let place = place.ok_or("a schema without a place")?;
        let node = compiler.compile(&place).map_err(|error| format!("{}{error}", place.path))?;
        size += node.expressions().map(Expression::size).sum::<usize>();
        if size > EXPRESSIONS_SIZE {
            return Err(format!(
                "{}: with its expressions all take {size} bytes, compiled: at most {EXPRESSIONS_SIZE}; \
                 repetitions count as what they repeat",
                place.path
            ));
        }
        nodes.push(node);
        paths.push(place.path);
    }
    if let Some(circle) = circle(&nodes, &dynamic) {
        return Err(format!("{}: it refers to itself in a circle", paths[circle]));
    }
    Ok(Compiled { nodes, root, dynamic })
}

struct Compiler<'s> {
    places: Places<'s>,
    ids: HashMap<*const Value<'s>, NodeId>,
    /// Every schema with an id, in their order.
    found: Vec<&'s Value<'s>>,
    anchors: HashMap<&'s str, u32>,
}

impl<'s> Compiler<'s> {
    fn node(&mut self, schema: &'s Value<'s>) -> NodeId {
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
            Value::Members(keywords) => keywords,
            _ => return Err(": expected a schema, which is an object or a boolean".to_owned()),
        };
        let draft = place.draft;
        let mut checks = Vec::new();
        let ref_is_alone = draft.ref_is_alone() && keywords.has("$ref");
        if !ref_is_alone {
            draft.knows_demands_of(keywords)?;
            of_any(draft, keywords, &mut checks)?;
            of_numbers(draft, keywords, &mut checks)?;
            of_texts(keywords, &mut checks)?;
            self.of_arrays(draft, keywords, &mut checks)?;
            self.of_objects(keywords, &mut checks)?;
            self.of_schemas(keywords, &mut checks)?;
        }
        self.reference("$ref", place, keywords, &mut checks)?;
        if !ref_is_alone {
            self.reference("$recursiveRef", place, keywords, &mut checks)?;
            self.reference("$dynamicRef", place, keywords, &mut checks)?;
        }
        let before = checks.len();
        if let Some(rest) = keywords.get("unevaluatedItems").filter(|_| !ref_is_alone) {
            checks.push(Check::UnevaluatedItems(self.node(rest)));
        }
        if let Some(rest) = keywords.get("unevaluatedProperties").filter(|_| !ref_is_alone) {
            checks.push(Check::UnevaluatedMembers(self.node(rest)));
        }
        let asks_for_rest = checks.len() > before;
        let scope = self.places.is_dynamic(place.resource).then_some(place.resource as u32);
        Ok(Node::Checks(Checks { scope, checks: checks.into(), asks_for_rest }))
    }

    fn of_arrays(
        &mut self,
        draft: Draft,
        keywords: &'s Members<'s>,
        checks: &mut Vec<Check>,
    ) -> Result<(), String> {
        checks.extend(count(keywords, "minItems", "maxItems")?.map(Check::ItemCount));
        if flag(keywords, "uniqueItems")? {
            checks.push(Check::UniqueItems);
        }
        let (first, rest) = match draft {
            Draft::D2020 => (self.list(keywords, "prefixItems")?, keywords.get("items")),
            _ => match keywords.get("items") {
                Some(Value::Items(_)) => {
                    (self.list(keywords, "items")?, keywords.get("additionalItems"))
                }
                items => (None, items),
            },
        };
        let rest = rest.map(|rest| self.node(rest));
        if first.is_some() || rest.is_some() {
            checks.push(Check::Items { first: first.unwrap_or_default(), rest });
        }
        let own = count(keywords, "minContains", "maxContains")?;
        if let Some(what) = keywords.get("contains") {
            let most = own.map_or(u64::MAX, |own| own.most);
            let least = own.filter(|_| keywords.has("minContains")).map_or(1, |own| own.least);
            let (count, evaluates) = (Count { least, most }, draft >= Draft::D2020);
            checks.push(Check::Contains { what: self.node(what), count, evaluates });
        }
        Ok(())
    }

    fn of_objects(
        &mut self,
        keywords: &'s Members<'s>,
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
            let like = like.unwrap_or_default().into_iter().map(|(pattern, node)| {
                let expression = Expression::new(pattern);
                Ok((expression.map_err(|error| format!("/patternProperties: {error}"))?, node))
            });
            let named = named.unwrap_or_default().into_iter();
            checks.push(Check::Members {
                named: named.map(|(name, node)| (name.into(), node)).collect(),
                like: like.collect::<Result<_, String>>()?,
                rest,
            });
        }
        if let Some(names) = keywords.get("propertyNames") {
            checks.push(Check::MemberNames(self.node(names)));
        }
        let (mut required, mut schemas) = (Vec::new(), Vec::new());
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            let wrong = || format!("/{keyword}: expected an object");
            let Some(all) = keywords.get(keyword) else { continue };
            for (name, then) in all.members().ok_or_else(wrong)?.iter() {
                match then {
                    Value::Items(_) if keyword != "dependentSchemas" => {
                        let wrong = || format!("/{keyword}/{name}: expected a list of names");
                        required.push((name.into(), names(then).ok_or_else(wrong)?));
                    }
                    _ if keyword == "dependentRequired" => {
                        return Err(format!("/{keyword}/{name}: expected a list of names"));
                    }
                    _ => schemas.push((name.into(), self.node(then))),
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
        keywords: &'s Members<'s>,
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
        if let Some(condition) = keywords.get("if") {
            checks.push(Check::If {
                condition: self.node(condition),
                then: keywords.get("then").map(|then| self.node(then)),
                otherwise: keywords.get("else").map(|otherwise| self.node(otherwise)),
            });
        }
        Ok(())
    }

    fn reference(
        &mut self,
        keyword: &str,
        place: &Place<'s>,
        keywords: &'s Members<'s>,
        checks: &mut Vec<Check>,
    ) -> Result<(), String> {
        let Some(reference) = keywords.get(keyword) else { return Ok(()) };
        let wrong = |error: &str| format!("/{keyword}: {error}");
        let reference = reference.text().ok_or_else(|| wrong("expected a reference"))?;
        let to = self.places.resolve(place.resource, reference).map_err(|error| wrong(&error))?;
        let own = self.node(to);
        let name = self.places.dynamic_name(place.resource, reference);
        checks.push(match name.filter(|_| keyword != "$ref") {
            Some(name) => Check::DynamicRef { anchor: self.anchor(name), own },
            None => Check::Ref(own),
        });
        Ok(())
    }

    fn list(
        &mut self,
        keywords: &'s Members<'s>,
        keyword: &str,
    ) -> Result<Option<Box<[NodeId]>>, String> {
        let Some(list) = keywords.get(keyword) else { return Ok(None) };
        let list = list.items().ok_or_else(|| format!("/{keyword}: expected a list of schemas"))?;
        Ok(Some(list.iter().map(|schema| self.node(schema)).collect()))
    }

    /// In the order of their names.
    fn members(
        &mut self,
        keywords: &'s Members<'s>,
        keyword: &str,
    ) -> Result<Option<Vec<(&'s str, NodeId)>>, String> {
        let Some(all) = keywords.get(keyword) else { return Ok(None) };
        let all =
            all.members().ok_or_else(|| format!("/{keyword}: expected an object of schemas"))?;
        Ok(Some(all.iter().map(|(name, schema)| (name, self.node(schema))).collect()))
    }
}
