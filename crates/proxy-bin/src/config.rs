//! The configuration: read, merged, checked, resolved, shown.
//!
//! A file is TOML, or JSON by its ending. It may include others; environment
//! variables of the form `PROXYD__LISTENERS__WEB__ADDRESS` and the command
//! line override it. Everything that is wrong is reported at once, each with
//! its place and the likely fix:
//!
//! - [`source`]: the files, [`span`] with the place of every value
//! - [`merge`]: files, environment and command line over each other, and
//!   [`origin`]: where each value came from
//! - [`raw`]: the keys; [`schema`]: the JSON Schema made from them
//! - `validate`: what is wrong by the schema
//! - `resolve`: addresses, networks, patterns and files read, and what the
//!   schema cannot say, into [`resolved`]
//! - [`show`]: the effective configuration; [`keys`]: a page about every key

pub mod defaults;
pub mod definitions;
pub mod diagnostic;
mod glob;
mod json_span;
pub mod keys;
pub mod merge;
pub mod origin;
pub mod path;
pub mod raw;
mod resolve;
pub mod resolved;
pub mod schema;
pub mod show;
pub mod source;
pub mod span;
pub mod suggest;
pub mod units;
pub(crate) mod validate;

#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub use definitions::Definitions;
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use merge::{Argument, Change, Overrides};
pub use origin::Origins;
pub use path::KeyPath;
pub use resolved::Resolved;

use crate::extensions::Extensions;
use merge::Merged;
pub(crate) use resolve::endpoints_of;
pub(crate) use source::plain;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the proxy works with.
    pub resolved: Resolved,
    /// What is probably not meant.
    pub warnings: Diagnostics,
    /// The files that were read, the main one first; none where the command
    /// line says everything.
    pub sources: Vec<PathBuf>,
    /// Every key with its value, defaults filled in.
    pub raw: raw::Config,
    /// What is written: files, environment and command line, without defaults.
    pub written: Value,
    /// Where each value was written.
    pub origins: Origins,
}

/// Reads the file and what it includes, with what overrides it.
///
/// # Errors
///
/// Everything that is wrong.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Diagnostics> {
    let files = source::read(path)?;
    finish(merge::merge(None, files, overrides)?, &overrides.extensions)
}

/// Takes the place of a file by a value: what a one-line mode, whose name is
/// given, stands for.
///
/// # Errors
///
/// Everything that is wrong.
pub fn from_raw(
    mode: &'static str,
    value: &Value,
    overrides: &Overrides,
) -> Result<Loaded, Diagnostics> {
    finish(merge::merge(Some((mode, value)), Vec::new(), overrides)?, &overrides.extensions)
}

fn finish(merged: Merged, extensions: &Extensions) -> Result<Loaded, Diagnostics> {
    let Merged { value: written, origins } = merged;
    let mut found = Vec::new();
    if written.get("include").is_some() {
        // Files were asked for theirs when they were read.
        let message = "only a file can include others";
        found.push(Diagnostic::error(&KeyPath::of("include"), message));
    }
    found.extend(extensions.judge(&written));
    let judged = found.iter().map(|diagnostic| diagnostic.path.clone());
    // What stands there is judged by the schemas of those whom it is for.
    let judged: Vec<KeyPath> = judged.chain([KeyPath::of("extensions")]).collect();
    found.extend(validate::validate(&written, &judged));

    // What is wrong is taken out, so that the rest is checked in the same run.
    let wrong: Vec<KeyPath> = found.iter().map(|diagnostic| diagnostic.path.clone()).collect();
    let mut sound = written.clone();
    wrong.iter().for_each(|path| path.prune(&mut sound));
    schema::fill_required(schema::schema(), &mut sound);
    let mut raw = match serde_json::from_value::<raw::Config>(sound) {
        Ok(raw) => raw,
        Err(error) => {
            found.push(Diagnostic::error(&KeyPath::root(), error.to_string()));
            return Err(origins.locate(found).into());
        }
    };
    defaults::fill(&mut raw);
    let (mut resolved, mut more) = resolve::resolve(&raw, &written, &origins);
    let (installed, wrong_there) = extensions.install(&raw.extensions);
    resolved.extensions = installed;
    more.extend(wrong_there);

    // What may only follow from what was taken out is not reported.
    let follows =
        |diagnostic: &Diagnostic| wrong.iter().any(|path| path.is_within(&diagnostic.path));
    found.extend(more.into_iter().filter(|diagnostic| !follows(diagnostic)));
    let found = origins.locate(found);
    let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
    if found.iter().any(is_error) {
        // Warnings may follow from the errors: they wait until these are gone.
        return Err(found.into_iter().filter(is_error).collect::<Vec<_>>().into());
    }
    let sources = origins.files().map(|file| file.path.clone()).collect();
    Ok(Loaded { resolved, warnings: found.into(), sources, raw, written, origins })
}
