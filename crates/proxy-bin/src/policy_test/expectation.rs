//! What is expected of a decision, and whether it holds.

use super::Mismatch;
use super::table::Reading;
use crate::config::path::KeyPath;
use crate::config::span::{Node, Spanned};
use crate::config::suggest::nearest;
use crate::explain::{Decided, Explanation, Question};

/// The keys of `expect`, in the order of the documentation.
pub const KEYS: [&str; 19] = [
    "verdict",
    "status",
    "answer",
    "listener",
    "client",
    "target",
    "route",
    "rule",
    "reason",
    "reports",
    "findings",
    "fields",
    "upstream",
    "endpoint",
    "sent",
    "sent_fields",
    "not_sent",
    "cache",
    "cache_key",
];

/// What `verdict` may be.
const VERDICTS: [&str; 6] = ["allow", "deny", "challenge", "limit", "redirect", "fail"];
/// What `answer` may be.
const ANSWERS: [&str; 5] = ["upstream", "tunnel", "cache", "route", "refusal"];

/// One thing that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The key: one of [`KEYS`].
    pub key: String,
    /// The value.
    pub wanted: Wanted,
}

/// What is expected of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Exactly this text.
    Text(String),
    /// All of these; others may be there.
    All(Vec<String>),
}

impl Expected {
    /// The entries of `expect`.
    pub(super) fn read(reading: &mut Reading<'_>, path: &KeyPath, tree: &Spanned) -> Vec<Self> {
        let mut all = Vec::new();
        for entry in reading.table(path, tree, &KEYS) {
            let (inner, value) = (path.key(&entry.key), &entry.value);
            let wanted = match entry.key.as_str() {
                "status" => status(reading, &inner, value),
                "reports" | "findings" | "fields" | "sent_fields" | "not_sent" => {
                    Some(Wanted::All(reading.texts(&inner, value)))
                }
                "verdict" => word(reading, &inner, value, &VERDICTS),
                "answer" => word(reading, &inner, value, &ANSWERS),
                _ => reading.text(&inner, value).map(Wanted::Text),
            };
            all.extend(wanted.map(|wanted| Self { key: entry.key.clone(), wanted }));
        }
        if matches!(&tree.node, Node::Table(entries) if entries.is_empty()) {
            let keys = KEYS.join("`, `");
            let message = format!("expects nothing; write at least one of `{keys}`");
            reading.error(path, tree.span.start, message);
        }
        all
    }

    /// What is not as expected, if anything.
    pub(super) fn compare(&self, told: &Explanation, asked: &Question) -> Option<Mismatch> {
        let (holds, found) = match &self.wanted {
            Wanted::Text(wanted) => {
                let found = one(&self.key, told);
                let holds = match self.key.as_str() {
                    // Several rules may have decided: rules that tag or set a field end nothing.
                    "rule" => found.iter().any(|rule| rule == wanted),
                    _ => found.first() == Some(wanted),
                };
                (holds, found)
            }
            Wanted::All(wanted) => all(&self.key, wanted, told, asked),
        };
        (!holds).then(|| Mismatch {
            key: self.key.clone(),
            expected: self.wanted.to_string(),
            found: found.join(", "),
        })
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::All(texts) => f.write_str(&texts.join(", ")),
        }
    }
}

fn status(reading: &mut Reading<'_>, path: &KeyPath, tree: &Spanned) -> Option<Wanted> {
    let number = match &tree.node {
        Node::Scalar(value) => value.as_u64().filter(|number| (100..1000).contains(number)),
        _ => None,
    };
    if number.is_none() {
        reading.error(path, tree.span.start, "expected a status code such as 403");
    }
    number.map(|number| Wanted::Text(number.to_string()))
}

fn word(
    reading: &mut Reading<'_>,
    path: &KeyPath,
    tree: &Spanned,
    words: &[&str],
) -> Option<Wanted> {
    let text = reading.text(path, tree)?;
    if !words.contains(&text.as_str()) {
        let near = nearest(&text, words.iter().copied());
        let near = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
        let message = format!("expected one of `{}`, found \"{text}\"{near}", words.join("`, `"));
        reading.error(path, tree.span.start, message);
        return None;
    }
    Some(Wanted::Text(text))
}

/// The decision that refused the request.
fn refusal(told: &Explanation) -> Option<&Decided> {
    told.decisions
        .iter()
        .rev()
        .find(|decided| decided.verdict != "allow" && VERDICTS.contains(&decided.verdict.as_str()))
}

