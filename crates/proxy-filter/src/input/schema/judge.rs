//! A value before a compiled schema.

mod within;

use std::cmp::Ordering;
use std::collections::HashMap;

use super::check::{Bound, Check, Checks, Count, Node, NodeId};
use super::compile::Compiled;
use super::equality::{Looks, equal};
use super::expression::BYTES_PER_STEP;
use super::number::{Decimal, compare, exact};
use super::seen::Seen;
use super::value::Value;

/// Steps for any document, and more for each of its bytes.
const STEPS: usize = 1_000_000;
const STEPS_PER_BYTE: usize = 16;
/// Steps for the longest: some seconds.
const MOST_STEPS: usize = 100_000_000;
/// Schemas within one another, references followed included.
const DEPTH: u32 = 1_024;
/// Words of what was seen that are put together in a step.
const WORDS_PER_STEP: usize = 16;
/// Resources that are looked through in a step.
const RESOURCES_PER_STEP: usize = 4;

/// After so many steps what references found is remembered, for so many of them.
const REMEMBERS_AFTER: usize = 10_000;
const REMEMBERED: usize = 100_000;

/// Whether the schema accepts a value that was written in so many bytes.
pub(super) fn accepts(schema: &Compiled, value: &Value<'_>, bytes: usize) -> bool {
    let steps = STEPS.saturating_add(bytes.saturating_mul(STEPS_PER_BYTE)).min(MOST_STEPS);
    let mut judge = Judge::new(schema, steps);
    // What was given up says nothing: `not` turns it around.
    judge.holds(schema.root, value, None) && !judge.exhausted
}

/// The steps that a value takes.
#[cfg(test)]
pub(super) fn steps(schema: &Compiled, value: &Value<'_>) -> usize {
    let mut judge = Judge::new(schema, MOST_STEPS);
    judge.holds(schema.root, value, None);
    MOST_STEPS - judge.steps
}

struct Judge<'s> {
    schema: &'s Compiled,
    /// How many are left.
    steps: usize,
    remembers_below: usize,
    /// Whether a schema accepts a value, by address: neither moves meanwhile.
    known: HashMap<(NodeId, usize), bool>,
    depth: u32,
    exhausted: bool,
    /// The resources with dynamic anchors on the way to here, each once, the outermost first.
    scope: Vec<u32>,
}

impl<'s> Judge<'s> {
    fn new(schema: &'s Compiled, steps: usize) -> Self {
        Self {
            schema,
            steps,
            remembers_below: steps - REMEMBERS_AFTER,
            known: HashMap::new(),
            depth: 0,
            exhausted: false,
            scope: Vec::new(),
        }
    }

    /// Takes steps; false: there are not as many.
    fn spend(&mut self, steps: usize) -> bool {
        match self.steps.checked_sub(steps).filter(|_| !self.exhausted) {
            Some(left) => self.steps = left,
            None => self.exhausted = true,
        }
        !self.exhausted
    }

    /// Takes the steps of what was looked at.
    fn pay(&mut self, looks: &Looks) -> bool {
        self.spend(looks.values + looks.bytes / BYTES_PER_STEP)
    }

    fn holds(&mut self, node: NodeId, value: &Value<'_>, seen: Option<&mut Seen>) -> bool {
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
        let enters = checks.scope.filter(|own| !self.is_in_scope(*own));
        self.scope.extend(enters);
        let all = self.all_hold(checks, value, seen);
        if enters.is_some() {
            self.scope.pop();
        }
        self.depth -= 1;
        all
    }

    /// Only the outermost that has an anchor is asked for.
    fn is_in_scope(&mut self, resource: u32) -> bool {
        self.spend(self.scope.len() / RESOURCES_PER_STEP);
        self.scope.contains(&resource)
    }

    /// `seen` grows only where all hold: who fails has not spoken.
    fn all_hold(&mut self, checks: &Checks, value: &Value<'_>, seen: Option<&mut Seen>) -> bool {
        if seen.is_none() && !checks.asks_for_rest {
            return checks.checks.iter().all(|check| self.check(check, value, None));
        }
        let mut own = Seen::default();
        let all = checks.checks.iter().all(|check| self.check(check, value, Some(&mut own)));
        if let Some(seen) = seen.filter(|_| all) {
            if !self.spend(own.words() / WORDS_PER_STEP) {
                return false;
            }
            seen.add(own);
        }
        all
    }

