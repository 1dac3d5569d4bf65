//! Lines of the operator's own making: text with variables in braces.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use proxy_core::exchange::ProgramRun;

use super::facts;
use super::format::{LineFormat, LogEntry, RefusedHead};
use crate::date::Civil;
use crate::termination::Termination;
use crate::{escape, shown_target};

/// A line with variables: `{client} "{method} {target}" {status} {duration_us}`.
///
/// `{{` and `}}` are braces. The variables are [`VARIABLES`]; one without a value is `-`. Bytes
/// outside printable ASCII, quotes and backslashes of a value are written `\xHH`, so a value never
/// ends a line, nor quotes around it; a space in it is a space. The text between the variables
/// must be printable ASCII.
///
/// ```
/// use proxy_observe::{AccessLog, LogTemplate};
/// let template: LogTemplate = "{time} {client} \"{method} {target}\" {status}".parse()?;
/// let log = AccessLog::builder(Default::default()).format(template);
/// assert!("{nonsense}".parse::<LogTemplate>().is_err());
/// # Ok::<(), proxy_observe::access_log::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Value(Variable),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no such variable.
    Unknown(String),
    /// A brace is not closed, or not opened.
    Brace,
    /// It is not printable ASCII.
    Text,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no variable `{{{name}}}`"),
            Self::Brace => f.write_str("a brace without its other one; `{{` and `}}` are braces"),
            Self::Text => f.write_str("expected printable ASCII"),
        }
    }
}

impl std::error::Error for TemplateError {}

macro_rules! variables {
    ($($name:ident $word:literal: $help:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Variable { $($name,)* }

        const ALL: &[(&str, Variable)] = &[$(($word, Variable::$name),)*];

        /// The variables of a [`LogTemplate`], and what each is.
        pub const VARIABLES: &[(&str, &str)] = &[$(($word, $help),)*];
    };
}

variables! {
    Time "time": "when the head was complete, RFC 3339, UTC, milliseconds";
    TimeCommon "time_common": "the same as the common log format has it";
    TimeUnix "time_unix": "the same in seconds since 1970, with milliseconds";
    Id "id": "the exchange's id";
    TraceId "trace_id": "the id of its trace, where it came with one or is recorded";
    Listener "listener": "the listener's name";
    Connection "connection": "the number of the client's connection";
    Client "client": "the client's address, as privacy allows";
    User "user": "who asked, where credentials were verified and the log shows users";
    Method "method": "the method";
    Scheme "scheme": "`http` or `https`";
    Host "host": "the target's authority, else `Host`";
    Target "target": "path in its normal form and query; of CONNECT host and port";
    Path "path": "the path in its normal form";
    Query "query": "the query with its `?`";
    Protocol "protocol": "the version, such as `HTTP/1.1`";
    Status "status": "the status of the response";
    RequestBytes "request_bytes": "content from the client, or what a tunnel carried";
    ResponseBytes "response_bytes": "content to the client, or what a tunnel carried";
    SinceAcceptUs "since_accept_us": "from the connection's acceptance to the complete head, in microseconds";
    AnsweredUs "answered_us": "from the complete head to the response head, in microseconds";
    DurationUs "duration_us": "from the complete head to the end, in microseconds";
    DurationMs "duration_ms": "the same in whole milliseconds";
    Duration "duration": "the same in seconds, with milliseconds";
    Slow "slow": "`slow` where it took longer than `slow_threshold`";
    Route "route": "the route's name";
    Upstream "upstream": "the name of the upstream last tried";
    UpstreamAddress "upstream_address": "the address last tried";
    Attempts "attempts": "how many attempts there were";
    Reused "reused": "`reused` where the last one was on a kept-alive connection, else `new`";
    DnsUs "dns_us": "resolving, in microseconds, of the last attempt";
    ConnectUs "connect_us": "connecting, the same";
    FirstByteUs "first_byte_us": "from sending to the response head, the same";
    UpstreamStatus "upstream_status": "the status that the upstream gave";
    Cache "cache": "what the cache did";
    Coding "coding": "`Content-Encoding` of the response";
    Error "error": "the error token (RFC 9209) that the answer stands for";
    DeniedBy "denied_by": "the layer that refused";
    Rule "rule": "the id of the rule that refused";
    Reason "reason": "why it was refused, as a token";
    Exec "exec": "why the program ended that answered";
    Ending "ending": "`complete`, `client_left`, `upstream_broke`, `tunnel`; `head_refused`";
    Termination "termination": "who ended it and in which phase, two letters";
    TunnelEnd "tunnel_end": "why the tunnel ended";
    UserAgent "user_agent": "`User-Agent`, as sent";
    Referer "referer": "`Referer`, as sent but for what is hidden of its query";
}

impl std::str::FromStr for LogTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(TemplateError::Text);
        }
        let (mut parts, mut plain) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.extend_from_slice(&rest.as_bytes()[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(doubled) = after.strip_prefix(brace) {
                plain.extend_from_slice(brace.as_bytes());
                rest = doubled;
                continue;
            }
            let name = (brace == "{").then(|| after.split_once('}')).flatten();
            let (name, after) = name.ok_or(TemplateError::Brace)?;
            let variable = ALL.iter().find(|(word, _)| *word == name);
            let (_, variable) = variable.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Value(*variable));
            rest = after;
        }
        plain.extend_from_slice(rest.as_bytes());
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }
}

