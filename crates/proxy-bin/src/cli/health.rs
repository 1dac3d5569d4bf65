//! `proxyd health`: asks a running process whether it serves, for containers' health checks.

use clap::Args;

use super::ask::{AdminError, AdminListener};
use super::options::Asked;
use crate::config::Diagnostics;

const EXAMPLES: &str = "\
Examples:
  proxyd health
  proxyd health --probe 127.0.0.1:9902
  proxyd health --live --admin unix:/run/proxyd/admin.sock

The exit status is 0 if it serves, and 1 if it does not, is draining, or does not answer.";

/// `proxyd health`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXAMPLES)]
pub struct Health {
    /// Address of the probe listener (`[probe]`) to ask instead of the admin listener
    #[arg(long, value_name = "ADDR")]
    pub probe: Option<String>,
    /// Ask only whether it lives, not whether it is ready to serve
    #[arg(long)]
    pub live: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub asked: Asked,
}

/// What is asked, of whom.
#[derive(Clone, Debug)]
pub struct HealthOrder {
    listener: AdminListener,
    path: &'static str,
}

impl HealthOrder {
    /// From the command line.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(options: &Health, before: Option<&str>) -> Result<Self, Diagnostics> {
        let (option, address) = match options.probe.as_deref() {
            Some(probe) => ("--probe", Some(probe)),
            None => ("--admin", options.asked.admin.as_deref().or(before)),
        };
        let listener = AdminListener::new(option, address, None, None)?;
        Ok(Self { listener, path: if options.live { "/livez" } else { "/readyz" } })
    }
}

/// Asks. Gives what it answers, where it serves.
///
/// # Errors
/// It does not answer, or says no and why.
pub fn health(order: &HealthOrder) -> Result<String, AdminError> {
    order.listener.get(order.path)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn asked(answer: &'static str, live: bool) -> (String, Result<String, AdminError>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(head).unwrap()
        });
        let options = Health { probe: Some(address), live, ..Health::default() };
        let result = health(&HealthOrder::new(&options, Some("127.0.0.1:1")).unwrap());
        (server.join().unwrap(), result)
    }

    #[test]
    fn who_serves_is_asked_without_a_token() {
        let (head, result) = asked("HTTP/1.1 200 OK\r\n\r\n{\"ready\":true}", false);
        assert!(head.starts_with("GET /readyz HTTP/1.1\r\n"), "{head}");
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
        assert_eq!(result.unwrap(), "{\"ready\":true}");
        let (head, _) = asked("HTTP/1.1 200 OK\r\n\r\nok", true);
        assert!(head.starts_with("GET /livez HTTP/1.1\r\n"), "{head}");
    }

    #[test]
    fn who_does_not_says_why() {
        let (_, result) = asked("HTTP/1.1 503 No\r\n\r\n{\"ready\":false}", false);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("503") && error.contains("{\"ready\":false}"), "{error}");
        let nobody = Health { probe: Some("127.0.0.1:1".to_owned()), ..Health::default() };
        let error = health(&HealthOrder::new(&nobody, None).unwrap()).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        let wrong = HealthOrder::new(&Health::default(), Some("nowhere")).unwrap_err();
        assert!(wrong.to_string().starts_with("command line --admin: "), "{wrong}");
        let wrong = Health { probe: Some("nowhere".to_owned()), ..Health::default() };
        let wrong = HealthOrder::new(&wrong, Some("127.0.0.1:1")).unwrap_err();
        assert!(wrong.to_string().starts_with("command line --probe: "), "{wrong}");
    }
}
