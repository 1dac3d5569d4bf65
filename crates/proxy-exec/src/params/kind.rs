//! The types of parameters, and the one place where a value is judged.

use std::path::{Component, Path, PathBuf};

use regex::Regex;

/// What values a parameter may have.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A whole number in decimal digits, without leading zeros or a plus sign.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A decimal number without exponent.
    Number {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// `true` or `false`.
    Boolean,
    /// Text that the pattern matches from its first to its last byte. Make it by
    /// [`Kind::pattern`].
    Pattern(Regex),
    /// One of these.
    Choice(Vec<Box<str>>),
    /// A relative path of something that exists below a folder; becomes the absolute one.
    Path {
        /// The folder.
        root: PathBuf,
    },
    /// An `http` or `https` URL without user information.
    Url,
}

impl Kind {
    /// Text that the pattern matches as a whole: it is anchored whatever it says.
    ///
    /// # Errors
    /// It is no regular expression.
    pub fn pattern(pattern: &str) -> Result<Self, regex::Error> {
        // In a group, so that an alternative can not escape the anchors. The pattern is compiled by
        // itself first: brackets that only close in the sum would change what it means.
        Regex::new(pattern)?;
        Regex::new(&format!(r"\A(?:{pattern})\z")).map(Self::Pattern)
    }

    /// Judges a value by itself; gives what the program sees. What a path stands for is looked for
    /// later.
    pub(super) fn judge(&self, value: &str) -> Result<String, &'static str> {
        match self {
            Self::Integer { min, max } => {
                let number = integer(value).ok_or("param_not_an_integer")?;
                if !(*min..=*max).contains(&number) {
                    return Err("param_out_of_range");
                }
                Ok(value.to_owned())
            }
            Self::Number { min, max } => {
                let number = decimal(value).ok_or("param_not_a_number")?;
                if !(*min..=*max).contains(&number) {
                    return Err("param_out_of_range");
                }
                Ok(value.to_owned())
            }
            Self::Boolean => match value {
                "true" | "false" => Ok(value.to_owned()),
                _ => Err("param_not_a_boolean"),
            },
            Self::Pattern(pattern) => {
                pattern.is_match(value).then(|| value.to_owned()).ok_or("param_pattern")
            }
            Self::Choice(values) => {
                let known = values.iter().any(|known| &**known == value);
                known.then(|| value.to_owned()).ok_or("param_not_a_choice")
            }
            Self::Path { .. } => is_relative(value).then(|| value.to_owned()).ok_or("param_path"),
            Self::Url => url(value).then(|| value.to_owned()).ok_or("param_not_a_url"),
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.is_empty()
        && (digits == "0" || !digits.starts_with('0'))
        && text != "-0";
    plain.then(|| text.parse().ok()).flatten()
}

fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |digits: &str| {
        !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    (plain(whole) && plain(part)).then(|| text.parse().ok()).flatten()
}

/// Whether it is a plain relative path that goes nowhere up.
fn is_relative(value: &str) -> bool {
    let plain = Path::new(value).components().all(|part| matches!(part, Component::Normal(_)));
    // What `components` passes over: `a//b`, `a/./b`, `a/`.
    let exact = value.split('/').all(|part| !matches!(part, "" | "." | ".."));
    !value.is_empty() && plain && exact && !value.contains('\\')
}

/// The path of what exists below a folder, wherever symbolic links lead. It asks the file system.
pub(crate) fn below(root: &Path, value: &str) -> Result<String, &'static str> {
    if !is_relative(value) {
        return Err("param_path");
    }
    let root = root.canonicalize().map_err(|_| "param_path_unknown")?;
    let path = root.join(value).canonicalize().map_err(|_| "param_path_unknown")?;
    if !path.starts_with(&root) {
        return Err("param_path");
    }
    path.into_os_string().into_string().map_err(|_| "param_path")
}

/// Whether it is a plain URL that every reader takes for the same.
fn url(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return false;
    }
    // What some readers drop, fold or take for a slash.
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"'<>`^{}|".contains(&byte);
    if !text.bytes().all(plain) {
        return false;
    }
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    !authority.as_str().contains('@') && !authority.host().is_empty() && !text.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for good in ["0", "7", "-7", "9223372036854775807", "-9223372036854775808"] {
            assert!(integer(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            "1 ",
            " 1",
            "1_0",
            "0x1",
            "1e1",
            "9223372036854775808",
            "１",
        ] {
            assert!(integer(bad).is_none(), "{bad}");
        }
        for good in ["0", "0.5", "-1.25", "12"] {
            assert!(decimal(good).is_some(), "{good}");
        }
        for bad in ["", ".5", "1.", "inf", "nan", "NaN", "1e5", "+1", "1,5", "--1", "1.2.3"] {
            assert!(decimal(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_holds_from_the_first_byte_to_the_last() {
        let kind = Kind::pattern("a|b").unwrap();
        assert!(kind.judge("a").is_ok());
        for bad in ["ab", "xa", "bx", "a\n", "\na", ""] {
            assert_eq!(kind.judge(bad), Err("param_pattern"), "{bad:?}");
        }
        let kind = Kind::pattern("(?m)^a$").unwrap();
        assert!(kind.judge("a\nb").is_err());
        assert!(Kind::pattern("a)|(?:b").is_err());
    }

    #[test]
    fn a_path_stays_below_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::write(root.join("in/a"), "").unwrap();
        std::fs::write(folder.path().join("secret"), "").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("in/a", root.join("link")).unwrap();
        let expected = root.canonicalize().unwrap().join("in/a");
        for good in ["in/a", "link"] {
            assert_eq!(below(&root, good).unwrap(), expected.to_str().unwrap());
        }
        for bad in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "../secret",
            "in/../../secret",
            "in/../in/a",
            "./in/a",
            "in//a",
            "in/a/",
            "out",
            "in\\a",
            "none",
            "in/a/b",
        ] {
            assert!(below(&root, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_are_plain() {
        for good in ["http://a.test", "HTTPS://a.test:8080/x?y=z", "http://[::1]/"] {
            assert!(url(good), "{good}");
        }
        for bad in [
            "",
            "a.test",
            "//a.test",
            "file:///etc/passwd",
            "ftp://a",
            "http:a.test",
            "http:///x",
            "http://u@a.test",
            "http://u:p@a.test",
            "http://a.test\\@b.test",
            "http://a b",
            "http://a.test/\n",
            "javascript:alert(1)",
            "concat:http://a|b",
            "http://a.test#@b",
            "http:/a.test",
            "gopher://a",
            "http://ä.test",
        ] {
            assert!(!url(bad), "{bad}");
        }
    }
}
