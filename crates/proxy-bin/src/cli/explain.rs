//! `proxyd explain`: what the layers would decide about a request, by a file or in a running
//! process.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::ask::{AdminError, AdminListener};
use crate::config::{Diagnostic, Diagnostics, KeyPath, Loaded, Place, Resolved};
use crate::explain::{Explainer, Explanation, Question, QuestionError};

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  proxyd explain --config proxyd.toml GET http://www.example.com/a?b=c
  proxyd explain --config proxyd.toml GET http://a.test/ --from 192.0.2.7 -H 'Cookie: a=b'
  proxyd explain --config forward.toml CONNECT 10.0.0.1:443
  proxyd explain --admin 127.0.0.1:9901 GET http://www.example.com/logo.svg --json";

/// `proxyd explain`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// Address of the admin listener of a running process, which is asked instead of a file
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// The file whose layers are asked; with `--admin` only its token is used
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The method
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The URL as a client has it; HOST:PORT for CONNECT
    #[arg(value_name = "URL")]
    pub url: String,
    /// The listener [default: the only one, or the first that fits]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Who connects [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub peer: Option<IpAddr>,
    /// The client in whose name the peer, or the first trusted proxy, asks
    #[arg(long, value_name = "IP")]
    pub from: Option<IpAddr>,
    /// A field of the request; repeatable
    #[arg(long, short = 'H', value_name = "Name: value")]
    pub field: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// File with the token of the admin listener [default: the one that it made at start]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// What is asked, of whom.
#[derive(Debug)]
pub struct ExplainOrder {
    question: Question,
    whom: Whom,
    json: bool,
}

#[derive(Debug)]
enum Whom {
    /// The layers that this configuration makes.
    File(Box<Resolved>),
    /// A running process.
    Process(AdminListener),
}

impl ExplainOrder {
    /// From the command line; `load` reads the file that it names.
    ///
    /// # Errors
    /// A file that can not be used, an admin address that is none, or neither.
    pub(super) fn new(
        options: &Explain,
        before: Option<&str>,
        load: impl FnOnce(&std::path::Path) -> Result<Loaded, Diagnostics>,
    ) -> Result<Self, Diagnostics> {
        let admin = options.admin.as_deref().or(before);
        let resolved = options.config.as_deref().map(load).transpose()?.map(|l| l.resolved);
        let whom = match (admin, resolved) {
            (None, Some(resolved)) => Whom::File(Box::new(resolved)),
            (Some(_), resolved) => {
                let token = resolved.and_then(|resolved| resolved.admin?.token);
                let file = options.token_file.clone();
                Whom::Process(AdminListener::new("--admin", admin, file, token)?)
            }
            (None, None) => {
                let message =
                    "expected `--config FILE`, or `--admin ADDR` to ask a running process";
                let place = Place::CommandLine("explain".to_owned());
                return Err(vec![Diagnostic::error(&KeyPath::root(), message).at(place)].into());
            }
        };
        let question = Question {
            method: options.method.clone(),
            url: options.url.clone(),
            listener: options.listener.clone(),
            peer: options.peer,
            from: options.from,
            fields: options.field.clone(),
        };
        Ok(Self { question, whom, json: options.json })
    }
}

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The question is none.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The running process did not answer it.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// What it answered is no explanation.
    #[error("the admin listener does not answer as this version does: {0}")]
    Answer(#[from] serde_json::Error),
    /// This process failed.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl ExplainError {
    /// Whether what is asked is wrong, and not the process that was asked.
    pub fn was_told_wrong(&self) -> bool {
        match self {
            Self::Question(_) => true,
            Self::Admin(error) => error.was_told_wrong(),
            Self::Answer(_) | Self::System(_) => false,
        }
    }
}

/// Asks, and gives what to print.
///
/// # Errors
/// What kept it from being explained.
pub fn explain(order: &ExplainOrder) -> Result<String, ExplainError> {
    let explanation: Explanation = match &order.whom {
        Whom::File(config) => {
            // Limits of time want a clock, though nothing is waited for.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(Explainer::offline(config).explain(&order.question))?
        }
        Whom::Process(admin) => {
            let question = serde_json::to_value(&order.question)?;
            serde_json::from_value(admin.post("/explain", &question)?)?
        }
    };
    Ok(match order.json {
        true => serde_json::to_string_pretty(&explanation)? + "\n",
        false => explanation.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::ask::TokenSource;
    use crate::cli::{Action, Cli, prepare_with};
    use crate::config::resolved::Address;
    use crate::config::tests::Folder;

    fn order(words: &[&str]) -> ExplainOrder {
        let words = ["proxyd", "explain"].iter().chain(words);
        match prepare_with(Cli::try_parse_from(words).unwrap(), &[]).unwrap() {
            Action::Explain(order) => *order,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_line_is_a_question() {
        let asked = order(&[
            "GET",
            "/a",
            "--admin",
            "127.0.0.1:1",
            "--token-file",
            "t",
            "--listener",
            "web",
            "--peer",
            "::1",
            "--from",
            "192.0.2.1",
            "-H",
            "A: b: c",
            "-H",
            "D: e",
            "--json",
        ]);
        let question = serde_json::json!({
            "method": "GET", "url": "/a", "listener": "web", "peer": "::1", "from": "192.0.2.1",
            "fields": ["A: b: c", "D: e"],
        });
        assert_eq!(serde_json::to_value(&asked.question).unwrap(), question);
        assert!(asked.json);
        let Whom::Process(admin) = asked.whom else { panic!("a process") };
        assert_eq!(admin.address, Address::Tcp("127.0.0.1:1".parse().unwrap()));
        assert_eq!(admin.token, TokenSource::File(PathBuf::from("t")));
    }

    #[test]
    fn a_file_is_asked_or_gives_the_token_to_ask_with() {
        let folder = Folder::new(&[
            ("secret", "s3cret\n"),
            (
                "a.toml",
                "[admin]\naddress = \"127.0.0.1:1\"\ntoken = { file = \"secret\" }\n\
                 [listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n",
            ),
        ]);
        let file = folder.path("a.toml");
        let file = file.to_str().unwrap();
        let asked = order(&["GET", "http://a.test/", "--config", file]);
        let text = explain(&asked).unwrap();
        assert!(text.contains("gateway   deny     no_route"), "{text}");
        let wrong = explain(&order(&["GET", "a.test", "--config", file])).unwrap_err();
        assert!(wrong.was_told_wrong(), "{wrong}");

        let asked = order(&["GET", "/", "--config", file, "--admin", "127.0.0.1:2"]);
        let Whom::Process(admin) = asked.whom else { panic!("a process") };
        let TokenSource::Known(token) = admin.token else { panic!("a token") };
        assert_eq!(token.reveal(), "s3cret");
    }
}
