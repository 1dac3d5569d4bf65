//! Clause 6: clones are cheap, and as good as the original.

use http::Response;
use tower_layer::Layer;

use super::suite::{Suite, no_misuse, settle};
use super::{Clause, Inner, SERVICE_OVERHEAD, Subject};
use crate::body::ScriptedBody;
use crate::service::Answer;

const CLAUSE: Clause = Clause::Clones;

impl<L, E> Suite<'_, L, E>
where
    L: Layer<Inner<E>> + 'static,
    L::Service: Subject,
    E: Send + 'static,
{
    pub(super) async fn clones_serve(&self) {
        let (size, inner) = (size_of::<L::Service>(), size_of::<Inner<E>>());
        let large = format_args!(
            "the service has {size} bytes around {inner}, more than one `Arc` ({SERVICE_OVERHEAD})"
        );
        CLAUSE.holds(size <= inner + SERVICE_OVERHEAD, large);

        let (stub, handle) =
            Inner::<E>::new(|| Answer::Respond(Response::new(ScriptedBody::empty())));
        let mut service = (self.contract.layer)().layer(stub);
        let before = handle.clones();
        let mut clone = service.clone();
        let clones = handle.clones() - before;
        CLAUSE.holds(clones == 1, format_args!("a clone clones the inner service {clones} times"));

        // In turns, so that neither lives off the other's readiness.
        let mut second = clone.clone();
        for service in [&mut clone, &mut service, &mut second] {
            let future = self.call(service, self.request(ScriptedBody::empty())).await;
            let outcome = settle(CLAUSE, "a clone's response", std::pin::pin!(future)).await;
            CLAUSE.holds(outcome.is_ok(), "a clone fails where the inner service answers");
        }
        drop(service);
        let future = self.call(&mut clone, self.request(ScriptedBody::empty())).await;
        let outcome = settle(CLAUSE, "a clone's response", std::pin::pin!(future)).await;
        CLAUSE.holds(outcome.is_ok(), "a clone fails once the original is gone");
        no_misuse(&handle);
    }
}
