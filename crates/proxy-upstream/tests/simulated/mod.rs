//! A world of endpoints that a test commands, and clients that ask at a steady rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response, StatusCode};
use proxy_core::clock::Sleep;
use proxy_core::{Body, Clock, ErrorKind, ProxyError, Retry};
use proxy_upstream::ForwardFuture;
use proxy_upstream::balance::{
    Balancer, BoundedHash, HashKey, LeastRequests, PeakEwma, Random, RoundRobin, SeededRandom,
    TwoChoices,
};
use proxy_upstream::cluster::{
    AdaptiveConfig, Cluster, ClusterConfig, MemberConfig, OutlierConfig,
};
use proxy_upstream::dispatch::{Balanced, Dispatch};
use proxy_upstream::health::{Checking, HealthCheckConfig, HealthChecks, Probe};
use proxy_upstream::retry::{RetryConfig, RetryLayer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};

pub(crate) const BALANCERS: [&str; 5] =
    ["round_robin", "least_requests", "two_choices", "peak_ewma", "hash"];

/// What an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behaviour {
    /// It answers in so many milliseconds, half more or less.
    Well(u64),
    /// It refuses connections, and those that it had are reset.
    Refuses,
    /// It takes requests and says nothing.
    Hangs,
    /// It answers with this status, and passes its checks.
    Answers(u16),
    /// It works on so many requests at a time, each for so many milliseconds; the others wait.
    Busy(u64, usize),
}

/// The tokio clock, which a test pauses.
struct PausedClock;

impl Clock for PausedClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

#[derive(Clone)]
pub(crate) struct World(Arc<State>);

struct State {
    balancer: &'static str,
    behaviours: Mutex<Vec<Behaviour>>,
    attempts: Vec<Mutex<Vec<usize>>>,
    requests: AtomicUsize,
    begun: Instant,
    random: Arc<SeededRandom>,
    checked: bool,
    adaptive: bool,
    /// Those who work at each endpoint, and how many there are.
    workers: Mutex<Vec<(usize, Arc<Semaphore>)>>,
    /// When answers came, and how long they took at their endpoints.
    answers: Mutex<Vec<(usize, Duration)>>,
    /// The endpoints that are known, by their number.
    known: Mutex<Vec<usize>>,
}

impl World {
    pub(crate) fn new(balancer: &'static str, endpoints: usize) -> Self {
        Self(Arc::new(State {
            balancer,
            behaviours: Mutex::new(vec![Behaviour::Well(10); endpoints]),
            attempts: (0..endpoints).map(|_| Mutex::default()).collect(),
            requests: AtomicUsize::new(0),
            begun: PausedClock.now(),
            random: Arc::new(SeededRandom::new(20_261_123)),
            checked: true,
            adaptive: false,
            workers: Mutex::new(vec![(0, Arc::new(Semaphore::new(0))); endpoints]),
            answers: Mutex::default(),
            known: Mutex::new((0..endpoints).collect()),
        }))
    }

    /// How much its endpoints get follows from how long they take.
    pub(crate) fn adaptive(mut self) -> Self {
        Arc::get_mut(&mut self.0).expect("the only one").adaptive = true;
        self
    }

    /// From now on DNS names these endpoints, and no others.
    pub(crate) fn name(&self, endpoints: &[usize]) {
        *self.0.known.lock().unwrap() = endpoints.to_vec();
    }

    fn workers(&self, index: usize, count: usize) -> Arc<Semaphore> {
        let workers = &mut self.0.workers.lock().unwrap()[index];
        if workers.0 != count {
            workers.1.add_permits(count - workers.0.min(count));
            workers.0 = count;
        }
        Arc::clone(&workers.1)
    }

    fn known(&self) -> Vec<usize> {
        self.0.known.lock().unwrap().clone()
    }

    /// Nobody checks its endpoints.
    pub(crate) fn unchecked(mut self) -> Self {
        Arc::get_mut(&mut self.0).expect("the only one").checked = false;
        self
    }

    pub(crate) fn set(&self, index: usize, behaviour: Behaviour) {
        self.0.behaviours.lock().unwrap()[index] = behaviour;
    }

    fn behaviour(&self, index: usize) -> Behaviour {
        self.0.behaviours.lock().unwrap()[index]
    }

    /// Attempts and requests count from now on.
    pub(crate) fn count_anew(&self) {
        self.0.attempts.iter().for_each(|own| own.lock().unwrap().clear());
        self.0.requests.store(0, Ordering::Relaxed);
    }

