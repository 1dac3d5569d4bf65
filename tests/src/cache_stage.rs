//! The stage on which the cases of [`cache_case`](crate::cache_case) are played: an origin that
//! knows the scene of each case by its path, and clients that play the steps.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cache_case::{Case, Delimited, Outcome, Reply, Response, Step};
use crate::cache_judge::{self, Told};
use crate::client::{Answer, Client, NoAnswer};
use crate::http_date;
use crate::origin::{Act, MARK, Origin};
use crate::wire::{self, Request};

/// The host of every request that names no other.
pub const HOST: &str = "cache.test";

/// The content of an answer to a request that should not have come.
pub const UNEXPECTED: &str = "the origin was not to be asked";

/// The longest wait for what must become true.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the origin does for one case now, and what it has seen since that was set.
#[derive(Default)]
struct Scene {
    reply: Option<Reply>,
    content: String,
    seen: Vec<Request>,
}

/// How much is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Cached,
    /// The first step only and nothing that a cache does: the case itself is on trial.
    WithoutCache,
}

/// An origin for cases.
pub struct Stage {
    scenes: Arc<Mutex<HashMap<String, Scene>>>,
    origin: Origin,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Starts the origin.
    #[must_use]
    pub fn new() -> Self {
        let scenes: Arc<Mutex<HashMap<String, Scene>>> = Arc::default();
        let inside = Arc::clone(&scenes);
        let origin = Origin::answering(move |request, _| {
            let mut scenes = lock(&inside);
            let Some(scene) = scenes.get_mut(case_of(&request.head.target)) else {
                return vec![crate::origin::response("404 Not Found", &[], "no such case")];
            };
            scene.seen.push(request.clone());
            acts(scene, request)
        });
        Self { scenes, origin }
    }

    /// Where the origin listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.origin.url()
    }

    /// Plays all cases, at most `clients` at once, those that wait first; gives what was wrong.
    #[must_use]
    pub fn play_all(
        &self,
        cases: &[Case],
        proxy: SocketAddr,
        mode: Mode,
        clients: usize,
    ) -> Vec<String> {
        let mut order: Vec<&Case> = cases.iter().collect();
        order.sort_by_key(|case| std::cmp::Reverse(case.pauses()));
        let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    while let Some(case) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(why) = self.play(case, proxy, mode) {
                            let Case { id, section, level, .. } = case;
                            let fault = format!("{id} [{section}, {level:?}] {why}");
                            lock(&faults).push(fault);
                        }
                    }
                });
            }
        });
        let mut faults = std::mem::take(&mut *lock(&faults));
        faults.sort();
        faults
    }

    /// Plays one case.
    pub fn play(&self, case: &Case, proxy: SocketAddr, mode: Mode) -> Result<(), String> {
        let mut play = Play { case, proxy, mode, stage: self, now: now(), told: Vec::new() };
        let steps = if mode == Mode::Cached { case.steps.len() } else { 1 };
        for (number, step) in case.steps.iter().take(steps).enumerate() {
            std::thread::sleep(step.pause);
            play.step(number, step)
                .map_err(|why| format!("step {}: {why}\n      ({})", number + 1, case.why))?;
        }
        Ok(())
    }

    fn seen(&self, case: &Case) -> Vec<Request> {
        lock(&self.scenes).get(&case.id).map(|scene| scene.seen.clone()).unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a clock before the end of time")
}

/// The name of the case whose path the target has.
fn case_of(target: &str) -> &str {
    let rest = target.split_once("/c/").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', ';', '%']).next().unwrap_or_default()
}

struct Play<'a> {
    case: &'a Case,
    proxy: SocketAddr,
    mode: Mode,
    stage: &'a Stage,
    now: i64,
    told: Vec<Option<Told>>,
}

