//! HTTP/2 over TLS: h2load, and what it says.

use std::time::Duration;

use super::Load;
use crate::failure::Failure;

/// Streams that a connection has open at a time.
pub(super) const STREAMS: u32 = 8;

/// Reads h2load's report, and the log with a line for each request: when it began, its status, and
/// how long it took, in microseconds. Any failure makes the whole report worthless.
pub(super) fn parse(text: &str, log: &str, seconds: u64) -> Result<Load, Failure> {
    let missing = |what: &str| Failure::invalid(format!("h2load's report has no {what}:\n{text}"));
    let requests = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))
        .ok_or_else(|| missing("number of requests"))?;
    let count = |what: &str| -> Option<u64> {
        requests.split(", ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    let succeeded = count("succeeded").ok_or_else(|| missing("number of answers"))?;
    for bad in ["failed", "errored", "timeout"] {
        if count(bad).ok_or_else(|| missing(bad))? > 0 {
            return Err(Failure::invalid(format!("h2load reports: {requests}")));
        }
    }
    if succeeded == 0 {
        return Err(Failure::invalid("h2load received no response at all"));
    }
    let bytes = text
        .lines()
        .find_map(|line| line.strip_prefix("traffic: "))
        .and_then(|line| line.split(", ").last()?.split_once('(')?.1.split_once(')'))
        .and_then(|(bytes, _)| bytes.parse().ok())
        .ok_or_else(|| missing("bytes of content"))?;
    let mut times: Vec<u64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times.get(index.min(times.len().saturating_sub(1))).copied().map(Duration::from_micros)
    };
    Ok(Load {
        requests: succeeded,
        bytes,
        requests_per_second: succeeded as f64 / seconds as f64,
        p50: at(0.5).ok_or_else(|| missing("log"))?,
        p99: at(0.99).ok_or_else(|| missing("log"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
starting benchmark...
finished in 2.00s, 24116.00 req/s, 26.09MB/s
requests: 48232 total, 48360 started, 48232 done, 48232 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 48232 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 52.18MB (54711232) total, 4.60MB (4823200) headers (space savings 72.30%), 47.10MB (49389568) data
";
    const LOG: &str = "1\t200\t900\n2\t200\t100\n3\t200\t300\n4\t200\t200\n";

    #[test]
    fn a_clean_report_is_read() {
        let load = parse(REPORT, LOG, 2).unwrap();
        assert_eq!(load.requests, 48_232);
        assert!((load.bytes - 49_389_568.0).abs() < 1.0);
        assert!((load.requests_per_second - 24_116.0).abs() < 1e-6);
        assert_eq!((load.p50, load.p99), (Duration::from_micros(300), Duration::from_micros(900)));
    }

    #[test]
    fn failures_and_missing_parts_are_fatal() {
        for (good, bad) in [
            ("0 failed", "3 failed"),
            ("0 errored", "1 errored"),
            ("48232 succeeded", "0 succeeded"),
            ("requests: ", "?"),
            ("traffic: ", "?"),
        ] {
            assert!(parse(&REPORT.replace(good, bad), LOG, 2).is_err(), "{bad}");
        }
        assert!(parse(REPORT, "", 2).is_err());
    }
}
