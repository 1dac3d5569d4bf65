//! What a request says, judged: parameters, what their paths stand for, and how it is shown.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use proxy_core::clock::later;
use proxy_core::{BoxError, Decision, Exchange, Refusal, Verdict};

use crate::params::{Checked, ParamError, Source, below};
use crate::service::Shared;

/// What the log and the audit have of a command line, in bytes.
const SHOWN: usize = 4096;

impl Shared {
    /// Judges the parameters. The content is given back where it is none of them.
    pub(super) async fn check<B>(
        &self,
        parts: &Parts,
        body: B,
    ) -> Result<(Checked, Option<B>), Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let Some(source) = self.config.params.content() else {
            return Ok((self.checked(parts, None)?, Some(body)));
        };
        let expected: &[u8] = match source {
            Source::Json => b"application/json",
            _ => b"application/x-www-form-urlencoded",
        };
        let found = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let essence = found.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !essence.eq_ignore_ascii_case(expected) {
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "param_media_type"));
        }
        let most = usize::try_from(self.config.limits.params).unwrap_or(usize::MAX);
        let content = Limited::new(body, most).collect().await.map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_large");
            }
            Refusal::new(StatusCode::BAD_REQUEST, "content_incomplete").close()
        })?;
        Ok((self.checked(parts, Some(&content.to_bytes()))?, None))
    }

    pub(crate) fn checked(
        &self,
        parts: &Parts,
        content: Option<&[u8]>,
    ) -> Result<Checked, Refusal> {
        self.config.params.read(parts, content).map_err(refused)
    }

    /// Finds what paths stand for: in a thread, since a file system may take its time, and no more
    /// of them than there are places for.
    pub(super) async fn locate(&self, checked: &mut Checked) -> Result<(), Refusal> {
        let paths = self.config.params.paths(checked);
        if paths.is_empty() {
            return Ok(());
        }
        let runner = &self.runner;
        let search = async {
            let place = Arc::clone(&runner.lookups).acquire_owned().await.ok()?;
            let found = tokio::task::spawn_blocking(move || {
                let found: Result<Vec<_>, _> = paths
                    .into_iter()
                    .map(|(name, root, value)| match below(&root, &value) {
                        Ok(path) => Ok((name, path)),
                        Err(reason) => Err(ParamError { param: Some(name), reason }),
                    })
                    .collect();
                // It is held where the search does not end, and nobody waits for it any more.
                drop(place);
                found
            });
            found.await.ok()
        };
        let until = later(runner.clock.now(), self.config.timeouts.start);
        let found = tokio::select! {
            biased;
            found = search => found,
            () = runner.clock.sleep_until(until) => None,
        };
        let slow = || Refusal::new(StatusCode::GATEWAY_TIMEOUT, "param_path_slow");
        for (name, path) in found.ok_or_else(slow)?.map_err(refused)? {
            checked.locate(&name, path);
        }
        Ok(())
    }

    /// Writes the command line into the record, for audit and `explain`.
    pub(super) fn show(&self, checked: &Checked, exchange: Option<&Exchange>) {
        let Some(exchange) = exchange else { return };
        let mut shown = quoted(&self.config.program);
        for word in &self.config.args {
            shown.push(' ');
            shown.push_str(&quoted(&checked.fill_shown(word)));
            if shown.len() > SHOWN {
                shown.truncate(shown.floor_char_boundary(SHOWN));
                shown.push_str(" ...");
                break;
            }
        }
        if let Some(name) = self.config.params.fetched() {
            shown.push_str(" < ");
            shown.push_str(&quoted(checked.value_shown(name)));
        }
        exchange.decide(Decision {
            layer: "exec",
            rule: None,
            verdict: Verdict::Run,
            reason: shown.into(),
        });
    }
}

fn refused(error: ParamError) -> Refusal {
    let status = match error.reason {
        "no_route" | "param_path_unknown" => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    let refusal = Refusal::new(status, error.reason);
    match error.param {
        Some(name) => refusal.rule(&*name),
        None => refusal,
    }
}

/// A word as a shell would read it as one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_split_it() {
        for (word, expected) in [
            ("a-b=c", "a-b=c"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
