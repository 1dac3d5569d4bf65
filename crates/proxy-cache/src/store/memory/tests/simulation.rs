//! Many requests: the capacity, and how often they hit.

mod lru;

use std::sync::Arc;

use super::*;
use crate::store::contract::{Sample, bytes};
use lru::Lru;

/// Popularity after Zipf: the tables to draw a rank from (Walker's alias method).
struct Zipf {
    keep: Vec<f64>,
    alias: Vec<u32>,
    random: u64,
}

impl Zipf {
    fn new(objects: usize, exponent: f64) -> Self {
        let mut share: Vec<f64> = (1..=objects).map(|rank| (rank as f64).powf(-exponent)).collect();
        let scale = objects as f64 / share.iter().sum::<f64>();
        share.iter_mut().for_each(|share| *share *= scale);
        let (mut small, mut large): (Vec<_>, Vec<_>) =
            (0..objects).partition(|index| share[*index] < 1.0);
        let mut alias = vec![0; objects];
        while let (Some(less), Some(more)) = (small.pop(), large.last().copied()) {
            alias[less] = more as u32;
            share[more] -= 1.0 - share[less];
            if share[more] < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        Self { keep: share, alias, random: 1 }
    }

    fn number(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn draw(&mut self) -> u64 {
        let column = (self.number() >> 32) as usize % self.keep.len();
        let stays = (self.number() >> 11) as f64 / (1_u64 << 53) as f64;
        if stays < self.keep[column] { column as u64 } else { u64::from(self.alias[column]) }
    }
}

/// Sizes of objects do not follow their popularity: mostly small, few large.
fn size(object: u64) -> usize {
    let random = object.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let class = random % 100;
    let spread = (random >> 7) as usize;
    match class {
        0..=69 => 200 + spread % 1000,
        70..=94 => 1200 + spread % 5000,
        _ => 6000 + spread % 30_000,
    }
}

struct Run {
    store: MemoryStore,
    lru: Lru,
    content: Bytes,
    hits: u64,
    lru_hits: u64,
    requests: u64,
    most: u64,
    least_full: u64,
}

impl Run {
    fn new(capacity: u64) -> Self {
        Self {
            store: MemoryStore::builder(capacity).max_object(1 << 20).build(),
            lru: Lru::new(capacity),
            content: bytes(1, 40_000),
            hits: 0,
            lru_hits: 0,
            requests: 0,
            most: 0,
            least_full: u64::MAX,
        }
    }

    fn request(&mut self, object: u64) {
        let mut sample = Sample::new(&format!("/{object}"), object, 0);
        self.requests += 1;
        if self.store.lookup(&sample.key()).is_some() {
            self.hits += 1;
        } else {
            sample.content = self.content.slice(..size(object));
            sample.store(&self.store).unwrap();
        }
        // The other one weighs the same, and pays for its keys too.
        if self.lru.get(object) {
            self.lru_hits += 1;
        } else {
            sample.content = Bytes::new();
            let stored = Stored { head: sample.head, body: StoredBody::memory([]) };
            let len = size(object) as u64;
            let bytes = weight::of_allocation(len) + 64 + weight::OF_KEY;
            self.lru.insert(object, weight::of_stored(&stored) + bytes);
        }
        if self.requests.is_multiple_of(1024) {
            let bytes = self.store.usage().bytes;
            self.most = self.most.max(bytes);
            if self.store.usage().evicted > 5_000 {
                self.least_full = self.least_full.min(bytes);
            }
        }
    }
}

fn simulate(requests: u64, objects: usize, exponent: f64, capacity: u64) {
    let mut zipf = Zipf::new(objects, exponent);
    let mut run = Run::new(capacity);
    for _ in 0..requests {
        let object = zipf.draw();
        run.request(object);
    }
    let share = |hits: u64| hits as f64 / requests as f64 * 100.0;
    let full = |bytes: u64| bytes as f64 / capacity as f64 * 100.0;
    let report = format!(
        "{requests} requests, {objects} objects, exponent {exponent}, {} MiB: {:.2} % hit, LRU \
         {:.2} %; filled to between {:.2} and {:.2} %",
        capacity >> 20,
        share(run.hits),
        share(run.lru_hits),
        full(run.least_full),
        full(run.most),
    );
    std::io::Write::write_all(&mut std::io::stderr(), format!("{report}\n").as_bytes()).unwrap();
    assert!(run.most <= capacity + capacity / 50, "{report}");
    assert!(run.least_full >= capacity - capacity / 50, "{report}");
    assert!(run.hits >= run.lru_hits, "{report}");
}

#[test]
fn requests_hit_as_often_as_with_an_lru_of_the_same_bytes() {
    simulate(150_000, 50_000, 0.9, 8 << 20);
}

/// `cargo test --release -p proxy-cache simulation -- --ignored`
#[test]
#[ignore = "two minutes with optimisation, many without"]
fn twenty_four_million_requests() {
    simulate(16_000_000, 2_000_000, 0.9, 256 << 20);
    simulate(4_000_000, 1_000_000, 0.7, 64 << 20);
    simulate(4_000_000, 1_000_000, 1.1, 64 << 20);
}

#[test]
fn a_scan_does_not_drive_out_what_is_used() {
    let mut run = Run::new(4 << 20);
    for _ in 0..20 {
        (0..400).for_each(|object| run.request(object));
    }
    // Four times the capacity, each once.
    (1_000_000..1_008_000).for_each(|object| run.request(object));
    run.hits = 0;
    run.lru_hits = 0;
    (0..400).for_each(|object| run.request(object));
    assert!(run.hits > 380, "{} of 400 are left", run.hits);
    assert_eq!(run.lru_hits, 0, "the scan was no scan");
    drop(Arc::new(run));
}
