//! Lists of names.

use metrics::{Gauge, Key, KeyName, Label, SharedString, Unit};
use proxy_filter::domains::{DomainList, ListError};

use super::{Content, Kept, METADATA, Registry, Watched};
use crate::config::resolved::{ListFile, Resolved};

/// Names in a list that comes from a file; label `list`.
const NAMES: &str = "proxy_filter_list_names";
/// Times that a list was read again; labels `list` and `outcome` (`swapped`, `kept`).
const RELOADS: &str = "proxy_filter_list_reloads_total";

struct Names {
    file: ListFile,
    count: Option<Gauge>,
}

/// The lists of a configuration that come from files.
pub(super) fn watched<'c>(
    config: &'c Resolved,
    recorder: Registry<'c>,
) -> impl Iterator<Item = Watched> + 'c {
    let intercepted = config.forward.intercept.iter().flat_map(|own| &own.files);
    config.filter.files.iter().chain(intercepted).map(move |file| {
        let names = file.list.name();
        let count = recorder.map(|recorder| {
            let what = SharedString::const_str("Names in a list that comes from a file.");
            recorder.describe_gauge(KeyName::from_const_str(NAMES), Some(Unit::Count), what);
            let key = Key::from_parts(NAMES, vec![Label::new("list", names.to_owned())]);
            recorder.register_gauge(&key, &METADATA)
        });
        let content = Names { file: file.clone(), count };
        content.counted();
        Watched::new([(file.path.clone(), file.stamp)], content).counted(
            recorder,
            RELOADS,
            ("list", names),
        )
    })
}

impl Names {
    fn counted(&self) -> usize {
        let names = self.file.list.current().len();
        if let Some(count) = &self.count {
            count.set(names as f64);
        }
        names
    }
}

impl Content for Names {
    fn renew(&mut self) -> Result<String, Kept> {
        let path = &self.file.path;
        let new = DomainList::open(path).map_err(|error| match error {
            ListError::Read(error) => Kept::Unreadable(error.to_string()),
            error => Kept::Refused(error.to_string()),
        })?;
        for mistake in &new.mistakes {
            tracing::warn!("{}:{}: skipped: {}", path.display(), mistake.line, mistake.error);
        }
        let bad = new.bad_lines;
        self.file.list.renew(new).map_err(|shrunk| Kept::Refused(shrunk.to_string()))?;
        Ok(format!("{} names, {bad} bad lines", self.counted()))
    }
}