    /// What speaks of another type of value holds.
    fn check(&mut self, check: &Check, value: &Value<'_>, seen: Option<&mut Seen>) -> bool {
        match (check, value) {
            (Check::Type(types), _) => types.has(value),
            (Check::Const(constant), _) => self.is_equal(constant, value),
            (Check::Enum { texts, .. }, Value::Text(text)) => {
                texts.binary_search_by(|own| (**own).cmp(text)).is_ok()
            }
            (Check::Enum { numbers, .. }, Value::Number(number)) => {
                let number = exact(*number);
                numbers.binary_search_by(|own| compare(*own, number)).is_ok()
            }
            (Check::Enum { others, .. }, _) => {
                others.iter().any(|other| self.is_equal(other, value))
            }

            (Check::Bound(bound), Value::Number(number)) => {
                bound.holds(compare(exact(*number), bound.limit))
            }
            (Check::MultipleOf(unit), Value::Number(number)) => {
                Decimal::of(*number).is_multiple_of(*unit)
            }

            (Check::Length(count), Value::Text(text)) => {
                self.spend(text.len() / BYTES_PER_STEP) && count.of_characters(text)
            }
            (Check::Pattern(pattern), Value::Text(text)) => {
                pattern.is_match(text, &mut |steps| self.spend(steps))
            }

            (Check::ItemCount(count), Value::Items(items)) => count.has(items.len()),
            (Check::UniqueItems, Value::Items(items)) => self.all_differ(items),
            (Check::Items { first, rest }, Value::Items(items)) => {
                self.items(first, *rest, items, seen)
            }
            (Check::Contains { what, count, evaluates }, Value::Items(items)) => {
                self.contains(*what, *count, items, seen.filter(|_| *evaluates))
            }
            (Check::UnevaluatedItems(rest), Value::Items(items)) => {
                self.rest(*rest, items.iter(), seen)
            }

            (Check::MemberCount(count), Value::Members(members)) => count.has(members.len()),
            (Check::Required(names), Value::Members(members)) => self.has_all(members, names),
            (Check::Members { named, like, rest }, Value::Members(members)) => {
                self.members((named, like, *rest), members, seen)
            }
            (Check::MemberNames(node), Value::Members(members)) => {
                self.member_names(*node, members)
            }
            (Check::DependentRequired(all), Value::Members(members)) => {
                self.spend(all.len())
                    && all
                        .iter()
                        .all(|(name, names)| !members.has(name) || self.has_all(members, names))
            }
            (Check::DependentSchemas(all), Value::Members(members)) => {
                let given = all.iter().filter(|(name, _)| members.has(name));
                self.spend(all.len()) && self.all(given.map(|(_, then)| *then), value, seen)
            }
            (Check::UnevaluatedMembers(rest), Value::Members(members)) => {
                self.rest(*rest, members.iter().map(|(_, value)| value), seen)
            }

            (Check::AllOf(all), _) => self.all(all.iter().copied(), value, seen),
            (Check::AnyOf(all), _) => self.any(all, value, seen),
            (Check::OneOf(all), _) => self.one(all, value, seen),
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
                if !self.spend(self.scope.len() / RESOURCES_PER_STEP) {
                    return false;
                }
                let to = self.scope.iter().find_map(outermost).unwrap_or(*own);
                self.holds(to, value, seen)
            }
            _ => true,
        }
    }

    fn is_equal(&mut self, constant: &Value<'_>, value: &Value<'_>) -> bool {
        let mut looks = Looks::default();
        let is_equal = equal(constant, value, &mut looks);
        self.pay(&looks) && is_equal
    }

    /// Alternatives that refer to the whole they are in, as those of trees do, ask the same of the
    /// same value twice as often with each level.
    fn referred(&mut self, to: NodeId, value: &Value<'_>) -> bool {
        let small = !matches!(value, Value::Items(_) | Value::Members(_));
        // Where references are dynamic the answer depends on the way.
        if small || self.steps > self.remembers_below || !self.schema.dynamic.is_empty() {
            return self.holds(to, value, None);
        }
        let key = (to, std::ptr::from_ref(value).addr());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let holds = self.holds(to, value, None);
        if !self.exhausted {
            if self.known.len() == REMEMBERED {
                // What is asked again is near.
                self.known.clear();
            }
            self.known.insert(key, holds);
        }
        holds
    }

    fn all(
        &mut self,
        mut all: impl Iterator<Item = NodeId>,
        value: &Value<'_>,
        mut seen: Option<&mut Seen>,
    ) -> bool {
        all.all(|one| self.holds(one, value, seen.as_deref_mut()))
    }

    fn any(&mut self, all: &[NodeId], value: &Value<'_>, seen: Option<&mut Seen>) -> bool {
        match seen {
            None => all.iter().any(|one| self.holds(*one, value, None)),
            // Every one that holds has spoken.
            Some(seen) => {
                all.iter().fold(false, |any, one| self.holds(*one, value, Some(&mut *seen)) | any)
            }
        }
    }

    fn one(&mut self, all: &[NodeId], value: &Value<'_>, mut seen: Option<&mut Seen>) -> bool {
        let holding = all.iter().filter(|one| self.holds(**one, value, seen.as_deref_mut()));
        holding.take(2).count() == 1
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
