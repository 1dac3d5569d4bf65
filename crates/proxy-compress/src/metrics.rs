//! What coding counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use crate::codings::Coding;
use crate::eligibility::Skip;

/// Responses that were coded; labels `route` and `coding`.
pub const RESPONSES: &str = "proxy_compress_responses_total";
/// Content that was coded, before and after; labels `route`, `coding` and `side` (`in`, `out`).
/// Their quotient is the ratio.
pub const BYTES: &str = "proxy_compress_content_bytes_total";
/// Time that coding took; labels `route` and `coding`.
pub const MICROS: &str = "proxy_compress_coding_microseconds_total";
/// Responses to clients that take a coding, which got none; labels `route` and `reason`.
pub const SKIPPED: &str = "proxy_compress_skipped_total";

/// Encoders in use.
pub const ENCODERS: &str = "proxy_compress_encoders";
/// The [`LoadStep`](crate::LoadStep) at which coding stands.
pub const LOAD_STEP: &str = "proxy_compress_load_step";

pub(crate) fn gauge(recorder: &dyn Recorder, name: &'static str, what: &'static str) -> Gauge {
    recorder.describe_gauge(
        KeyName::from_const_str(name),
        Some(Unit::Count),
        SharedString::const_str(what),
    );
    let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    recorder.register_gauge(&Key::from_static_name(name), &metadata)
}

/// The codings as they are counted: by [`Coding::index`], and behind them those with dictionaries.
const LABELS: [&str; 5] = ["zstd", "br", "gzip", "dcz", "dcb"];
const WITH_DICTIONARY: usize = 3;

/// Counters of one layer.
#[derive(Debug, Default)]
pub struct CompressMetrics {
    codings: [OfCoding; LABELS.len()],
    skipped: [AtomicU64; Skip::ALL.len()],
    exported_skips: Option<Box<[Counter; Skip::ALL.len()]>>,
}

#[derive(Debug, Default)]
struct OfCoding {
    counts: [AtomicU64; 4],
    exported: Option<Box<[Counter; 4]>>,
}

const RESPONSE: usize = 0;
const IN: usize = 1;
const OUT: usize = 2;
const MICROSECONDS: usize = 3;

/// What was counted of one coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodingCounts {
    /// Responses.
    pub responses: u64,
    /// Bytes before.
    pub bytes_in: u64,
    /// Bytes after.
    pub bytes_out: u64,
    /// The time it took.
    pub time: Duration,
}

impl CompressMetrics {
    /// Counters that are exported by a recorder too, with the route's name.
    pub fn new(recorder: &dyn Recorder, route: &str) -> Self {
        for (name, unit, what) in [
            (RESPONSES, Unit::Count, "Responses that were coded here, by coding."),
            (BYTES, Unit::Bytes, "Content that was coded here, before (in) and after (out)."),
            (MICROS, Unit::Microseconds, "Time that coding took, from begin to end of each slice."),
            (
                SKIPPED,
                Unit::Count,
                "Responses that were not coded although the client takes a coding.",
            ),
        ] {
            let (name, what) = (KeyName::from_const_str(name), SharedString::const_str(what));
            recorder.describe_counter(name, Some(unit), what);
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let counter = |name: &'static str, more: Vec<Label>| {
            let mut labels = vec![Label::new("route", route.to_owned())];
            labels.extend(more);
            recorder.register_counter(&Key::from_parts(name, labels), &metadata)
        };
        let codings = std::array::from_fn(|n| {
            let coding = || Label::from_static_parts("coding", LABELS[n]);
            let side = |side| vec![coding(), Label::from_static_parts("side", side)];
            let exported = [
                counter(RESPONSES, vec![coding()]),
                counter(BYTES, side("in")),
                counter(BYTES, side("out")),
                counter(MICROS, vec![coding()]),
            ];
            OfCoding { counts: Default::default(), exported: Some(Box::new(exported)) }
        });
        let skips = std::array::from_fn(|n| {
            let reason = Label::from_static_parts("reason", Skip::ALL[n].token());
            counter(SKIPPED, vec![reason])
        });
        Self { codings, skipped: Default::default(), exported_skips: Some(Box::new(skips)) }
    }

    /// What was coded with this coding so far, without a dictionary. Responses count when they end.
    pub fn of(&self, coding: Coding) -> CodingCounts {
        self.counts(coding.index())
    }

    /// What was coded with this coding and a shared dictionary so far.
    #[cfg(feature = "dictionaries")]
    pub fn with_dictionaries(&self, coding: Coding) -> CodingCounts {
        match coding {
            Coding::Gzip => CodingCounts::default(),
            Coding::Zstd | Coding::Brotli => self.counts(coding.index() + WITH_DICTIONARY),
        }
    }

    fn counts(&self, index: usize) -> CodingCounts {
        let [responses, bytes_in, bytes_out, microseconds] =
            std::array::from_fn(|n| self.codings[index].counts[n].load(Ordering::Relaxed));
        let time = Duration::from_micros(microseconds);
        CodingCounts { responses, bytes_in, bytes_out, time }
    }

    /// How many responses were not coded for this reason.
    pub fn skipped(&self, reason: Skip) -> u64 {
        self.skipped[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn skip(&self, reason: Skip) {
        self.skipped[reason as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(exported) = &self.exported_skips {
            exported[reason as usize].increment(1);
        }
    }

    pub(crate) fn coded(
        &self,
        coding: Coding,
        with_dictionary: bool,
        bytes_in: u64,
        bytes_out: u64,
        took: Duration,
    ) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let of = &self.codings[coding.index() + if with_dictionary { WITH_DICTIONARY } else { 0 }];
        let amounts =
            [(RESPONSE, 1), (IN, bytes_in), (OUT, bytes_out), (MICROSECONDS, microseconds)];
        for (n, amount) in amounts {
            of.counts[n].fetch_add(amount, Ordering::Relaxed);
            if let Some(exported) = &of.exported {
                exported[n].increment(amount);
            }
        }
    }
}
