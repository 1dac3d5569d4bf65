//! Reads the corpora.

use std::path::Path;
use std::process::Command;

use crate::Options;
use crate::support::cases::Case;

/// The seed of the benign corpus.
const SEED: u64 = 1;

/// All corpora, by the names of their files.
pub(crate) fn read(options: &Options) -> Result<Vec<(String, Vec<Case>)>, String> {
    let mut corpora = Vec::new();
    if options.only.as_deref().is_none_or(|only| only == "benign") {
        corpora.push((
            "benign".to_owned(),
            crate::support::benign::cases(options.seed.unwrap_or(SEED)),
        ));
    }
    if let Some(directory) = &options.corpora {
        let waf = directory.join("waf");
        let directory = if waf.is_dir() { &waf } else { directory };
        let entries = std::fs::read_dir(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut files: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((name, _)) = name.split_once(".jsonl") else { continue };
            if options.only.as_deref().is_none_or(|only| only == name) {
                corpora.push((name.to_owned(), parse(&text(&file)?)));
            }
        }
    }
    Ok(corpora)
}

fn text(file: &Path) -> Result<String, String> {
    let error = |error: std::io::Error| format!("{}: {error}", file.display());
    if file.extension().is_some_and(|e| e == "xz") {
        let output = Command::new("xz").arg("-dc").arg(file).output().map_err(error)?;
        return String::from_utf8(output.stdout).map_err(|e| format!("{}: {e}", file.display()));
    }
    std::fs::read_to_string(file).map_err(error)
}

fn parse(text: &str) -> Vec<Case> {
    text.lines().filter(|line| !line.is_empty()).map(Case::read).collect()
}
