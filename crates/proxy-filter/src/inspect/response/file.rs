//! Kinds of files, by their first bytes.

use serde::{Deserialize, Serialize};

/// Bytes by which a file is known.
pub(super) const HEAD: usize = 512;

/// A kind of file that runs, or makes others run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileKind {
    /// Programs and libraries of Windows, and of DOS.
    Pe,
    /// Programs and libraries of Linux and other systems of its kind.
    Elf,
    /// Programs and libraries of macOS.
    MachO,
    /// A text that begins with `#!`.
    Script,
    /// A compiled class of Java.
    JavaClass,
    /// Compiled code of Android.
    Dex,
    /// A shortcut of Windows.
    Shortcut,
    /// An installer or another compound document of Windows.
    CompoundDocument,
    /// `WebAssembly`.
    Wasm,
}

impl FileKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Pe,
        Self::Elf,
        Self::MachO,
        Self::Script,
        Self::JavaClass,
        Self::Dex,
        Self::Shortcut,
        Self::CompoundDocument,
        Self::Wasm,
    ];

    /// The kinds that a double click runs.
    pub const EXECUTABLE: [Self; 7] = [
        Self::Pe,
        Self::Elf,
        Self::MachO,
        Self::Script,
        Self::JavaClass,
        Self::Dex,
        Self::Shortcut,
    ];

    /// The word in reports and in the configuration.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Pe => "pe",
            Self::Elf => "elf",
            Self::MachO => "mach_o",
            Self::Script => "script",
            Self::JavaClass => "java_class",
            Self::Dex => "dex",
            Self::Shortcut => "shortcut",
            Self::CompoundDocument => "compound_document",
            Self::Wasm => "wasm",
        }
    }

    /// What content is, by its first [`HEAD`] bytes, or by all of it.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| head.starts_with(magic);
        let long = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?));
        Some(match head {
            _ if is_pe(head) => Self::Pe,
            _ if starts(b"\x7FELF") => Self::Elf,
            _ if starts(b"\xFE\xED\xFA\xCE") || starts(b"\xFE\xED\xFA\xCF") => Self::MachO,
            _ if starts(b"\xCE\xFA\xED\xFE") || starts(b"\xCF\xFA\xED\xFE") => Self::MachO,
            // A binary of few architectures, or a class of some version from 45 on.
            _ if starts(b"\xCA\xFE\xBA\xBE") => match long(4)? & 0xFFFF {
                0..=30 => Self::MachO,
                _ => Self::JavaClass,
            },
            [b'#', b'!', rest @ ..] if rest.trim_ascii_start().starts_with(b"/") => Self::Script,
            _ if starts(b"dex\n0") => Self::Dex,
            _ if starts(b"L\0\0\0\x01\x14\x02\0") => Self::Shortcut,
            _ if starts(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") => Self::CompoundDocument,
            _ if starts(b"\0asm\x01\0\0\0") => Self::Wasm,
            _ => return None,
        })
    }
}

/// `MZ`, and the newer head where the old one says, or a head of DOS that is plausible.
fn is_pe(head: &[u8]) -> bool {
    if !head.starts_with(b"MZ") || head.len() < 64 {
        return false;
    }
    let at = u32::from_le_bytes([head[60], head[61], head[62], head[63]]) as usize;
    match head.get(at..at.saturating_add(2)) {
        Some(mark) => matches!(mark, b"PE" | b"NE" | b"LE" | b"LX") || head.contains(&0),
        // It lies beyond what is here.
        None => head.contains(&0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let mut pe = vec![0u8; 128];
        pe[..2].copy_from_slice(b"MZ");
        pe[60] = 64;
        pe[64..68].copy_from_slice(b"PE\0\0");
        let of = |head: &[u8]| FileKind::of(head).map(FileKind::token);
        assert_eq!(of(&pe), Some("pe"));
        for (head, expected) in [
            (&b"\x7FELF\x02\x01\x01"[..], Some("elf")),
            (b"\xCF\xFA\xED\xFE\x07\0\0\x01", Some("mach_o")),
            (b"\xCA\xFE\xBA\xBE\0\0\0\x02", Some("mach_o")),
            (b"\xCA\xFE\xBA\xBE\0\0\0\x34", Some("java_class")),
            (b"#!/bin/sh\n", Some("script")),
            (b"#! /usr/bin/env python", Some("script")),
            (b"#!markdown", None),
            (b"dex\n035\0", Some("dex")),
            (b"MZ is a text about Mozambique, and long enough for a head of a file", None),
            (b"%PDF-1.7", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ] {
            assert_eq!(of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn the_token_is_the_word_of_the_configuration() {
        for kind in FileKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.token());
        }
    }
}
