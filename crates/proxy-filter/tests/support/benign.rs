//! Requests that are no attacks, as diverse as browsing is.
//!
//! A seeded generator fills templates of what pages and programs send; the texts that people write
//! are in `tests/data/benign-texts.txt`. The same seed gives the same requests everywhere. Half of
//! them, by hash of their id, are held back from whoever writes rules.

mod apis;
mod beacons;
mod browsing;
mod forms;
mod pages;
mod platforms;
mod random;
mod recordings;
mod words;

use crate::support::cases::{Case, build};
use random::Random;

/// The texts, separated by lines of `%%`.
const TEXTS: &str = include_str!("../data/benign-texts.txt");

/// Of so many parts, one is held back.
pub(crate) const HELD_BACK: u64 = 2;

/// A request under way.
pub(crate) struct Draft {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) content: Vec<u8>,
}

impl Draft {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self { method: "GET", target: target.into(), fields: Vec::new(), content: Vec::new() }
    }

    pub(crate) fn post(
        target: impl Into<String>,
        content_type: &str,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        let mut draft = Self::get(target);
        draft.method = "POST";
        draft.content = content.into();
        draft.with("content-type", content_type)
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

type Template = fn(&mut Random) -> Draft;

/// Templates and how many requests are made of each.
fn templates() -> Vec<(&'static str, usize, Template)> {
    let mut all = Vec::new();
    all.extend_from_slice(pages::TEMPLATES);
    all.extend_from_slice(beacons::TEMPLATES);
    all.extend_from_slice(browsing::TEMPLATES);
    all.extend_from_slice(apis::TEMPLATES);
    all.extend_from_slice(forms::TEMPLATES);
    all.extend_from_slice(platforms::TEMPLATES);
    all.extend_from_slice(recordings::TEMPLATES);
    all
}

/// All benign requests of a seed.
pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, count, template) in templates() {
        for number in 0..count {
            let id = format!("bn-{name}-{number}");
            let mut random = Random::new(seed, &id);
            cases.push(finish(id, name, template(&mut random), &mut random));
        }
    }
    for (number, text) in texts().enumerate() {
        for (place, draft) in forms::places(text) {
            let id = format!("bn-text-{number}/{place}");
            let mut random = Random::new(seed, &id);
            cases.push(finish(id, &format!("text/{place}"), draft, &mut random));
        }
    }
    cases
}

/// Whether cases of a class are made as recorded browsing was, none of which may be refused.
#[allow(dead_code, reason = "reports do not ask")]
pub(crate) fn is_recorded(class: &str) -> bool {
    let name = class.strip_prefix("benign/").unwrap_or(class);
    recordings::TEMPLATES.iter().any(|(template, ..)| *template == name)
}

/// The texts that people wrote.
pub(crate) fn texts() -> impl Iterator<Item = &'static str> {
    TEXTS.split("\n%%\n").map(str::trim_end).filter(|text| !text.is_empty())
}

/// Adds what every browser sends.
fn finish(id: String, class: &str, draft: Draft, random: &mut Random) -> Case {
    let mut fields = vec![
        ("host", random.pick(words::HOSTS).to_owned()),
        ("user-agent", random.pick(words::AGENTS).to_owned()),
        ("accept", random.pick(words::ACCEPTS).to_owned()),
        ("accept-language", random.pick(words::LANGUAGES).to_owned()),
        ("accept-encoding", "gzip, deflate, br, zstd".to_owned()),
        ("sec-ch-ua", "\"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24\"".to_owned()),
        ("sec-fetch-site", random.pick(&["same-origin", "cross-site", "none"]).to_owned()),
    ];
    if random.chance(70) {
        fields.push(("referer", pages::referer(random)));
    }
    if random.chance(75) {
        fields.push(("cookie", beacons::cookies(random)));
    }
    if draft.method == "POST" {
        fields.push(("origin", format!("https://{}", random.pick(words::HOSTS))));
    }
    fields.extend(draft.fields);
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value.into_bytes()));
    // An encoded slash in a path is refused before inspection, whatever is in it.
    let (path, query) = draft.target.split_at(draft.target.find('?').unwrap_or(draft.target.len()));
    let target = path.replace("%2F", "-") + query;
    let request = build(draft.method, target.as_bytes(), fields, draft.content);
    Case { id, class: format!("benign/{class}"), attack: false, request }
}
