//! The files of the configuration itself.

use std::path::{Path, PathBuf};

use super::{Content, Kept, Stamp, Watched};
use crate::config::Loaded;
use crate::reload::Reloads;

/// The files that a configuration was read from, and the folders of those that it includes, where
/// more may come; as they were before they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(PathBuf, Stamp)>);

impl Sources {
    /// As they are now.
    pub fn of(loaded: &Loaded) -> Self {
        let mut paths: Vec<PathBuf> = loaded.sources.clone();
        let folder = |path: &Path| {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            parent.unwrap_or(Path::new(".")).to_owned()
        };
        if let Some((main, included)) = loaded.sources.split_first() {
            let main = folder(main);
            let mut folders: Vec<PathBuf> = included.iter().map(|path| folder(path)).collect();
            // Beside the main file there may be anything, such as logs.
            folders.retain(|folder| *folder != main);
            folders.dedup();
            paths.extend(folders);
        }
        Self(paths.into_iter().map(|path| (Stamp::of(&path), path)).map(|(s, p)| (p, s)).collect())
    }

    /// The same, those that were looked at earlier as they were then: whatever was changed in
    /// between is seen.
    #[must_use]
    pub fn as_known(mut self, earlier: &Self) -> Self {
        for (path, stamp) in &mut self.0 {
            if let Some((_, known)) = earlier.0.iter().find(|(own, _)| own == path) {
                *stamp = *known;
            }
        }
        self
    }

    pub(super) fn watched(self, reloads: Reloads) -> Watched {
        Watched::new(self.0, Reload(reloads))
    }
}

/// Orders a reload. Whether it is good is said there.
struct Reload(Reloads);

impl Content for Reload {
    fn renew(&mut self) -> Result<String, Kept> {
        self.0.ask();
        Ok("a reload is ordered".to_owned())
    }
}
