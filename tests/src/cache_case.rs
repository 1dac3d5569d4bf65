//! The form of the cache's conformance cases, `data/cache/*.cases`: exchanges as one would write
//! them down, with what must be true of each. `data/cache/README.md` describes it.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Who demands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The RFC, with a MUST or by its definitions.
    Must,
    /// The RFC leaves it open; the project promises it.
    Here,
    /// The RFC leaves it open: only that the outcome is sound is asserted.
    May,
}

/// One case: its rule, and the exchanges that show it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of the rule.
    pub id: String,
    /// The section of the RFC.
    pub section: String,
    /// Who demands it.
    pub level: Level,
    /// The rule in words.
    pub why: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Case {
    /// How long it waits in all.
    #[must_use]
    pub fn pauses(&self) -> Duration {
        self.steps.iter().map(|step| step.pause).sum()
    }

    /// The path below which everything of this case lies.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/c/{}", self.id)
    }
}

/// One request, what the origin would answer, and what must be true.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The time before it.
    pub pause: Duration,
    /// How many clients ask it at once.
    pub copies: usize,
    /// Its method.
    pub method: String,
    /// Its target; the path of the case stands before it unless it is written out.
    pub target: String,
    /// The minor version of HTTP/1.
    pub minor: u8,
    /// Its fields.
    pub fields: Vec<(String, String)>,
    /// Its content.
    pub content: Option<String>,
    /// What the origin does if the request reaches it.
    pub reply: Option<Reply>,
    /// What becomes of it.
    pub outcome: Outcome,
    /// It is asked again until all of it is true.
    pub soon: bool,
    /// What must be true beyond what the outcome implies.
    pub checks: Vec<Check>,
}

/// What the origin does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It answers.
    Response(Response),
    /// It closes the connection without an answer.
    Disconnect,
    /// It resets the connection without an answer.
    Reset,
}

/// How the origin's content is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delimited {
    /// By Content-Length.
    #[default]
    Length,
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    Close,
    /// By a Content-Length that promises more than comes before the connection ends.
    Short,
    /// In chunks without the last one, before the connection ends.
    Unended,
    /// In chunks, the connection being reset in their midst.
    Reset,
    /// As its fields say, which may be anything; then the connection ends.
    Raw,
}

/// An answer of the origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Vec<(String, String)>,
    /// Its content; without it, a text that no other answer has.
    pub content: Option<String>,
    /// So many bytes of content instead.
    pub bytes: Option<usize>,
    /// How the content ends.
    pub delimited: Delimited,
    /// Its trailer section.
    pub trailers: Vec<(String, String)>,
    /// Interim responses before it.
    pub interim: Vec<u16>,
    /// The time before it.
    pub delay: Duration,
    /// It answers `Range`, `If-Range` and `If-None-Match` as an origin server should.
    pub ranged: bool,
    /// Its content is `evil` if the request says so anywhere, else `good`.
    pub echo: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The origin was asked, and its answer is the client's.
    #[default]
    Miss,
    /// The origin was not asked: the client has what the origin said in that step, or in the last
    /// step in which it said something.
    Hit(Option<usize>),
    /// The origin was asked on a condition and said 304: the client has what was stored then.
    Valid(Option<usize>),
    /// The origin was asked, it failed, and the client has what was stored then.
    Stale(Option<usize>),
    /// The client has what was stored then; the origin is asked behind its back.
    Background(Option<usize>),
    /// The proxy says that there is no answer.
    Error,
    /// A hit or a miss, each of them sound.
    Free,
    /// Nothing but what the checks say.
    Loose,
}

/// One thing that must be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The status at the client is one of these.
    Status(Vec<u16>),
    /// The content at the client.
    Content(String),
    /// The origin's content of that step is the content at the client.
    ContentOf(usize),
    /// A field at the client has that value, several joined by `, `.
    Field(String, String),
    /// A field is not at the client.
    NoField(String),
    /// A field at the client contains the text.
    FieldHas(String, String),
    /// A field at the client does not contain the text.
    FieldLacks(String, String),
    /// `Age` lies between.
    Age(u64, u64),
    /// What the last request to the origin has.
    Sent(Box<Check>),
    /// The method of the last request to the origin.
    SentMethod(String),
    /// The last request's target at the origin, after the path of the case.
    SentTarget(String),
    /// So many requests reached the origin.
    Reached(usize, usize),
    /// A parameter of the proxy's member of `Cache-Status`.
    Status9211(String, Option<String>),
    /// A parameter that is not there.
    NoStatus9211(String),
    /// The parameter `ttl` lies between.
    Ttl(i64, i64),
    /// A part of multipart/byteranges: Content-Range without its unit, and content.
    Part(String, String),
    /// A trailer field at the client.
    Trailer(String, String),
    /// The content at the client ends too early.
    Truncated,
}

/// Reads all files of a folder under `tests/data/`, in order of their names.
#[must_use]
pub fn read_all(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "cases"))
        .collect();
    paths.sort();
    let cases: Vec<Case> = paths
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a readable file");
            read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect();
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(case.id.clone()), "two cases are called {}", case.id);
    }
    cases
}

