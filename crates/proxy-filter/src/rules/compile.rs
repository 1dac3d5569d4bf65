//! From rules as text to rules that judge, with every mistake at once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use ipnet::IpNet;
use proxy_core::matching::{HostRule, Prefix, ValueTest, anchored, path};
use proxy_core::{Clock, IpSet, NamePattern};
use regex::Regex;

use super::conditions::{Conditions, PathCondition};
use super::spec::{ActionSpec, FieldTest, MatchSpec, Mode, RuleSpec};
use super::{Action, Rule};
use crate::limit::Limit;

/// The longest id or tag.
const MAX_NAME: usize = 64;
/// The longest sentence on a page, in bytes.
const MAX_PAGE: usize = 500;

/// What rules need beside their text.
#[derive(Clone)]
pub struct Resources {
    /// For windows of time.
    pub clock: Arc<dyn Clock>,
    /// What the action `rate_limit` may name.
    pub limits: BTreeMap<String, Arc<dyn Limit>>,
}

impl Resources {
    /// A clock, and no limits.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, limits: BTreeMap::new() }
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("limits", &self.limits.keys()).finish_non_exhaustive()
    }
}

/// One mistake in one rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule `{id}`: {key}: {message}")]
pub struct RuleError {
    /// The rule's position, from 0.
    pub index: usize,
    /// The rule's id.
    pub id: String,
    /// The key within the rule, as in `match.hosts[0]`.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Collects the mistakes of one rule.
struct Mistakes<'a> {
    index: usize,
    id: &'a str,
    errors: &'a mut Vec<RuleError>,
}

impl Mistakes<'_> {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let (key, message) = (key.into(), message.into());
        self.errors.push(RuleError { index: self.index, id: self.id.to_owned(), key, message });
    }

    fn take<T, E: ToString>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(key, error.to_string())).ok()
    }

    fn list<T, E: ToString>(
        &mut self,
        key: &str,
        items: &[String],
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let items = items.iter().enumerate();
        items
            .filter_map(|(at, item)| self.take(&format!("match.{key}[{at}]"), read(item)))
            .collect()
    }
}

pub(super) fn rules(
    specs: &[RuleSpec],
    resources: &Resources,
) -> Result<Box<[Rule]>, Vec<RuleError>> {
    let mut errors = Vec::new();
    let mut rules = Vec::with_capacity(specs.len());
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for (index, spec) in specs.iter().enumerate() {
        let mut mistakes = Mistakes { index, id: &spec.id, errors: &mut errors };
        if let Err(message) = name(&spec.id) {
            mistakes.add("id", message);
        }
        match ids.get(spec.id.as_str()) {
            Some(first) => mistakes.add("id", format!("rule number {} has the same id", first + 1)),
            None => drop(ids.insert(&spec.id, index)),
        }
        let conditions = conditions(&spec.matches, resources, &mut mistakes);
        if let Some(mut action) = action(&spec.action, resources, &mut mistakes) {
            if let (Mode::Report, Action::RateLimit(limit)) = (spec.mode, &mut action)
                && let Some(apart) = limit.apart()
            {
                *limit = apart;
            }
            let id = spec.id.as_str().into();
            rules.push(Rule { id, conditions, action, mode: spec.mode });
        }
    }
    if errors.is_empty() { Ok(rules.into()) } else { Err(errors) }
}

fn name(text: &str) -> Result<(), String> {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(in_name) {
        true => Ok(()),
        false => Err("expected 1 to 64 of the characters A-Z a-z 0-9 . _ -".to_owned()),
    }
}

fn conditions(spec: &MatchSpec, resources: &Resources, mistakes: &mut Mistakes<'_>) -> Conditions {
    let hosts = mistakes.list("hosts", &spec.hosts, str::parse::<NamePattern>);
    let normal = |text: &str, fault| format!("`{text}` is not a path in normal form: {fault}");
    let exact = mistakes.list("paths", &spec.paths, |text| {
        path::configured(text).map_err(|fault| normal(text, fault))
    });
    let prefixes = mistakes.list("path_prefixes", &spec.path_prefixes, |text| {
        text.parse::<Prefix>().map_err(|fault| normal(text, fault))
    });
    let regex = spec.path_regex.as_deref();
    let regex =
        regex.and_then(|regex| mistakes.take("match.path_regex", anchored(regex, Regex::new)));
    Conditions {
        hosts: HostRule::new(hosts),
        paths: PathCondition { exact: exact.into(), prefixes: prefixes.into(), regex },
        methods: mistakes.list("methods", &spec.methods, method).into(),
        schemes: mistakes.list("schemes", &spec.schemes, scheme).into(),
        fields: fields(&spec.fields, mistakes),
        query: query(&spec.query, mistakes),
        ports: mistakes.list("ports", &spec.ports, ports).into(),
        listeners: spec.listeners.as_slice().into(),
        clients: mistakes.list("clients", &spec.clients, network).into_iter().collect::<IpSet>(),
        users: spec.users.as_slice().into(),
        client_certificates: spec.client_certificates.as_slice().into(),
        routes: spec.routes.as_slice().into(),
        tags: mistakes.list("tags", &spec.tags, |tag| name(tag).map(|()| tag.to_owned())).into(),
        times: mistakes.list("times", &spec.times, str::parse).into(),
        clock: Arc::clone(&resources.clock),
    }
}

