//! What may be wrong with a request, and how a body tells it to the future.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use http::StatusCode;
use proxy_core::{BoxError, ErrorKind, ProxyError, Refusal};

macro_rules! faults {
    ($($name:ident = $status:literal $reason:literal,)*) => {
        /// What is wrong with a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($name,)*
        }

        impl Fault {
            /// All there are, in the order of their numbers.
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            const fn parts(self) -> (u16, &'static str) {
                match self {
                    $(Self::$name => ($status, $reason),)*
                }
            }
        }
    };
}

faults! {
    MethodNotAllowed = 405 "method_not_allowed",
    TargetTooLong = 414 "target_too_long",
    TargetNotUtf8 = 400 "target_not_utf8",
    TooManyParameters = 400 "too_many_parameters",
    ParameterTooLong = 400 "parameter_too_long",
    ParameterRequired = 400 "parameter_required",
    TooManyFields = 431 "too_many_fields",
    FieldTooLong = 431 "field_too_long",
    FieldsTooLarge = 431 "fields_too_large",
    FieldRequired = 400 "field_required",
    ContentTypeNotAllowed = 415 "content_type_not_allowed",
    CharsetNotAllowed = 415 "charset_not_allowed",
    ContentCodingNotAllowed = 415 "content_coding_not_allowed",
    ContentTooLarge = 413 "content_too_large",
    ContentIncomplete = 400 "content_incomplete",
    ContentNotUtf8 = 400 "content_not_utf8",
    JsonMalformed = 400 "json_malformed",
    JsonTooDeep = 422 "json_too_deep",
    JsonTooManyMembers = 422 "json_too_many_members",
    JsonMemberRepeated = 422 "json_member_repeated",
    JsonStringTooLong = 422 "json_string_too_long",
    SchemaMismatch = 422 "schema_mismatch",
}

impl Fault {
    /// The token in answers, logs and metrics.
    pub(super) const fn reason(self) -> &'static str {
        self.parts().1
    }

    /// The id of its rule.
    pub(super) fn rule(self) -> Arc<str> {
        format!("input.{}", self.reason()).into()
    }

    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.parts().0).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// The refusal. `close`: content was left unread.
    pub(super) fn refusal(self, close: bool) -> Refusal {
        let refusal = Refusal::new(self.status(), self.reason()).rule(self.rule());
        if close { refusal.close() } else { refusal }
    }

    /// The error that breaks content off.
    pub(super) fn error(self) -> BoxError {
        let error = ProxyError::new(ErrorKind::HttpRequestError).with_status(self.status());
        error.detail(self.reason()).into()
    }
}

/// The place where a body leaves the answer to its fault. A clone is the same place.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer(Arc<Mutex<Left>>);

#[derive(Debug, Default)]
struct Left {
    refusal: Option<Box<Refusal>>,
    waker: Option<Waker>,
}

impl Answer {
    /// Leaves it, and wakes the future: the body may be read by another task.
    pub(super) fn leave(&self, refusal: Box<Refusal>) {
        let waker = {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            left.refusal = Some(refusal);
            left.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The answer; where there is none yet, `waker` is woken by one.
    pub(super) fn take(&self, waker: &Waker) -> Option<Box<Refusal>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.refusal.is_none() {
            match &mut left.waker {
                Some(own) => own.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
        left.refusal.take()
    }
}
