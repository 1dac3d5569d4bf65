//! Workers: where connections are served.
//!
//! One accept socket hands each connection to the worker that serves the fewest; a connection
//! stays with its worker. Why each core has a runtime of its own is measured in
//! `docs/decisions/0002-workers.md`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Which runtimes serve connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RuntimeKind {
    /// A single-threaded runtime for each worker. Default.
    #[default]
    PerCore,
    /// One runtime whose threads share all tasks.
    Shared,
}

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The workers of a server. Dropping them ends their connections.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    /// Dropped last: tasks end with their runtime.
    _shared: Option<Runtime>,
}

#[derive(Debug)]
struct Worker {
    to: To,
    serving: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum To {
    Thread(UnboundedSender<Job>),
    Runtime(Handle),
}

impl Workers {
    /// Starts `count` workers (at least one).
    ///
    /// # Errors
    /// When threads or runtimes can not be made.
    pub fn start(kind: RuntimeKind, count: usize) -> io::Result<Self> {
        let count = count.max(1);
        match kind {
            RuntimeKind::PerCore => {
                let workers = (0..count).map(Worker::start).collect::<io::Result<_>>()?;
                Ok(Self { workers, _shared: None })
            }
            RuntimeKind::Shared => {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(count)
                    .thread_name("proxyd-worker")
                    .enable_all()
                    .build()?;
                let to = To::Runtime(runtime.handle().clone());
                let workers = vec![Worker { to, serving: Arc::default() }];
                Ok(Self { workers, _shared: Some(runtime) })
            }
        }
    }

    /// Hands a connection to the worker that serves the fewest. `make` runs on the worker, where
    /// sockets find their reactor.
    pub fn dispatch<M, F>(&self, make: M)
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let least = self.workers.iter().min_by_key(|w| w.serving.load(Ordering::Relaxed));
        let Some(worker) = least else { return };
        let serving = Serving::begin(&worker.serving);
        match &worker.to {
            To::Runtime(handle) => {
                handle.spawn(async move {
                    let _serving = serving;
                    make().await;
                });
            }
            To::Thread(jobs) => {
                let job: Job = Box::new(move || {
                    let future = make();
                    Box::pin(async move {
                        let _serving = serving;
                        future.await;
                    })
                });
                // A worker that is gone has panicked or is shutting down; the connection closes.
                let _ = jobs.send(job);
            }
        }
    }

    /// Runs a task on each worker, or one on the shared runtime, as long as there are workers. It
    /// is no connection, and is not counted. Says how many that are.
    pub fn on_each<M, F>(&self, make: M) -> usize
    where
        M: Fn() -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        for worker in &self.workers {
            let make = make.clone();
            match &worker.to {
                To::Runtime(handle) => drop(handle.spawn(async move { make().await })),
                To::Thread(jobs) => {
                    let job: Job = Box::new(move || Box::pin(make()));
                    let _ = jobs.send(job);
                }
            }
        }
        self.workers.len()
    }

    /// How many connections each worker serves.
    pub fn load(&self) -> Vec<usize> {
        self.workers.iter().map(|w| w.serving.load(Ordering::Relaxed)).collect()
    }
}

impl Worker {
    fn start(n: usize) -> io::Result<Self> {
        let (jobs, mut received) = unbounded_channel::<Job>();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name(format!("proxyd-worker-{n}")).spawn(move || {
            runtime.block_on(async move {
                while let Some(job) = received.recv().await {
                    // A panic costs the task, that is one connection.
                    tokio::spawn(job());
                }
            });
        })?;
        Ok(Self { to: To::Thread(jobs), serving: Arc::default() })
    }
}

struct Serving(Arc<AtomicUsize>);

impl Serving {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_least_loaded_worker_gets_the_next() {
        for kind in [RuntimeKind::PerCore, RuntimeKind::Shared] {
            let workers = Workers::start(kind, 2).expect("workers");
            let (done, mut names) = unbounded_channel();
            let hold = Arc::new(tokio::sync::Notify::new());
            for _ in 0..2 {
                let (done, hold) = (done.clone(), Arc::clone(&hold));
                workers.dispatch(move || async move {
                    let waiting = hold.notified();
                    let _ = done.send(thread::current().name().map(str::to_owned));
                    waiting.await;
                });
            }
            let (a, b) = (names.recv().await, names.recv().await);
            if kind == RuntimeKind::PerCore {
                assert_ne!(a, b);
                assert_eq!(workers.load(), [1, 1]);
            }
            hold.notify_waiters();
            tokio::task::spawn_blocking(move || drop(workers)).await.expect("dropped");
        }
    }
}
