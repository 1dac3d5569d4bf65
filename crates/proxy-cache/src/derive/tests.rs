use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proxy_core::NotCoded;
use proxy_testkit::{CollectedTasks, ManualClock};

use super::*;
use crate::store::contract::Sample;
use crate::store::{BodyReader, BodySource, CacheStore as _, MemoryStore};
use crate::{CacheMetrics, CacheRules, Keying};

type Code = Box<dyn Fn(&[Bytes], Effort) -> Option<Bytes> + Send + Sync>;

/// Codes as it is told, and counts how often.
struct Scripted {
    code: Code,
    calls: AtomicUsize,
    has_thorough: bool,
    /// There is no time for it now.
    is_busy: AtomicBool,
}

impl ContentCoder for Scripted {
    fn codings(&self) -> &[&'static str] {
        &["turn"]
    }
    fn is_eligible(&self, _: &HeaderMap, _: Option<u64>) -> bool {
        true
    }
    fn code(&self, _: &str, content: &[Bytes], effort: Effort) -> Result<Bytes, NotCoded> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.is_busy.load(Ordering::Relaxed) {
            return Err(NotCoded::NotNow);
        }
        (self.code)(content, effort).ok_or(NotCoded::Useless)
    }
    fn has_thorough(&self, _: &str, _: u64) -> bool {
        self.has_thorough
    }
}

struct Stage {
    shared: Arc<Shared>,
    store: MemoryStore,
    coder: Arc<Scripted>,
    clock: ManualClock,
    tasks: CollectedTasks,
}

impl Stage {
    fn new(
        store: MemoryStore,
        code: impl Fn(&[Bytes]) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self::with(store, false, move |content, _| code(content))
    }

    fn with(
        store: MemoryStore,
        has_thorough: bool,
        code: impl Fn(&[Bytes], Effort) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let coder = Scripted {
            code: Box::new(code),
            calls: AtomicUsize::new(0),
            has_thorough,
            is_busy: AtomicBool::new(false),
        };
        let coder = Arc::new(coder);
        let (clock, tasks) = (ManualClock::new(), CollectedTasks::new());
        let queue = || WorkQueue::new(Arc::new(tasks.clone()), 1, 2);
        let queues = DerivingQueues { quick: queue(), thorough: queue() };
        let shared = Arc::new(Shared::new(
            Arc::new(store.clone()),
            Arc::new(clock.clone()),
            Some(Arc::new(tasks.clone())),
            CacheRules::default(),
            Keying::default(),
            CacheMetrics::default(),
            Some((Arc::clone(&coder) as Arc<dyn ContentCoder>, queues)),
        ));
        Self { shared, store, coder, clock, tasks }
    }

    /// The form that a client gets who takes the coding.
    fn hit(&self, sample: &Sample) -> Arc<Stored> {
        let variants = self.store.lookup(&sample.key()).expect("it is stored");
        self.best_form(sample, &variants)
    }

    fn best_form(&self, sample: &Sample, variants: &Variants) -> Arc<Stored> {
        let original = variants.iter().find(|stored| {
            stored.head.derived.is_none() && stored.head.variant == sample.head.variant
        });
        let original = original.expect("the original");
        let request = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("turn"))]);
        self.shared.best_form(sample.key(), variants, original, &request).form
    }

    fn calls(&self) -> usize {
        self.coder.calls.load(Ordering::Relaxed)
    }

    fn busy(&self) -> usize {
        lock(&self.shared.coder.as_ref().expect("a coder").busy).len()
    }
}

fn large_store() -> MemoryStore {
    MemoryStore::with_capacity(16 << 20)
}

fn is_coded(form: &Stored) -> bool {
    form.head.derived.is_some()
}

