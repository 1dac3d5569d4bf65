//! What the built-in rules catch, what they wrongly refuse, and what they cost.
//!
//! ```sh
//! cargo run -p proxy-filter --example detection_report --release -- --corpora DIR
//! ```
//!
//! `DIR` (or `PROXYD_CORPORA`) has JSON Lines files, plain or compressed by xz. Options:
//! `--missed CLASS` and `--refused CLASS` print the cases of the tuning part that were judged
//! wrongly (`--full` with all of the request), `--only FILE` reads one file, `--apache` compares with Apache,
//! ModSecurity and the Core Rule Set (installed by apt-get where missing; `--sample N` takes one
//! case of N, for each takes a millisecond), `--seed N` makes another benign corpus,
//! `--explain TEXT` says what is found
//! in a text as a parameter, `--rules-from DIR` takes the rules of its `*.toml` instead of those
//! that are built in, `--rules` counts what each rule found, `--cost` measures
//! the cost alone (of one kind of content with `--only NAME`, the best of `--rounds N`), `--verdicts` prints every verdict word by word, to compare two builds by.

mod apache;
mod corpora;
mod cost;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod verdicts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proxy_filter::inspect::{Engine, InspectConfig, RuleSet};

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) corpora: Option<PathBuf>,
    pub(crate) only: Option<String>,
    pub(crate) missed: Option<String>,
    pub(crate) refused: Option<String>,
    pub(crate) rules: bool,
    pub(crate) cost: bool,
    pub(crate) verdicts: bool,
    pub(crate) full: bool,
    pub(crate) apache: bool,
    pub(crate) sample: usize,
    pub(crate) rounds: Option<u32>,
    pub(crate) seed: Option<u64>,
    pub(crate) explain: Option<String>,
    pub(crate) rules_from: Option<PathBuf>,
}

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Self {
            corpora: std::env::var_os("PROXYD_CORPORA").map(PathBuf::from),
            ..Self::default()
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--corpora" => options.corpora = Some(value()?.into()),
                "--only" => options.only = Some(value()?),
                "--missed" => options.missed = Some(value()?),
                "--refused" => options.refused = Some(value()?),
                "--rules" => options.rules = true,
                "--rules-from" => options.rules_from = Some(value()?.into()),
                "--apache" => options.apache = true,
                "--sample" => {
                    options.sample = value()?.parse().map_err(|_| "--sample needs a number")?;
                }
                "--rounds" => {
                    options.rounds = Some(value()?.parse().map_err(|_| "--rounds needs a number")?);
                }
                "--seed" => {
                    options.seed = Some(value()?.parse().map_err(|_| "--seed needs a number")?);
                }
                "--explain" => options.explain = Some(value()?),
                "--full" => options.full = true,
                "--cost" => options.cost = true,
                "--verdicts" => options.verdicts = true,
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("detection_report: {error}\n").as_bytes(),
            );
            ExitCode::FAILURE
        }
    }
}

/// The rules about requests of a directory: all files but the one about responses.
fn rules_from(directory: &Path) -> Result<RuleSet, String> {
    let mut rules = RuleSet::default();
    let entries = std::fs::read_dir(directory).map_err(|e| e.to_string())?;
    for file in entries.filter_map(|e| e.ok().map(|e| e.path())) {
        if file.extension().is_some_and(|e| e == "toml") && !file.ends_with("response.toml") {
            let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
            rules.add(&file.display().to_string(), &text).map_err(|e| e.to_string())?;
        }
    }
    Ok(rules)
}

fn run() -> Result<(), String> {
    let options = Options::read()?;
    let rules = match &options.rules_from {
        Some(directory) => rules_from(directory)?,
        None => RuleSet::built_in().map_err(|e| e.to_string())?,
    };
    let engine = Engine::with_rules(InspectConfig::default(), rules).map_err(|e| e.to_string())?;
    let mut out = String::new();
    if let Some(text) = &options.explain {
        table::explain(&mut out, text, &engine);
        return std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes())
            .map_err(|e| e.to_string());
    }
    if options.verdicts {
        for (_, cases) in corpora::read(&options)? {
            verdicts::write(&mut out, &cases, &engine);
        }
        verdicts::write_contents(&mut out, &engine);
        return std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes())
            .map_err(|e| e.to_string());
    }
    if !options.cost {
        let apache = if options.apache { Some(apache::Apache::start()?) } else { None };
        for (name, cases) in corpora::read(&options)? {
            table::corpus(&mut out, &name, &cases, &engine, &options);
            if let Some(apache) = &apache {
                table::compare(&mut out, &cases, &engine, apache, options.sample.max(1));
            }
        }
    }
    cost::report(&mut out, &engine, &options);
    std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes()).map_err(|e| e.to_string())
}
