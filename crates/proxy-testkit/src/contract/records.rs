//! Clause 7: the exchange record, and what others put beside it.

use http::{Response, StatusCode};
use proxy_core::Exchange;
use tower_layer::Layer;

use super::suite::Suite;
use super::{Clause, Inner, Subject};
use crate::body::ScriptedBody;
use crate::exchange::ExchangeBuilder;

const CLAUSE: Clause = Clause::Records;

/// A third party's value in the extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(u8);

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    /// The other checks run without an exchange; here there is one.
    pub(super) async fn records_stay(&self) {
        let exchange = ExchangeBuilder::new().peer("192.0.2.1").build();
        exchange.insert(Mark(1));
        let mut request = self.request(ScriptedBody::empty());
        request.extensions_mut().insert(exchange.clone());
        request.extensions_mut().insert(Mark(2));
        let mut response = Response::new(ScriptedBody::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        response.extensions_mut().insert(Mark(3));

        let message = self.exchange(CLAUSE, request, response).await;
        let request = message.seen.request;
        let record = Exchange::of(&request);
        let same = record.is_some_and(|record| record.get::<Mark>() == Some(Mark(1)));
        CLAUSE.holds(same, "the inner service does not see the exchange of the request");
        let kept = request.extensions().get() == Some(&Mark(2));
        CLAUSE.holds(kept, "an extension of the request is lost");
        let kept = message.response.extensions().get() == Some(&Mark(3));
        CLAUSE.holds(kept, "an extension of the response is lost");
        let status = message.response.status();
        CLAUSE.holds(status == StatusCode::ACCEPTED, "the response has another status");
    }
}