#[test]
fn what_is_no_smaller_is_tried_once_for_each_original() {
    for len in [1000, 100_000] {
        let stage = Stage::new(large_store(), |_| None);
        let mut sample = Sample::new("/", 1, len);
        for expected in 1..3 {
            sample.store(&stage.store).unwrap();
            for _ in 0..5 {
                assert!(!is_coded(&stage.hit(&sample)));
                stage.tasks.run_until_stalled();
            }
            assert_eq!((stage.calls(), stage.busy()), (expected, 0), "{len}");
            sample.head.lifetime.response_time += Duration::from_secs(1);
        }
        // Neither does one variant speak for another.
        let other = sample.variant("b");
        other.store(&stage.store).unwrap();
        stage.hit(&other);
        stage.tasks.run_until_stalled();
        assert_eq!(stage.calls(), 3);
    }
}

#[test]
fn a_coder_that_panics_is_not_asked_again_nor_busy_for_ever() {
    for len in [1000, 100_000] {
        let stage = Stage::new(large_store(), |_| panic!("a broken coder"));
        let sample = Sample::new("/", 1, len);
        sample.store(&stage.store).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            stage.hit(&sample);
            stage.tasks.run_until_stalled();
        }));
        assert!(panicked.is_err(), "{len}");
        assert_eq!(stage.busy(), 0);
        assert!(!is_coded(&stage.hit(&sample)));
        stage.tasks.run_until_stalled();
        assert_eq!(stage.calls(), 1);
    }
}

#[test]
fn a_task_that_is_never_run_may_be_begun_again() {
    let stage = Stage::new(large_store(), |_| Some(Bytes::from_static(b"coded")));
    let sample = Sample::new("/", 1, 100_000);
    sample.store(&stage.store).unwrap();
    stage.hit(&sample);
    stage.hit(&sample);
    assert_eq!((stage.tasks.started(), stage.busy()), (1, 1), "one at a time");
    stage.tasks.abort_all();
    assert_eq!(stage.busy(), 0);
    stage.hit(&sample);
    stage.tasks.run_until_stalled();
    assert!(is_coded(&stage.hit(&sample)));
    assert_eq!(stage.calls(), 1);
}

#[test]
fn where_the_store_has_no_room_it_waits() {
    let store = MemoryStore::builder(16 << 20).max_filling(10_000).build();
    let stage = Stage::new(store.clone(), |_| Some(Bytes::from_static(b"coded")));
    let sample = Sample::new("/", 1, 1000);
    sample.store(&store).unwrap();
    let other = Sample::new("/other", 2, 10_000);
    let filling = store.begin(other.head, Some(10_000)).expect("room");
    for expected in 1..3 {
        for _ in 0..5 {
            assert!(!is_coded(&stage.hit(&sample)));
        }
        assert_eq!(stage.calls(), expected);
        stage.clock.advance(NO_ROOM);
    }
    drop(filling);
    assert!(is_coded(&stage.hit(&sample)));
}

/// Content of this length elsewhere.
struct Elsewhere(u64);

impl BodySource for Elsewhere {
    fn len(&self) -> u64 {
        self.0
    }
    fn open(&self, _: std::ops::Range<u64>) -> Box<dyn BodyReader> {
        panic!("it is not read")
    }
}

#[test]
fn nothing_is_begun_for_content_that_is_not_in_memory() {
    let stage = Stage::new(large_store(), |_| Some(Bytes::from_static(b"coded")));
    let sample = Sample::new("/", 1, 0);
    for len in [1000, 100_000] {
        let body = StoredBody::Source(Arc::new(Elsewhere(len)));
        let variants = Variants::from([Arc::new(Stored { head: sample.head.clone(), body })]);
        assert!(!is_coded(&stage.best_form(&sample, &variants)));
        assert_eq!((stage.tasks.started(), stage.calls(), stage.busy()), (0, 0, 0));
    }
}

