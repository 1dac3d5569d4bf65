//! A value before a compiled schema.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::check::{Bound, Check, Checks, Count, Node, NodeId};
use super::compile::Compiled;
use super::equality::{all_differ, equal};
use super::number::{Decimal, compare, exact};
use super::seen::Seen;

/// Steps for any document, and more for each of its bytes.
const STEPS: usize = 1_000_000;
const STEPS_PER_BYTE: usize = 16;
/// Schemas within one another, references followed included: a kilobyte of the stack each, at worst.
const DEPTH: u32 = 1_024;
/// Bytes of a text before an expression that are one step.
const BYTES_PER_STEP: usize = 64;

/// After so many steps what references found is remembered, for so many of them.
const REMEMBERS_AFTER: usize = 10_000;
const REMEMBERED: usize = 100_000;

/// Whether the schema accepts a value that was written in so many bytes.
pub(super) fn accepts(schema: &Compiled, value: &Value, bytes: usize) -> bool {
    let steps = STEPS.saturating_add(bytes.saturating_mul(STEPS_PER_BYTE));
    let mut judge = Judge {
        schema,
        steps,
        remembers_below: steps - REMEMBERS_AFTER,
        known: HashMap::new(),
        depth: 0,
        exhausted: false,
        scope: Vec::new(),
    };
    // What was given up says nothing: `not` turns it around.
    judge.holds(schema.root, value, None) && !judge.exhausted
}

struct Judge<'s> {
    schema: &'s Compiled,
    /// How many are left.
    steps: usize,
    remembers_below: usize,
    /// Whether a schema accepts a value, by address: neither moves meanwhile.
    known: HashMap<(NodeId, *const Value), bool>,
    depth: u32,
    exhausted: bool,
    /// The resources on the way to here, the outermost first.
    scope: Vec<u32>,
}