impl LogTemplate {
    fn line(&self, out: &mut Vec<u8>, value: impl Fn(&mut Vec<u8>, Variable)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Value(variable) => {
                    let before = out.len();
                    value(out, *variable);
                    if out.len() == before {
                        out.push(b'-');
                    }
                }
            }
        }
    }
}

impl LineFormat for LogTemplate {
    fn exchange(&self, line: &mut Vec<u8>, entry: &LogEntry<'_>) {
        self.line(line, |out, variable| of_exchange(out, variable, entry));
    }

    fn refused_head(&self, line: &mut Vec<u8>, head: &RefusedHead<'_>) {
        self.line(line, |out, variable| of_refused_head(out, variable, head));
    }
}

fn of_exchange(out: &mut Vec<u8>, variable: Variable, entry: &LogEntry<'_>) {
    let LogEntry { record, config, .. } = *entry;
    let (exchange, request) = (record.exchange, record.request);
    let attempt = |out: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>, &proxy_core::Attempt)| {
        exchange.with_attempts(|attempts| attempts.last().map(|last| write(out, last)));
    };
    let refusal = |out: &mut Vec<u8>, of: fn(&proxy_core::Decision) -> &str| {
        exchange.with_decisions(|all| facts::refusal(all).map(|own| text(out, of(own).as_bytes())));
    };
    let part = |out: &mut Vec<u8>, which: std::ops::Range<usize>| {
        let parts = shown_target::parts(request, config.path_policy, &config.redaction);
        parts[which].iter().for_each(|part| text(out, part.as_bytes()));
    };
    match variable {
        Variable::Time => Civil::of(exchange.started_wall()).rfc3339(out),
        Variable::TimeCommon => Civil::of(exchange.started_wall()).common(out),
        Variable::TimeUnix => unix(out, exchange.started_wall()),
        Variable::Id => shown(out, &exchange.id()),
        Variable::TraceId => {
            if let Some(trace) = exchange.trace() {
                shown(out, &format_args!("{:032x}", trace.context.trace_id));
            }
        }
        Variable::Listener => text(out, exchange.connection().listener.as_bytes()),
        Variable::Connection => number(out, exchange.connection().id),
        Variable::Client => shown(out, &exchange.client().view(&config.privacy)),
        Variable::User if config.users => {
            // Readers split at spaces.
            let user = exchange.user().map(|user| user.replace(' ', "_"));
            known(out, user.as_ref().map(String::as_bytes));
        }
        Variable::User => {}
        Variable::Method => text(out, request.method.as_str().as_bytes()),
        Variable::Scheme if request.method == Method::CONNECT => {}
        Variable::Scheme => {
            let own = exchange.connection().scheme;
            text(out, request.target.scheme_str().unwrap_or(own).as_bytes());
        }
        Variable::Host => known(out, shown_target::host(request)),
        Variable::Target => part(out, 0..3),
        Variable::Path => part(out, 0..1),
        Variable::Query => part(out, 1..3),
        Variable::Protocol => text(out, shown_target::protocol(request.version).as_bytes()),
        Variable::Status => of_status(out, record.status),
        Variable::RequestBytes => number(out, record.request_bytes()),
        Variable::ResponseBytes => number(out, record.response_bytes()),
        Variable::SinceAcceptUs => micros(out, Some(facts::since_accept(exchange))),
        Variable::AnsweredUs => micros(out, record.answered_after),
        Variable::DurationUs => micros(out, Some(record.duration)),
        Variable::DurationMs => {
            number(out, u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX));
        }
        Variable::Duration => seconds(out, record.duration),
        Variable::Slow if entry.slow => text(out, b"slow"),
        Variable::Slow => {}
        Variable::Route => known(out, exchange.route().map(|route| route.as_bytes())),
        Variable::Upstream => attempt(out, &|out, own| {
            known(out, own.upstream.as_ref().map(|name| name.as_bytes()));
        }),
        Variable::UpstreamAddress => attempt(out, &|out, own| {
            if let Some(address) = own.address {
                shown(out, &address);
            }
        }),
        Variable::Attempts => number(out, exchange.with_attempts(|all| all.len()) as u64),
        Variable::Reused => attempt(out, &|out, own| {
            text(out, if own.reused { b"reused" } else { b"new" });
        }),
        Variable::DnsUs => attempt(out, &|out, own| micros(out, own.dns)),
        Variable::ConnectUs => attempt(out, &|out, own| micros(out, own.connect)),
        Variable::FirstByteUs => attempt(out, &|out, own| micros(out, own.first_byte)),
        Variable::UpstreamStatus => attempt(out, &|out, own| of_status(out, own.status)),
        Variable::Cache => exchange.with_decisions(|all| {
            known(out, facts::cache(all).map(str::as_bytes));
        }),
        Variable::Coding => known(out, record.coding.map(http::HeaderValue::as_bytes)),
        Variable::Error => known(out, exchange.error().map(|kind| kind.token().as_bytes())),
        Variable::DeniedBy => refusal(out, |own| own.layer),
        Variable::Rule => refusal(out, |own| own.rule.as_deref().unwrap_or_default()),
        Variable::Reason => refusal(out, |own| &own.reason),
        Variable::Exec => {
            known(out, exchange.get::<ProgramRun>().map(|run| run.why.as_bytes()));
        }
        Variable::Ending => text(out, record.ending.token().as_bytes()),
        Variable::Termination => text(out, entry.termination.as_str().as_bytes()),
        Variable::TunnelEnd => {
            known(out, record.tunnel.map(|tunnel| tunnel.end.token().as_bytes()));
        }
        Variable::UserAgent => known(out, config.user_agent(request)),
        Variable::Referer => known(out, config.referer(request).as_deref()),
    }
}

