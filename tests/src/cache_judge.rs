//! What must be true of each step of a cache case: what its outcome implies, what it says itself,
//! and what holds always ([RFC 9111, section 5.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.1)
//! about `Age`, RFC 9211 about `Cache-Status`).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cache_case::{Case, Check, Outcome, Response, Step};
use crate::cache_stage::Mode;
use crate::cache_status::{self, Bare, Member};
use crate::client::{Answer, Ending};
use crate::origin::MARK;
use crate::wire::{self, Fields, Request};

/// What the origin said, or would have said, in a step.
#[derive(Clone, Debug)]
pub struct Told {
    /// The answer.
    pub response: Response,
    /// Its content.
    pub content: String,
    /// When, in seconds since 1970.
    pub at: i64,
}

impl Check {
    /// Replaces what stands for something in its texts.
    pub fn fill(&mut self, with: &dyn Fn(&str) -> String) {
        match self {
            Self::Content(text)
            | Self::Field(_, text)
            | Self::FieldHas(_, text)
            | Self::FieldLacks(_, text)
            | Self::SentTarget(text) => *text = with(text),
            Self::Sent(check) => check.fill(with),
            _ => {}
        }
    }
}

/// The member of `Cache-Status` that is the proxy's: the last one, for the members go from the
/// origin towards the user (RFC 9211, section 2).
pub fn own_status(fields: &Fields) -> Result<Option<Member>, String> {
    let text = fields.all("cache-status").join(", ");
    let mut members = cache_status::read(&text)?;
    let own = members.pop_if(|member| member.cache == "proxyd");
    if members.iter().any(|member| member.cache == "proxyd") {
        return Err(format!("proxyd more than once, or not last: {text}"));
    }
    if let Some(own) = &own {
        cache_status::check(own)?;
    }
    Ok(own)
}