impl Play<'_> {
    fn step(&mut self, number: usize, step: &Step) -> Result<(), String> {
        let reply = step.reply.as_ref().map(|reply| self.fill_reply(reply));
        let content = match &reply {
            Some(Reply::Response(Response { content: Some(text), .. })) => text.clone(),
            Some(Reply::Response(Response { bytes: Some(count), .. })) => pattern(*count),
            _ => format!("{} step {}", self.case.id, number + 1),
        };
        self.told.push(match &reply {
            Some(Reply::Response(response)) => {
                Some(Told { response: response.clone(), content: content.clone(), at: now() })
            }
            _ => None,
        });
        let scene = || Scene { reply: reply.clone(), content: content.clone(), seen: Vec::new() };
        let step = self.fill_step(step);
        let deadline = Instant::now() + PATIENCE;
        loop {
            lock(&self.stage.scenes).insert(self.case.id.clone(), scene());
            let answers = self.ask(&step)?;
            if matches!(step.outcome, Outcome::Background(_)) && self.mode == Mode::Cached {
                self.wait_seen()?;
            }
            let seen = self.stage.seen(self.case);
            let verdict = answers.iter().try_for_each(|answer| {
                cache_judge::judge(&step, answer, &seen, &self.told, self.case, self.mode)
            });
            match verdict {
                Err(_) if step.soon && self.mode == Mode::Cached && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }

    /// Waits until the origin is asked, though the client has its answer.
    fn wait_seen(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.stage.seen(self.case).is_empty() {
            if Instant::now() > deadline {
                return Err("the origin is never asked in the background".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn ask(&self, step: &Step) -> Result<Vec<Answer>, String> {
        let raw = wire::bytes(&self.raw(step));
        let one = || -> Result<Answer, String> {
            let mut client = Client::connect(self.proxy).patient_for(PATIENCE);
            client.send(&raw);
            client.answer(&step.method).map_err(|why: NoAnswer| format!("no answer: {why:?}"))
        };
        if step.copies == 1 {
            return Ok(vec![one()?]);
        }
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..step.copies).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|client| client.join().expect("a client")).collect()
        })
    }

    fn raw(&self, step: &Step) -> String {
        let target = match step.target.strip_prefix('=') {
            Some(whole) => whole.to_owned(),
            None => self.case.path() + &step.target,
        };
        let mut raw = format!("{} {target} HTTP/1.{}\r\n", step.method, step.minor);
        let has =
            |name: &str| step.fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !has("host") {
            raw += &format!("Host: {HOST}\r\n");
        }
        for (name, value) in &step.fields {
            raw += &format!("{name}: {value}\r\n");
        }
        let content = step.content.as_deref().unwrap_or_default();
        if step.content.is_some() && !has("transfer-encoding") {
            raw += &format!("Content-Length: {}\r\n", content.len());
        }
        if has("transfer-encoding") {
            return format!("{raw}\r\n{:x}\r\n{content}\r\n0\r\n\r\n", content.len());
        }
        format!("{raw}\r\n{content}")
    }

    fn fill_step(&self, step: &Step) -> Step {
        let mut step = step.clone();
        step.target = self.fill(&step.target);
        for (_, value) in &mut step.fields {
            *value = self.fill(value);
        }
        for check in &mut step.checks {
            check.fill(&|text| self.fill(text));
        }
        step
    }

    fn fill_reply(&self, reply: &Reply) -> Reply {
        let mut reply = reply.clone();
        if let Reply::Response(response) = &mut reply {
            for (_, value) in &mut response.fields {
                *value = self.fill(value);
            }
        }
        reply
    }

    /// Replaces `{t-5}`, `{850+5}`, `{asc}` by dates, `{path}`, `{id}` and `{host}` by what they
    /// say, and `{x*9}` by nine x.
    fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        let mut left = text;
        while let Some((before, rest)) = left.split_once('{') {
            let (inside, after) = rest.split_once('}').expect("} after {");
            out += before;
            out += &self.value(inside);
            left = after;
        }
        out + left
    }

    fn value(&self, name: &str) -> String {
        if let Some((piece, count)) = name.split_once('*') {
            return piece.repeat(count.parse().expect("a count"));
        }
        let end = name.find(['+', '-']).unwrap_or(name.len());
        let (kind, offset) = name.split_at(end);
        let at = self.now + if offset.is_empty() { 0 } else { offset.parse::<i64>().expect(name) };
        match kind {
            "t" => http_date::imf(at),
            "850" => http_date::rfc850(at),
            "asc" => http_date::asctime(at),
            "path" => self.case.path(),
            "id" => self.case.id.clone(),
            "host" => HOST.to_owned(),
            _ => panic!("{}: unknown {{{name}}}", self.case.id),
        }
    }
}

/// Content in which every place is known by what stands there.
fn pattern(count: usize) -> String {
    let mut text = String::with_capacity(count + 8);
    while text.len() < count {
        text += &format!("{:07x}\n", text.len());
    }
    text.truncate(count);
    text
}

