//! The files of listeners' TLS: certificates, keys, staples, and by which clients are verified.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use metrics::{Gauge, Key, KeyName, Label, SharedString, Unit};
use proxy_server::tls::{Certificate, TlsEdge};

use super::{Content, Kept, METADATA, Registry, Watched};
use crate::config::resolved::Resolved;
use crate::tls::TlsFiles;

/// When the first of a listener's certificates ends; label `listener`.
const EXPIRY: &str = "proxy_server_certificate_expiry_timestamp_seconds";
/// Times that the files of a listener's TLS were read again; labels `listener` and `outcome`.
const RELOADS: &str = "proxy_server_certificate_reloads_total";

/// What was read for a listener.
struct Certificates {
    files: TlsFiles,
    edge: Arc<TlsEdge>,
    expiry: Option<Gauge>,
}

pub(super) fn watched<'c>(
    config: &'c Resolved,
    recorder: Registry<'c>,
) -> impl Iterator<Item = Watched> + 'c {
    config.listeners.iter().filter_map(move |listener| {
        let tls = listener.tls.as_ref()?;
        let content = Certificates {
            files: tls.files.clone(),
            edge: Arc::clone(&tls.edge),
            expiry: recorder.map(|recorder| {
                let what = "When the first of a listener's certificates ends, in Unix time.";
                let (name, what) = (KeyName::from_const_str(EXPIRY), SharedString::const_str(what));
                recorder.describe_gauge(name, Some(Unit::Seconds), what);
                let labels = vec![Label::new("listener", listener.name.clone())];
                recorder.register_gauge(&Key::from_parts(EXPIRY, labels), &METADATA)
            }),
        };
        content.show();
        let files = tls.files.paths().map(Path::to_owned).zip(tls.read.iter().copied());
        let watched = Watched::new(files.collect::<Vec<_>>(), content);
        Some(watched.counted(recorder, RELOADS, ("listener", &listener.name)))
    })
}

impl Certificates {
    fn show(&self) {
        let store = self.edge.certificates();
        let first = store.certificates().iter().map(Certificate::not_after).min();
        let first = first.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if let (Some(expiry), Some(first)) = (&self.expiry, first) {
            expiry.set(first.as_secs() as f64);
        }
    }
}

impl Content for Certificates {
    fn renew(&mut self) -> Result<String, Kept> {
        let material = self.files.load().map_err(|faults| {
            let unreadable = faults.iter().any(|fault| fault.unreadable);
            let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
            let faults = faults.join("; ");
            if unreadable { Kept::Unreadable(faults) } else { Kept::Refused(faults) }
        })?;
        self.edge.renew(material).map_err(|error| Kept::Refused(error.to_string()))?;
        self.show();
        let store = self.edge.certificates();
        let names = store.certificates().iter().map(|own| own.names().to_string());
        Ok(format!("certificates for {}", names.collect::<Vec<_>>().join("; ")))
    }
}