/// Reads one file.
pub fn read(text: &str) -> Result<Vec<Case>, String> {
    let lines = || text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    if lines().next().is_some_and(|line| !line.starts_with('[')) {
        return Err("text before the first case".into());
    }
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in lines() {
        if line.starts_with('[') {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    let mut cases = Vec::new();
    for block in blocks {
        let (rows, lines): (Vec<&str>, Vec<&str>) =
            block.iter().partition(|line| line.starts_with("each "));
        let template = lines.join("\n");
        if rows.is_empty() {
            cases.push(one(&template)?);
        }
        for row in rows {
            let mut text = template.clone();
            // A space more, for a last value that is empty.
            for (number, value) in format!("{} ", &row["each ".len()..]).split(" | ").enumerate() {
                text = text.replace(&format!("{{{number}}}"), value.trim());
            }
            cases.push(one(&text)?);
        }
    }
    Ok(cases)
}

/// Whose fields and content the lines are.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    Words,
    Request,
    Response,
}

fn one(text: &str) -> Result<Case, String> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let fault = |why: &str, line: &str| format!("{why} in {first}: {line:?}");
    let (id, rest) = first[1..].split_once("] ").ok_or_else(|| fault("no section", first))?;
    let (section, level) = rest.rsplit_once(' ').ok_or_else(|| fault("no level", first))?;
    let level = match level {
        "must" => Level::Must,
        "here" => Level::Here,
        "may" => Level::May,
        _ => return Err(fault("no level", first)),
    };
    if !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(fault("not a name", id));
    }
    let mut case =
        Case { id: id.into(), section: section.into(), level, why: String::new(), steps: vec![] };
    let (mut at, mut pause) = (Section::Words, Duration::ZERO);
    for line in lines {
        let line = line.trim_start();
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if at == Section::Words && !matches!(mark, ">" | "~") {
            case.why += if case.why.is_empty() { "" } else { " " };
            case.why += line;
            continue;
        }
        let step = case.steps.last_mut();
        let wrong = |why: &str| fault(why, line);
        match (mark, step) {
            ("~", _) => {
                pause += Duration::from_secs_f64(rest.parse().map_err(|_| wrong("no time"))?);
                at = if at == Section::Words { Section::Request } else { at };
            }
            (">", _) => {
                let mut step = request(rest).ok_or_else(|| wrong("no request"))?;
                step.pause = std::mem::take(&mut pause);
                case.steps.push(step);
                at = Section::Request;
            }
            (_, None) => return Err(wrong("before the first request")),
            ("<", Some(step)) => {
                step.reply = Some(reply(rest).ok_or_else(|| wrong("no answer"))?);
                at = Section::Response;
            }
            ("=", Some(step)) => expect(step, rest).ok_or_else(|| wrong("no expectation"))?,
            ("^", Some(step)) => {
                let check = match rest.split_once(' ') {
                    Some(("method", method)) => Check::SentMethod(method.into()),
                    Some(("target", target)) => Check::SentTarget(target.into()),
                    _ => Check::Sent(Box::new(field_check(rest).ok_or_else(|| wrong("no check"))?)),
                };
                step.checks.push(check);
            }
            ("|", Some(step)) => match (at, &mut step.reply) {
                (Section::Response, Some(Reply::Response(response))) => {
                    response.content = Some(rest.into());
                }
                _ => step.content = Some(rest.into()),
            },
            ("+", Some(Step { reply: Some(Reply::Response(response)), .. })) => {
                response.trailers.push(field(rest).ok_or_else(|| wrong("no trailer"))?);
            }
            (_, Some(step)) => {
                let field = field(line).ok_or_else(|| wrong("neither a field nor a mark"))?;
                match (at, &mut step.reply) {
                    (Section::Response, Some(Reply::Response(response))) => {
                        response.fields.push(field);
                    }
                    _ => step.fields.push(field),
                }
            }
        }
    }
    if case.steps.is_empty() || case.why.is_empty() {
        return Err(fault("no steps or no words", ""));
    }
    Ok(case)
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

fn request(text: &str) -> Option<Step> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let method = words.next()?.to_owned();
    let mut step = Step { copies: 1, method, minor: 1, ..Step::default() };
    for word in words {
        match word.strip_prefix('x').and_then(|count| count.parse().ok()) {
            Some(count) => step.copies = count,
            None if word == "HTTP/1.0" => step.minor = 0,
            None => step.target = word.to_owned(),
        }
    }
    Some(step)
}

