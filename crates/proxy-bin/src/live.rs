//! `Live`: a service that can be exchanged while it serves.
//!
//! Whoever serves connections holds [`Live`]s of one [`Slot`]. A request that comes after
//! [`Slot::set`] is answered by the new service; one that is under way goes on in the service that
//! it began in, which is there until the last of its requests has ended. Between requests nothing
//! is held but the slot: a connection looks at a number, and takes a clone anew where it changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use tower_service::Service;

/// Where the service of the moment is. A clone is the same slot.
#[derive(Debug)]
pub struct Slot<S>(Arc<Held<S>>);

#[derive(Debug)]
struct Held<S> {
    edition: AtomicU64,
    current: ArcSwap<S>,
}

impl<S: Clone> Slot<S> {
    /// A slot that holds this service.
    pub fn new(service: S) -> Self {
        let current = ArcSwap::from_pointee(service);
        Self(Arc::new(Held { edition: AtomicU64::new(0), current }))
    }

    /// Exchanges the service, for the next request on.
    pub fn set(&self, service: S) {
        self.0.current.store(Arc::new(service));
        // Whoever sees the number finds the service, or a later one.
        self.0.edition.fetch_add(1, Ordering::Release);
    }

    /// The service of the moment.
    pub fn get(&self) -> S {
        S::clone(&self.0.current.load())
    }

    /// A service that is always that of the moment.
    pub fn live(&self) -> Live<S> {
        Live { slot: self.clone(), own: None }
    }
}

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The service of a [`Slot`], at each moment. A clone is the same, and holds no service until it is
/// asked: what waits for a next request keeps no old one alive.
#[derive(Debug)]
pub struct Live<S> {
    slot: Slot<S>,
    /// The clone in use, and of which edition it is.
    own: Option<(u64, S)>,
}

impl<S: Clone> Live<S> {
    fn renewed(&mut self) -> &mut S {
        let edition = self.slot.0.edition.load(Ordering::Acquire);
        if self.own.as_ref().is_some_and(|(own, _)| *own != edition) {
            self.own = None;
        }
        let slot = &self.slot;
        &mut self.own.get_or_insert_with(|| (edition, slot.get())).1
    }
}

impl<S> Clone for Live<S> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone(), own: None }
    }
}

impl<S, R> Service<R> for Live<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.renewed().poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        // The one that was polled; its successor has the next request.
        match &mut self.own {
            Some((_, service)) => service.call(request),
            None => self.renewed().call(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use tower::{Service, ServiceExt};

    use super::*;

    /// Answers with its number.
    #[derive(Clone)]
    struct Number(Arc<u32>);

    impl Service<()> for Number {
        type Response = u32;
        type Error = Infallible;
        type Future = Ready<Result<u32, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            ready(Ok(*self.0))
        }
    }

    #[tokio::test]
    async fn the_next_request_has_the_new_service_and_nobody_keeps_the_old_one() {
        let first = Arc::new(1);
        let slot = Slot::new(Number(Arc::clone(&first)));
        let mut live = slot.live();
        assert_eq!(live.ready().await.unwrap().call(()).await, Ok(1));
        let waiting = live.clone();
        slot.set(Number(Arc::new(2)));
        assert_eq!(Arc::strong_count(&first), 2, "the connection has not asked since");
        assert_eq!(live.ready().await.unwrap().call(()).await, Ok(2));
        assert_eq!(Arc::strong_count(&first), 1, "nobody else does");
        assert_eq!(waiting.oneshot(()).await, Ok(2));
    }

    #[tokio::test]
    async fn what_was_polled_is_called() {
        let slot = Slot::new(Number(Arc::new(1)));
        let mut live = slot.live();
        live.ready().await.unwrap();
        slot.set(Number(Arc::new(2)));
        assert_eq!(live.call(()).await, Ok(1));
        assert_eq!(live.ready().await.unwrap().call(()).await, Ok(2));
    }
}
