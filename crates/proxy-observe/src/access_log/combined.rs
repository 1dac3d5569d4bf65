//! The common and the combined format.

use std::io::Write as _;

use http::Method;

use super::AccessLogConfig;
use super::format::RefusedHead;
use crate::date::Civil;
use crate::record::Record;
use crate::{escape, shown_target};

/// The line of an exchange, without its end. An absolute target stays absolute: these formats
/// have no host of their own.
pub(super) fn exchange(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    config: &AccessLogConfig,
    combined: bool,
) {
    let request = record.request;
    let _ = write!(out, "{} - ", record.exchange.client().view(&config.privacy));
    match record.exchange.user().filter(|_| config.users) {
        // Readers split at spaces.
        Some(user) => escape::combined(out, user.replace(' ', "_").as_bytes()),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" [");
    Civil::of(record.exchange.started_wall()).common(out);
    out.extend_from_slice(b"] \"");
    escape::combined(out, request.method.as_str().as_bytes());
    out.push(b' ');
    if request.method != Method::CONNECT
        && let Some(scheme) = request.target.scheme_str()
        && let Some(host) = shown_target::host(request)
    {
        escape::combined(out, scheme.as_bytes());
        out.extend_from_slice(b"://");
        escape::combined(out, host);
    }
    shown_target::parts(request, config.path_policy, &config.redaction)
        .iter()
        .for_each(|part| escape::combined(out, part.as_bytes()));
    out.push(b' ');
    out.extend_from_slice(shown_target::protocol(request.version).as_bytes());
    out.extend_from_slice(b"\" ");
    // Readers of these formats want three digits; 499 is what others write for it.
    number(out, record.status.map_or(499, |status| u64::from(status.as_u16())));
    out.push(b' ');
    number(out, record.response_bytes());
    if combined {
        quoted(out, config.referer(request).as_deref());
        quoted(out, config.user_agent(request));
    }
}

/// The line of a head that the edge refused, without its end.
pub(super) fn refused_head(out: &mut Vec<u8>, head: &RefusedHead<'_>, combined: bool) {
    let _ = write!(out, "{} - - [", head.connection.peer.view(&head.config.privacy));
    Civil::of(head.time).common(out);
    out.extend_from_slice(b"] \"-\" ");
    number(out, u64::from(head.status.as_u16()));
    out.extend_from_slice(b" 0");
    if combined {
        out.extend_from_slice(b" \"-\" \"-\"");
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn quoted(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.extend_from_slice(b" \"");
    match value {
        Some(value) => escape::combined(out, value),
        None => out.push(b'-'),
    }
    out.push(b'"');
}