/// What the origin does with a request in this scene.
fn acts(scene: &Scene, request: &Request) -> Vec<Act> {
    let response = match &scene.reply {
        None => {
            let fields = [("Cache-Control", "no-store")];
            return vec![crate::origin::response("500 Unexpected", &fields, UNEXPECTED)];
        }
        Some(Reply::Disconnect) => return vec![Act::Close],
        Some(Reply::Reset) => return vec![Act::Reset],
        Some(Reply::Response(response)) => response,
    };
    let (adapted, content);
    let (response, content) = if response.ranged {
        (adapted, content) = ranged(response, &scene.content, request);
        (&adapted, &content)
    } else if response.echo {
        content = if is_evil(request) { "evil" } else { "good" }.to_owned();
        (response, &content)
    } else {
        (response, &scene.content)
    };
    let mut acts = Vec::new();
    for status in &response.interim {
        acts.push(Act::send(format!("HTTP/1.1 {status} Interim\r\nX-Interim: yes\r\n\r\n")));
    }
    if !response.delay.is_zero() {
        acts.push(Act::Pause(response.delay));
    }
    let mut raw = format!("HTTP/1.1 {} Scripted\r\n{MARK}: yes\r\n", response.status);
    for (name, value) in &response.fields {
        raw += &format!("{name}: {value}\r\n");
    }
    let has = |name: &str| response.fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let bare = matches!(response.status, 204 | 304);
    let chunked =
        matches!(response.delimited, Delimited::Chunked | Delimited::Unended | Delimited::Reset)
            || !response.trailers.is_empty();
    match response.delimited {
        Delimited::Raw => {}
        _ if bare => {}
        _ if chunked => raw += "Transfer-Encoding: chunked\r\n",
        Delimited::Length if !has("content-length") => {
            raw += &format!("Content-Length: {}\r\n", content.len());
        }
        Delimited::Short => raw += &format!("Content-Length: {}\r\n", content.len() + 10),
        _ => {}
    }
    raw += "\r\n";
    if request.head.method != "HEAD" && !bare {
        if chunked {
            raw += &format!("{:x}\r\n{content}\r\n", content.len());
            if !matches!(response.delimited, Delimited::Unended | Delimited::Reset) {
                raw += "0\r\n";
                for (name, value) in &response.trailers {
                    raw += &format!("{name}: {value}\r\n");
                }
                raw += "\r\n";
            }
        } else {
            raw += content;
        }
    }
    acts.push(Act::Send(wire::bytes(&raw)));
    match response.delimited {
        Delimited::Length | Delimited::Chunked => {}
        Delimited::Reset => acts.push(Act::Reset),
        _ => acts.push(Act::Close),
    }
    acts
}

/// Whether the word `evil` is anywhere in the request but in the path of its case.
fn is_evil(request: &Request) -> bool {
    let target = request.head.target.replacen(case_of(&request.head.target), "", 1);
    let fields = request.head.fields.0.iter().any(|(_, value)| value.contains("evil"));
    fields || target.contains("evil") || wire::latin1(&request.content).contains("evil")
}

/// The answer of an origin server that knows ranges and conditions (RFC 9110, sections 13 and 14).
fn ranged(whole: &Response, content: &str, request: &Request) -> (Response, String) {
    let mut response = whole.clone();
    let given = |name: &str| {
        whole.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    };
    let (etag, modified) = (given("etag"), given("last-modified"));
    if let (Some(asked), Some(etag)) = (request.field("if-none-match"), etag)
        && asked.contains(etag.trim_start_matches("W/"))
    {
        response.status = 304;
        return (response, String::new());
    }
    if let Some(asked) = request.field("if-match")
        && etag.is_some_and(|etag| !asked.contains(etag))
    {
        response.status = 412;
        return (response, String::new());
    }
    let condition = request.field("if-range");
    let holds = condition.is_none()
        || (condition == etag && !etag.is_some_and(|etag| etag.starts_with("W/")))
        || (condition.is_some() && condition == modified);
    let size = content.len();
    let Some((first, last)) = request
        .field("range")
        .filter(|_| holds && request.head.method == "GET")
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        .and_then(|(first, last)| match (first, last) {
            ("", count) => Some((size.saturating_sub(count.parse().ok()?), size - 1)),
            (first, "") => Some((first.parse().ok()?, size - 1)),
            (first, last) => Some((first.parse().ok()?, last.parse::<usize>().ok()?.min(size - 1))),
        })
    else {
        return (response, content.to_owned());
    };
    if first >= size || first > last {
        response.status = 416;
        response.fields.push(("Content-Range".into(), format!("bytes */{size}")));
        return (response, String::new());
    }
    response.status = 206;
    response.fields.push(("Content-Range".into(), format!("bytes {first}-{last}/{size}")));
    (response, content[first..=last].to_owned())
}
