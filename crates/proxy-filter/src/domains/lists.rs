//! `DomainLists`: all lists together, each of which is swapped by itself.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::list::DomainList;

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Its names are refused.
    Block,
    /// Its names are not, where no longer name is blocked.
    Except,
    /// Only its names may be asked for.
    Only,
}

/// One list while it is used. A clone is the same list.
#[derive(Clone)]
pub struct ListHandle(Arc<Slot>);

struct Slot {
    name: Box<str>,
    current: ArcSwap<DomainList>,
}

impl ListHandle {
    /// A list under a name for records and messages: its file, as it is written.
    pub fn new(name: &str, list: DomainList) -> Self {
        Self(Arc::new(Slot { name: name.into(), current: ArcSwap::from_pointee(list) }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is in use.
    pub fn current(&self) -> Arc<DomainList> {
        self.0.current.load_full()
    }

    /// Puts a new version in its place, for the next request on. One that is empty, or has no
    /// more than half of the names, is more likely a mistake than meant: the last good one stays.
    ///
    /// # Errors
    /// How many names there were, and how many there would have been.
    pub fn renew(&self, list: DomainList) -> Result<(), Shrunk> {
        self.judge(&list)?;
        self.0.current.store(Arc::new(list));
        Ok(())
    }

    /// Whether a new version could be put in its place. Changes nothing.
    ///
    /// # Errors
    /// As [`renew`](Self::renew).
    pub fn judge(&self, list: &DomainList) -> Result<(), Shrunk> {
        let (from, to) = (self.0.current.load().len(), list.len());
        if from > 0 && to <= from / 2 { Err(Shrunk { from, to }) } else { Ok(()) }
    }

    /// Uses what another list uses at the moment, whatever it is. They stay two lists.
    pub fn take_over(&self, other: &Self) {
        self.0.current.store(other.current());
    }
}

impl fmt::Debug for ListHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListHandle").field(&self.name()).finish()
    }
}

/// A list that lost too much to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it went from {from} names to {to}")]
pub struct Shrunk {
    /// Names in use.
    pub from: usize,
    /// Names of the version that was not taken.
    pub to: usize,
}

/// What the lists say of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<'h> {
    /// Nothing against it.
    Free,
    /// Blocked: by this name, in this list.
    Blocked {
        /// The name, as the host spells it.
        name: &'h str,
        /// The list's name.
        list: Box<str>,
    },
    /// Not among the only names that are allowed.
    Unlisted,
}

/// Lists, each for something.
#[derive(Clone, Debug, Default)]
pub struct DomainLists {
    lists: Vec<(Purpose, ListHandle)>,
}

impl DomainLists {
    /// No lists.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, purpose: Purpose, list: ListHandle) -> Self {
        self.lists.push((purpose, list));
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The lists.
    pub fn handles(&self) -> impl Iterator<Item = &ListHandle> {
        self.lists.iter().map(|(_, list)| list)
    }

    /// What they say of a host, which has no port. `only`: whether names may be wanting from a list
    /// of the only ones.
    pub fn judge<'h>(&self, host: &'h str, only: bool) -> Listed<'h> {
        let (mut block, mut exception) = (None, 0);
        let (mut restricts, mut is_listed) = (false, false);
        for (purpose, handle) in &self.lists {
            let list = handle.0.current.load();
            let found = list.names.longest(host);
            match purpose {
                Purpose::Block => {
                    if let Some(found) = found
                        && block
                            .as_ref()
                            .is_none_or(|(name, _): &(&str, _)| found.length() > name.len())
                    {
                        block = Some((found.name, handle));
                    }
                    let excepted = list.exceptions.longest(host);
                    exception = exception.max(excepted.map_or(0, |found| found.length()));
                }
                Purpose::Except => {
                    exception = exception.max(found.map_or(0, |found| found.length()));
                }
                Purpose::Only => {
                    restricts = true;
                    is_listed |= found.is_some();
                }
            }
        }
        match block {
            Some((name, list)) if name.len() > exception => {
                Listed::Blocked { name, list: list.name().into() }
            }
            _ if only && restricts && !is_listed => Listed::Unlisted,
            _ => Listed::Free,
        }
    }
}