/// What was decided about a key that has one value; for `rule`, each that decided.
fn one(key: &str, told: &Explanation) -> Vec<String> {
    let accepted = told.accepted.verdict == "allow";
    let refusal = refusal(told);
    let answer = told.answer.as_ref();
    let text = |text: &str| Some(text.to_owned());
    let found = match key {
        "verdict" => match refusal {
            _ if !accepted => text("deny"),
            Some(decided) => text(&decided.verdict),
            None => text("allow"),
        },
        "status" => answer.and_then(|answer| Some(answer.status?.to_string())),
        "answer" => answer.map(|answer| answer.source.clone()),
        "listener" => text(&told.listener.name),
        "client" => told.client.as_ref().map(|client| client.address.clone()),
        "target" => told.target.as_ref().and_then(|target| target.normal.clone()),
        "route" => told.route.clone(),
        "rule" => return rules(told, |verdict| verdict != "report" && verdict != "skip"),
        "reason" => match refusal {
            _ if !accepted => text(&told.accepted.reason),
            refusal => refusal.map(|decided| decided.reason.clone()),
        },
        "upstream" => told.upstream.as_ref().and_then(|upstream| upstream.name.clone()),
        "endpoint" => told.upstream.as_ref().map(|upstream| upstream.endpoint.clone()),
        "sent" => told.sent.as_ref().map(|sent| format!("{} {}", sent.method, sent.target)),
        "cache" => told.cache.as_ref().map(|cache| match cache.on {
            true => cache.look_up.clone(),
            false => "off".to_owned(),
        }),
        "cache_key" => told.cache.as_ref().and_then(|cache| cache.key.as_ref()).map(|key| {
            let url = format!("{}://{}{} {}", key.scheme, key.authority, key.target, key.extra);
            url.trim_end().replace('\n', " ")
        }),
        _ => None,
    };
    found.into_iter().collect()
}

fn rules(told: &Explanation, of: impl Fn(&str) -> bool) -> Vec<String> {
    let decided = told.decisions.iter().filter(|decided| of(&decided.verdict));
    decided.filter_map(|decided| decided.rule.clone()).collect()
}

/// Whether all are there, and what is.
fn all(key: &str, wanted: &[String], told: &Explanation, asked: &Question) -> (bool, Vec<String>) {
    let found = match key {
        "reports" => rules(told, |verdict| verdict == "report"),
        "findings" => told.findings.iter().map(|finding| finding.rule.clone()).collect(),
        "fields" => lines(told.answer.iter().flat_map(|answer| answer.fields.clone())),
        _ => lines(sent_fields(told, asked)),
    };
    if key == "not_sent" {
        let is_sent = |name: &String| {
            let is_it = |line: &&String| name_of(line).eq_ignore_ascii_case(name_of(name));
            found.iter().find(is_it).cloned()
        };
        let sent: Vec<String> = wanted.iter().filter_map(is_sent).collect();
        return match told.sent {
            Some(_) => (sent.is_empty(), sent),
            None => (false, vec!["no request is sent".to_owned()]),
        };
    }
    let is_there = |wanted: &String| match key {
        "fields" | "sent_fields" => found.iter().any(|line| is_same_field(line, wanted)),
        _ => found.contains(wanted),
    };
    (wanted.iter().all(is_there), found)
}

fn lines(fields: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

fn name_of(line: &str) -> &str {
    line.split(':').next().unwrap_or_default().trim()
}

/// Names without regard to case; a line that is only a name fits every value.
fn is_same_field(found: &str, wanted: &str) -> bool {
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    name_of(found).eq_ignore_ascii_case(name_of(wanted))
        && value(wanted).is_none_or(|wanted| Some(wanted) == value(found))
}

/// What would be sent upstream: what the client sent, as the layers changed it.
fn sent_fields(told: &Explanation, asked: &Question) -> Vec<(String, String)> {
    let Some(sent) = &told.sent else { return Vec::new() };
    let is = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    let kept = asked.fields.iter().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let gone = sent.removed.iter().any(|(removed, _)| is(name, removed))
            || sent.changed.iter().any(|(changed, ..)| is(name, changed));
        (!gone).then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    let changed = sent.changed.iter().map(|(name, _, new)| (name.clone(), new.clone()));
    sent.added.iter().cloned().chain(changed).chain(kept).collect()
}
