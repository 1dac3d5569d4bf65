//! From the record of a rehearsal to an [`Explanation`].

use http::{Method, header};
use proxy_cache::explain::{CacheExplanation, Storage, Variant};
use proxy_core::{Exchange, Sending, Verdict};
use proxy_filter::inspect::{self, Inspected};

use super::answer::{
    Answer, Cache, Client, Decided, Explanation, Finding, Key, ListenerChoice, Sent, Stored,
    Target, Upstream,
};
use super::question::Asked;
use super::{Came, Normalised, fields};
use crate::config::raw::Role;
use crate::config::resolved::Listener;

impl Explanation {
    pub(super) fn new(asked: &Asked<'_>, listener: &Listener, why: &str, live: bool) -> Self {
        let role = match listener.role {
            Role::Gateway => "gateway",
            Role::Forward => "forward",
        };
        Self {
            method: asked.question.method.clone(),
            url: asked.question.url.clone(),
            live,
            listener: ListenerChoice {
                name: listener.name.clone(),
                role: role.to_owned(),
                addresses: listener.addresses.iter().map(ToString::to_string).collect(),
                reason: why.to_owned(),
            },
            notes: asked.notes(listener.role, listener.tls.is_some()),
            ..Self::default()
        }
    }

    /// Reads the record.
    pub(super) fn tell(&mut self, exchange: &Exchange, came: &Came<'_>) {
        let normal = exchange.get::<Normalised>();
        if normal.is_some() {
            self.client = Some(Client {
                address: exchange.client().view(&came.privacy.log).to_string(),
                source: came.arrival.source(exchange),
            });
        }
        self.target = Some(Target {
            received: came.target.clone(),
            normal: normal.map(|Normalised(target)| target.to_string()),
        });
        self.route = exchange.route().map(|name| (**name).to_owned());
        self.decisions = exchange.with_decisions(|all| {
            let decided = all.iter().map(|decision| Decided {
                layer: decision.layer.to_owned(),
                verdict: decision.verdict.token().to_owned(),
                reason: decision.reason.to_string(),
                rule: decision.rule.as_deref().map(str::to_owned),
            });
            decided.collect()
        });
        self.findings = exchange.get::<Inspected>().map_or_else(Vec::new, |inspected| {
            inspected.report.findings.iter().map(Finding::of).collect()
        });
        let cache = exchange.get::<CacheExplanation>();
        let sending = exchange.get::<Sending>();
        self.answer = Some(self.answered(cache.as_ref(), sending.as_ref(), came));
        self.cache = match (cache, &sending) {
            (Some(cache), _) => Some(Cache::of(&cache)),
            (None, Some(_)) => Some(Cache::default()),
            (None, None) => None,
        };
        if let Some(sending) = sending {
            let mut sent = Sent {
                method: sending.method.to_string(),
                target: sending.target.clone(),
                ..Sent::default()
            };
            if sending.protocol != "tunnel" {
                let shown = fields::Shown { privacy: came.privacy, source: &came.arrival.field };
                fields::compare(&came.fields, &sending.fields, &shown, &mut sent);
                self.sent = Some(sent);
            }
            self.upstream = Some(Upstream::of(&sending));
        }
    }

    fn answered(
        &self,
        cache: Option<&CacheExplanation>,
        sending: Option<&Sending>,
        came: &Came<'_>,
    ) -> Answer {
        let refusals =
            [Verdict::Deny, Verdict::Challenge, Verdict::Limit, Verdict::Redirect, Verdict::Fail];
        let denied = self
            .decisions
            .iter()
            .any(|decision| refusals.iter().any(|refusal| refusal.token() == decision.verdict));
        let source = match (sending, cache) {
            (Some(_), _) if came.method == Method::CONNECT => "tunnel",
            (Some(_), _) => "upstream",
            _ if denied => "refusal",
            (None, Some(cache)) if cache.look_up.is_answered() => "cache",
            _ => "route",
        };
        let mut fields = came.head.headers().clone();
        if sending.is_some() {
            fields.remove(header::CONTENT_LENGTH);
        }
        Answer {
            source: source.to_owned(),
            status: sending.is_none().then(|| came.head.status().as_u16()),
            fields: fields::list(&fields),
        }
    }
}

impl Finding {
    fn of(found: &inspect::Finding) -> Self {
        Self {
            rule: found.rule.to_string(),
            class: found.class.token().to_owned(),
            score: found.score,
            place: found.place.token().to_owned(),
            parameter: found.parameter.to_string(),
            reason: found.reason.to_string(),
        }
    }
}

impl Cache {
    fn of(told: &CacheExplanation) -> Self {
        let (storage, why) = match told.storage {
            Storage::Allowed => ("allowed", None),
            Storage::Shared(why) => ("shared", Some(why)),
            Storage::Never(why) => ("never", Some(why)),
            _ => ("unknown", None),
        };
        Self {
            on: true,
            key: told.key.as_ref().map(|key| Key {
                space: key.space.to_string(),
                scheme: key.scheme.to_string(),
                authority: key.authority.to_string(),
                target: key.target.to_string(),
                extra: key.extra.to_string(),
            }),
            hash: told.hash.map(|hash| format!("{hash:?}")),
            stored: told.stored.iter().map(Stored::of).collect(),
            look_up: told.look_up.token().to_owned(),
            reason: told.reason.to_owned(),
            personal: told.personal.map(str::to_owned),
            storage: storage.to_owned(),
            storage_reason: why.map(str::to_owned),
            min_uses: told.min_uses,
        }
    }
}

impl Stored {
    fn of(variant: &Variant) -> Self {
        let head = &variant.stored.head;
        let names = head.variant.as_ref().map(|key| key.fields().names()).unwrap_or_default();
        Self {
            selected: variant.selected,
            status: head.status.as_u16(),
            age: variant.age.as_secs(),
            ttl: variant.ttl,
            freshness: head.lifetime.source.token().to_owned(),
            vary: names.iter().map(ToString::to_string).collect(),
            size: variant.stored.body.len(),
            tags: head.tags.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Upstream {
    fn of(sending: &Sending) -> Self {
        let host = match sending.host.contains(':') && !sending.host.starts_with('[') {
            true => format!("[{}]", sending.host),
            false => sending.host.clone(),
        };
        Self {
            name: sending.upstream.as_deref().map(str::to_owned),
            endpoint: match &sending.socket {
                Some(path) => format!("unix:{path}"),
                None => format!("{host}:{}", sending.port),
            },
            parent: sending.parent.as_deref().map(str::to_owned),
            parent_choice: sending.parent_choice.clone(),
            choice: sending.choice.clone(),
            addresses: sending.addresses.iter().map(ToString::to_string).collect(),
            protocol: match sending.secure {
                true => format!("{} over TLS", sending.protocol),
                false => sending.protocol.to_owned(),
            },
            host: sending.host_policy.to_owned(),
        }
    }
}
