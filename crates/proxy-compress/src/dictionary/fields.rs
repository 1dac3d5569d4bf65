//! The fields of RFC 9842.

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderName};
use proxy_core::fields;
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

const USE_AS_DICTIONARY: HeaderName = HeaderName::from_static("use-as-dictionary");
pub(super) const AVAILABLE_DICTIONARY: HeaderName = HeaderName::from_static("available-dictionary");

/// Whether a response is offered as a dictionary in the one form that there is: `raw` (section
/// 2.1.4). What is for one client alone is not kept for it.
pub(super) fn is_offered(response: &HeaderMap) -> bool {
    let Some(offer) = only(response, &USE_AS_DICTIONARY) else { return false };
    let Ok(offer) = Parser::new(offer).parse::<Dictionary>() else { return false };
    let item = |key: &str| match offer.get(key) {
        Some(ListEntry::Item(item)) => Some(&item.bare_item),
        _ => None,
    };
    let has_match = matches!(item("match"), Some(BareItem::String(_)));
    let is_raw = match item("type") {
        None => !offer.contains_key("type"),
        Some(kind) => matches!(kind, BareItem::Token(kind) if kind.as_str() == "raw"),
    };
    let is_personal = fields::list(response, &CACHE_CONTROL).any(|directive| {
        let name = directive.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("private") || name.eq_ignore_ascii_case("no-store")
    });
    has_match && is_raw && !is_personal && !response.contains_key(SET_COOKIE)
}

/// The SHA-256 of the dictionary that a client has (section 2.2).
pub(super) fn available(request: &HeaderMap) -> Option<[u8; 32]> {
    let item: Item = Parser::new(only(request, &AVAILABLE_DICTIONARY)?).parse().ok()?;
    match item.bare_item {
        BareItem::ByteSequence(hash) => hash.try_into().ok(),
        _ => None,
    }
}

/// The value of a field that stands there once.
fn only<'a>(message: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = message.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, http::HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn what_is_offered_as_a_dictionary() {
        const OFFER: (&str, &str) = ("use-as-dictionary", "match=\"/app.*.js\"");
        for (lines, offered) in [
            (&[OFFER][..], true),
            (&[("use-as-dictionary", "match=\"/a\", type=raw, id=\"1\"")], true),
            (&[OFFER, ("cache-control", "public, max-age=9")], true),
            (&[], false),
            (&[("use-as-dictionary", "id=\"1\"")], false),
            (&[("use-as-dictionary", "match=/a")], false),
            (&[("use-as-dictionary", "match=\"/a\", type=zstd")], false),
            (&[("use-as-dictionary", "match=\"/a\", type=(raw)")], false),
            (&[OFFER, OFFER], false),
            (&[OFFER, ("cache-control", "Private")], false),
            (&[OFFER, ("cache-control", "max-age=9, no-store")], false),
            (&[OFFER, ("set-cookie", "a=b")], false),
        ] {
            assert_eq!(is_offered(&message(lines)), offered, "{lines:?}");
        }
    }

    #[test]
    fn which_dictionary_a_client_has() {
        let hash = "pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4";
        for (value, known) in [
            (format!(":{hash}=:"), true),
            (format!("{hash}="), false),
            (":aGFsbG8=:".to_owned(), false),
            ("\"x\"".to_owned(), false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(AVAILABLE_DICTIONARY, value.parse().expect("a value"));
            assert_eq!(available(&fields).is_some(), known, "{value}");
        }
    }
}
