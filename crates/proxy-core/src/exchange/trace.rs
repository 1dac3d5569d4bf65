//! W3C Trace Context: the ids by which a request is found in the traces of all that it passed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::clock::Clock;

/// What `traceparent` says (W3C Trace Context level 1, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace. Never 0.
    pub trace_id: u128,
    /// The span of whoever sent it. Never 0.
    pub span_id: u64,
    /// Whether the sender records it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`; none where it is not sound. Of a version after 00 what is known is
    /// read.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let sound = value.len() >= 55
            && (value.len() == 55 || (&value[..2] != b"00" && value[55] == b'-'))
            && &value[..2] != b"ff"
            && [2, 35, 52].iter().all(|at| value[*at] == b'-');
        if !sound {
            return None;
        }
        hex(&value[..2])?;
        let trace_id = hex(&value[3..35]).filter(|id| *id != 0)?;
        let span_id = u64::try_from(hex(&value[36..52])?).ok().filter(|id| *id != 0)?;
        let sampled = hex(&value[53..55])? & 1 == 1;
        Some(Self { trace_id, span_id, sampled })
    }

    /// The `traceparent` of version 00.
    pub fn to_text(self) -> String {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        crate::hex::write(self.trace_id, &mut text[3..35]);
        crate::hex::write(self.span_id.into(), &mut text[36..52]);
        text[54] += u8::from(self.sampled);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Digits in lower case, as the recommendation asks.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// More moments than any trace needs.
const MOST_MARKS: usize = 64;

/// The trace of an exchange: its own span, the one it came from, and, where it is recorded, when
/// things happened.
#[derive(Debug)]
pub struct Trace {
    /// The trace, and our own span in it.
    pub context: TraceContext,
    /// The span of whoever sent the request.
    pub parent: Option<u64>,
    timing: Option<Box<Timing>>,
}

struct Timing {
    clock: Arc<dyn Clock>,
    marks: Mutex<Marks>,
}

/// When decisions were made, attempts begun, and layers at work: the first 64 of each, in order.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Of each decision.
    pub decisions: Vec<Instant>,
    /// Of each attempt.
    pub attempts: Vec<AttemptMark>,
    /// Of each layer that says so.
    pub layers: Vec<LayerMark>,
}

/// When an attempt began.
#[derive(Clone, Copy, Debug)]
pub struct AttemptMark {
    /// The moment.
    pub begun: Instant,
    /// The innermost layer at work then, as an index into [`Marks::layers`].
    pub within: Option<usize>,
}

/// When a layer was at work.
#[derive(Clone, Copy, Debug)]
pub struct LayerMark {
    /// The layer's name, as in decisions.
    pub layer: &'static str,
    /// The innermost layer at work before, as an index into [`Marks::layers`].
    pub within: Option<usize>,
    /// When it was called.
    pub begun: Instant,
    /// When it had a response, or was dropped; none where it is still at work.
    pub ended: Option<Instant>,
}

impl Marks {
    fn innermost(&self) -> Option<usize> {
        self.layers.iter().rposition(|layer| layer.ended.is_none())
    }
}

/// A layer at work, in the trace of an exchange. Its drop is the end of it.
#[derive(Debug)]
pub struct LayerAtWork {
    exchange: super::Exchange,
    at: usize,
}

impl LayerAtWork {
    /// None where nothing is recorded.
    pub(super) fn begin(exchange: &super::Exchange, layer: &'static str) -> Option<Self> {
        let trace = exchange.trace()?;
        let at = trace.with_marks(|now, marks| {
            if marks.layers.len() >= MOST_MARKS {
                return None;
            }
            let within = marks.innermost();
            marks.layers.push(LayerMark { layer, within, begun: now, ended: None });
            Some(marks.layers.len() - 1)
        })??;
        Some(Self { exchange: exchange.clone(), at })
    }
}

impl Drop for LayerAtWork {
    fn drop(&mut self) {
        if let Some(trace) = self.exchange.trace() {
            trace.with_marks(|now, marks| marks.layers[self.at].ended = Some(now));
        }
    }
}

impl Trace {
    /// A trace of which nothing is recorded here.
    pub const fn passing(context: TraceContext, parent: Option<u64>) -> Self {
        Self { context, parent, timing: None }
    }

    /// One that is recorded, with the times of this clock.
    pub fn recorded(context: TraceContext, parent: Option<u64>, clock: Arc<dyn Clock>) -> Self {
        let timing = Timing { clock, marks: Mutex::default() };
        Self { context, parent, timing: Some(Box::new(timing)) }
    }

    /// The moments so far; none where nothing is recorded.
    pub fn marks(&self) -> Option<Marks> {
        let timing = self.timing.as_ref()?;
        Some(timing.marks.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(super) fn mark_decision(&self) {
        self.with_marks(|now, marks| {
            if marks.decisions.len() < MOST_MARKS {
                marks.decisions.push(now);
            }
        });
    }

    pub(super) fn mark_attempt(&self) {
        self.with_marks(|begun, marks| {
            let within = marks.innermost();
            if marks.attempts.len() < MOST_MARKS {
                marks.attempts.push(AttemptMark { begun, within });
            }
        });
    }

    /// Nothing where nothing is recorded.
    fn with_marks<T>(&self, change: impl FnOnce(Instant, &mut Marks) -> T) -> Option<T> {
        let timing = self.timing.as_ref()?;
        let now = timing.clock.now();
        let mut marks = timing.marks.lock().unwrap_or_else(PoisonError::into_inner);
        Some(change(now, &mut marks))
    }
}

impl std::fmt::Debug for Timing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(text.as_bytes()).expect("sound");
        assert_eq!(context.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((context.span_id, context.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(context.to_text(), text);
        let later = format!("cc{}-what comes", &text[2..]);
        assert_eq!(TraceContext::parse(later.as_bytes()), Some(context));
    }

    #[test]
    fn what_is_not_sound_is_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        for bad in [
            "",
            &good[..54],
            &format!("{good}-x"),
            &format!("ff{}", &good[2..]),
            &good.to_uppercase(),
            &good.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