    fn second(&self) -> usize {
        PausedClock.now().duration_since(self.0.begun).as_secs() as usize
    }

    fn count(&self, index: usize) {
        let mut seconds = self.0.attempts[index].lock().unwrap();
        let second = self.second();
        if seconds.len() <= second {
            seconds.resize(second + 1, 0);
        }
        seconds[second] += 1;
    }

    /// `rate` requests a second for so long. At the beginning of each second the world changes.
    pub(crate) async fn run(&self, rate: u64, time: Duration, change: impl Fn(&Self, u64)) -> Run {
        let mut known = self.known();
        let mut cluster = self.cluster(&known);
        let check = |cluster: &Arc<Cluster>, known: &[usize]| {
            self.0.checked.then(|| tokio::spawn(self.checks(cluster, known).run()))
        };
        let mut checks = check(&cluster, &known);
        let retry = RetryConfig {
            statuses: vec![StatusCode::SERVICE_UNAVAILABLE],
            ..RetryConfig::default()
        };
        let random = Arc::clone(&self.0.random);
        let retry = RetryLayer::new(retry, "app", Arc::new(PausedClock), random, None);
        let endpoints = |cluster: &Arc<Cluster>, known: &[usize]| {
            let named = Named { world: self.clone(), known: known.into() };
            retry.layer(Balanced::new(Arc::clone(cluster), named, None))
        };
        let mut service = endpoints(&cluster, &known);
        let mut clients = JoinSet::new();
        let all = rate * time.as_secs();
        for number in 0..all {
            if number % rate == 0 {
                change(self, number / rate);
                if self.known() != known {
                    known = self.known();
                    cluster = cluster.succeed(members(&known), None);
                    checks.into_iter().for_each(|checks| checks.abort());
                    checks = check(&cluster, &known);
                    service = endpoints(&cluster, &known);
                }
            }
            self.0.requests.fetch_add(1, Ordering::Relaxed);
            let service = service.clone();
            let world = self.clone();
            clients.spawn(async move {
                let begun = (world.second(), PausedClock.now());
                let request = Request::builder().uri(format!("/{}", number % 5_003));
                let response = service.oneshot(request.body(Body::empty()).unwrap()).await;
                let succeeded = response.is_ok_and(|response| response.status().is_success());
                (succeeded, begun.0, PausedClock.now().duration_since(begun.1))
            });
            tokio::time::sleep(Duration::from_secs(1) / u32::try_from(rate).unwrap()).await;
        }
        let ended = clients.join_all().await;
        if let Some(checks) = checks {
            checks.abort();
        }
        Run {
            requests: self.0.requests.load(Ordering::Relaxed),
            succeeded: ended.iter().filter(|(succeeded, ..)| *succeeded).count(),
            all: ended.len(),
            attempts: self.0.attempts.iter().map(|own| own.lock().unwrap().iter().sum()).collect(),
            seconds: self.0.attempts.iter().map(|own| own.lock().unwrap().clone()).collect(),
            outcomes: ended.iter().map(|(succeeded, second, _)| (*second, *succeeded)).collect(),
            times: ended.into_iter().map(|(_, second, time)| (second, time)).collect(),
            answers: std::mem::take(&mut self.0.answers.lock().unwrap()),
        }
    }

    fn cluster(&self, known: &[usize]) -> Arc<Cluster> {
        let (balancer, hash_key): (Box<dyn Balancer>, _) = match self.0.balancer {
            "round_robin" => (Box::new(RoundRobin::default()), None),
            "least_requests" => (Box::new(LeastRequests::default()), None),
            "two_choices" => (Box::new(TwoChoices), None),
            "peak_ewma" => (Box::new(PeakEwma), None),
            _ => (Box::new(BoundedHash::default()), Some(HashKey::Path)),
        };
        let config = ClusterConfig {
            hash_key,
            adaptive: self.0.adaptive.then(AdaptiveConfig::default),
            max_pending: 20,
            pending_timeout: Duration::from_millis(200),
            outlier: Some(OutlierConfig::default()),
            ..ClusterConfig::new("app", members(known))
        };
        let random = Arc::clone(&self.0.random);
        Arc::new(Cluster::new(config, balancer, Arc::new(PausedClock), random, None))
    }

