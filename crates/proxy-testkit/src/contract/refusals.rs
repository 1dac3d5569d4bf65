//! Clause 3: a refusal is a response.

use http::{Request, Response};
use proxy_core::{Exchange, Refusal};
use tower_layer::Layer;

use super::suite::{Suite, settle};
use super::{Clause, Inner, Subject};
use crate::body::{ScriptedBody, Step};
use crate::exchange::ExchangeBuilder;
use crate::service::Answer;

const CLAUSE: Clause = Clause::Refusals;

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    pub(super) async fn refusals_are_responses(&self) {
        for make in &self.contract.refused {
            self.refuses(make(), None).await;
            self.refuses(make(), Some(ExchangeBuilder::new().build())).await;
        }
    }

    async fn refuses(&self, request: Request<()>, exchange: Option<Exchange>) {
        let name = format!("{} {}", request.method(), request.uri());
        let content = ScriptedBody::new([Step::data("unread"), Step::Never]);
        let probe = content.probe();
        let (mut service, handle) =
            self.service(Answer::Respond(Response::new(ScriptedBody::empty())));
        let mut request = request.map(|()| content);
        if let Some(exchange) = &exchange {
            request.extensions_mut().insert(exchange.clone());
        }
        let future = self.call(&mut service, request).await;
        let outcome = settle(CLAUSE, "the refusal", std::pin::pin!(future)).await;
        let Ok(response) = outcome else {
            CLAUSE.broken(format_args!("{name}: an error, not a response"));
        };
        CLAUSE.holds(handle.calls() == 0, format_args!("{name}: the inner service was called"));
        CLAUSE.holds(probe.polls() == 0, format_args!("{name}: the request's content was read"));
        CLAUSE.holds(probe.is_dropped(), format_args!("{name}: the request's content lives on"));
        let Some(refusal) = response.extensions().get::<Refusal>() else {
            CLAUSE.broken(format_args!("{name}: no `Refusal` in the response's extensions"));
        };
        let same = refusal.status == response.status();
        CLAUSE
            .holds(same, format_args!("{name}: the response has another status than its refusal"));
        if let Some(exchange) = exchange {
            let decided = exchange.with_decisions(|all| all.iter().any(|d| d.verdict.is_refusal()));
            CLAUSE.holds(decided, format_args!("{name}: the decision is not in the exchange"));
        }
    }
}
