//! A check that asks and judges the answer.

use std::future::poll_fn;

use http::header::{CACHE_CONTROL, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use memchr::memmem;
use proxy_core::{Body, ProxyError};
use tower_service::Service;

use super::tcp::word;
use super::{Checked, Checking, HttpCheck, Probe};

/// Bytes of an answer's content that are read.
pub const MAX_CONTENT: usize = 64 * 1024;

/// Sends a request over a service, and judges the answer.
#[derive(Debug)]
pub struct HttpProbe<S> {
    service: S,
    check: HttpCheck,
}

impl<S> HttpProbe<S> {
    /// Asks `service`, which reaches one endpoint.
    pub const fn new(service: S, check: HttpCheck) -> Self {
        Self { service, check }
    }
}

impl<S> Probe for HttpProbe<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn check(&self) -> Checking<'_> {
        let mut service = self.service.clone();
        Box::pin(async move {
            let request = self.check.request()?;
            let answer = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            match answer.await {
                Ok(response) => self.check.judge(response).await,
                Err(error) => Err(word(error.kind())),
            }
        })
    }
}

impl HttpCheck {
    fn request(&self) -> Result<Request<Body>, Box<str>> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.target);
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        request
            .header(USER_AGENT, HeaderValue::from_static("proxyd-health-check"))
            .header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
            .body(Body::empty())
            .map_err(|error| error.to_string().into())
    }

    async fn judge(&self, response: Response<Body>) -> Checked {
        let status = response.status();
        let well = match self.statuses.is_empty() {
            true => status.is_success() || status.is_redirection(),
            false => self.statuses.contains(&status),
        };
        if !well {
            return Err(format!("status {}", status.as_u16()).into());
        }
        if let Some((name, text)) = &self.field {
            let finder = memmem::Finder::new(text);
            let values = response.headers().get_all(name);
            if !values.iter().any(|value| finder.find(value.as_bytes()).is_some()) {
                return Err(format!("field {name} without the expected text").into());
            }
        }
        match &self.content {
            Some(text) => contains(response.into_body(), text).await,
            None => Ok(()),
        }
    }
}

async fn contains(mut body: Body, text: &str) -> Checked {
    let mut content = Vec::new();
    while content.len() < MAX_CONTENT {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let room = MAX_CONTENT - content.len();
                    content.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
            Some(Err(_)) => return Err("the content broke off".into()),
            None => break,
        }
    }
    let found = memmem::find(&content, text.as_bytes()).is_some();
    if found { Ok(()) } else { Err("content without the expected text".into()) }
}
