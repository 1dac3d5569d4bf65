//! What of a value some schema has spoken of: `unevaluatedItems` and `unevaluatedProperties` judge
//! the rest (JSON Schema Core 2020-12, 11).

use std::collections::HashSet;

/// The members and items of one value that were evaluated.
#[derive(Debug, Default)]
pub(super) struct Seen<'v> {
    all_members: bool,
    members: HashSet<&'v str>,
    all_items: bool,
    /// The items below this one.
    first_items: usize,
    items: HashSet<usize>,
}

impl<'v> Seen<'v> {
    pub(super) fn member(&mut self, name: &'v str) {
        self.members.insert(name);
    }

    pub(super) fn all_members(&mut self) {
        self.all_members = true;
    }

    pub(super) fn has_member(&self, name: &str) -> bool {
        self.all_members || self.members.contains(name)
    }

    pub(super) fn item(&mut self, place: usize) {
        self.items.insert(place);
    }

    pub(super) fn first_items(&mut self, count: usize) {
        self.first_items = self.first_items.max(count);
    }

    pub(super) fn all_items(&mut self) {
        self.all_items = true;
    }

    pub(super) fn has_item(&self, place: usize) -> bool {
        self.all_items || place < self.first_items || self.items.contains(&place)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.all_members |= other.all_members;
        self.all_items |= other.all_items;
        self.first_items(other.first_items);
        self.members.extend(other.members);
        self.items.extend(other.items);
    }
}
