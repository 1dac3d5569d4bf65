//! Lengths of content, as they are written on the command line.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

const KIBI: u32 = 1024;
const MEBI: u32 = 1024 * KIBI;

/// A length in bytes, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(u32);

impl Size {
    /// In bytes.
    pub(crate) fn bytes(self) -> u32 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = if let Some(number) = text.strip_suffix("KiB") {
            (number, KIBI)
        } else if let Some(number) = text.strip_suffix("MiB") {
            (number, MEBI)
        } else {
            (text, 1)
        };
        number
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|&bytes| bytes > 0)
            .map(Self)
            .ok_or_else(|| "expected bytes, KiB or MiB, like 1024 or 100KiB".to_owned())
    }
}

impl Display for Size {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(MEBI) => write!(formatter, "{} MiB", bytes / MEBI),
            bytes if bytes.is_multiple_of(KIBI) => write!(formatter, "{} KiB", bytes / KIBI),
            bytes => write!(formatter, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("1024", 1024, "1 KiB"),
            ("1KiB", 1024, "1 KiB"),
            ("100KiB", 102_400, "100 KiB"),
            ("2MiB", 2_097_152, "2 MiB"),
            ("1000", 1000, "1000 bytes"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), written, "{text}");
        }
        for wrong in ["", "0", "0KiB", "KiB", "-1", "1.5KiB", "1 KiB", "1kB", "4096MiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
