//! `proxyd test`: whether the layers of a configuration decide as files of tests expect.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::config::{Diagnostic, Diagnostics, KeyPath, Loaded};
use crate::explain::Explainer;
use crate::policy_test::{Outcome, Report, Suite, judge};

const TEST_EXAMPLES: &str = "\
Examples:
  proxyd test policy.toml
  proxyd test --config new.toml tests/*.toml

policy.toml:
  config = \"proxyd.toml\"

  [[tests]]
  name = \"uploads are refused\"
  request = \"PUT http://share.test/file\"
  from = \"192.0.2.7\"
  expect = { verdict = \"deny\", status = 403, rule = \"no-uploads\" }

The exit status is 0 where all is as expected, 1 where something is not, 2 where a file is wrong.";

/// `proxyd test`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = TEST_EXAMPLES)]
pub struct PolicyTest {
    /// The files of tests: TOML, or JSON by their ending
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The configuration to test [default: the one that each file names]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON: an object for each test, with everything that was decided
    #[arg(long)]
    pub json: bool,
}

/// Files of tests, and the configurations that they are about.
#[derive(Debug)]
pub struct TestOrder {
    suites: Vec<(Suite, PathBuf)>,
    configs: BTreeMap<PathBuf, Loaded>,
    json: bool,
}

/// What is printed, and whether all is as expected.
#[derive(Clone, Debug)]
pub struct Tested {
    /// What to print.
    pub text: String,
    /// Whether all is as expected.
    pub holds: bool,
}

/// Why nothing was tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// A test can not be asked of its configuration.
    #[error(transparent)]
    Question(#[from] Diagnostics),
    /// This process failed.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl TestOrder {
    /// From the command line; `load` reads a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with the files and with the configurations.
    pub(super) fn new(
        options: &PolicyTest,
        load: impl Fn(&Path) -> Result<Loaded, Diagnostics>,
    ) -> Result<Self, Diagnostics> {
        let (mut suites, mut configs) = (Vec::new(), BTreeMap::new());
        let mut wrong = Vec::new();
        for path in &options.files {
            let suite = match Suite::read(path) {
                Ok(suite) => suite,
                Err(found) => {
                    wrong.extend(found.iter().cloned());
                    continue;
                }
            };
            let Some(config) = options.config.clone().or_else(|| suite.config.clone()) else {
                let message = "missing key; expected the file that is tested, such as \
                               \"proxyd.toml\"; or say `--config FILE`";
                let place = crate::config::Place::File { file: path.clone(), line: 0, column: 0 };
                wrong.push(Diagnostic::error(&KeyPath::of("config"), message).at(place));
                continue;
            };
            if !configs.contains_key(&config) {
                match load(&config) {
                    Ok(loaded) => {
                        configs.insert(config.clone(), loaded);
                    }
                    Err(found) => wrong.extend(found.iter().cloned()),
                }
            }
            suites.push((suite, config));
        }
        match wrong.is_empty() {
            true => Ok(Self { suites, configs, json: options.json }),
            false => Err(wrong.into()),
        }
    }
}

/// Asks everything, and compares.
///
/// # Errors
/// A request that names no listener of its configuration; nothing is printed then.
pub fn test(order: &TestOrder) -> Result<Tested, TestError> {
    // Limits of time want a clock, though nothing is waited for.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let explainers: BTreeMap<_, _> = {
        let _entered = runtime.enter();
        let offline = |(path, loaded): (_, &Loaded)| (path, Explainer::offline(&loaded.resolved));
        order.configs.iter().map(offline).collect()
    };
    let (mut reports, mut wrong) = (Vec::new(), Vec::new());
    for (suite, config) in &order.suites {
        let mut outcomes = Vec::new();
        for case in &suite.cases {
            match runtime.block_on(judge(&explainers[config], case)) {
                Ok(judged) => outcomes.push(Outcome { case: case.clone(), judged }),
                Err(error) => {
                    let message = format!("{}: {error}", case.name);
                    let error = Diagnostic::error(&KeyPath::root(), message);
                    wrong.push(error.at(case.place.clone()));
                }
            }
        }
        reports.push(Report { suite: suite.clone(), outcomes });
    }
    if !wrong.is_empty() {
        return Err(Diagnostics::from(wrong).into());
    }
    let text = match order.json {
        true => {
            let all: Vec<Value> = reports.iter().flat_map(Report::to_json).collect();
            format!("{:#}\n", Value::from(all))
        }
        false => reports.iter().map(Report::to_string).collect(),
    };
    Ok(Tested { text, holds: reports.iter().all(|report| report.failed() == 0) })
}
