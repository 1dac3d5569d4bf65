//! The load: wrk or, for HTTP/2, h2load, and what they say.

mod h2load;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::command_line::Options;
use crate::failure::Failure;
use crate::scenario::Scenario;
use crate::workdir::{self, Workdir};

/// What the load generator found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// Responses that arrived whole.
    pub(crate) requests: u64,
    /// Those, divided by the time.
    pub(crate) requests_per_second: f64,
    /// Half of the responses took no longer than this.
    pub(crate) p50: Duration,
    /// All but one of a hundred took no longer than this.
    pub(crate) p99: Duration,
    /// Bytes that arrived; wrk rounds them, and counts heads too.
    pub(crate) bytes: f64,
}

/// Loads `target` for so many seconds.
pub(crate) async fn run(
    options: &Options,
    workdir: &Workdir,
    seconds: u64,
    target: SocketAddr,
) -> Result<Load, Failure> {
    let load = match options.scenario {
        Scenario::Http2 => {
            let log = workdir.file("h2load.log");
            let mut command = Command::new("h2load");
            command
                .arg(format!("-t{}", options.threads))
                .arg(format!("-c{}", options.connections))
                .arg(format!("-m{}", h2load::STREAMS))
                .arg(format!("-D{seconds}"))
                .arg(format!("--log-file={}", log.display()))
                .arg(format!("https://{target}/"));
            let text = said(command, "h2load").await?;
            let load = h2load::parse(&text, &workdir::read(&log)?, seconds);
            // It appends.
            workdir::write(&log, "")?;
            load?
        }
        scenario => {
            let scheme = if scenario.is_over_tls() { "https" } else { "http" };
            let mut command = Command::new("wrk");
            command
                .arg(format!("-t{}", options.threads))
                .arg(format!("-c{}", options.connections))
                .arg(format!("-d{seconds}s"))
                .arg("--latency");
            if scenario == Scenario::TlsHandshake {
                command.args(["-H", "Connection: close"]);
            }
            command.arg(format!("{scheme}://{target}/"));
            parse(&said(command, "wrk").await?)?
        }
    };
    if load.bytes < load.requests as f64 * f64::from(options.size.bytes()) * 0.99 {
        return Err(Failure::invalid(format!(
            "{} responses brought only {:.0} bytes: the content did not arrive",
            load.requests, load.bytes
        )));
    }
    Ok(load)
}

/// What a load generator says at its end.
async fn said(mut command: Command, name: &str) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| Failure::io(format!("running {name}"), &error))?;
    if !output.status.success() {
        return Err(Failure::invalid(format!(
            "{name} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads wrk's report. An error, an unexpected status or no response at all
/// makes the whole report worthless.
fn parse(text: &str) -> Result<Load, Failure> {
    for line in text.lines().map(str::trim) {
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            return Err(Failure::invalid(format!("wrk reports: {line}")));
        }
    }
    let missing = |what: &str| Failure::invalid(format!("wrk's report has no {what}:\n{text}"));
    let after = |prefix: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(prefix)).map(str::trim)
    };
    let (requests, bytes) = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(requests, rest)| {
            let (_, read) = rest.split_once(", ")?;
            Some((requests.parse().ok()?, size(read.strip_suffix(" read")?)?))
        })
        .ok_or_else(|| missing("number of requests"))?;
    if requests == 0 {
        return Err(Failure::invalid("wrk received no response at all"));
    }
    Ok(Load {
        requests,
        bytes,
        requests_per_second: after("Requests/sec:")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| missing("rate"))?,
        p50: after("50%").and_then(duration).ok_or_else(|| missing("median latency"))?,
        p99: after("99%").and_then(duration).ok_or_else(|| missing("99th percentile"))?,
    })
}

/// `613.00us`, `1.05ms`, `2.10s`, `1.50m`, `0.50h`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let seconds = number
        * match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
    Duration::try_from_secs_f64(seconds).ok()
}

/// `512B`, `1.20KB`, `347.34MB`, `1.00GB`; wrk counts in powers of 1024.
fn size(text: &str) -> Option<f64> {
    let (number, unit) = split_unit(text)?;
    let power = match unit {
        "B" => 0,
        "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        _ => return None,
    };
    Some(number * 1024_f64.powi(power))
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 4s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms    1.21ms  20.25ms   88.36%
    Req/Sec    36.63k     4.13k   45.16k    70.00%
  Latency Distribution
     50%  613.00us
     75%    1.36ms
     90%    2.58ms
     99%    5.54ms
  291612 requests in 4.02s, 347.34MB read
Requests/sec:  72607.78
Transfer/sec:     86.48MB
";

    #[test]
    fn a_clean_report_is_read() {
        let load = parse(REPORT).unwrap();
        assert_eq!(load.requests, 291_612);
        assert!((load.requests_per_second - 72_607.78).abs() < 1e-6);
        assert_eq!(load.p50, Duration::from_micros(613));
        assert_eq!(load.p99, Duration::from_micros(5540));
        assert!((load.bytes - 347.34 * 1024.0 * 1024.0).abs() < 1.0);
    }

    #[test]
    fn errors_and_statuses_are_fatal() {
        for bad in [
            "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
            "  Non-2xx or 3xx responses: 12\n",
        ] {
            let report = REPORT.replace("Requests/sec", &format!("{bad}Requests/sec"));
            let words = parse(&report).unwrap_err().to_string();
            assert!(words.contains(bad.trim()), "{words}");
        }
    }

    #[test]
    fn a_report_with_a_part_missing_is_no_report() {
        for gone in ["requests in", "Requests/sec", "50%  ", "99%", "MB read"] {
            assert!(parse(&REPORT.replace(gone, "?")).is_err(), "{gone}");
        }
        assert!(parse("").is_err());
        assert!(parse(&REPORT.replace("291612", "0")).is_err());
    }

    #[test]
    fn every_unit_of_wrk_is_known() {
        for (text, seconds) in [
            ("613.00us", 613e-6),
            ("1.50ms", 0.0015),
            ("2.10s", 2.1),
            ("1.50m", 90.0),
            ("0.50h", 1800.0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)));
        }
        assert_eq!(size("512B"), Some(512.0));
        assert_eq!(size("1.50KB"), Some(1536.0));
        assert_eq!(size("2.00GB"), Some(2.0 * 1024.0 * 1024.0 * 1024.0));
        for wrong in ["", "5", "us", "5 parsecs"] {
            assert_eq!(duration(wrong), None, "{wrong}");
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