fn method(text: &str) -> Result<Method, String> {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let upper = text.to_ascii_uppercase();
    if text != upper && KNOWN.contains(&upper.as_str()) {
        return Err(format!("methods are compared with regard to case; did you mean `{upper}`?"));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is not a method"))
}

fn scheme(text: &str) -> Result<String, String> {
    match text {
        "http" | "https" => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is neither `http` nor `https`")),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| format!("`{text}` is neither a network such as 10.0.0.0/8 nor an address"))
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let range = match text.split_once('-') {
        Some((first, last)) => port(first).zip(port(last)).filter(|(first, last)| first <= last),
        None => port(text).map(|port| (port, port)),
    };
    let (first, last) =
        range.ok_or_else(|| format!("`{text}` is no port or range such as 8000-8099"))?;
    Ok(first..=last)
}

fn value_test(key: &str, test: &FieldTest, mistakes: &mut Mistakes<'_>) -> Option<ValueTest> {
    Some(match test {
        FieldTest::Exact(value) => ValueTest::exact(value),
        FieldTest::Regex(pattern) => mistakes.take(key, ValueTest::regex(pattern))?,
        FieldTest::Present(present) => ValueTest::Present(*present),
    })
}

fn fields(
    specs: &[(String, FieldTest)],
    mistakes: &mut Mistakes<'_>,
) -> Box<[(HeaderName, ValueTest)]> {
    let mut fields = Vec::new();
    for (name, test) in specs {
        let key = format!("match.fields.{name}");
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            mistakes.add(key, format!("`{name}` is not a field name"));
            continue;
        };
        if parsed == header::HOST {
            mistakes.add(key, "match the host with `match.hosts`");
        } else if parsed == header::PROXY_AUTHORIZATION || parsed == header::AUTHORIZATION {
            mistakes.add(key, "credentials are not matched; match the user with `match.users`");
        } else {
            fields.extend(value_test(&key, test, mistakes).map(|test| (parsed, test)));
        }
    }
    fields.into()
}

fn query(
    specs: &[(String, FieldTest)],
    mistakes: &mut Mistakes<'_>,
) -> Box<[(Box<str>, ValueTest)]> {
    let mut query = Vec::new();
    for (name, test) in specs {
        let test = value_test(&format!("match.query.{name}"), test, mistakes);
        query.extend(test.map(|test| (name.as_str().into(), test)));
    }
    query.into()
}

fn action(spec: &ActionSpec, resources: &Resources, mistakes: &mut Mistakes<'_>) -> Option<Action> {
    match spec {
        ActionSpec::Allow => Some(Action::Allow),
        ActionSpec::Deny { status, page } => {
            let known = StatusCode::from_u16(*status).ok().filter(|_| (400..600).contains(status));
            if known.is_none() || [401, 407].contains(status) {
                mistakes.add("status", "expected 400 to 599, but for 401 and 407");
            }
            if page.as_ref().is_some_and(|page| page.len() > MAX_PAGE) {
                mistakes.add("page", format!("expected at most {MAX_PAGE} bytes"));
            }
            Some(Action::Deny { status: known?, page: page.as_deref().map(Arc::from) })
        }
        ActionSpec::Redirect { to, status } => {
            let location = mistakes.take("to", location(to))?;
            match StatusCode::from_u16(*status) {
                Ok(status) if [301, 302, 303, 307, 308].contains(&status.as_u16()) => {
                    Some(Action::Redirect { status, location })
                }
                _ => {
                    mistakes.add("status", "expected 301, 302, 303, 307 or 308");
                    None
                }
            }
        }
        ActionSpec::Tag(tag) => {
            mistakes.take("tag", name(tag))?;
            Some(Action::Tag(tag.as_str().into()))
        }
        ActionSpec::SetField { name, value } => {
            let name = mistakes.take("set_field", settable(name))?;
            let value = HeaderValue::from_str(value).map_err(|_| "not a field value");
            Some(Action::SetField(name, mistakes.take("set_field", value)?))
        }
        ActionSpec::RateLimit(limit) => match resources.limits.get(limit) {
            Some(limit) => Some(Action::RateLimit(Arc::clone(limit))),
            None => {
                let known: Vec<&str> = resources.limits.keys().map(String::as_str).collect();
                let hint = match known.as_slice() {
                    [] => "there is none".to_owned(),
                    known => format!("there are `{}`", known.join("`, `")),
                };
                mistakes.add("limit", format!("no rate limit has the id `{limit}`; {hint}"));
                None
            }
        },
    }
}

/// A fixed target: no `//host`, no backslash that a browser reads as a slash, no other scheme.
fn location(to: &str) -> Result<HeaderValue, &'static str> {
    const EXPECTED: &str =
        "expected a path that begins with one `/`, or an absolute http or https URL";
    let absolute = to.starts_with("http://") || to.starts_with("https://");
    let local = to.starts_with('/') && !to.starts_with("//");
    if !(absolute || local) || to.contains('\\') || to.bytes().any(|b| b <= b' ' || b >= 0x7f) {
        return Err(EXPECTED);
    }
    let before_fragment = to.split('#').next().unwrap_or(to);
    let uri: Uri = before_fragment.parse().map_err(|_| EXPECTED)?;
    if absolute && uri.host().is_none_or(str::is_empty) {
        return Err(EXPECTED);
    }
    HeaderValue::from_str(to).map_err(|_| EXPECTED)
}

/// A field that a rule may set: none that frames the message, says where it goes or who asks, or
/// belongs to one connection.
fn settable(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is not a field name"))?;
    const FIXED: [HeaderName; 13] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::VIA,
        header::FORWARDED,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
        HeaderName::from_static("keep-alive"),
    ];
    match FIXED.contains(&parsed) || parsed.as_str().starts_with("x-forwarded-") {
        true => Err(format!("`{name}` is not a rule's to set")),
        false => Ok(parsed),
    }
}
