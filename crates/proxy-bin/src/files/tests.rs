use std::sync::{Arc, Mutex};

use super::*;

/// Takes what its file says, unless that is `bad`.
struct Text {
    path: PathBuf,
    used: Arc<Mutex<Vec<String>>>,
}

impl Content for Text {
    fn renew(&mut self) -> Result<String, Kept> {
        let text =
            fs::read_to_string(&self.path).map_err(|error| Kept::Unreadable(error.to_string()))?;
        if text == "bad" {
            return Err(Kept::Refused("it is bad".to_owned()));
        }
        self.used.lock().unwrap().push(text.clone());
        Ok(text)
    }
}

struct Scene {
    folder: tempfile::TempDir,
    watched: Watched,
    used: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "first").unwrap();
        let used = Arc::default();
        let text = Text { path: path.clone(), used: Arc::clone(&used) };
        let watched = Watched::new([(path.clone(), Stamp::of(&path))], text);
        Self { folder, watched, used }
    }

    /// Put into its place, as a whole.
    fn swap(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.folder.path().join("file")).unwrap();
    }

    fn look(&mut self) -> Vec<String> {
        self.watched.look();
        self.used.lock().unwrap().clone()
    }
}

#[test]
fn a_change_is_read_once_it_rests() {
    let mut scene = Scene::new();
    assert!(scene.look().is_empty());
    scene.swap("second");
    assert!(scene.look().is_empty(), "it may be in the middle of being written");
    assert_eq!(scene.look(), ["second"]);
    assert_eq!(scene.look(), ["second"], "read again without a change");
}

#[test]
fn a_change_before_the_watch_is_seen() {
    let mut scene = Scene::new();
    scene.swap("second");
    scene.watched.look();
    assert_eq!(scene.look(), ["second"]);
}

#[test]
fn what_is_bad_is_read_once_and_what_can_not_be_read_again_and_again() {
    let mut scene = Scene::new();
    scene.swap("bad");
    scene.look();
    assert!(scene.look().is_empty());
    assert_eq!(scene.watched.read, scene.watched.seen, "what is bad is bad until it changes");
    // A folder in its place can be seen, and not read.
    let path = scene.folder.path().join("file");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    scene.look();
    scene.look();
    assert_ne!(scene.watched.read, scene.watched.seen, "it will be tried again");
    assert!(scene.watched.said.is_some());
    fs::remove_dir(&path).unwrap();
    scene.swap("third");
    scene.look();
    assert_eq!(scene.look(), ["third"]);
    assert!(scene.watched.said.is_none());
}
