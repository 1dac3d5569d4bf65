//! The answers to requests whose program failed before its first byte.

use std::time::Duration;

use http::StatusCode;
use proxy_core::{ErrorKind, Refusal};

use crate::metrics::Why;
use crate::process::ExecError;

/// The answer to a request whose program failed before its first byte.
pub(super) fn failed(why: Why, error: Option<ExecError>) -> Refusal {
    let (status, reason, kind) = match (why, error) {
        (Why::NotStarted, Some(ExecError::Exhausted)) => {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "processes_exhausted");
            return refusal.retry_after(Duration::from_secs(1));
        }
        (Why::NotStarted, Some(ExecError::TooLarge)) => {
            return Refusal::new(StatusCode::BAD_REQUEST, "arguments_too_large");
        }
        (Why::NotStarted, error) => {
            let reason = match error {
                Some(ExecError::NotFound) => "program_not_found",
                Some(ExecError::NotExecutable) => "program_not_executable",
                Some(ExecError::Directory) => "program_directory",
                Some(ExecError::Confinement) => "program_confinement",
                _ => "program_not_started",
            };
            let kind = ErrorKind::ProxyConfigurationError;
            (StatusCode::INTERNAL_SERVER_ERROR, reason, kind)
        }
        (Why::StartTimeout | Why::FirstByteTimeout | Why::IdleTimeout | Why::TotalTimeout, _) => {
            (StatusCode::GATEWAY_TIMEOUT, why.reason(), ErrorKind::HttpResponseTimeout)
        }
        (Why::InputBroke, _) => {
            return Refusal::new(StatusCode::BAD_REQUEST, "content_incomplete").close();
        }
        _ => (StatusCode::BAD_GATEWAY, why.reason(), ErrorKind::HttpResponseIncomplete),
    };
    let mut refusal = Refusal::new(status, reason);
    refusal.error = kind;
    refusal
}

impl Why {
    /// The reason in a problem document.
    const fn reason(self) -> &'static str {
        match self {
            Self::Failed => "program_failed",
            Self::Signal => "program_ended_by_signal",
            Self::StartTimeout | Self::FirstByteTimeout | Self::IdleTimeout => "program_silent",
            Self::TotalTimeout => "program_too_slow",
            Self::OutputLimit => "program_output_too_large",
            Self::OutOfMemory => "program_out_of_memory",
            Self::FetchBroke => "url_content_incomplete",
            Self::BadHead => "program_output_without_fields",
            other => other.token(),
        }
    }
}
