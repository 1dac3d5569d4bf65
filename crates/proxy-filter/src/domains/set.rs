//! `DomainSet`: many names in little memory.

use std::fmt;

use fst::Map;
use fst::raw::Fst;
use proxy_core::{NameKind, NamePattern, NameSet};

/// The names of a list, sorted from their ends in a finite state transducer: names share their
/// endings, a lookup is one walk over the host from its end, and there is nothing to be wrong by.
///
/// A million names take some 10 to 20 MiB, depending on how much they have in common.
pub struct DomainSet {
    /// Names reversed byte by byte; the value has a bit for each kind.
    names: Map<Vec<u8>>,
    /// IP literals, which have many spellings.
    addresses: NameSet,
    len: usize,
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
        walk(self.names.as_fst(), host)
    }

    /// How many different names and addresses it has.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the names take in memory.
    pub fn size(&self) -> usize {
        self.names.as_fst().as_bytes().len()
    }
}

fn walk<'h>(names: &Fst<Vec<u8>>, host: &'h str) -> Option<DomainMatch<'h>> {
    let bytes = host.as_bytes();
    let mut node = names.root();
    let mut value = 0;
    let mut found = None;
    for at in (0..bytes.len()).rev() {
        let Some(index) = node.find_input(bytes[at].to_ascii_lowercase()) else { break };
        let transition = node.transition(index);
        value += transition.out.value();
        node = names.node(transition.addr);
        let whole = at == 0;
        if node.is_final() && (whole || bytes[at - 1] == b'.') {
            let kinds = value + node.final_output().value();
            let specific = if whole { NameKind::Exact } else { NameKind::Below };
            let kind = [specific, NameKind::Tree].into_iter().find(|kind| kinds & bit(*kind) != 0);
            if let Some(kind) = kind {
                found = Some(DomainMatch { name: &host[at..], kind });
            }
        }
    }
    found
}

const fn bit(kind: NameKind) -> u64 {
    match kind {
        NameKind::Tree => 1,
        NameKind::Below => 2,
        NameKind::Exact => 4,
    }
}

impl Default for DomainSet {
    fn default() -> Self {
        Self { names: Map::default(), addresses: NameSet::new(), len: 0 }
    }
}

impl fmt::Debug for DomainSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainSet").field("len", &self.len).finish_non_exhaustive()
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
    /// The names, reversed, one after the other.
    arena: Vec<u8>,
    /// Where each ends in the arena, and of what kind it is.
    ends: Vec<(u32, NameKind)>,
    addresses: NameSet,
}

impl DomainSetBuilder {
    /// Adds a pattern. Past 4 GiB of names it is left out.
    pub fn add(&mut self, pattern: &NamePattern) {
        if pattern.address().is_some() {
            self.addresses.insert(pattern.clone());
        } else {
            self.add_name(pattern.name().as_bytes(), pattern.kind());
        }
    }

    /// Adds a name that is known to be one, in lower case.
    pub(super) fn add_name(&mut self, name: &[u8], kind: NameKind) {
        if let Ok(end) = u32::try_from(self.arena.len() + name.len()) {
            self.arena.extend(name.iter().rev());
            self.ends.push((end, kind));
        }
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.ends.len() + self.addresses.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The set.
    pub fn build(self) -> DomainSet {
        let Self { arena, ends, addresses } = self;
        let mut start = 0;
        let mut names: Vec<(u64, u32, u32, NameKind)> = Vec::with_capacity(ends.len());
        for (end, kind) in ends {
            names.push((beginning(&arena[start as usize..end as usize]), start, end, kind));
            start = end;
        }
        let of = |name: &(u64, u32, u32, NameKind)| &arena[name.1 as usize..name.2 as usize];
        // The first bytes as a number decide most comparisons without a look into the arena.
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| of(a).cmp(of(b))));
        let mut builder = fst::MapBuilder::memory();
        let mut len = addresses.len();
        let mut at = 0;
        while at < names.len() {
            let name = of(&names[at]);
            let mut kinds = 0;
            while at < names.len() && of(&names[at]) == name {
                kinds |= bit(names[at].3);
                at += 1;
            }
            // Keys come sorted and once each, and memory does not fail.
            builder.insert(name, kinds).expect("sorted names");
            len += 1;
        }
        drop(names);
        let mut bytes = builder.into_inner().expect("memory");
        bytes.shrink_to_fit();
        DomainSet { names: Map::new(bytes).expect("what was just built"), addresses, len }
    }
}

/// The first eight bytes, in an order that is the bytes' own.
fn beginning(name: &[u8]) -> u64 {
    let mut word = [0; 8];
    let len = name.len().min(8);
    word[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(word)
}
