//! File name patterns: `*` and `?` within one part of a path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files that a pattern names, sorted. A part without `*` or `?` must
/// exist; one with them may match nothing.
pub(super) fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut found = vec![folder.to_owned()];
    for part in Path::new(pattern) {
        let Some(part) = part.to_str().filter(|part| part.contains(['*', '?'])) else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let mut next = Vec::new();
        for path in found {
            let listed = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
            let names = names(listed).map_err(|error| (path.clone(), error))?;
            let matching = names.iter().filter(|name| matches(part, name));
            next.extend(matching.map(|name| path.join(name)));
        }
        found = next;
    }
    if pattern.contains(['*', '?']) {
        found.retain(|path| path.is_file());
    }
    found.sort();
    Ok(found)
}

/// The names in a folder that are not hidden.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    Ok(names)
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let mut tails = name.char_indices().map(|(at, _)| &name[at..]).chain([""]);
            tails.any(|tail| matches(rest.as_str(), tail))
        }
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|found| wanted == '?' || wanted == found)
                && matches(rest.as_str(), name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.toml.bak", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
