//! `proxyd purge`: asks a running process, through its admin listener, to remove stored responses.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::ask::{AdminError, AdminListener};
use super::options::Asked;
use crate::config::Diagnostics;

const PURGE_EXAMPLES: &str = "\
Examples:
  proxyd purge http://www.example.com/logo.svg
  proxyd purge --prefix http://www.example.com/static/ --dry-run
  proxyd purge --tag product-17 --soft";

/// `proxyd purge`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = PURGE_EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["url", "prefix", "tag", "host", "all"]))]
pub struct Purge {
    /// Every response stored for this URL
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// What is stored for URLs that begin so: http://HOST/PATH...
    #[arg(long, value_name = "URL")]
    pub prefix: Option<String>,
    /// What the origin server has given this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// What is stored for a host, or for HOST:PORT
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Everything
    #[arg(long)]
    pub all: bool,
    /// Mark it stale instead of removing it: it is validated before its next use
    #[arg(long)]
    pub soft: bool,
    /// Only count it
    #[arg(long)]
    pub dry_run: bool,
    /// File with the token of the admin listener [default: the one that it made at start]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Whom to ask.
    #[command(flatten)]
    pub asked: Asked,
}

/// What is asked, of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeOrder {
    admin: AdminListener,
    request: Value,
}

impl PurgeOrder {
    /// From the command line.
    ///
    /// # Errors
    /// An admin address that is none.
    pub fn new(options: &Purge, before: Option<&str>) -> Result<Self, Diagnostics> {
        let admin = options.asked.admin.as_deref().or(before);
        let admin = AdminListener::new("--admin", admin, options.token_file.clone(), None)?;
        let mut request = Map::new();
        for (key, value) in [
            ("url", &options.url),
            ("prefix", &options.prefix),
            ("tag", &options.tag),
            ("host", &options.host),
        ] {
            request.extend(value.clone().map(|value| (key.to_owned(), Value::from(value))));
        }
        for (key, flag) in
            [("all", options.all), ("soft", options.soft), ("dry_run", options.dry_run)]
        {
            request.extend(flag.then(|| (key.to_owned(), Value::from(true))));
        }
        Ok(Self { admin, request: Value::Object(request) })
    }
}

/// Asks, and tells in one line what was removed.
///
/// # Errors
/// What kept it from being removed.
pub fn purge(order: &PurgeOrder) -> Result<String, AdminError> {
    let answer = order.admin.post("/cache/purge", &order.request)?;
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    let flag = |key: &str| order.request[key] == true;
    let did = match (flag("dry_run"), flag("soft")) {
        (true, false) => "would remove",
        (true, true) => "would mark stale",
        (false, false) => "removed",
        (false, true) => "marked stale",
    };
    let (responses, bytes) = (number("responses"), number("bytes"));
    let s = if responses == 1 { "" } else { "s" };
    Ok(format!("{did} {responses} response{s}, {bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use clap::Parser as _;

    use super::*;
    use crate::cli::ask::TokenSource;
    use crate::cli::{Action, Cli, prepare_with};
    use crate::config::resolved::Address;
    use crate::config::tests::Folder;

    fn order(line: &str) -> PurgeOrder {
        match prepare_with(Cli::try_parse_from(line.split(' ')).unwrap(), &[]).unwrap() {
            Action::Purge(order) => *order,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_line_is_a_request() {
        for (line, request) in [
            ("http://a/b", r#"{"url":"http://a/b"}"#),
            ("--prefix http://a/ --soft", r#"{"prefix":"http://a/","soft":true}"#),
            ("--tag t --dry-run", r#"{"tag":"t","dry_run":true}"#),
            ("--host a.test", r#"{"host":"a.test"}"#),
            ("--all --soft --dry-run", r#"{"all":true,"soft":true,"dry_run":true}"#),
        ] {
            let expected: Value = serde_json::from_str(request).unwrap();
            assert_eq!(order(&format!("proxyd purge {line}")).request, expected, "{line}");
        }
        let order = order("proxyd purge --all --admin unix:/run/a.sock --token-file t");
        assert_eq!(order.admin.address, Address::Unix("/run/a.sock".into()));
        assert_eq!(order.admin.token, TokenSource::File(PathBuf::from("t")));
    }

    #[test]
    fn exactly_one_thing_is_named() {
        for line in ["", " --soft", " http://a/ --all", " --tag a --host b"] {
            let words = format!("proxyd purge{line}");
            assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{line}");
        }
        let wrong = Cli::try_parse_from("proxyd purge --all --admin off".split(' ')).unwrap();
        let message = prepare_with(wrong, &[]).unwrap_err().to_string();
        assert_eq!(
            message,
            "command line --admin: error: expected `ip:port` or `unix:/path`, found `off`"
        );
    }

    /// Asks a listener that gives this answer; gives what it was asked, too.
    fn played(line: &str, answer: &'static str) -> (String, Result<String, AdminError>) {
        let folder = Folder::new(&[("token", " s3cret\n")]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let origin = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut seen = vec![0; 4096];
            let mut length = 0;
            while !seen[..length].ends_with(b"}") {
                length += stream.read(&mut seen[length..]).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&seen[..length]).into_owned()
        });
        let token = folder.path("token");
        let line =
            format!("proxyd purge {line} --admin {address} --token-file {}", token.display());
        let result = purge(&order(&line));
        (origin.join().unwrap(), result)
    }

    #[test]
    fn the_answer_is_told_in_one_line() {
        let done = "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{\"responses\":2,\"bytes\":30}";
        let (asked, told) = played("--tag a", done);
        assert!(asked.starts_with("POST /cache/purge HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
        assert!(asked.contains("\r\nAuthorization: Bearer s3cret\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\n{\"tag\":\"a\"}"), "{asked}");
        assert_eq!(told.unwrap(), "removed 2 responses, 30 bytes");
        let (_, told) = played("--all --soft --dry-run", done);
        assert_eq!(told.unwrap(), "would mark stale 2 responses, 30 bytes");
    }

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let wrong = "HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":\"`url` is no URL\"}";
        let error = played("x", wrong).1.unwrap_err();
        assert!(error.was_told_wrong());
        assert_eq!(error.to_string(), "the admin listener answered 400: `url` is no URL");
        let error = played("x", "HTTP/1.1 401 Unauthorized\r\n\r\na token\n").1.unwrap_err();
        assert!(!error.was_told_wrong());
        assert_eq!(error.to_string(), "the admin listener answered 401: a token");
        let error = played("x", "SSH-2.0\r\n").1.unwrap_err();
        assert!(matches!(error, AdminError::Admin { .. }), "{error}");
    }
}
