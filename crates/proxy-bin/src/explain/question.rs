//! What is asked: a request, and how it arrives.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body::{Frame, SizeHint};
use proxy_core::{Body, BoxError, TlsInfo};
use serde::{Deserialize, Serialize};

use super::arrival::Arrival;
use crate::config::raw::Role;
use crate::config::resolved::{Address, Listener};

/// A question: the content of `POST /explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The method.
    pub method: String,
    /// The URL as a client has it; for CONNECT, `host:port`.
    pub url: String,
    /// The listener, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Who connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The client, where a trusted proxy stands between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// Fields, as `Name: value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// The method is no token.
    #[error("`{0}` is not a method")]
    Method(String),
    /// The URL is none.
    #[error("`{0}` is not a URL: write http://HOST/PATH, or HOST:PORT for CONNECT")]
    Url(String),
    /// A field is none.
    #[error("`{0}` is not a field: write `Name: value`")]
    Field(String),
    /// No listener has this name.
    #[error("no listener is named `{0}`; there are `{1}`")]
    Listener(String, String),
    /// There are no listeners.
    #[error("the configuration has no listeners")]
    NoListener,
}

/// A question that can be asked.
pub(super) struct Asked<'a> {
    pub(super) question: &'a Question,
    pub(super) method: Method,
    url: Uri,
    fields: HeaderMap,
}

impl Question {
    /// Whether it can be asked, of whatever listener.
    ///
    /// # Errors
    /// What is wrong with its method, its URL or its fields.
    pub fn check(&self) -> Result<(), QuestionError> {
        self.read().map(drop)
    }

    pub(super) fn read(&self) -> Result<Asked<'_>, QuestionError> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| QuestionError::Method(self.method.clone()))?;
        let wrong = || QuestionError::Url(self.url.clone());
        let url: Uri = self.url.parse().map_err(|_| wrong())?;
        let url = match url.authority() {
            Some(authority) if method == Method::CONNECT => {
                let port = if url.scheme_str() == Some("http") { 80 } else { 443 };
                let authority = match authority.port() {
                    Some(_) => Ok(authority.clone()),
                    None => format!("{authority}:{port}").parse(),
                };
                Uri::builder().authority(authority.map_err(|_| wrong())?).build()
            }
            // `www.example.com`, without a scheme.
            Some(_) if url.scheme().is_none() => return Err(wrong()),
            _ => Ok(url),
        };
        let mut fields = HeaderMap::new();
        for line in &self.fields {
            let wrong = || QuestionError::Field(line.clone());
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name: HeaderName = name.parse().map_err(|_| wrong())?;
            fields.append(name, HeaderValue::from_str(value.trim()).map_err(|_| wrong())?);
        }
        Ok(Asked { question: self, method, url: url.map_err(|_| wrong())?, fields })
    }
}

impl Asked<'_> {
    /// The listener that is named, or the first that serves such requests, and why it is that one.
    pub(super) fn listener<'l, T>(
        &self,
        all: &'l [(Listener, T)],
    ) -> Result<(&'l (Listener, T), &'static str), QuestionError> {
        if let Some(name) = &self.question.listener {
            let named = all.iter().find(|(listener, _)| listener.name == *name);
            let names = || {
                let names: Vec<&str> = all.iter().map(|(l, _)| l.name.as_str()).collect();
                QuestionError::Listener(name.clone(), names.join("`, `"))
            };
            return named.map(|found| (found, "as asked")).ok_or_else(names);
        }
        let wanted = match self.method == Method::CONNECT {
            true => Role::Forward,
            false => Role::Gateway,
        };
        let port = self.url.port_u16().filter(|_| wanted == Role::Gateway);
        let listens = |listener: &Listener| {
            let at = |own: &Address| matches!(own, Address::Tcp(own) if Some(own.port()) == port);
            listener.addresses.iter().any(at)
        };
        let with_role = || all.iter().filter(|(listener, _)| listener.role == wanted);
        match all {
            [] => Err(QuestionError::NoListener),
            [only] => Ok((only, "the only one")),
            [first, ..] => Ok(match with_role().find(|(listener, _)| listens(listener)) {
                Some(found) => (found, "by the port of the URL"),
                None => (with_role().next().unwrap_or(first), "the first that fits"),
            }),
        }
    }

    /// What TLS would say, where the listener speaks it: the client asks for the host of the URL.
    pub(super) fn tls(&self, listener: &Listener) -> Option<TlsInfo> {
        let store = listener.tls.as_ref()?.edge.certificates();
        let is_name = |host: &&str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        let name = self.url.host().filter(is_name);
        Some(TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            group: None,
            alpn: Some("http/1.1"),
            server_name: name.map(|name| name.to_ascii_lowercase().into()),
            resumed: false,
            names: store.shown_for(name).unwrap_or_default(),
            client: None,
        })
    }

    /// How it arrives at a listener.
    pub(super) fn arrival(&self, listener: &Listener) -> Arrival {
        Arrival::new(self.question.peer, self.question.from, listener)
    }

    /// What a reader should know beside the decisions.
    pub(super) fn notes(&self, role: Role, secure: bool) -> Vec<String> {
        let https = self.url.scheme_str() == Some("https") && self.method != Method::CONNECT;
        let text = match role {
            _ if !https => return Vec::new(),
            Role::Gateway if secure => return Vec::new(),
            Role::Gateway => "the listener speaks clear text: asked as http".to_owned(),
            Role::Forward => {
                let host = self.url.host().unwrap_or_default();
                let port = self.url.port_u16().unwrap_or(443);
                format!("clients ask a proxy for https by CONNECT {host}:{port}")
            }
        };
        vec![text]
    }

    /// The request, as a client of this role sends it.
    pub(super) fn request(
        &self,
        role: Role,
        arrival: &Arrival,
    ) -> Result<Request<Body>, QuestionError> {
        let wrong = || QuestionError::Url(self.question.url.clone());
        let mut request = Request::new(self.content());
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_11;
        let as_it_is = role == Role::Forward || self.method == Method::CONNECT;
        *request.uri_mut() = match self.url.path_and_query() {
            _ if as_it_is => self.url.clone(),
            Some(path) => Uri::from(path.clone()),
            None => Uri::from(PathAndQuery::from_static("/")),
        };
        let fields = request.headers_mut();
        if let Some(host) = self.url.authority().filter(|_| !self.fields.contains_key(header::HOST))
        {
            let host = HeaderValue::from_str(without_user(host)).map_err(|_| wrong())?;
            fields.insert(header::HOST, host);
        }
        for (name, value) in &self.fields {
            fields.append(name, value.clone());
        }
        if let Some(value) = &arrival.vouching {
            fields.append(&arrival.field, value.clone());
        }
        Ok(request)
    }

    /// Content that nobody reads, where the fields announce some.
    fn content(&self) -> Body {
        let length = self.fields.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        match length {
            Some(length) if length > 0 => Body::new(Announced(Some(length))),
            None if self.fields.contains_key(header::TRANSFER_ENCODING) => {
                Body::new(Announced(None))
            }
            _ => Body::empty(),
        }
    }
}

fn without_user(authority: &Authority) -> &str {
    authority.as_str().rsplit('@').next().unwrap_or_default()
}

/// Content of this length, if it is known, that never comes.
struct Announced(Option<u64>);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.0.map(SizeHint::with_exact).unwrap_or_default()
    }
}