#[test]
fn what_was_made_of_a_replaced_original_is_not_stored() {
    let store = large_store();
    let mut new = Sample::new("/", 1, 1000);
    let old = new.clone();
    // The same fields, and other content.
    new.content = Bytes::from(vec![b'n'; 1000]);
    let (place, replacement) = (store.clone(), new.clone());
    let is_first = AtomicUsize::new(0);
    let stage = Stage::new(store.clone(), move |content| {
        if is_first.fetch_add(1, Ordering::Relaxed) == 0 {
            replacement.store(&place).unwrap();
        }
        Some(content.concat()[..10].to_vec().into())
    });
    old.store(&store).unwrap();
    assert!(!is_coded(&stage.hit(&old)));
    assert_eq!(store.lookup(&old.key()).expect("the new one").len(), 1);
    let coded = stage.hit(&new);
    let StoredBody::Memory { chunks, .. } = &coded.body else { panic!("in memory") };
    assert_eq!(chunks.concat(), [b'n'; 10]);
    assert!(is_coded(&coded));
}

/// As many bytes as this effort needs.
fn by_effort(_: &[Bytes], effort: Effort) -> Option<Bytes> {
    Some(Bytes::from(vec![b'x'; if effort == Effort::Quick { 100 } else { 50 }]))
}

#[test]
fn what_is_used_again_is_made_again_with_more_effort_and_once() {
    for len in [1000, 100_000] {
        let stage = Stage::with(large_store(), true, by_effort);
        let mut sample = Sample::new("/", 1, len);
        sample.store(&stage.store).unwrap();
        stage.hit(&sample);
        stage.tasks.run_until_stalled();
        assert_eq!(stage.calls(), 1, "nobody has used it again");
        let quick = stage.hit(&sample);
        assert_eq!((quick.body.len(), stage.tasks.unfinished()), (100, 1), "nobody waits");
        stage.hit(&sample);
        stage.tasks.run_until_stalled();
        for _ in 0..3 {
            assert_eq!(stage.hit(&sample).body.len(), 50, "in the place of the other");
            stage.tasks.run_until_stalled();
            // Confirmed by the origin server: it is still the same.
            sample.head.lifetime.response_time += Duration::from_secs(1);
            let original = stage.store.lookup(&sample.key()).expect("it is stored");
            let original = original.iter().find(|stored| stored.head.derived.is_none());
            stage.store.replace_head(original.expect("one"), sample.head.clone());
        }
        assert_eq!((stage.calls(), stage.busy()), (2, 0), "{len}");
    }
}

#[test]
fn effort_that_wins_nothing_is_not_made_again() {
    let stage = Stage::with(large_store(), true, |_, _| Some(Bytes::from_static(b"coded")));
    let sample = Sample::new("/", 1, 1000);
    sample.store(&stage.store).unwrap();
    for _ in 0..5 {
        assert_eq!(stage.hit(&sample).body.len(), 5);
        stage.tasks.run_until_stalled();
    }
    assert_eq!(stage.calls(), 2);
}

#[test]
fn where_too_much_waits_it_is_tried_later() {
    let stage = Stage::new(large_store(), |_| Some(Bytes::from_static(b"coded")));
    let samples: Vec<_> = (0..3).map(|n| Sample::new(&format!("/{n}"), n, 100_000)).collect();
    for sample in &samples {
        sample.store(&stage.store).unwrap();
        stage.hit(sample);
    }
    stage.tasks.run_until_stalled();
    let coded = || samples.iter().filter(|sample| is_coded(&stage.hit(sample))).count();
    assert_eq!((coded(), stage.calls(), stage.busy()), (2, 2, 0), "the queue has two places");
    stage.clock.advance(NO_ROOM);
    coded();
    stage.tasks.run_until_stalled();
    assert_eq!((coded(), stage.calls()), (3, 3));
}

#[test]
fn a_coder_without_time_is_asked_again_later() {
    for len in [1000, 100_000] {
        let stage = Stage::new(large_store(), |_| Some(Bytes::from_static(b"coded")));
        stage.coder.is_busy.store(true, Ordering::Relaxed);
        let sample = Sample::new("/", 1, len);
        sample.store(&stage.store).unwrap();
        for _ in 0..3 {
            assert!(!is_coded(&stage.hit(&sample)));
            stage.tasks.run_until_stalled();
        }
        assert_eq!(stage.calls(), 1);
        stage.coder.is_busy.store(false, Ordering::Relaxed);
        stage.clock.advance(NO_ROOM);
        stage.hit(&sample);
        stage.tasks.run_until_stalled();
        assert!(is_coded(&stage.hit(&sample)), "{len}");
    }
}

