//! What a request says about codings.

use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, HOST, IF_MATCH, IF_NONE_MATCH, IF_RANGE,
};
use http::{HeaderMap, HeaderValue, Method, Request};
use proxy_core::Exchange;
use proxy_core::coding::Accepted;

use crate::codings::Coding;
use crate::dictionary::{self, Dictionary, DictionaryStore};
use crate::eligibility::is_not_to_be_transformed;
use crate::validators::{self, CodedTags};

/// What is kept of a request until its response is there.
pub(crate) struct Ask {
    /// The coding that serves the client best.
    pub(crate) best: Option<Coding>,
    /// Whether the client refuses the content as it is.
    pub(crate) refuses_identity: bool,
    pub(crate) head: bool,
    pub(crate) authorized: bool,
    /// Nothing of this exchange is coded: `no-transform` by the client.
    pub(crate) hands_off: bool,
    /// It has no content that could be coded: CONNECT.
    pub(crate) is_tunnel: bool,
    /// Tags of coded forms that the client has.
    pub(crate) tags: Option<Box<CodedTags>>,
    /// Where there are dictionaries: whose they are.
    pub(crate) origin: Option<Box<str>>,
    /// The coding with a dictionary that serves the client better than all without one.
    pub(crate) dictionary: Option<(Coding, Arc<Dictionary>)>,
}

impl Ask {
    /// Reads a request, and adds to its conditions the tags that the origin server knows.
    pub(crate) fn of<B>(
        request: &mut Request<B>,
        codings: &Codings,
        from_inside: bool,
        dictionaries: Option<&DictionaryStore>,
    ) -> Self {
        let origin = dictionaries.and_then(|_| authority(request));
        let is_user = Exchange::of(request).is_some_and(|exchange| exchange.user().is_some());
        let head = *request.method() == Method::HEAD;
        let is_tunnel = *request.method() == Method::CONNECT;
        let is_safe = request.method().is_safe();
        let fields = request.headers_mut();
        let there = There::of(fields);
        let accepted = Accepted::of(fields);
        let best = codings.best(&accepted);
        let dictionary = dictionaries
            .and_then(|store| dictionary::available(store, origin.as_deref(), fields))
            .and_then(|known| codings.best_with_dictionary(&accepted).map(|own| (own, known)));
        let refuses_identity = accepted.is_said() && accepted.weight("identity").is_none();
        let hands_off = there.cache_control && is_not_to_be_transformed(fields);
        let authorized = is_user || there.authorization;
        let short = if dictionary.is_some() && !hands_off {
            // The coded forms of others, such as a cache has, are larger than what is made here.
            Some(HeaderValue::from_static("identity"))
        } else if from_inside && accepted.is_said() {
            codings.in_short(&accepted, best)
        } else {
            None
        };
        let tags = if hands_off || !there.conditions {
            None
        } else {
            validators::map(fields, &codings.with_dictionaries, best.is_some(), is_safe)
        };
        if let Some(short) = short {
            fields.insert(ACCEPT_ENCODING, short);
        }
        Self {
            best,
            refuses_identity,
            head,
            authorized,
            hands_off,
            is_tunnel,
            tags,
            origin,
            dictionary,
        }
    }
}

impl Ask {
    /// What the coding is called that serves the client best.
    pub(crate) fn token(&self) -> Option<&'static str> {
        match &self.dictionary {
            Some((coding, _)) => dictionary::token(*coding),
            None => self.best.map(Coding::token),
        }
    }
}

/// Which of the fields that count here a request has. One walk over the names is cheaper than a
/// look-up for each, and most have none of them.
#[derive(Default)]
struct There {
    cache_control: bool,
    authorization: bool,
    /// Conditions about what a client has already.
    conditions: bool,
}

impl There {
    fn of(fields: &HeaderMap) -> Self {
        let mut there = Self::default();
        for name in fields.keys() {
            // By length first: most names are passed by with that.
            match name.as_str().len() {
                13 if *name == CACHE_CONTROL => there.cache_control = true,
                13 if *name == AUTHORIZATION => there.authorization = true,
                13 => there.conditions |= *name == IF_NONE_MATCH,
                8 => there.conditions |= *name == IF_MATCH || *name == IF_RANGE,
                _ => {}
            }
        }
        there
    }
}

/// Who is asked.
fn authority<B>(request: &Request<B>) -> Option<Box<str>> {
    let of_target = request.uri().authority().map(http::uri::Authority::as_str);
    let of_field = || request.headers().get(HOST)?.to_str().ok();
    of_target.or_else(of_field).map(|name| name.to_ascii_lowercase().into())
}

/// The codings of a layer, in order of preference.
pub(crate) struct Codings {
    codings: Box<[Coding]>,
    tokens: Box<[&'static str]>,
    /// Those with dictionaries, and behind them those without.
    with_dictionaries: Box<[&'static str]>,
}

impl Codings {
    pub(crate) fn new(codings: &[Coding]) -> Self {
        let mut own: Vec<Coding> = Vec::new();
        for coding in codings {
            if !own.contains(coding) {
                own.push(*coding);
            }
        }
        let tokens: Box<[_]> = own.iter().map(|coding| coding.token()).collect();
        let with = own.iter().filter_map(|coding| dictionary::token(*coding));
        let with_dictionaries = with.chain(tokens.iter().copied()).collect();
        Self { codings: own.into(), tokens, with_dictionaries }
    }

    /// The one with a dictionary, where the client likes none without one better.
    fn best_with_dictionary(&self, accepted: &Accepted<'_>) -> Option<Coding> {
        let best = accepted.best(&self.with_dictionaries)?;
        self.codings.iter().copied().find(|coding| dictionary::token(*coding) == Some(best))
    }

    pub(crate) fn tokens(&self) -> &[&'static str] {
        &self.tokens
    }

    /// What the client takes, in few words.
    fn in_short(&self, accepted: &Accepted<'_>, best: Option<Coding>) -> Option<HeaderValue> {
        let mut short = String::new();
        let first = best.map(Coding::token);
        let others = self.tokens.iter().copied().filter(|token| Some(*token) != first);
        // A client that likes the content best as it is gets it so.
        for token in first.into_iter().chain(others.take(if best.is_some() { 8 } else { 0 })) {
            if accepted.weight(token).is_some() {
                short.push_str(if short.is_empty() { "" } else { ", " });
                short.push_str(token);
            }
        }
        let short = if short.is_empty() { "identity" } else { &short };
        HeaderValue::from_str(short).ok()
    }

    fn best(&self, accepted: &Accepted<'_>) -> Option<Coding> {
        let best = accepted.best(&self.tokens)?;
        self.codings.iter().copied().find(|coding| coding.token() == best)
    }
}
