//! The pages of the documentation: what stands in their code fences.

use std::fs;
use std::path::{Path, PathBuf};

/// A code fence of a page.
#[derive(Clone, Debug)]
pub struct Fence {
    /// What stands behind the opening backticks, such as `toml`.
    pub info: String,
    /// The heading that it stands under.
    pub heading: String,
    /// The number of its first line, from 1.
    pub line: usize,
    /// Its lines.
    pub text: String,
}

/// The folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests lie in the workspace").to_owned()
}

/// Every page below `docs/`, and the README.
#[must_use]
pub fn all() -> Vec<PathBuf> {
    let mut pages = vec![workspace().join("README.md")];
    collect(&workspace().join("docs"), &mut pages);
    pages.sort();
    pages
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
}

/// The fences of a page, in order.
#[must_use]
pub fn fences(page: &Path) -> Vec<Fence> {
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
    let (mut fences, mut open) = (Vec::new(), None::<Fence>);
    let mut heading = String::new();
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => {
                let (info, heading) = (info.to_owned(), heading.clone());
                open = Some(Fence { info, heading, line: number + 2, text: String::new() });
            }
            (Some(_), Some(_)) => fences.extend(open.take()),
            (None, Some(fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    heading = title.to_owned();
                }
            }
        }
    }
    assert!(open.is_none(), "{page:?}: the last fence is open");
    fences
}
