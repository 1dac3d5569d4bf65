//! What is asked of the items and members of a value.

use std::borrow::Cow;

use super::super::check::{Count, NodeId};
use super::super::equality::{Looks, all_differ};
use super::super::expression::Expression;
use super::super::seen::Seen;
use super::super::value::{Members, Value};
use super::Judge;

/// Schemas of members: by name, in order; by what the name is like; of those that are neither.
type Schemas<'s> = (&'s [(Box<str>, NodeId)], &'s [(Expression, NodeId)], Option<NodeId>);

impl Judge<'_> {
    pub(super) fn all_differ(&mut self, items: &[Value<'_>]) -> bool {
        let mut looks = Looks::default();
        let differ = all_differ(items, &mut looks);
        self.pay(&looks) && differ
    }

    pub(super) fn items(
        &mut self,
        first: &[NodeId],
        rest: Option<NodeId>,
        items: &[Value<'_>],
        seen: Option<&mut Seen>,
    ) -> bool {
        let (head, tail) = items.split_at(first.len().min(items.len()));
        let all = head.iter().zip(first).all(|(item, one)| self.holds(*one, item, None))
            && rest.is_none_or(|rest| tail.iter().all(|item| self.holds(rest, item, None)));
        if let Some(seen) = seen.filter(|_| all) {
            match rest {
                Some(_) => seen.all(),
                None => seen.first(head.len()),
            }
        }
        all
    }

    pub(super) fn contains(
        &mut self,
        what: NodeId,
        count: Count,
        items: &[Value<'_>],
        mut seen: Option<&mut Seen>,
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
                    seen.one(at);
                }
            }
        }
        (count.least..=count.most).contains(&found)
    }

    pub(super) fn members(
        &mut self,
        (named, like, rest): Schemas<'_>,
        members: &Members<'_>,
        mut seen: Option<&mut Seen>,
    ) -> bool {
        if !self.spend(members.len()) {
            return false;
        }
        members.iter().enumerate().all(|(at, (name, value))| {
            let mut known = false;
            if let Ok(own) = named.binary_search_by(|(own, _)| (**own).cmp(name)) {
                known = true;
                if !self.holds(named[own].1, value, None) {
                    return false;
                }
            }
            for (pattern, one) in like {
                if pattern.is_match(name, &mut |steps| self.spend(1 + steps)) {
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
                seen.one(at);
            }
            true
        })
    }

    pub(super) fn member_names(&mut self, node: NodeId, members: &Members<'_>) -> bool {
        let mut names = members.iter().map(|(name, _)| Value::Text(Cow::Borrowed(name)));
        names.all(|name| self.holds(node, &name, None))
    }

    pub(super) fn has_all(&mut self, members: &Members<'_>, names: &[Box<str>]) -> bool {
        self.spend(names.len()) && names.iter().all(|name| members.has(name))
    }

    /// What nobody has spoken of.
    pub(super) fn rest<'v>(
        &mut self,
        rest: NodeId,
        values: impl ExactSizeIterator<Item = &'v Value<'v>>,
        seen: Option<&mut Seen>,
    ) -> bool {
        // Whoever asks is asked with what others have seen.
        let Some(seen) = seen else { return false };
        if !self.spend(values.len()) {
            return false;
        }
        let mut unseen = values.enumerate().filter(|(at, _)| !seen.has(*at));
        let all = unseen.all(|(_, value)| self.holds(rest, value, None));
        seen.all();
        all
    }
}
