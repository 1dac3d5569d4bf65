//! A runner with a warden of its own, scripts, and what is left of them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use proxy_core::{BoxError, Refusal, Reply};
use proxy_exec::params::Template;
use proxy_exec::{ExecBody, ExecConfig, ExecRunner, ExecService, Warden};
use tower::ServiceExt as _;

/// How long a test waits for what must happen. Nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn runner() -> ExecRunner {
    ExecRunner::new(Warden::program(env!("CARGO_BIN_EXE_proxy-exec-warden")))
}

/// `sh -c SCRIPT`.
pub fn script(text: &str) -> ExecConfig {
    let mut config = ExecConfig::new("/bin/sh");
    config.args = vec![Template::literal("-c"), Template::literal(text)];
    config.timeouts.kill_after = Duration::from_millis(300);
    config
}

pub fn service(config: ExecConfig) -> ExecService {
    ExecService::new(config, &runner()).unwrap()
}

pub type Answer<B> = Response<Reply<ExecBody<B>>>;

pub async fn get(service: &ExecService, target: &str) -> Answer<Empty<Bytes>> {
    send(service, Request::get(target).body(Empty::new()).unwrap()).await
}

pub async fn send<B>(service: &ExecService, mut request: Request<B>) -> Answer<B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let host = http::HeaderValue::from_static("localhost");
    request.headers_mut().entry("host").or_insert(host);
    match tokio::time::timeout(PATIENCE, service.clone().oneshot(request)).await.expect("in time") {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The reason of a refusal.
pub fn reason<B>(response: &Response<B>) -> &'static str {
    response.extensions().get::<Refusal>().map_or("none", |refusal| refusal.reason)
}

/// All of the content, or what came before it broke off and why.
pub async fn content<B>(response: Answer<B>) -> Result<String, (String, String)>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut body = std::pin::pin!(response.into_body());
    let mut text = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await.expect("in time") {
            None => return Ok(String::from_utf8_lossy(&text).into_owned()),
            Some(Ok(frame)) => text.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => {
                return Err((String::from_utf8_lossy(&text).into_owned(), error.to_string()));
            }
        }
    }
}

/// The processes whose command line or environment has this word.
pub fn processes(word: &str) -> Vec<i32> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name() != *own)
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let has = |file: &str| {
                let text = std::fs::read(entry.path().join(file)).unwrap_or_default();
                text.windows(word.len()).any(|part| part == word.as_bytes())
            };
            (has("cmdline") || has("environ")).then_some(pid)
        })
        .collect()
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A folder with files that can be executed.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

/// A word that no other test has in its command lines.
pub fn mark() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!(
        "mark-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    )
}

pub async fn gone(mark: &str) {
    until(&format!("nothing is left of {mark}"), || processes(mark).is_empty()).await;
}

/// A script whose processes have the word in their environment.
pub fn marked(mark: &str, text: &str) -> ExecConfig {
    let mut config = script(text);
    config.env.push(("MARK".to_owned(), Template::literal(mark)));
    config
}

/// A field of `/proc/PID/stat`, counted from the state on: 0 is the state, 1 the parent, 2 the
/// group, 3 the session.
pub fn stat(pid: i32, field: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(field)?.to_owned())
}

/// The children of a process.
pub fn children_of(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid, 1).is_some_and(|found| found == parent))
        .collect()
}

/// The warden of a run, by the word of its processes. Waits for it: a process that is just becoming
/// another program has neither command line nor environment for a moment.
pub async fn warden_of(mark: &str) -> i32 {
    let is_warden = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("proxy-exec-serve")
    };
    let mut found = None;
    until("a warden", || {
        let parents = processes(mark).into_iter().filter_map(|pid| stat(pid, 1)?.parse().ok());
        found = parents.into_iter().find(is_warden);
        found.is_some()
    })
    .await;
    found.expect("what was waited for")
}

/// Sends a signal.
pub fn kill(signal: &str, pid: i32) {
    let killed = std::process::Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(killed.unwrap().success());
}
