//! What a recorder is told: of each coding, of what was left out, of encoders and of the guard.

mod stage;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use proxy_compress::{
    Coding, CompressConfig, CompressLayer, CompressMetrics, EncoderLimits, EncoderPool, LoadGuard,
    LoadLimits,
};
use proxy_core::SystemClock;
use proxy_testkit::ManualClock;
use stage::{content, get, response, text, through};

/// The last value of each metric, by its name and labels.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<String, f64>>>);

struct Cell(String, Told);

impl Cell {
    fn add(&self, value: f64) {
        *self.1.0.lock().unwrap().entry(self.0.clone()).or_default() += value;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }
    fn absolute(&self, _: u64) {
        unreachable!()
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }
    fn decrement(&self, value: f64) {
        self.add(-value);
    }
    fn set(&self, value: f64) {
        self.1.0.lock().unwrap().insert(self.0.clone(), value);
    }
}

impl Told {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        Arc::new(Cell(format!("{}{}", key.name(), labels.collect::<String>()), self.clone()))
    }

    fn of(&self, name: &str) -> f64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

impl Recorder for Told {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Letters that nobody foresees: half of them is left.
fn letters(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 28) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

const HTML: (&str, &str) = ("content-type", "text/html");

#[tokio::test]
async fn each_coding_has_its_own_figures() {
    let told = Told::default();
    let layer = CompressLayer::builder(CompressConfig::default(), Arc::new(SystemClock))
        .pool(EncoderPool::new(EncoderLimits::default(), Some(&told)))
        // Whatever else the machine does: nothing is put off.
        .guard(LoadGuard::new(
            Arc::new(SystemClock),
            LoadLimits { share: 100, processors: 1 },
            None,
        ))
        .metrics(CompressMetrics::new(&told, "site"))
        .build();
    let page = letters(300_000);
    for (number, coding) in Coding::ALL.into_iter().enumerate() {
        let of = |name: &str, more: &str| {
            told.of(&format!("proxy_compress_{name}_total route=site coding={coding}{more}"))
        };
        let mut sent = 0;
        for _ in 0..=number {
            let request = get(&[("accept-encoding", coding.token())]);
            let answer = response(&[HTML], Full::from(page.clone()));
            let mut body = pin!(through(&layer, request, answer).await.into_body());
            sent += body.frame().await.expect("a frame").unwrap().into_data().unwrap().len();
            assert_eq!(told.of("proxy_compress_encoders"), 1.0, "{coding}");
            while let Some(frame) = body.frame().await {
                sent += frame.unwrap().into_data().unwrap().len();
            }
            assert_eq!(told.of("proxy_compress_encoders"), 0.0);
        }
        let responses = (number + 1) as f64;
        assert_eq!(of("responses", ""), responses, "{coding}");
        assert_eq!(of("content_bytes", " side=in"), responses * 300_000.0, "{coding}");
        assert_eq!(of("content_bytes", " side=out"), sent as f64, "{coding}");
        assert!(of("coding_microseconds", "") > 0.0, "{coding}");
    }
    let request = get(&[("accept-encoding", "br")]);
    let answer = response(&[("content-type", "image/png")], Full::from("x"));
    content(through(&layer, request, answer).await.into_body()).await.unwrap();
    assert_eq!(told.of("proxy_compress_skipped_total route=site reason=content_type"), 1.0);
}

/// A clock by which every look takes a while.
#[derive(Clone)]
struct Slow(ManualClock);

impl proxy_core::Clock for Slow {
    fn now(&self) -> std::time::Instant {
        self.0.advance(Duration::from_millis(100));
        self.0.now()
    }
    fn wall(&self) -> std::time::SystemTime {
        self.0.wall()
    }
    fn sleep_until(&self, deadline: std::time::Instant) -> proxy_core::Sleep {
        self.0.sleep_until(deadline)
    }
}

#[tokio::test]
async fn the_guard_says_how_far_it_goes() {
    let (told, clock) = (Told::default(), ManualClock::new());
    let limits = LoadLimits { share: 10, processors: 1 };
    let guard = LoadGuard::new(Arc::new(Slow(clock.clone())), limits, Some(&told));
    let layer = CompressLayer::builder(CompressConfig::default(), Arc::new(SystemClock))
        .guard(guard.clone())
        .metrics(CompressMetrics::new(&told, "site"))
        .build();
    let step = || told.of("proxy_compress_load_step");
    let mut steps = vec![step()];
    while step() < 3.0 {
        let request = get(&[("accept-encoding", "gzip")]);
        let answer = response(&[HTML], Full::from(text(5000)));
        content(through(&layer, request, answer).await.into_body()).await.unwrap();
        steps.push(step());
        assert!(steps.len() < 100, "it goes no further than {steps:?}");
    }
    steps.dedup();
    assert!(steps.is_sorted() && steps[0] == 0.0, "{steps:?}");
    let request = get(&[("accept-encoding", "gzip")]);
    let answer = response(&[HTML], Full::from(text(5000)));
    let left = through(&layer, request, answer).await;
    assert!(!left.headers().contains_key("content-encoding"));
    assert_eq!(told.of("proxy_compress_skipped_total route=site reason=load"), 1.0);
    clock.advance(Duration::from_secs(60));
    guard.step();
    assert_eq!(step(), 0.0);
}