fn reply(text: &str) -> Option<Reply> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let status = match words.next()? {
        "disconnect" => return Some(Reply::Disconnect),
        "reset" => return Some(Reply::Reset),
        status => status.parse().ok()?,
    };
    let mut response = Response { status, ..Response::default() };
    for word in words {
        match word.split_once('=') {
            Some(("bytes", count)) => response.bytes = Some(count.parse().ok()?),
            Some(("delay", time)) => response.delay = Duration::from_millis(time.parse().ok()?),
            Some(("interim", status)) => response.interim.push(status.parse().ok()?),
            _ if word == "ranged" => response.ranged = true,
            _ if word == "echo" => response.echo = true,
            _ => {
                response.delimited = match word {
                    "chunked" => Delimited::Chunked,
                    "close" => Delimited::Close,
                    "short" => Delimited::Short,
                    "unended" => Delimited::Unended,
                    "broken" => Delimited::Reset,
                    "raw" => Delimited::Raw,
                    _ => return None,
                }
            }
        }
    }
    Some(Reply::Response(response))
}

fn expect(step: &mut Step, text: &str) -> Option<()> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let number = || if rest.is_empty() { Some(None) } else { rest.parse().ok().map(Some) };
    let outcome = match word {
        "miss" => Some(Outcome::Miss),
        "hit" => Some(Outcome::Hit(number()?)),
        "valid" => Some(Outcome::Valid(number()?)),
        "stale" => Some(Outcome::Stale(number()?)),
        "background" => Some(Outcome::Background(number()?)),
        "error" => Some(Outcome::Error),
        "free" => Some(Outcome::Free),
        "loose" => Some(Outcome::Loose),
        _ => None,
    };
    if let Some(outcome) = outcome {
        step.outcome = outcome;
        return Some(());
    }
    let pair = || rest.split_once(' ').unwrap_or((rest, rest));
    step.checks.push(match word {
        "soon" => {
            step.soon = true;
            return Some(());
        }
        "status" => Check::Status(rest.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?),
        "content" => Check::Content(rest.into()),
        "content-of" => Check::ContentOf(rest.parse().ok()?),
        "age" => Check::Age(pair().0.parse().ok()?, pair().1.parse().ok()?),
        "reached" => Check::Reached(pair().0.parse().ok()?, pair().1.parse().ok()?),
        "truncated" => Check::Truncated,
        "part" => Check::Part(pair().0.into(), pair().1.into()),
        "trailer" => {
            let (name, value) = field(rest)?;
            Check::Trailer(name, value)
        }
        "cs" => match rest.split_once(' ') {
            Some(("no", name)) => Check::NoStatus9211(name.into()),
            Some(("ttl", bounds)) => {
                let (low, high) = bounds.split_once(' ')?;
                Check::Ttl(low.parse().ok()?, high.parse().ok()?)
            }
            Some(_) => return None,
            None => match rest.split_once('=') {
                Some((name, value)) => Check::Status9211(name.into(), Some(value.into())),
                None => Check::Status9211(rest.into(), None),
            },
        },
        _ => field_check(text)?,
    });
    Some(())
}

fn field_check(text: &str) -> Option<Check> {
    if let Some(name) = text.strip_prefix("no ") {
        return Some(Check::NoField(name.into()));
    }
    let name_end = text.find([':', ' '])?;
    let (name, rest) = text.split_at(name_end);
    if let Some(part) = rest.strip_prefix(" ~ ") {
        return Some(Check::FieldHas(name.into(), part.into()));
    }
    if let Some(part) = rest.strip_prefix(" !~ ") {
        return Some(Check::FieldLacks(name.into(), part.into()));
    }
    let value = rest.strip_prefix(':')?;
    Some(Check::Field(name.into(), value.trim().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_page_describes() {
        let text = "\
# A comment.
[a-{0}] RFC 9111 5.2 must
The words
of it.
each x | max-age=1
each y | max-age=\"2\"
> GET ?q
  A: b
< 200 chunked delay=5
  Cache-Control: {1}
  | content
  + T: v
= cs stored
~ 1.5
> GET
= hit 1
= age 2 3
^ no If-None-Match
";
        let cases = read(text).expect("valid");
        assert_eq!(cases.iter().map(|case| &case.id[..]).collect::<Vec<_>>(), ["a-x", "a-y"]);
        let case = &cases[1];
        assert_eq!((&case.section[..], &case.why[..]), ("RFC 9111 5.2", "The words of it."));
        assert_eq!(case.pauses(), Duration::from_millis(1500));
        let [first, second] = &case.steps[..] else { panic!("two steps") };
        assert_eq!((&first.target[..], first.fields.len()), ("?q", 1));
        let Some(Reply::Response(response)) = &first.reply else { panic!("a response") };
        assert_eq!(response.fields, [("Cache-Control".into(), "max-age=\"2\"".into())]);
        assert_eq!((response.delimited, response.trailers.len()), (Delimited::Chunked, 1));
        assert_eq!(second.outcome, Outcome::Hit(Some(1)));
        assert_eq!(second.checks[0], Check::Age(2, 3));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "[a] RFC 9111 5 must\nwords\n",
            "[a] RFC 9111 5 often\nwords\n> GET\n",
            "[a] RFC 9111 5 must\nwords\n> GET\n= perhaps\n",
            "[a] RFC 9111 5 must\nwords\n> GET\n< 200 sideways\n",
            "[A b] RFC 9111 5 must\nwords\n> GET\n",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
