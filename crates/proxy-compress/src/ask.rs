//! What a request says about codings.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, HOST};
use http::{HeaderMap, HeaderValue, Method, Request};
use proxy_core::{Exchange, coding};

use crate::codings::Coding;
use crate::dictionary::{self, Dictionary, DictionaryStore};
use crate::eligibility::{is_authorized, is_not_to_be_transformed};
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
        let best = codings.best(fields);
        let dictionary = dictionaries
            .and_then(|store| dictionary::available(store, origin.as_deref(), fields))
            .and_then(|known| codings.best_with_dictionary(fields).map(|coding| (coding, known)));
        let names_codings = fields.contains_key(ACCEPT_ENCODING);
        let refuses_identity = names_codings && coding::weight(fields, "identity").is_none();
        let hands_off = is_not_to_be_transformed(fields);
        let authorized = is_user || is_authorized(fields);
        let tags = if hands_off {
            None
        } else {
            validators::map(fields, &codings.with_dictionaries, best.is_some(), is_safe)
        };
        if dictionary.is_some() && !hands_off {
            // The coded forms of others, such as a cache has, are larger than what is made here.
            fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        } else if from_inside && names_codings {
            codings.name_in_short(fields, best);
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
    fn best_with_dictionary(&self, request: &HeaderMap) -> Option<Coding> {
        let best = coding::best(request, &self.with_dictionaries)?;
        self.codings.iter().copied().find(|coding| dictionary::token(*coding) == Some(best))
    }

    pub(crate) fn tokens(&self) -> &[&'static str] {
        &self.tokens
    }

    /// Says in few words what the client takes.
    fn name_in_short(&self, request: &mut HeaderMap, best: Option<Coding>) {
        let mut short = String::new();
        let first = best.map(Coding::token);
        let others = self.tokens.iter().copied().filter(|token| Some(*token) != first);
        // A client that likes the content best as it is gets it so.
        for token in first.into_iter().chain(others.take(if best.is_some() { 8 } else { 0 })) {
            if coding::weight(request, token).is_some() {
                short.push_str(if short.is_empty() { "" } else { ", " });
                short.push_str(token);
            }
        }
        let short = if short.is_empty() { "identity" } else { &short };
        if let Ok(value) = HeaderValue::from_str(short) {
            request.insert(ACCEPT_ENCODING, value);
        }
    }

    fn best(&self, request: &HeaderMap) -> Option<Coding> {
        if !request.contains_key(ACCEPT_ENCODING) {
            return None;
        }
        let best = coding::best(request, &self.tokens)?;
        self.codings.iter().copied().find(|coding| coding.token() == best)
    }
}
