//! Clause 4: what becomes of content, both ways.

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use tower_layer::Layer;

use super::content::{Side, Wrapped};
use super::suite::Suite;
use super::{BODY_OVERHEAD, Clause, Inner, Subject};
use crate::body::{ScriptedBody, Step};
use crate::service::ErasedBody;

const CLAUSE: Clause = Clause::Bodies;

/// What a script's body knows of itself.
#[derive(Clone, Copy)]
enum Knows {
    Nothing,
    ItsEnd,
    ItsSize,
}

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    pub(super) async fn bodies_pass_through(&self) {
        use Knows::{ItsEnd, ItsSize, Nothing};
        let (a, b, c) = (Step::data("first"), Step::data("second"), Step::data("third"));
        let sum = Step::trailer("x-sum", "16");
        let scripts = [
            (ItsEnd, vec![a.clone(), b.clone(), c.clone()]),
            (Nothing, vec![a.clone(), b.clone()]),
            (ItsEnd, vec![a.clone(), b.clone(), sum.clone()]),
            (Nothing, vec![a.clone(), sum.clone()]),
            (ItsEnd, vec![sum.clone()]),
            (ItsSize, vec![a.clone(), b.clone(), c.clone()]),
            (ItsSize, vec![a.clone(), sum]),
            (ItsEnd, vec![]),
            (ItsSize, vec![]),
            (Nothing, vec![]),
            (ItsEnd, vec![a.clone(), Step::Wait, b.clone(), Step::Wait, Step::Wait, c.clone()]),
            (ItsEnd, vec![Step::Yield, a.clone(), Step::Yield, Step::Yield, b]),
            (ItsSize, vec![a, c, Step::Error("the script breaks")]),
            (ItsEnd, vec![Step::Error("the script breaks")]),
        ];
        for side in [Side::Request, Side::Response] {
            for (knows, script) in &scripts {
                let wrapped = self.wrapped(side, body(*knows, script)).await.0;
                if self.may_change(side) {
                    wrapped.reads_to_its_end(script).await;
                } else {
                    wrapped.reads_as_scripted(script);
                }
            }
        }
    }

    /// Whether the layer says that it changes the content of this side.
    pub(super) fn may_change(&self, side: Side) -> bool {
        match side {
            Side::Request => self.contract.changes_request_content,
            Side::Response => self.contract.changes_response_content,
        }
    }

    /// The body as it comes out of the layer, and that of the other side, which stays alive.
    pub(super) async fn wrapped(&self, side: Side, body: ScriptedBody) -> (Wrapped, ErasedBody) {
        let probe = body.probe();
        let (request, response) = match side {
            Side::Request => (body, ScriptedBody::empty()),
            Side::Response => (ScriptedBody::empty(), body),
        };
        let message = self.exchange(CLAUSE, self.request(request), Response::new(response)).await;
        let outer = match side {
            Side::Request => message.seen.body_size,
            Side::Response => size_of_val(message.response.body()),
        };
        let most = size_of::<ScriptedBody>() + BODY_OVERHEAD;
        let large =
            format_args!("{side} content: the wrapper has {outer} bytes, {most} are allowed");
        CLAUSE.holds(outer <= most, large);
        let request = message.seen.request.into_body();
        let response = L::Service::erase(message.response.into_body());
        let (body, other) = match side {
            Side::Request => (request, response),
            Side::Response => (response, request),
        };
        (Wrapped { side, body, probe }, other)
    }

    /// A response to HEAD, a 204 and a 304 come without content, whatever their fields say.
    pub(super) async fn bodiless_responses_stay_so(&self) {
        for (method, status) in [
            (Method::HEAD, StatusCode::OK),
            (Method::GET, StatusCode::NO_CONTENT),
            (Method::GET, StatusCode::NOT_MODIFIED),
        ] {
            let mut request = self.request(ScriptedBody::empty());
            *request.method_mut() = method.clone();
            let mut response = Response::new(ScriptedBody::empty());
            *response.status_mut() = status;
            let declares = method == Method::HEAD;
            if declares {
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
            }
            let response = self.exchange(CLAUSE, request, response).await.response;
            let length = response.headers().get(CONTENT_LENGTH).cloned();
            let what = format!("a {status} to {method}");
            if !self.contract.changes_response_content {
                let kept = length.is_some_and(|length| length == "5") == declares;
                CLAUSE.holds(kept, format_args!("{what} has another Content-Length than it had"));
            }
            let body = L::Service::erase(response.into_body());
            let ended = body.is_end_stream();
            CLAUSE.holds(ended, format_args!("{what} without content is not at its end of stream"));
            let exact = body.size_hint().exact();
            CLAUSE.holds(exact == Some(0), format_args!("{what} without content has a size"));
        }
    }
}

fn body(knows: Knows, script: &[Step]) -> ScriptedBody {
    let body = ScriptedBody::new(script.iter().cloned());
    match knows {
        Knows::Nothing => body.end_unknown(),
        Knows::ItsEnd => body,
        Knows::ItsSize => body.exact(),
    }
}
