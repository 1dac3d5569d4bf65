//! How the endpoints of an upstream share requests, and what is done about those that fail.

use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, Method, StatusCode};
use proxy_upstream::balance::HashKey;
use proxy_upstream::cluster::OutlierConfig;
use proxy_upstream::dispatch::Sticky;
use proxy_upstream::health::{HealthCheckConfig, HttpCheck};
use proxy_upstream::hedge::HedgeConfig;
use proxy_upstream::retry::RetryConfig;
use proxy_upstream::{BalanceConfig, BalanceKind, CircuitBreakerConfig};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, RetryOn};
use crate::config::suggest::nearest;
use crate::config::units::Period;

/// What stands before the colon of `hash.by`, or alone.
const KEYS: [&str; 6] = ["path", "target", "host", "client", "field", "cookie"];

impl Resolver<'_> {
    pub(super) fn balance(
        &mut self,
        path: &KeyPath,
        name: &str,
        raw: &raw::Upstream,
    ) -> BalanceConfig {
        let hash = raw.hash.clone().unwrap_or_default();
        let key = self.take(&path.key("hash").key("by"), hash_key(&hash.by));
        let kind = match raw.balance {
            raw::Balance::RoundRobin => BalanceKind::RoundRobin,
            raw::Balance::First => BalanceKind::First,
            raw::Balance::LeastRequests => BalanceKind::LeastRequests,
            raw::Balance::TwoChoices => BalanceKind::TwoChoices,
            raw::Balance::PeakEwma => BalanceKind::PeakEwma,
            raw::Balance::Hash => BalanceKind::Hash {
                key: key.unwrap_or(HashKey::Path),
                above: hash.above_mean.fraction(),
            },
        };
        if raw.hash.is_some() && raw.balance != raw::Balance::Hash {
            let message = "has no effect: `balance` is not \"hash\"";
            self.warning(&path.key("hash"), message);
        }
        let sticky = raw.sticky.as_ref().and_then(|own| {
            let path = path.key("sticky");
            let cookie = self.take(&path.key("cookie"), cookie_name(&own.cookie))?;
            let max_age = own.max_age.map(|age| self.period(&path.key("max_age"), age));
            let sticky = Sticky::new(cookie, name, max_age);
            Some(match &own.secret {
                Some(secret) => {
                    let text = self.secret(&path.key("secret"), secret)?;
                    sticky.with_secret(text.reveal().as_bytes())
                }
                None => sticky,
            })
        });
        BalanceConfig {
            kind,
            sticky,
            slow_start: raw.slow_start.duration(),
            panic_threshold: raw.panic_threshold.fraction(),
            // The process says where it stands: `compose` knows.
            zone: None,
        }
    }

    /// As it is written; with its defaults where nothing is, and there are several endpoints.
    pub(super) fn outlier(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::Outlier>,
        several: bool,
    ) -> Option<OutlierConfig> {
        let own = match raw {
            Some(own) => own.clone(),
            None => several.then(raw::Outlier::default)?,
        };
        Some(OutlierConfig {
            consecutive_failures: small(own.consecutive_failures),
            failure_share: own.failure_share.map(|share| {
                if share.fraction() <= 0.0 {
                    self.error(&path.key("failure_share"), "expected a share above 0%");
                }
                share.fraction()
            }),
            window: self.period(&path.key("window"), own.window),
            min_requests: small(own.min_requests),
            latency_factor: own.latency_factor.map(|factor| f64::from(small(factor))),
            eject_for: self.period(&path.key("eject_for"), own.eject_for),
            max_eject_for: self.at_least(path, "max_eject_for", own.max_eject_for, own.eject_for),
            max_ejected: own.max_ejected.fraction(),
            statuses: self.statuses(&path.key("statuses"), &own.statuses),
        })
    }

    /// A time, which is the other one where it is shorter and nobody wrote it.
    fn at_least(&mut self, path: &KeyPath, key: &str, own: Period, other: Period) -> Duration {
        let path = path.key(key);
        if own < other && own != raw::Outlier::default().max_eject_for {
            self.error(&path, format!("expected at least `eject_for`, {other}"));
        }
        own.duration().max(other.duration())
    }

    /// As it is written; where nothing is, what is safe for every request, if there is another
    /// endpoint to send it to.
    pub(super) fn retry(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::Retry>,
        several: bool,
    ) -> Option<RetryConfig> {
        let own = match raw {
            Some(own) => own.clone(),
            None if several => raw::Retry { on: vec![RetryOn::Connect], ..raw::Retry::default() },
            None => return None,
        };
        let on = |what| own.on.contains(&what);
        Some(RetryConfig {
            retries: small(own.retries),
            on_connect: on(RetryOn::Connect),
            on_reset: on(RetryOn::Reset),
            on_timeout: on(RetryOn::Timeout),
            statuses: self.statuses(&path.key("statuses"), &own.statuses),
            attempt_timeout: own
                .attempt_timeout
                .map(|time| self.period(&path.key("attempt_timeout"), time)),
            backoff: own.backoff.duration(),
            max_backoff: own.max_backoff.duration(),
            budget: own.budget.fraction(),
            body: usize::try_from(own.body.bytes()).unwrap_or(usize::MAX),
            ..RetryConfig::default()
        })
    }

    pub(super) fn hedge(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::Hedge>,
        several: bool,
    ) -> Option<HedgeConfig> {
        let own = raw?;
        if !several {
            self.warning(path, "has no effect: there is one endpoint");
        }
        Some(HedgeConfig {
            percentile: own.percentile.fraction(),
            min_delay: own.min_delay.duration(),
            budget: own.budget.fraction(),
        })
    }

    pub(super) fn circuit_breaker(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::CircuitBreaker>,
    ) -> Option<CircuitBreakerConfig> {
        let own = raw?;
        let count = |n| usize::try_from(n).unwrap_or(usize::MAX);
        Some(CircuitBreakerConfig {
            max_connections: count(own.max_connections),
            max_requests: own.max_requests.map(count),
            max_pending: count(own.max_pending),
            pending_timeout: self.period(&path.key("pending_timeout"), own.pending_timeout),
        })
    }

    pub(super) fn health_check(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::HealthCheck>,
    ) -> Option<HealthCheckConfig> {
        let own = raw?;
        let http = own.path.as_ref().map(|target| HttpCheck {
            target: self
                .take(&path.key("path"), check_target(target))
                .unwrap_or_else(|| "/".to_owned()),
            method: own
                .method
                .as_ref()
                .and_then(|name| self.take(&path.key("method"), check_method(name)))
                .unwrap_or(Method::GET),
            host: own.host.as_ref().and_then(|name| self.take(&path.key("host"), check_host(name))),
            statuses: self
                .statuses(&path.key("statuses"), own.statuses.as_deref().unwrap_or_default()),
            field: own.field.as_ref().and_then(|field| {
                let path = path.key("field").key("name");
                let name = field.name.parse::<HeaderName>();
                let name = self.take(
                    &path,
                    name.map_err(|_| format!("`{}` is no name of a field", field.name)),
                );
                name.map(|name| (name, field.contains.clone()))
            }),
            content: own.content.clone(),
        });
        if http.is_none() {
            let asked = [
                ("method", own.method.is_some()),
                ("host", own.host.is_some()),
                ("statuses", own.statuses.is_some()),
                ("field", own.field.is_some()),
                ("content", own.content.is_some()),
            ];
            for (key, _) in asked.into_iter().filter(|(_, there)| *there) {
                let message = "is about an answer, and without `path` nothing is asked";
                self.error_on_key(&path.key(key), message);
            }
        }
        Some(HealthCheckConfig {
            http,
            port: own.port.and_then(|port| u16::try_from(port).ok()),
            interval: self.period(&path.key("interval"), own.interval),
            timeout: self.period(&path.key("timeout"), own.timeout),
            healthy_after: small(own.healthy_after),
            unhealthy_after: small(own.unhealthy_after),
        })
    }

    fn statuses(&mut self, path: &KeyPath, raw: &[u64]) -> Vec<StatusCode> {
        let read = |number: u64| {
            let status = u16::try_from(number).ok().filter(|n| (200..600).contains(n));
            status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .ok_or_else(|| format!("expected a status from 200 to 599, found {number}"))
        };
        let all = raw.iter().enumerate();
        all.filter_map(|(index, number)| self.take(&path.index(index), read(*number))).collect()
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn hash_key(text: &str) -> Result<HashKey, String> {
    Ok(match text.split_once(':') {
        Some(("field", name)) => {
            HashKey::Field(name.parse().map_err(|_| format!("`{name}` is no name of a field"))?)
        }
        Some(("cookie", name)) => HashKey::Cookie(cookie_name(name)?.into()),
        None if text == "path" => HashKey::Path,
        None if text == "target" => HashKey::Target,
        None if text == "host" => HashKey::Host,
        None if text == "client" => HashKey::Client,
        _ => {
            let word = text.split(':').next().unwrap_or(text);
            let hint = match word {
                "field" | "cookie" => format!("; did you mean `{word}:NAME`?"),
                _ => nearest(word, KEYS)
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default(),
            };
            return Err(format!(
                "expected \"path\", \"target\", \"host\", \"client\", \"field:NAME\" or \
                 \"cookie:NAME\", found `{text}`{hint}"
            ));
        }
    })
}

/// A token (RFC 6265 section 4.1.1).
pub(super) fn cookie_name(name: &str) -> Result<&str, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let valid = !name.is_empty() && name.bytes().all(is_token);
    if valid { Ok(name) } else { Err(format!("`{name}` is no name of a cookie")) }
}

fn check_target(text: &str) -> Result<String, String> {
    let valid = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
    if valid && !text.contains('#') {
        return Ok(text.to_owned());
    }
    Err(format!("expected a path such as \"/healthz\", found `{text}`"))
}

fn check_method(name: &str) -> Result<Method, String> {
    match name {
        "GET" | "HEAD" | "OPTIONS" => name.parse().map_err(|_| String::new()),
        _ => Err(format!("expected \"GET\", \"HEAD\" or \"OPTIONS\", found `{name}`")),
    }
}

fn check_host(name: &str) -> Result<String, String> {
    let valid = name.parse::<Authority>().is_ok_and(|own| !own.as_str().contains('@'));
    if valid { Ok(name.to_owned()) } else { Err(format!("`{name}` is no name of a host")) }
}
