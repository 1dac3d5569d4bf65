//! The codings that are made here.

use std::fmt;

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `zstd` (RFC 8878), with windows of at most 8 MiB (RFC 9659).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them, in the order in which they are preferred by default.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The name in `Content-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// How the names of files in it end.
    pub const fn file_ending(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// The coding of this name, in any case; `x-gzip` is `gzip`.
    pub fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        Self::ALL
            .into_iter()
            .find(|coding| is(coding.token()))
            .or_else(|| is("x-gzip").then_some(Self::Gzip))
    }

    /// The levels that its encoder knows.
    pub const fn levels(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Zstd => 1..=22,
            Self::Brotli => 0..=11,
            Self::Gzip => 1..=9,
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Zstd => 0,
            Self::Brotli => 1,
            Self::Gzip => 2,
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// A level for each coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// 1 to 22.
    pub zstd: u8,
    /// 0 to 11.
    pub br: u8,
    /// 1 to 9.
    pub gzip: u8,
}

impl Levels {
    /// For what a client waits for.
    pub const ON_THE_FLY: Self = Self { zstd: 3, br: 3, gzip: 4 };

    /// The highest for what a client waits for. An encoder takes in a block and codes it in one go,
    /// while everybody else on the same worker waits: up to these levels that is 64 to 128 KiB and
    /// some milliseconds, beyond them up to half a second.
    pub const MOST_ON_THE_FLY: Self = Self { zstd: 9, br: 6, gzip: 9 };

    /// For what is stored and used again.
    pub const STORED: Self = Self { zstd: 19, br: 11, gzip: 9 };

    /// The level of one coding.
    pub const fn of(self, coding: Coding) -> u8 {
        match coding {
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.br,
            Coding::Gzip => self.gzip,
        }
    }

    /// The level of each that is the lower one here and there.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self {
            zstd: self.zstd.min(other.zstd),
            br: self.br.min(other.br),
            gzip: self.gzip.min(other.gzip),
        }
    }
}