impl Judge<'_> {
    /// Takes steps; false: there are not as many.
    fn spend(&mut self, steps: usize) -> bool {
        match self.steps.checked_sub(steps).filter(|_| !self.exhausted) {
            Some(left) => self.steps = left,
            None => self.exhausted = true,
        }
        !self.exhausted
    }

    fn holds<'v>(&mut self, node: NodeId, value: &'v Value, seen: Option<&mut Seen<'v>>) -> bool {
        if !self.spend(1) {
            return false;
        }
        let schema = self.schema;
        let checks = match &schema.nodes[node as usize] {
            Node::Always(always) => return *always,
            Node::Checks(checks) => checks,
        };
        if self.depth == DEPTH {
            self.exhausted = true;
            return false;
        }
        self.depth += 1;
        let enters = self.scope.last() != Some(&checks.resource);
        if enters {
            self.scope.push(checks.resource);
        }
        let all = self.all_hold(checks, value, seen);
        if enters {
            self.scope.pop();
        }
        self.depth -= 1;
        all
    }

    /// `seen` grows only where all hold: who fails has not spoken.
    fn all_hold<'v>(
        &mut self,
        checks: &Checks,
        value: &'v Value,
        seen: Option<&mut Seen<'v>>,
    ) -> bool {
        if seen.is_none() && !checks.asks_for_rest {
            return checks.checks.iter().all(|check| self.check(check, value, None));
        }
        let mut own = Seen::default();
        let all = checks.checks.iter().all(|check| self.check(check, value, Some(&mut own)));
        if let Some(seen) = seen.filter(|_| all) {
            seen.add(own);
        }
        all
    }

    fn check<'v>(&mut self, check: &Check, value: &'v Value, seen: Option<&mut Seen<'v>>) -> bool {
        match (check, value) {
            (Check::Type(types), _) => types.has(value),
            (Check::Const(constant), _) => equal(constant, value),
            (Check::Enum { texts, .. }, Value::String(text)) => {
                texts.binary_search_by(|own| (**own).cmp(text)).is_ok()
            }
            (Check::Enum { others, .. }, _) => {
                self.spend(others.len()) && others.iter().any(|other| equal(other, value))
            }

            (Check::Bound(bound), Value::Number(number)) => {
                bound.holds(compare(exact(number), bound.limit))
            }
            (Check::MultipleOf(unit), Value::Number(number)) => {
                Decimal::of(number).is_multiple_of(*unit)
            }

            (Check::Length(count), Value::String(text)) => {
                self.spend(text.len() / BYTES_PER_STEP) && count.of_characters(text)
            }
            (Check::Pattern(pattern), Value::String(text)) => {
                self.spend(text.len() / BYTES_PER_STEP) && pattern.is_match(text)
            }

            (Check::ItemCount(count), Value::Array(items)) => count.has(items.len()),
            (Check::UniqueItems, Value::Array(items)) => self.all_differ(items),
            (Check::Items { first, rest }, Value::Array(items)) => {
                self.items(first, *rest, items, seen)
            }
            (Check::Contains { what, count, evaluates }, Value::Array(items)) => {
                self.contains(*what, *count, items, seen.filter(|_| *evaluates))
            }
            (Check::UnevaluatedItems(rest), Value::Array(items)) => {
                self.rest_of_items(*rest, items, seen)
            }

            (Check::MemberCount(count), Value::Object(members)) => count.has(members.len()),
            (Check::Required(names), Value::Object(members)) => has_all(members, names),
            (Check::Members { .. }, Value::Object(members)) => self.members(check, members, seen),
            (Check::MemberNames(names), Value::Object(members)) => {
                members.keys().all(|name| self.holds(*names, &Value::String(name.clone()), None))
            }
            (Check::DependentRequired(all), Value::Object(members)) => all
                .iter()
                .all(|(name, names)| !members.contains_key(&**name) || has_all(members, names)),
            (Check::DependentSchemas(all), Value::Object(members)) => {
                let mut given = all.iter().filter(|(name, _)| members.contains_key(&**name));
                let mut seen = seen;
                given.all(|(_, then)| self.holds(*then, value, seen.as_deref_mut()))
            }
            (Check::UnevaluatedMembers(rest), Value::Object(members)) => {
                self.rest_of_members(*rest, members, seen)
            }

            (Check::AllOf(all), _) => {
                let mut seen = seen;
                all.iter().all(|one| self.holds(*one, value, seen.as_deref_mut()))
            }
            (Check::AnyOf(all), _) => self.any(all, value, seen),
            (Check::OneOf(all), _) => {
                let mut seen = seen;
                let holding =
                    all.iter().filter(|one| self.holds(**one, value, seen.as_deref_mut()));
                holding.take(2).count() == 1
            }
            (Check::Not(not), _) => !self.holds(*not, value, None),
            (Check::If { condition, then, otherwise }, _) => {
                let mut seen = seen;
                let branch = match self.holds(*condition, value, seen.as_deref_mut()) {
                    true => then,
                    false => otherwise,
                };
                branch.is_none_or(|branch| self.holds(branch, value, seen))
            }
            (Check::Ref(to), _) => match seen {
                None => self.referred(*to, value),
                seen => self.holds(*to, value, seen),
            },
            (Check::DynamicRef { anchor, own }, _) => {
                let outermost = |at: &u32| self.schema.dynamic.get(&(*at, *anchor)).copied();
                let to = self.scope.iter().find_map(outermost).unwrap_or(*own);
                self.holds(to, value, seen)
            }
            // It speaks of another type.
            _ => true,
        }
    }

    fn all_differ(&mut self, items: &[Value]) -> bool {
        let (mut values, mut bytes) = (0, 0);
        let differ = all_differ(items, &mut |text| {
            values += 1;
            bytes += text;
        });
        self.spend(values + bytes / BYTES_PER_STEP) && differ
    }

    /// Alternatives that refer to the whole they are in, as those of trees do, ask the same of the
    /// same value twice as often with each level.
    fn referred(&mut self, to: NodeId, value: &Value) -> bool {
        let small = !value.is_array() && !value.is_object();
        // Where references are dynamic the answer depends on the way.
        if small || self.steps > self.remembers_below || !self.schema.dynamic.is_empty() {
            return self.holds(to, value, None);
        }
        let key = (to, std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let holds = self.holds(to, value, None);
        if !self.exhausted && self.known.len() < REMEMBERED {
            self.known.insert(key, holds);
        }
        holds
    }

    fn any<'v>(&mut self, all: &[NodeId], value: &'v Value, seen: Option<&mut Seen<'v>>) -> bool {
        match seen {
            None => all.iter().any(|one| self.holds(*one, value, None)),
            // Every one that holds has spoken.
            Some(seen) => {
                all.iter().fold(false, |any, one| self.holds(*one, value, Some(&mut *seen)) | any)
            }
        }
    }

    fn items<'v>(
        &mut self,
        first: &[NodeId],
        rest: Option<NodeId>,
        items: &[Value],
        seen: Option<&mut Seen<'v>>,
    ) -> bool {
        let (head, tail) = items.split_at(first.len().min(items.len()));
        let all = head.iter().zip(first).all(|(item, one)| self.holds(*one, item, None))
            && rest.is_none_or(|rest| tail.iter().all(|item| self.holds(rest, item, None)));
        if let Some(seen) = seen {
            match rest {
                Some(_) => seen.all_items(),
                None => seen.first_items(head.len()),
            }
        }
        all
    }

    fn contains<'v>(
        &mut self,
        what: NodeId,
        count: Count,
        items: &[Value],
        mut seen: Option<&mut Seen<'v>>,
    ) -> bool {
        let mut found = 0;
        for (at, item) in items.iter().enumerate() {
            // Enough, and no more is too many.
            if seen.is_none() && found >= count.least && count.most == u64::MAX {
                return true;
            }
            if self.holds(what, item, None) {
                found += 1;
                if let Some(seen) = seen.as_deref_mut() {
                    seen.item(at);
                }
            }
        }
        (count.least..=count.most).contains(&found)
    }

    fn rest_of_items<'v>(
        &mut self,
        rest: NodeId,
        items: &[Value],
        seen: Option<&mut Seen<'v>>,
    ) -> bool {
        let Some(seen) = seen else { return true };
        let mut items = items.iter().enumerate().filter(|(at, _)| !seen.has_item(*at));
        let all = items.all(|(_, item)| self.holds(rest, item, None));
        seen.all_items();
        all
    }

    fn members<'v>(
        &mut self,
        check: &Check,
        members: &'v Map<String, Value>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> bool {
        let Check::Members { named, like, rest } = check else { return true };
        if !self.spend(members.len()) {
            return false;
        }
        members.iter().all(|(name, value)| {
            let mut known = false;
            if let Ok(at) = named.binary_search_by(|(own, _)| (**own).cmp(name)) {
                known = true;
                if !self.holds(named[at].1, value, None) {
                    return false;
                }
            }
            for (pattern, one) in like {
                if !self.spend(1 + name.len() / BYTES_PER_STEP) {
                    return false;
                }
                if pattern.is_match(name) {
                    known = true;
                    if !self.holds(*one, value, None) {
                        return false;
                    }
                }
            }
            if let Some(rest) = rest.filter(|_| !known) {
                known = true;
                if !self.holds(rest, value, None) {
                    return false;
                }
            }
            if let Some(seen) = seen.as_deref_mut().filter(|_| known) {
                seen.member(name);
            }
            true
        })
    }

    fn rest_of_members<'v>(
        &mut self,
        rest: NodeId,
        members: &'v Map<String, Value>,
        seen: Option<&mut Seen<'v>>,
    ) -> bool {
        let Some(seen) = seen else { return true };
        let mut members = members.iter().filter(|(name, _)| !seen.has_member(name));
        let all = members.all(|(_, value)| self.holds(rest, value, None));
        seen.all_members();
        all
    }
}

impl Bound {
    fn holds(self, order: Ordering) -> bool {
        match order {
            Ordering::Less => !self.lower,
            Ordering::Equal => !self.exclusive,
            Ordering::Greater => self.lower,
        }
    }
}

impl Count {
    fn has(self, count: usize) -> bool {
        (self.least..=self.most).contains(&(count as u64))
    }

    /// A character has one to four bytes: most texts need not be counted.
    fn of_characters(self, text: &str) -> bool {
        let bytes = text.len() as u64;
        if bytes < self.least || bytes.div_ceil(4) > self.most {
            return false;
        }
        bytes.div_ceil(4) >= self.least && bytes <= self.most || self.has(text.chars().count())
    }
}

fn has_all(members: &Map<String, Value>, names: &[Box<str>]) -> bool {
    names.iter().all(|name| members.contains_key(&**name))
}
