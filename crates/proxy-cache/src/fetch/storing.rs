//! Whether a response is stored, and as what.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, EXPIRES};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;

use super::Fetch;
use crate::conversation::UNKEYED;
use crate::deception::is_deceptive;
use crate::derive;
use crate::rules::ttl_of;
use crate::semantics::directives::ResponseDirectives;
use crate::semantics::lifetime::{FreshnessSource, Lifetime};
use crate::semantics::range::parse_content_range;
use crate::semantics::storability::{
    NotStored, RequestView, ResponseView, StorageRules, content_location_is, judge,
};
use crate::semantics::vary::{VariantKey, Vary};
use crate::semantics::{groups, tags, validation, vary};
use crate::store::{Part, StoredHead};

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// By the rules of RFC 9111.
    Rule(NotStored),
    /// It is not what its path promises.
    Deceptive,
    /// Nobody has asked for it often enough.
    TooFewUses,
    /// The store does not take it.
    TooLarge,
    /// Its tags are too many, too long or no text.
    Tags,
}

impl NotKept {
    /// One word, for `Cache-Status`.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Rule(rule) => rule.token(),
            Self::Deceptive => "deceptive",
            Self::TooFewUses => "min-uses",
            Self::TooLarge => "too-large",
            Self::Tags => "tags",
        }
    }

    /// Whether it lies in the response, and so would be the same for others who ask: what lies in
    /// one request must not keep others from sharing.
    pub(super) const fn is_about_response(self) -> bool {
        match self {
            Self::Rule(rule) => matches!(
                rule,
                NotStored::NoStore
                    | NotStored::Private
                    | NotStored::SetCookie
                    | NotStored::VaryStar
                    | NotStored::NotUnderstood
                    | NotStored::NoFreshness
            ),
            Self::Deceptive | Self::TooLarge | Self::Tags => true,
            Self::TooFewUses => false,
        }
    }
}

impl From<NotStored> for NotKept {
    fn from(rule: NotStored) -> Self {
        Self::Rule(rule)
    }
}

impl Fetch {
    /// What a response is selected by.
    pub(super) fn variant(&self, response: &HeaderMap) -> Result<Option<VariantKey>, NotStored> {
        let vary = match self.shared.coder {
            Some(_) => derive::vary_but_coding(response),
            None => vary::parse(response),
        };
        match vary {
            Vary::None => Ok(None),
            Vary::Fields(names) => Ok(Some(vary::variant_key(&names, &self.fields))),
            Vary::Star => Err(NotStored::VaryStar),
        }
    }

    pub(crate) fn judge_as(
        &self,
        method: &Method,
        response: &ResponseView<'_>,
        requested_at: SystemTime,
        received_at: SystemTime,
    ) -> Result<Lifetime, NotStored> {
        let rules = &self.shared.rules;
        let default_ttl =
            |status| ttl_of(&rules.ttl, status).or_else(|| ttl_of(&rules.default_ttl, status));
        let request = RequestView {
            method,
            headers: &self.fields,
            personal: self.shared.personal(&self.fields).is_some(),
        };
        let storage = StorageRules {
            targeted: &rules.targeted,
            default_ttl: &default_ttl,
            heuristic: rules.heuristic,
            honour_request: rules.honour_request,
            ..StorageRules::default()
        };
        let ttl = ttl_of(&rules.ttl, response.status);
        let silent = ttl.map(|_| without_lifetime(response.headers));
        let headers = silent.as_ref().unwrap_or(response.headers);
        let response = ResponseView { headers, ..*response };
        let mut lifetime = judge(&request, &response, requested_at, received_at, &storage)?;
        if let Some(ttl) = ttl {
            lifetime.freshness = ttl;
            lifetime.initial_age = Duration::ZERO;
            lifetime.source = FreshnessSource::Default;
        }
        lifetime.stale_while_revalidate =
            lifetime.stale_while_revalidate.or(rules.stale_while_revalidate);
        Ok(lifetime)
    }

