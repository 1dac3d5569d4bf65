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

/// When decisions were made, and attempts begun: the first 64 of each, in order.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Of each decision.
    pub decisions: Vec<Instant>,
    /// Of each attempt.
    pub attempts: Vec<Instant>,
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

    pub(crate) fn mark(&self, which: impl FnOnce(&mut Marks) -> &mut Vec<Instant>) {
        let Some(timing) = &self.timing else { return };
        let now = timing.clock.now();
        let mut marks = timing.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = which(&mut marks);
        if marks.len() < MOST_MARKS {
            marks.push(now);
        }
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
