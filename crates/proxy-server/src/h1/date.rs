//! The date of answers that have none, made once a second (RFC 9110 section 6.6.1).

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proxy_core::framing::{DATE_LENGTH, imf_fixdate};

thread_local! {
    static LAST: Cell<(u64, [u8; DATE_LENGTH])> = const { Cell::new((u64::MAX, [0; DATE_LENGTH])) };
}

/// `now` as `Date` has it.
pub(super) fn of(now: SystemTime) -> [u8; DATE_LENGTH] {
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (last, text) = LAST.get();
    if last == second {
        return text;
    }
    let text = imf_fixdate(UNIX_EPOCH + Duration::from_secs(second));
    LAST.set((second, text));
    text
}