    /// The head to store a response with, or why it is not stored.
    pub(super) fn storable<B: Body>(
        &self,
        response: &Response<B>,
        requested_at: SystemTime,
        received_at: SystemTime,
    ) -> Result<StoredHead, NotKept> {
        let (status, fields) = (response.status(), response.headers());
        let view = ResponseView { status, headers: fields };
        let lifetime = self.judge_as(&self.method, &view, requested_at, received_at)?;
        if self.method == Method::HEAD {
            return Err(NotStored::Method.into());
        }
        if self.method == Method::POST && UNKEYED.iter().any(|name| self.fields.contains_key(name))
        {
            return Err(NotStored::Post.into());
        }
        if self.method == Method::POST
            && !self.key.url().parse().is_ok_and(|uri| content_location_is(&uri, fields))
        {
            return Err(NotStored::Post.into());
        }
        let path = self.key.target.split('?').next().unwrap_or_default();
        if self.shared.rules.deception_armour && is_deceptive(path, fields) {
            return Err(NotKept::Deceptive);
        }
        if !self.shared.is_used_enough(self.hash) {
            return Err(NotKept::TooFewUses);
        }
        let variant = self.variant(fields)?;
        if self.slice && status != StatusCode::PARTIAL_CONTENT {
            return Err(NotStored::Partial.into());
        }
        let part = if status == StatusCode::PARTIAL_CONTENT {
            let told = parse_content_range(fields).ok_or(NotStored::Partial)?;
            // One that is not as long as the range it claims is no part of anything.
            let len = response.body().size_hint().exact();
            if len.is_some_and(|len| len != told.range.end - told.range.start) {
                return Err(NotStored::Partial.into());
            }
            // A part that is the whole is the whole.
            let whole = told.range.start == 0 && told.complete == Some(told.range.end);
            (!whole || self.slice).then_some(Part { range: told.range, complete: told.complete })
        } else {
            None
        };
        let status = match part {
            None if status == StatusCode::PARTIAL_CONTENT => StatusCode::OK,
            _ => status,
        };
        let tags = tags::parse(fields, &self.shared.rules.tag_fields);
        if tags.incomplete {
            // A purge could not find it by all of its names.
            return Err(NotKept::Tags);
        }
        let said = ResponseDirectives::effective(fields, &self.shared.rules.targeted);
        let mut kept = validation::storable_fields_by(fields, &said.directives);
        // Of the content, not of a part of it or of the framing on this hop.
        kept.remove(CONTENT_LENGTH);
        kept.remove(CONTENT_RANGE);
        Ok(StoredHead {
            key: Arc::clone(&self.key),
            status,
            trailers: None,
            variant,
            lifetime,
            part,
            derived: None,
            tags: tags.tags.into(),
            groups: groups::groups(fields).into_iter().map(Into::into).collect(),
            fields: kept,
        })
    }

    /// The names that updated fields give.
    pub(super) fn rename(&self, head: &mut StoredHead) {
        head.tags = tags::parse(&head.fields, &self.shared.rules.tag_fields).tags.into();
        head.groups = groups::groups(&head.fields).into_iter().map(Into::into).collect();
    }
}

/// Whether it lies in the one exchange that a response is not stored.
pub(super) const fn is_about_request(why: NotStored) -> bool {
    matches!(
        why,
        NotStored::Personal
            | NotStored::Authorization
            | NotStored::SetCookie
            | NotStored::RequestNoStore
    )
}

/// The fields without their word on how long: what `ttl` takes the place of. What they say of who
/// may store and when to validate stays; `s-maxage` is leave to share besides.
fn without_lifetime(fields: &HeaderMap) -> HeaderMap {
    let mut rest = fields.clone();
    rest.remove(EXPIRES);
    rest.remove(CACHE_CONTROL);
    for line in fields.get_all(CACHE_CONTROL) {
        let Ok(text) = line.to_str() else { continue };
        if text.contains('"') {
            // Names in quotes are no lifetime, and not to be taken apart here.
            rest.append(CACHE_CONTROL, line.clone());
            continue;
        }
        let members = text.split(',').map(str::trim).filter_map(|member| {
            let name = member.split('=').next().unwrap_or(member).trim();
            match name {
                name if name.eq_ignore_ascii_case("max-age") => None,
                name if name.eq_ignore_ascii_case("s-maxage") => Some("public"),
                _ => Some(member),
            }
        });
        let members: Vec<&str> = members.collect();
        if let Ok(line) = HeaderValue::try_from(members.join(", ")) {
            rest.append(CACHE_CONTROL, line);
        }
    }
    rest
}