    fn checks(&self, cluster: &Arc<Cluster>, known: &[usize]) -> HealthChecks {
        let probe = |index: &usize| {
            Box::new(Check { world: self.clone(), index: *index }) as Box<dyn Probe>
        };
        let probes = known.iter().map(probe);
        let config = HealthCheckConfig {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 2,
            ..HealthCheckConfig::default()
        };
        HealthChecks::new(Arc::clone(cluster), probes.collect(), config)
    }
}

fn members(known: &[usize]) -> Vec<MemberConfig> {
    known.iter().map(|n| MemberConfig::new(&format!("10.0.0.{n}:80"))).collect()
}

/// The endpoints that are known at a time.
#[derive(Clone)]
struct Named {
    world: World,
    known: Arc<[usize]>,
}

impl Dispatch for Named {
    type Future = ForwardFuture;

    fn dispatch(&self, index: usize, _: Request<Body>) -> ForwardFuture {
        let (world, index) = (self.world.clone(), self.known[index]);
        world.count(index);
        Box::pin(async move {
            let begun = PausedClock.now();
            let mut response = Response::new(Body::empty());
            match world.behaviour(index) {
                Behaviour::Refuses => {
                    let refused = ProxyError::new(ErrorKind::ConnectionRefused);
                    return Err(refused.retry(Retry::NothingSent));
                }
                Behaviour::Hangs => std::future::pending().await,
                Behaviour::Answers(status) => {
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                }
                Behaviour::Well(millis) => {
                    let part = 0.5 + world.0.random.fraction();
                    tokio::time::sleep(Duration::from_millis(millis).mul_f64(part)).await;
                }
                Behaviour::Busy(millis, capacity) => {
                    let part = 0.8 + world.0.random.fraction() * 0.4;
                    let workers = world.workers(index, capacity);
                    let _worker = workers.acquire().await;
                    tokio::time::sleep(Duration::from_millis(millis).mul_f64(part)).await;
                }
            }
            let took = PausedClock.now().duration_since(begun);
            world.0.answers.lock().unwrap().push((world.second(), took));
            match world.behaviour(index) {
                Behaviour::Refuses => {
                    let reset = ProxyError::new(ErrorKind::ConnectionTerminated);
                    Err(reset.retry(Retry::IfIdempotent))
                }
                Behaviour::Hangs => std::future::pending().await,
                _ => Ok(response),
            }
        })
    }
}

struct Check {
    world: World,
    index: usize,
}

impl Probe for Check {
    fn check(&self) -> Checking<'_> {
        Box::pin(async {
            match self.world.behaviour(self.index) {
                Behaviour::Refuses => Err("connection_refused".into()),
                Behaviour::Hangs => std::future::pending().await,
                Behaviour::Well(_) | Behaviour::Answers(_) | Behaviour::Busy(..) => Ok(()),
            }
        })
    }
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) requests: usize,
    pub(crate) succeeded: usize,
    all: usize,
    /// At each endpoint.
    pub(crate) attempts: Vec<usize>,
    seconds: Vec<Vec<usize>>,
    times: Vec<(usize, Duration)>,
    outcomes: Vec<(usize, bool)>,
    answers: Vec<(usize, Duration)>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("requests", &self.requests)
            .field("succeeded", &self.succeeded)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Run {
    pub(crate) fn success(&self) -> f64 {
        self.succeeded as f64 / self.all as f64
    }

    pub(crate) fn all_attempts(&self) -> usize {
        self.attempts.iter().sum()
    }

    /// The attempts at an endpoint in each second.
    pub(crate) fn by_second(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.seconds[index].iter().copied()
    }

    /// Requests of these seconds that succeeded.
    pub(crate) fn succeeded_in(&self, seconds: std::ops::Range<usize>) -> usize {
        let own = self.outcomes.iter().filter(|(second, well)| *well && seconds.contains(second));
        own.count()
    }

    /// The longest that all but a hundredth of the answers of these seconds took at their endpoint.
    pub(crate) fn took_in(&self, seconds: std::ops::Range<usize>) -> Duration {
        let own = self.answers.iter().filter(|(second, _)| seconds.contains(second));
        let mut took: Vec<_> = own.map(|(_, took)| *took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied().unwrap_or_default()
    }

    /// The longest that a request took which came after so many seconds.
    pub(crate) fn slowest_after(&self, second: usize) -> Duration {
        let late = self.times.iter().filter(|(begun, _)| *begun > second);
        late.map(|(_, time)| *time).max().unwrap_or_default()
    }
}
