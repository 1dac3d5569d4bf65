//! How to inspect.

use serde::Deserialize;

use super::rules::RuleError;
use super::verdict::Mode;

/// How to inspect. The defaults are the ones of `[filter.inspect]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InspectConfig {
    /// Whether findings refuse a request. Default: `enforce`.
    pub mode: Mode,
    /// The score at which a request is refused. Default: 5, which is one certain rule.
    pub threshold: u16,
    /// Rules that do not apply. Default: none.
    pub exclusions: Vec<Exclusion>,
    /// Bytes of one value that are looked at together, and the most that an inspection holds back.
    /// Default: 64 KiB.
    pub window: usize,
    /// Bytes by which two looks at one value overlap. Default: 1 KiB.
    pub overlap: usize,
    /// Bytes of content, after decoding, that are inspected. Default: 8 MiB.
    pub content_limit: u64,
    /// Values in one request that are inspected. Default: 100,000.
    pub values_limit: u32,
    /// How deep JSON and XML may be nested. Default: 64.
    pub depth_limit: u16,
    /// What to do with a request beyond one of the three limits above. Default: `pass`.
    pub on_limit: OnLimit,
    /// How many times larger content may become by decoding, beyond its first MiB. More is a bomb,
    /// and refused by the rule `limit-coding`. Default: 200.
    pub ratio_limit: u32,
    /// How many layers of escapes are taken off a value. Default: 4.
    pub decode_depth: u8,
    /// Fields that are not inspected besides those that every browser fills by itself, in lower
    /// case. Default: none.
    pub skip_fields: Vec<String>,
}

impl Default for InspectConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            threshold: 5,
            exclusions: Vec::new(),
            window: 64 * 1024,
            overlap: 1024,
            content_limit: 8 * 1024 * 1024,
            values_limit: 100_000,
            depth_limit: 64,
            on_limit: OnLimit::Pass,
            ratio_limit: 200,
            decode_depth: 4,
            skip_fields: Vec::new(),
        }
    }
}

impl InspectConfig {
    /// Whether the limits have a sense.
    pub(super) fn check(&self) -> Result<(), InspectError> {
        if self.threshold == 0 {
            return Err(InspectError::Limit("a threshold of 0 would refuse every request"));
        }
        if self.overlap >= self.window || self.window < 1024 {
            return Err(InspectError::Limit(
                "the window must have 1 KiB or more, and more than the overlap",
            ));
        }
        Ok(())
    }
}

/// What to do beyond a limit of inspection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// What lies beyond passes unseen. The default.
    #[default]
    Pass,
    /// The request is refused.
    Deny,
}

/// Where a rule does not apply.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The id of a rule; with a `*` at its end, all ids that begin so.
    pub rule: String,
    /// The name of a parameter, field or cookie, compared without case; with a `*` at its end, all
    /// that begin so. Without it the rule applies nowhere.
    #[serde(default)]
    pub parameter: Option<String>,
}

impl Exclusion {
    /// Whether it excludes this rule at this parameter.
    pub(super) fn covers(&self, rule: &str, parameter: &[u8]) -> bool {
        begins_as(self.rule.as_bytes(), rule.as_bytes())
            && self.parameter.as_ref().is_none_or(|p| begins_as(p.as_bytes(), parameter))
    }
}

/// Whether a name is the pattern, or begins as a pattern with a star at its end.
fn begins_as(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => {
            name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix)
        }
        None => name.eq_ignore_ascii_case(pattern),
    }
}

/// Why an engine can not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// A rule is wrong.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A limit has no sense.
    #[error("{0}")]
    Limit(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions() {
        let all = Exclusion { rule: "sqli-*".into(), parameter: None };
        assert!(all.covers("sqli-union", b"q") && !all.covers("xss-tag", b"q"));
        let one = Exclusion { rule: "sqli-union".into(), parameter: Some("Note*".into()) };
        assert!(one.covers("sqli-union", b"notes") && !one.covers("sqli-union", b"not"));
        assert!(!one.covers("sqli-unions", b"notes"));
    }
}