/// What is wrong with the answer, if anything.
pub fn judge(
    step: &Step,
    answer: &Answer,
    seen: &[Request],
    told: &[Option<Told>],
    case: &Case,
    mode: Mode,
) -> Result<(), String> {
    let this = Judged { step, answer, seen, told, case };
    let verdict = match mode {
        Mode::Cached => {
            this.outcome().and_then(|()| step.checks.iter().try_for_each(|check| this.check(check)))
        }
        Mode::WithoutCache => this.without_cache(),
    };
    verdict.map_err(|why| {
        let lines: Vec<String> = seen.iter().map(Request::line).collect();
        format!(
            "{why}; got {} {:?} {:?}, Age {:?}, Cache-Status {:?}, the origin saw {lines:?}",
            answer.status(),
            shortened(&answer.text()),
            answer.ending,
            answer.head.fields.all("age"),
            answer.head.fields.all("cache-status"),
        )
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn fail<T>(why: impl Into<String>) -> Result<T, String> {
    Err(why.into())
}

struct Judged<'a> {
    step: &'a Step,
    answer: &'a Answer,
    seen: &'a [Request],
    told: &'a [Option<Told>],
    case: &'a Case,
}

impl Judged<'_> {
    /// The step whose answer of the origin is meant: the named one, or the last with content.
    fn source(&self, number: Option<usize>) -> Result<(usize, &Told), String> {
        let at = match number {
            Some(number) => number - 1,
            None => {
                let before = &self.told[..self.told.len() - 1];
                let has = |told: &Option<Told>| {
                    told.as_ref().is_some_and(|told| told.response.status != 304)
                };
                before.iter().rposition(has).ok_or("nothing was told before")?
            }
        };
        match self.told.get(at) {
            Some(Some(told)) => Ok((at, told)),
            _ => fail(format!("nothing was told in step {}", at + 1)),
        }
    }

    fn has_own_status(&self) -> bool {
        self.step.checks.iter().any(|check| matches!(check, Check::Status(_)))
    }

    fn has_own_content(&self) -> bool {
        self.step.checks.iter().any(|check| {
            let by_itself = matches!(
                check,
                Check::Content(_) | Check::ContentOf(_) | Check::Part(..) | Check::Truncated
            );
            by_itself || matches!(check, Check::Status(all) if all.iter().any(|s| *s != 200))
        })
    }

    /// The client has that answer of the origin, unless the checks say otherwise.
    fn is(&self, told: &Told) -> Result<(), String> {
        let status = self.answer.status();
        if self.is_refused_early_end() {
            return Ok(());
        }
        if !self.has_own_status() && status != told.response.status {
            return fail(format!("expected {}", told.response.status));
        }
        // A 304 that the cache makes has only what matters to caches (RFC 9110, section 15.4.5).
        if status != 304 && !self.answer.head.fields.has(MARK) {
            return fail("expected the origin's fields, but they are not there");
        }
        let bare = self.step.method == "HEAD" || matches!(told.response.status, 204 | 304);
        let due = if bare { "" } else { &told.content };
        if !self.has_own_content() && self.answer.text() != due {
            return fail(format!("expected the content {:?}", shortened(due)));
        }
        Ok(())
    }

    /// What ends too early may become an error of the proxy, if it has sent nothing yet.
    fn is_refused_early_end(&self) -> bool {
        self.step.checks.contains(&Check::Truncated)
            && matches!(self.answer.status(), 502..=504)
            && !self.answer.head.fields.has(MARK)
    }

    fn is_asked(&self, yes: bool) -> Result<(), String> {
        match (yes, self.seen.is_empty()) {
            (true, true) => fail("the origin was not asked, but had to be"),
            (false, false) => fail("the origin was asked, but must not be"),
            _ => Ok(()),
        }
    }

    fn outcome(&self) -> Result<(), String> {
        let fields = &self.answer.head.fields;
        let own = own_status(fields)?;
        let is_whole = self.answer.is_whole();
        if !is_whole && !self.step.checks.contains(&Check::Truncated) {
            return fail("the content is not whole");
        }
        for age in fields.all("age") {
            if fields.has(MARK)
                && own.as_ref().is_some_and(|own| own.says("hit"))
                && (age.is_empty() || !age.bytes().all(|b| b.is_ascii_digit()))
            {
                return fail("Age is not a number");
            }
        }
        let hit = own.as_ref().is_some_and(|own| own.says("hit"));
        let told_now = self.told.last().and_then(Option::as_ref);
        match self.step.outcome {
            Outcome::Loose => return Ok(()),
            Outcome::Error => {
                self.is_asked(true)?;
                if !self.has_own_status() && !matches!(self.answer.status(), 502..=504) {
                    return fail("expected an error that the proxy made");
                }
                if fields.has(MARK) {
                    return fail("expected an error that the proxy made");
                }
                return Ok(());
            }
            Outcome::Miss => {
                self.is_asked(true)?;
                self.is(told_now.ok_or("no answer is scripted")?)?;
                if own.as_ref().is_some_and(|own| own.get("fwd").is_none()) {
                    return fail("Cache-Status does not say fwd, but the origin was asked");
                }
            }
            Outcome::Hit(number) | Outcome::Background(number) => {
                let (at, told) = self.source(number)?;
                self.is_asked(matches!(self.step.outcome, Outcome::Background(_)))?;
                self.is(told)?;
                if !hit && !own.as_ref().is_some_and(|own| own.says("collapsed")) {
                    return fail("Cache-Status does not say hit");
                }
                self.age_is_sound(at, told)?;
            }
            Outcome::Valid(number) => {
                let (_, told) = self.source(number)?;
                self.is_asked(true)?;
                let last = self.seen.last().map(|request| &request.head.fields);
                if !last.is_some_and(|f| f.has("if-none-match") || f.has("if-modified-since")) {
                    return fail("the origin was asked without a condition");
                }
                self.is(told)?;
                if hit {
                    return fail("Cache-Status says hit, but the origin was asked");
                }
            }
            Outcome::Stale(number) => {
                let (_, told) = self.source(number)?;
                self.is_asked(true)?;
                self.is(told)?;
                if !fields.has("age") {
                    return fail("a stored response without Age");
                }
            }
            Outcome::Free => {
                if hit == self.seen.iter().any(|_| true) {
                    return fail("Cache-Status contradicts what the origin saw");
                }
                let known = self.told.iter().flatten();
                if !known.clone().any(|told| self.is(told).is_ok()) {
                    return fail("the answer is none that the origin ever gave");
                }
                if hit && !fields.has("age") {
                    return fail("a stored response without Age");
                }
            }
        }
        if own.is_none() && !self.is_refused_early_end() {
            return fail("Cache-Status has no member proxyd");
        }
        Ok(())
    }

    /// RFC 9111, section 5.1: exactly one number; and where it can be foretold, the right one.
    fn age_is_sound(&self, at: usize, told: &Told) -> Result<(), String> {
        let age: i64 = match self.answer.head.fields.all("age")[..] {
            [age] => age.parse().map_err(|_| format!("Age is {age:?}"))?,
            _ => return fail("a stored response must have one Age"),
        };
        let later = self.told[at + 1..].iter().any(Option::is_some);
        let given = |name: &str| {
            let mut all =
                told.response.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            (all.next().map(|(_, value)| value.as_str()), all.next().is_some())
        };
        let start = match (given("age"), given("date")) {
            ((None, _), (None, _)) => 0,
            ((Some(age), false), (None, _)) if age.bytes().all(|b| b.is_ascii_digit()) => {
                age.parse().unwrap_or(-1)
            }
            _ => -1,
        };
        if later || !(0..1 << 30).contains(&start) {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        let most = start + i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - told.at + 1;
        if (start..=most).contains(&age) {
            return Ok(());
        }
        fail(format!("expected an Age of {start} to {most}"))
    }

    /// The first exchange through a proxy without a cache gives what the origin said.
    fn without_cache(&self) -> Result<(), String> {
        let Some(Some(told)) = self.told.first() else {
            return Ok(());
        };
        if matches!(self.step.outcome, Outcome::Loose | Outcome::Error) {
            return Ok(());
        }
        if self.step.copies == 1 && self.seen.len() != 1 {
            return fail("the origin was not asked once");
        }
        if matches!(self.step.outcome, Outcome::Miss | Outcome::Free) {
            self.is(told)?;
            let may_end_early = self.step.checks.contains(&Check::Truncated);
            if self.is_refused_early_end() {
                return Ok(());
            }
            if may_end_early == self.answer.is_whole() {
                return fail("the content ends otherwise than expected");
            }
            return Ok(());
        }
        fail("the first step can be no hit")
    }

    fn check(&self, check: &Check) -> Result<(), String> {
        let own = || {
            own_status(&self.answer.head.fields)?
                .ok_or_else(|| "Cache-Status has no member proxyd".to_owned())
        };
        match check {
            Check::Status(all) => {
                if !all.contains(&self.answer.status()) {
                    return fail(format!("expected the status {all:?}"));
                }
            }
            Check::Content(text) => {
                if self.answer.text() != *text {
                    return fail(format!("expected the content {text:?}"));
                }
            }
            Check::ContentOf(number) => {
                let (_, told) = self.source(Some(*number))?;
                if self.answer.text() != told.content {
                    return fail(format!("expected the content of step {number}"));
                }
            }
            Check::Field(..)
            | Check::NoField(_)
            | Check::FieldHas(..)
            | Check::FieldLacks(..)
            | Check::Age(..) => field(check, &self.answer.head.fields, "the answer")?,
            Check::Sent(check) => {
                let last = self.seen.last().ok_or("the origin was not asked")?;
                field(check, &last.head.fields, "the request to the origin")?;
            }
            Check::SentMethod(method) => {
                let last = self.seen.last().ok_or("the origin was not asked")?;
                if last.head.method != *method {
                    return fail(format!("expected the method {method} at the origin"));
                }
            }
            Check::SentTarget(target) => {
                let last = self.seen.last().ok_or("the origin was not asked")?;
                if last.head.target.strip_prefix(&self.case.path()) != Some(target) {
                    return fail(format!("expected the target {target:?} at the origin"));
                }
            }
            Check::Reached(least, most) => {
                if !(least..=most).contains(&&self.seen.len()) {
                    return fail(format!("expected {least} to {most} requests at the origin"));
                }
            }
            Check::Status9211(name, value) => {
                let own = own()?;
                let fits = match (own.get(name), value) {
                    (Some(Bare::Boolean(yes)), None) => *yes,
                    (Some(Bare::Token(text) | Bare::Text(text)), Some(due)) => text == due,
                    (Some(Bare::Integer(number)), Some(due)) => number.to_string() == *due,
                    (found, None) => found.is_some(),
                    _ => false,
                };
                if !fits {
                    return fail(format!("expected {name} {value:?} in Cache-Status"));
                }
            }
            Check::NoStatus9211(name) => {
                if own()?.get(name).is_some_and(|value| *value != Bare::Boolean(false)) {
                    return fail(format!("expected no {name} in Cache-Status"));
                }
            }
            Check::Ttl(low, high) => match own()?.integer("ttl") {
                Some(ttl) if (*low..=*high).contains(&ttl) => {}
                _ => return fail(format!("expected a ttl of {low} to {high} in Cache-Status")),
            },
            Check::Part(range, text) => self.part(range, text)?,
            Check::Trailer(name, value) => {
                if self.answer.trailers.get(name) != Some(value) {
                    return fail(format!("expected the trailer {name}: {value}"));
                }
            }
            Check::Truncated => {
                if self.answer.ending != Ending::Truncated && !self.is_refused_early_end() {
                    return fail("expected content that ends too early");
                }
            }
        }
        Ok(())
    }

    /// One part of multipart/byteranges (RFC 9110, section 14.6) has this range and content.
    fn part(&self, range: &str, text: &str) -> Result<(), String> {
        let parts = parts(self.answer)?;
        let due = format!("bytes {range}");
        let found = parts
            .iter()
            .any(|(fields, content)| fields.get("content-range") == Some(&due) && content == text);
        if found { Ok(()) } else { fail(format!("no part {due:?} {text:?} in {parts:?}")) }
    }
}

/// The parts of a multipart/byteranges answer.
pub fn parts(answer: &Answer) -> Result<Vec<(Fields, String)>, String> {
    let kind = answer.field("content-type").unwrap_or_default();
    let boundary = kind
        .strip_prefix("multipart/byteranges")
        .and_then(|rest| rest.split_once("boundary="))
        .map(|(_, boundary)| boundary.trim_matches('"'))
        .ok_or_else(|| format!("not multipart/byteranges: {kind:?}"))?;
    let text = format!("\r\n{}", answer.text());
    let (_, text) =
        text.split_once(&format!("\r\n--{boundary}")).ok_or("no boundary in the content")?;
    let (body, _) = text
        .split_once(&format!("\r\n--{boundary}--"))
        .ok_or("the last boundary is not in the content")?;
    body.split(&format!("\r\n--{boundary}"))
        .map(|part| {
            let part = part.trim_start_matches([' ', '\t']).strip_prefix("\r\n");
            let bytes = wire::bytes(part.ok_or("no line end after a boundary")?);
            match wire::read_fields(&bytes)? {
                Some((fields, used)) => Ok((fields, wire::latin1(&bytes[used..]))),
                None => fail("a part without an end of its fields"),
            }
        })
        .collect()
}

fn field(check: &Check, fields: &Fields, whose: &str) -> Result<(), String> {
    let joined = |name: &str| fields.has(name).then(|| fields.all(name).join(", "));
    let (name, fits, due) = match check {
        Check::Field(name, value) => {
            (name.as_str(), joined(name).as_ref() == Some(value), format!("to be {value:?}"))
        }
        Check::NoField(name) => (name.as_str(), !fields.has(name), "to be absent".into()),
        Check::FieldHas(name, text) => {
            let has = joined(name).is_some_and(|value| value.contains(text));
            (name.as_str(), has, format!("to contain {text:?}"))
        }
        Check::FieldLacks(name, text) => {
            let has = joined(name).is_some_and(|value| value.contains(text));
            (name.as_str(), !has, format!("not to contain {text:?}"))
        }
        Check::Age(low, high) => {
            let age = fields.get("age").and_then(|age| age.parse::<u64>().ok());
            let fits = age.is_some_and(|age| (*low..=*high).contains(&age));
            ("Age", fits, format!("to be {low} to {high}"))
        }
        _ => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    fail(format!("expected {name} of {whose} {due}, it is {:?}", joined(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ResponseHead;

    #[test]
    fn splits_parts() {
        let content = "--b\r\nContent-Range: bytes 0-1/4\r\n\r\nab\r\n--b\r\nContent-Range: \
                       bytes 3-3/4\r\n\r\nd\r\n--b--\r\n";
        let fields =
            Fields(vec![("Content-Type".into(), "multipart/byteranges; boundary=b".into())]);
        let answer = Answer {
            interim: vec![],
            head: ResponseHead { minor: 1, status: 206, fields },
            content: content.into(),
            trailers: Fields::default(),
            ending: Ending::Complete,
        };
        let parts = parts(&answer).expect("valid");
        let texts: Vec<&str> = parts.iter().map(|(_, text)| &text[..]).collect();
        assert_eq!(texts, ["ab", "d"]);
        assert_eq!(parts[1].0.get("content-range"), Some("bytes 3-3/4"));
    }
}
