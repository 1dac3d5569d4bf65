//! `Server-Timing` (W3C): where the time of a response went, for clients that may know.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use proxy_core::Exchange;

use crate::access_log::facts;

/// The field.
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// `proxy`: from the complete request head to the response head; `cache`: what the cache did; of
/// the last attempt `dns`, `connect`, `tls` and `upstream`, the last from its start to its response
/// head, with its number where it was not the first. Durations are milliseconds. No name and no
/// address is told.
pub(crate) fn value(exchange: &Exchange, took: Duration) -> Option<HeaderValue> {
    let mut text = String::with_capacity(96);
    metric(&mut text, "proxy", took);
    exchange.with_decisions(|decisions| {
        // One of ours, but a layer of somebody else's could call itself so too.
        if let Some(word) = facts::cache(decisions).filter(|word| is_token(word)) {
            let _ = write!(text, ", cache;desc={word}");
        }
    });
    exchange.with_attempts(|attempts| {
        let Some(last) = attempts.last() else { return };
        let times = [
            ("dns", last.dns),
            ("connect", last.connect),
            ("tls", last.tls),
            ("upstream", last.first_byte),
        ];
        for (name, time) in times {
            if let Some(time) = time {
                text.push_str(", ");
                metric(&mut text, name, time);
            }
        }
        if attempts.len() > 1 && last.first_byte.is_some() {
            let _ = write!(text, ";desc=\"attempt {}\"", attempts.len());
        }
    });
    HeaderValue::from_str(&text).ok()
}

fn metric(text: &mut String, name: &str, time: Duration) {
    let micros = time.as_micros();
    let _ = write!(text, "{name};dur={}.{:03}", micros / 1000, micros % 1000);
}

fn is_token(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use proxy_core::{Attempt, Decision, Verdict};
    use proxy_testkit::ExchangeBuilder;

    use super::*;

    #[test]
    fn where_the_time_went() {
        let exchange = ExchangeBuilder::new().build();
        let text = |exchange: &Exchange| {
            let value = value(exchange, Duration::from_micros(12_045)).expect("a value");
            value.to_str().expect("text").to_owned()
        };
        assert_eq!(text(&exchange), "proxy;dur=12.045");
        let decision = |reason: &'static str| Decision {
            layer: "cache",
            rule: None,
            verdict: Verdict::Allow,
            reason: reason.into(),
        };
        exchange.decide(decision("miss"));
        exchange.with_attempts(|attempts| {
            attempts.push(Attempt::default());
            attempts.push(Attempt {
                dns: Some(Duration::from_micros(700)),
                first_byte: Some(Duration::from_millis(10)),
                ..Attempt::default()
            });
        });
        assert_eq!(
            text(&exchange),
            "proxy;dur=12.045, cache;desc=miss, dns;dur=0.700, \
             upstream;dur=10.000;desc=\"attempt 2\""
        );
        // Nothing that is no word of ours is shown.
        exchange.decide(decision("a, b;dur=1"));
        assert!(!text(&exchange).contains("cache"));
    }
}