fn of_refused_head(out: &mut Vec<u8>, variable: Variable, head: &RefusedHead<'_>) {
    match variable {
        Variable::Time => Civil::of(head.time).rfc3339(out),
        Variable::TimeCommon => Civil::of(head.time).common(out),
        Variable::TimeUnix => unix(out, head.time),
        Variable::Listener => text(out, head.connection.listener.as_bytes()),
        Variable::Connection => number(out, head.connection.id),
        Variable::Client => shown(out, &head.connection.peer.view(&head.config.privacy)),
        Variable::Status => of_status(out, Some(head.status)),
        Variable::RequestBytes | Variable::ResponseBytes | Variable::Attempts => number(out, 0),
        Variable::Reason => text(out, head.reason.as_bytes()),
        Variable::Ending => text(out, b"head_refused"),
        Variable::Termination => {
            text(out, Termination::of_refused_head(head.status).as_str().as_bytes());
        }
        _ => {}
    }
}

fn text(out: &mut Vec<u8>, value: &[u8]) {
    escape::combined(out, value);
}

fn known(out: &mut Vec<u8>, value: Option<&[u8]>) {
    if let Some(value) = value {
        text(out, value);
    }
}

fn shown(out: &mut Vec<u8>, value: &impl fmt::Display) {
    text(out, value.to_string().as_bytes());
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn micros(out: &mut Vec<u8>, time: Option<Duration>) {
    if let Some(time) = time {
        number(out, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

fn seconds(out: &mut Vec<u8>, time: Duration) {
    shown(out, &format_args!("{}.{:03}", time.as_secs(), time.subsec_millis()));
}

fn unix(out: &mut Vec<u8>, time: std::time::SystemTime) {
    seconds(out, time.duration_since(UNIX_EPOCH).unwrap_or_default());
}

fn of_status(out: &mut Vec<u8>, status: Option<http::StatusCode>) {
    if let Some(status) = status {
        number(out, u64::from(status.as_u16()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_template_says_why() {
        for (text, error) in [
            ("{metod}", TemplateError::Unknown("metod".to_owned())),
            ("{}", TemplateError::Unknown(String::new())),
            ("{method", TemplateError::Brace),
            ("method}", TemplateError::Brace),
            ("a\tb", TemplateError::Text),
            ("a\n", TemplateError::Text),
            ("é", TemplateError::Text),
        ] {
            assert_eq!(text.parse::<LogTemplate>(), Err(error), "{text:?}");
        }
        let braces: LogTemplate = "{{{method}}}".parse().expect("a template");
        let mut line = Vec::new();
        braces.line(&mut line, |out, _| out.push(b'x'));
        assert_eq!(line, b"{x}");
    }

    #[test]
    fn a_value_that_is_missing_is_a_dash() {
        let template: LogTemplate = "{status}/{method}".parse().expect("a template");
        let mut line = Vec::new();
        template.line(&mut line, |_, _| {});
        assert_eq!(line, b"-/-");
    }
}
