//! One request of our own: is it there, and does it answer with the content?

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::process::Process;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A port on loopback that nobody listens on now. Whoever gets it has to be
/// started before the next is asked for.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::io("looking for a free port", &error))
}

/// A whole response as text, head included.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        Ok(String::from_utf8_lossy(&response).into_owned())
    };
    timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The same over TLS, whoever answers.
async fn get_over_tls(address: SocketAddr, path: &str) -> io::Result<String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--include", "--http1.1"])
        .args(["--max-time", "2"])
        .arg(format!("https://{address}{path}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Waits until `address` answers 200 with `content`.
pub(crate) async fn until_ready(
    process: &mut Process,
    address: SocketAddr,
    over_tls: bool,
    content: &str,
) -> Result<(), Failure> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        process.check()?;
        let answer = match over_tls {
            true => get_over_tls(address, "/").await,
            false => get(address, "/").await,
        };
        let seen = match answer {
            Ok(response) if is_good(&response, content) => return Ok(()),
            Ok(response) => response.lines().next().unwrap_or("nothing").to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(Failure::invalid(format!(
                "{} did not answer 200 with the origin's content on {address}: {seen}{}",
                process.name(),
                process.complaints()
            )));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a request at `address` leaves a line in `log`.
pub(crate) async fn until_logged(
    logger: &mut Process,
    address: SocketAddr,
    log: &Path,
) -> Result<(), Failure> {
    let deadline = Instant::now() + START_TIMEOUT;
    while !fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        logger.check()?;
        if Instant::now() >= deadline {
            return Err(Failure::invalid(format!(
                "{} wrote no line in {}{}",
                logger.name(),
                log.display(),
                logger.complaints()
            )));
        }
        // One that is not answered is not logged either.
        let _ = get(address, "/").await;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn is_good(response: &str, content: &str) -> bool {
    response.starts_with("HTTP/1.1 200") && response.contains(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_content_with_200_will_do() {
        assert!(is_good("HTTP/1.1 200 OK\r\n\r\nxxx", "xxx"));
        assert!(!is_good("HTTP/1.1 200 OK\r\n\r\nx", "xxx"));
        assert!(!is_good("HTTP/1.1 502 Bad Gateway\r\n\r\nxxx", "xxx"));
        assert!(!is_good("", "xxx"));
    }
}
