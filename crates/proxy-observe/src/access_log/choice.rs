//! Which exchanges have a line.

use std::sync::Arc;

use proxy_core::Exchange;

use super::{AccessLogConfig, LogEntry};
use crate::record::Record;

/// The routes whose exchanges a log has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogRoutes {
    /// All, and what has no route.
    #[default]
    All,
    /// All but these.
    Except(Arc<[Arc<str>]>),
    /// These alone. Heads that the edge refused have no route, and are not in such a log.
    Only(Arc<[Arc<str>]>),
}

impl LogRoutes {
    fn has(&self, exchange: &Exchange) -> bool {
        let among = |names: &[Arc<str>]| exchange.route().is_some_and(|own| names.contains(own));
        match self {
            Self::All => true,
            Self::Except(names) => !among(names),
            Self::Only(names) => among(names),
        }
    }

    /// Whether what has no route is there.
    pub(super) const fn has_refused_heads(&self) -> bool {
        !matches!(self, Self::Only(_))
    }
}

/// What to write of an exchange, if anything is.
pub(super) fn entry<'a>(
    record: &'a Record<'a>,
    config: &'a AccessLogConfig,
) -> Option<LogEntry<'a>> {
    if !config.routes.has(record.exchange) {
        return None;
    }
    let termination = record.termination();
    let slow = config.slow_threshold.is_some_and(|least| record.duration >= least);
    // What went wrong or took long is always there.
    let everyday = !slow
        && termination.is_complete()
        && record.status.is_some_and(|status| status.as_u16() < 500);
    let sample = (config.sample < 1.0 && everyday).then_some(config.sample);
    if sample.is_some_and(|share| !is_chosen(record.exchange, share)) {
        return None;
    }
    Some(LogEntry { record, config, termination, slow, sample })
}

/// By its id, so that every log, and a second process that is told the same, choose the same.
fn is_chosen(exchange: &Exchange, share: f64) -> bool {
    let (_, number) = exchange.trace_ids();
    // The middle of the product is well mixed even where ids are counted up.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
    (mixed as f64) < share * (1_u64 << 53) as f64
}
