//! `DomainSet`: many names in little memory.

use std::fmt;

use proxy_core::{NameKind, NamePattern, NameSet};

use super::packed::{NamePacker, PackedNames};

/// The names of a list, in a table that is little more than the names themselves; a lookup is one
/// look into it for each label of the host.
///
/// A million names of 15 to 25 characters take 14 to 21 MiB.
#[derive(Default)]
pub struct DomainSet {
    names: PackedNames,
    /// IP literals, which have many spellings.
    addresses: NameSet,
}

/// The longest name of a set that takes in a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainMatch<'h> {
    /// The name, as the host spells it.
    pub name: &'h str,
    /// What the list takes in of that name.
    pub kind: NameKind,
}

impl DomainMatch<'_> {
    /// The length by which the longest name wins.
    pub const fn length(&self) -> usize {
        self.name.len()
    }
}

impl DomainSet {
    /// The longest name that takes in a host, which has no port.
    pub fn longest<'h>(&self, host: &'h str) -> Option<DomainMatch<'h>> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if !self.addresses.is_empty() && self.addresses.contains(host) {
            return Some(DomainMatch { name: host, kind: NameKind::Exact });
        }
        let (at, kind) = self.names.longest(host.as_bytes())?;
        Some(DomainMatch { name: &host[at..], kind })
    }

    /// How many different names and addresses it has.
    pub fn len(&self) -> usize {
        self.names.len() + self.addresses.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the names take in memory.
    pub fn size(&self) -> usize {
        self.names.size()
    }
}

impl fmt::Debug for DomainSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl FromIterator<NamePattern> for DomainSet {
    fn from_iter<I: IntoIterator<Item = NamePattern>>(patterns: I) -> Self {
        let mut builder = DomainSetBuilder::default();
        for pattern in patterns {
            builder.add(&pattern);
        }
        builder.build()
    }
}

/// Collects the names of a set.
#[derive(Debug, Default)]
pub struct DomainSetBuilder {
    names: NamePacker,
    addresses: NameSet,
}

impl DomainSetBuilder {
    /// Adds a pattern. Past 4 GiB of names it is left out.
    pub fn add(&mut self, pattern: &NamePattern) {
        if pattern.address().is_some() {
            self.addresses.insert(pattern.clone());
        } else {
            self.names.add(pattern.name().as_bytes(), pattern.kind());
        }
    }

    /// Adds a name that is known to be one, in lower case.
    pub(super) fn add_name(&mut self, name: &[u8], kind: NameKind) {
        self.names.add(name, kind);
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.names.len() + self.addresses.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The set.
    pub fn build(self) -> DomainSet {
        DomainSet { names: self.names.pack(), addresses: self.addresses }
    }
}