#[test]
fn a_form_beside_which_there_is_no_room_for_its_original_is_not_stored() {
    let stage = Stage::new(
        MemoryStore::builder(1 << 20).max_object(700 << 10).max_filling(1 << 20).build(),
        |content| Some(content.concat()[1..].to_vec().into()),
    );
    let sample = Sample::new("/", 1, 600 << 10);
    sample.store(&stage.store).unwrap();
    for _ in 0..3 {
        assert!(!is_coded(&stage.hit(&sample)));
        stage.tasks.run_until_stalled();
    }
    assert_eq!((stage.calls(), stage.busy()), (1, 0), "it is not made again and again");
}

#[test]
fn what_was_made_of_an_original_that_was_confirmed_meanwhile_is_stored() {
    let store = large_store();
    let sample = Sample::new("/", 1, 100_000);
    let (place, mut confirmed) = (store.clone(), sample.head.clone());
    confirmed.lifetime.response_time += Duration::from_secs(1);
    let (head, key) = (confirmed.clone(), sample.key());
    let stage = Stage::new(store.clone(), move |_| {
        let variants = place.lookup(&key).expect("it is stored");
        place.replace_head(&variants[0], head.clone()).expect("it is there");
        Some(Bytes::from_static(b"coded"))
    });
    sample.store(&store).unwrap();
    stage.hit(&sample);
    stage.tasks.run_until_stalled();
    let coded = stage.hit(&sample);
    assert!(is_coded(&coded));
    assert_eq!(coded.head.lifetime, confirmed.lifetime);
    assert_eq!(stage.calls(), 1);
}

#[test]
fn who_wants_nothing_changed_gets_the_original() {
    let stage = Stage::new(large_store(), |_| Some(Bytes::from_static(b"coded")));
    let sample = Sample::new("/", 1, 1000);
    sample.store(&stage.store).unwrap();
    let coded = stage.hit(&sample);
    assert!(is_coded(&coded));
    let variants = stage.store.lookup(&sample.key()).expect("it is stored");
    let original = variants.iter().find(|stored| !is_coded(stored)).expect("the original");
    let mut request = HeaderMap::new();
    request.insert(ACCEPT_ENCODING, HeaderValue::from_static("turn"));
    request.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=0, No-Transform"));
    let best = stage.shared.best_form(sample.key(), &variants, original, &request);
    assert!(!is_coded(&best.form));
}

#[test]
fn a_first_form_does_not_wait_behind_thorough_ones() {
    let stage = Stage::with(large_store(), true, by_effort);
    let used = Sample::new("/used", 1, 1000);
    used.store(&stage.store).unwrap();
    stage.hit(&used);
    stage.hit(&used);
    assert_eq!(stage.calls(), 1, "the thorough one waits");
    let new = Sample::new("/new", 2, 100_000);
    new.store(&stage.store).unwrap();
    stage.hit(&new);
    assert_eq!(stage.tasks.unfinished(), 2, "each has a thread of its own");
}

#[test]
fn what_waits_to_be_coded_holds_no_content_that_has_gone() {
    let stage = Stage::new(large_store(), |_| Some(Bytes::from_static(b"coded")));
    let sample = Sample::new("/", 1, 100_000);
    sample.store(&stage.store).unwrap();
    let held = {
        let variants = stage.store.lookup(&sample.key()).expect("it is stored");
        let StoredBody::Memory { chunks, .. } = &variants[0].body else { panic!("in memory") };
        Arc::downgrade(chunks)
    };
    stage.hit(&sample);
    stage.store.remove(&sample.key(), None);
    assert!(held.upgrade().is_none(), "nobody holds it");
    stage.tasks.run_until_stalled();
    assert_eq!((stage.calls(), stage.busy()), (0, 0));
}
