//! Log files that are put away: by size, by time, compressed, and deleted in the end.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use proxy_observe::access_log::{AccessLogSink, RotatingFile, Rotation};
use proxy_testkit::ManualClock;

use crate::scene::until;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("proxy-log-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("access.log")
    }

    /// What was put away, in order.
    fn away(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut away: Vec<PathBuf> = entries.filter(|path| *path != self.log()).collect();
        away.sort();
        away
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(file: &mut RotatingFile, mut lines: &[u8]) {
    while !lines.is_empty() {
        let n = file.write_lines(lines).unwrap();
        lines = &lines[n..];
    }
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    if path.extension().is_some_and(|end| end == "gz") {
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text).unwrap();
    }
    text
}

#[test]
fn by_size_every_line_is_whole_and_in_one_file() {
    let (folder, clock) = (Folder::new("size"), ManualClock::new());
    let rotation =
        Rotation { size: Some(1_000), keep: 100, compress: false, ..Rotation::default() };
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock.clone())).unwrap();
    let line = |n: usize| format!("{n} {}\n", "x".repeat(n % 90));
    let whole: String = (0..200).map(line).collect();
    // In pieces that do not care about lines, as a queue's are large.
    let (first, second) = whole.split_at(whole.find("\n100 ").unwrap() + 1);
    write(&mut file, first.as_bytes());
    write(&mut file, second.as_bytes());
    let mut paths = folder.away();
    assert!(paths.len() > 5, "{paths:?}");
    paths.push(folder.log());
    let mut read = String::new();
    for path in &paths {
        let text = text(path);
        assert!(text.len() <= 1_000 && text.ends_with('\n'), "{}", path.display());
        read += &text;
    }
    assert_eq!(read, whole);
}

#[test]
fn a_line_longer_than_a_file_has_one_of_its_own() {
    let (folder, clock) = (Folder::new("long"), ManualClock::new());
    let rotation = Rotation { size: Some(10), keep: 100, compress: false, ..Rotation::default() };
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock)).unwrap();
    write(&mut file, b"short\nmuch longer than ten\nshort\n");
    let away: Vec<String> = folder.away().iter().map(|path| text(path)).collect();
    assert_eq!(away, ["short\n", "much longer than ten\n"]);
    assert_eq!(text(&folder.log()), "short\n");
}

#[test]
fn by_time_at_the_end_of_a_day() {
    let (folder, clock) = (Folder::new("time"), ManualClock::new());
    let day = Duration::from_secs(86_400);
    let rotation = Rotation { interval: Some(day), compress: false, ..Rotation::default() };
    let at = |seconds| clock.set_wall(UNIX_EPOCH + 20_000 * day + Duration::from_secs(seconds));
    at(86_390);
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock.clone())).unwrap();
    write(&mut file, b"evening\n");
    at(86_399);
    write(&mut file, b"night\n");
    at(86_400);
    assert!(folder.away().is_empty(), "not before there is a line");
    write(&mut file, b"morning\n");
    assert_eq!(folder.away().iter().map(|path| text(path)).collect::<String>(), "evening\nnight\n");
    assert_eq!(text(&folder.log()), "morning\n");
}

#[test]
fn what_is_put_away_is_compressed_and_the_oldest_deleted() {
    let (folder, clock) = (Folder::new("gzip"), ManualClock::new());
    let rotation = Rotation { size: Some(8), keep: 3, ..Rotation::default() };
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock.clone())).unwrap();
    for n in 0..10 {
        clock.advance(Duration::from_secs(1));
        write(&mut file, format!("line {n}\n").as_bytes());
    }
    let packed = |path: &PathBuf| path.extension().is_some_and(|end| end == "gz");
    until("three compressed files", || {
        let away = folder.away();
        away.len() == 3 && away.iter().all(packed)
    });
    let away: Vec<String> = folder.away().iter().map(|path| text(path)).collect();
    assert_eq!(away, ["line 6\n", "line 7\n", "line 8\n"]);
    assert_eq!(text(&folder.log()), "line 9\n");
}

#[test]
fn what_an_earlier_process_left_is_compressed() {
    let (folder, clock) = (Folder::new("left"), ManualClock::new());
    let left = folder.0.join("access.log-20200101T000000Z");
    std::fs::write(&left, "old\n").unwrap();
    std::fs::write(folder.0.join("access.log-20200101T000000Z.gz.partial"), "half").unwrap();
    std::fs::write(folder.0.join("access.log.bak"), "mine\n").unwrap();
    let _file = RotatingFile::open(folder.log(), Rotation::default(), Arc::new(clock)).unwrap();
    let packed = folder.0.join("access.log-20200101T000000Z.gz");
    until("the compressed file", || !left.exists());
    assert_eq!(text(&packed), "old\n");
    assert_eq!(text(&folder.0.join("access.log.bak")), "mine\n");
    assert_eq!(folder.away().len(), 2);
}

#[test]
fn a_file_that_was_begun_is_gone_on_with() {
    let (folder, clock) = (Folder::new("goon"), ManualClock::new());
    std::fs::write(folder.log(), "first\n").unwrap();
    let rotation = Rotation { size: Some(12), compress: false, ..Rotation::default() };
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock)).unwrap();
    write(&mut file, b"again\nthird\n");
    assert_eq!(text(&folder.away()[0]), "first\nagain\n");
    assert_eq!(text(&folder.log()), "third\n");
}

#[test]
fn a_file_that_cannot_be_put_away_grows_on_and_is_tried_again() {
    let (folder, clock) = (Folder::new("stuck"), ManualClock::new());
    let rotation = Rotation { size: Some(6), keep: 2_000, compress: false, ..Rotation::default() };
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock.clone())).unwrap();
    // Every name that this second has is taken.
    let name = |end: &str| folder.0.join(format!("access.log-20231114T221320Z{end}"));
    std::fs::write(name(""), "").unwrap();
    (1..1000).for_each(|n| std::fs::write(name(&format!(".{n:03}")), "").unwrap());
    write(&mut file, b"first\nagain\n");
    write(&mut file, b"third\n");
    assert_eq!(text(&folder.log()), "first\nagain\nthird\n");
    let told = file.flush_lines().unwrap_err().to_string();
    assert!(told.contains("access.log cannot be put away"), "{told}");
    file.flush_lines().unwrap();
    clock.advance(Duration::from_secs(59));
    write(&mut file, b"still\n");
    assert_eq!(folder.away().len(), 1_000);
    file.flush_lines().unwrap();
    clock.advance(Duration::from_secs(1));
    write(&mut file, b"new\n");
    let away = folder.0.join("access.log-20231114T221420Z");
    assert_eq!(text(&away), "first\nagain\nthird\nstill\n");
    assert_eq!(text(&folder.log()), "new\n");
    file.flush_lines().unwrap();
}

#[test]
fn what_somebody_else_has_moved_away_is_begun_anew_with_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, clock) = (Folder::new("moved"), ManualClock::new());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let rotation = Rotation { size: Some(6), ..Rotation::default() };
    std::fs::write(folder.log(), "").unwrap();
    std::fs::set_permissions(folder.log(), PermissionsExt::from_mode(0o620)).unwrap();
    let mut file = RotatingFile::open(folder.log(), rotation, Arc::new(clock)).unwrap();
    write(&mut file, b"first\n");
    std::fs::rename(folder.log(), folder.0.join("mine")).unwrap();
    write(&mut file, b"again\n");
    assert_eq!(text(&folder.0.join("mine")), "first\n");
    assert_eq!((text(&folder.log()), mode(&folder.log())), ("again\n".to_owned(), 0o620));
    write(&mut file, b"third\n");
    assert_eq!((text(&folder.log()), mode(&folder.log())), ("third\n".to_owned(), 0o620));
    let packed = folder.0.join("access.log-20231114T221320Z.gz");
    until("the packed file", || packed.exists());
    assert_eq!((text(&packed), mode(&packed)), ("again\n".to_owned(), 0o620));
    file.flush_lines().unwrap();
}
