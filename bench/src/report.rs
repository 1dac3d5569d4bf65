//! Medians, ratios to nginx, and the files that hold them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::chart;
use crate::command_line::Options;
use crate::contenders::Contender;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::origin::Seen;
use crate::rounds::Measurement;
use crate::scenario::Scenario;
use crate::workdir;

/// What the others are compared with.
const REFERENCE: Contender = Contender::Nginx;

/// A log that lacks more of its lines than this is worth a word. What was asked
/// when the program started and what wrk cut off at its end explain less.
const LOG_COMPLETE: f64 = 0.999;

/// One of the figures that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Requests a second.
    Rate,
    /// Processor time a request.
    Cpu,
    /// Median latency.
    Median,
    /// 99th percentile of the latency.
    Slowest,
    /// Peak of resident memory.
    Memory,
}

/// The middle and the ends of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) lowest: f64,
    /// The largest.
    pub(crate) highest: f64,
}

/// One metric of one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    /// Over the rounds.
    pub(crate) value: Spread,
    /// Ratios to the reference in the same round; `None` without a reference.
    pub(crate) ratio: Option<Spread>,
}

/// All figures of one contender.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Who.
    pub(crate) contender: Contender,
    /// In the order of [`Metric::ALL`].
    pub(crate) figures: Vec<Figure>,
    /// What the origin saw over all rounds.
    pub(crate) seen: Seen,
}

/// How complete an access log was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    /// Whose.
    pub(crate) contender: Contender,
    /// Lines written.
    pub(crate) lines: u64,
    /// Requests answered.
    pub(crate) requests: u64,
}

/// Everything that a measurement gave.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    options: &'a Options,
    environment: Environment,
    measurements: Vec<Measurement>,
    logs: Vec<Logged>,
    summaries: Vec<Summary>,
}

impl Metric {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 5] =
        [Self::Rate, Self::Cpu, Self::Median, Self::Slowest, Self::Memory];

    /// What it is called.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::Cpu => "CPU µs/request",
            Self::Median => "p50 ms",
            Self::Slowest => "p99 ms",
            Self::Memory => "peak memory MiB",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Rate => "requests_per_second",
            Self::Cpu => "cpu_microseconds_per_request",
            Self::Median => "p50_milliseconds",
            Self::Slowest => "p99_milliseconds",
            Self::Memory => "peak_memory_mebibytes",
        }
    }

    /// Whether more of it is better.
    pub(crate) fn higher_is_better(self) -> bool {
        self == Self::Rate
    }

    fn of(self, measurement: &Measurement) -> f64 {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        match self {
            Self::Rate => measurement.load.requests_per_second,
            Self::Cpu => measurement.cpu.as_secs_f64() * 1e6 / measurement.load.requests as f64,
            Self::Median => milliseconds(measurement.load.p50),
            Self::Slowest => milliseconds(measurement.load.p99),
            Self::Memory => measurement.peak_memory as f64 / (1024.0 * 1024.0),
        }
    }

    /// As it is printed.
    pub(crate) fn format(self, value: f64) -> String {
        match self {
            Self::Rate => thousands(value),
            Self::Cpu | Self::Memory => format!("{value:.1}"),
            Self::Median | Self::Slowest => format!("{value:.2}"),
        }
    }
}

impl Spread {
    /// `None` for no figures at all.
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_unstable_by(f64::total_cmp);
        let (lowest, highest) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self { median, lowest, highest })
    }
}

impl<'a> Report<'a> {
    /// Sums up.
    pub(crate) fn new(
        options: &'a Options,
        environment: Environment,
        measurements: Vec<Measurement>,
        logs: Vec<Logged>,
    ) -> Self {
        let summaries = summarise(&measurements);
        Self { options, environment, measurements, logs, summaries }
    }

    /// Prints the table and writes it, the chart and the raw figures.
    pub(crate) fn publish(&self, out: &Path) -> Result<(), Failure> {
        fs::create_dir_all(out)
            .map_err(|error| Failure::io(format!("making {}", out.display()), &error))?;
        let markdown = self.markdown();
        println!("\n{}", markdown.trim_end());
        let scenario = self.options.scenario;
        let stem = scenario.file_stem(self.options.size);
        let file = |extension: &str| out.join(format!("{stem}.{extension}"));
        let chart = chart::draw(&self.summaries, scenario.chart_title(), &self.caption());
        workdir::write(&file("md"), &with_chart(&markdown, &stem))?;
        workdir::write(&file("svg"), &chart)?;
        workdir::write(&file("json"), &format!("{:#}\n", self.json()))?;
        eprintln!("\nwritten: {stem}.md, {stem}.svg, {stem}.json in {}", out.display());
        Ok(())
    }

    fn caption(&self) -> String {
        let options = self.options;
        format!(
            "{} of {} s, {} connections, {} of content, {} {} each, access log {}",
            counted(options.rounds, "round"),
            options.duration,
            options.connections,
            options.size,
            options.workers,
            if options.workers == 1 { "worker" } else { "workers" },
            if options.no_log { "off" } else { "on" },
        )
    }

    fn markdown(&self) -> String {
        let scenario = self.options.scenario;
        let mut text = format!("# {}\n\n{}.\n\n", scenario.heading(), self.caption());
        text.push_str("| |");
        for metric in Metric::ALL {
            let _ = write!(text, " {} |", metric.title());
        }
        let _ = write!(text, " {} |\n|---|", scenario.upstream_title());
        text.push_str(&"---:|".repeat(Metric::ALL.len() + 1));
        text.push('\n');
        for summary in &self.summaries {
            let _ = write!(text, "| {} |", summary.contender.name());
            for (metric, figure) in Metric::ALL.into_iter().zip(&summary.figures) {
                let _ = write!(text, " {} |", cell(metric, figure, summary.contender));
            }
            let _ = writeln!(text, " {} |", scenario.upstream_count(summary.seen));
        }
        text.push_str(
            "\nEach cell: the median over the rounds; then the ratio to nginx, taken within each \
             round, as the median and lowest–highest. `nginx again` is a second nginx with the \
             same settings: a ratio inside its span is noise. ",
        );
        text.push_str(match scenario {
            Scenario::Proxy => {
                "`raw relay` copies bytes without reading or logging them: the floor."
            }
            Scenario::Tls | Scenario::TlsHandshake | Scenario::Http2 => {
                "Everyone shows the same certificate, with a key on P-256, and speaks TLS 1.3 with \
                 these clients."
            }
            Scenario::CacheHit => {
                "`nginx tuned` has `open_file_cache` on. Varnish's figures hold those \
                 of varnishncsa, which writes its log."
            }
        });
        text.push_str(" Peak memory sums processes: a page that several share counts in each.\n");
        for line in self.notes() {
            let _ = write!(text, "\n**Note:** {line}\n");
        }
        let environment = &self.environment;
        let _ = write!(
            text,
            "\n{}, {}, Linux {}, load average {} at the start. {}.\n",
            environment.processor,
            counted(environment.processors, "logical processor"),
            environment.kernel,
            environment.load_average,
            environment.versions.join(", "),
        );
        text
    }

    /// What a reader must know before believing the table.
    fn notes(&self) -> Vec<String> {
        self.logs
            .iter()
            .filter(|log| (log.lines as f64) < log.requests as f64 * LOG_COMPLETE)
            .map(|log| {
                format!(
                    "{} wrote {} log lines for {} requests, so it did less work than it should.",
                    log.contender.name(),
                    thousands(log.lines as f64),
                    thousands(log.requests as f64)
                )
            })
            .collect()
    }

    fn json(&self) -> Value {
        let options = self.options;
        let summaries = self.summaries.iter().map(|summary| {
            let mut value = json!({
                "contender": summary.contender.name(),
                "upstream_connections": summary.seen.connections,
                "upstream_requests": summary.seen.requests,
            });
            for (metric, figure) in Metric::ALL.into_iter().zip(&summary.figures) {
                value[metric.key()] = json!({
                    "value": spread(&figure.value),
                    "ratio_to_nginx": figure.ratio.as_ref().map(spread),
                });
            }
            value
        });
        let rounds = self.measurements.iter().map(|measurement| {
            let mut value = json!({
                "round": measurement.round + 1,
                "contender": measurement.contender.name(),
                "requests": measurement.load.requests,
                "upstream_connections": measurement.seen.connections,
                "upstream_requests": measurement.seen.requests,
            });
            for metric in Metric::ALL {
                value[metric.key()] = json!(metric.of(measurement));
            }
            value
        });
        let logs = self.logs.iter().map(|log| {
            json!({
                "contender": log.contender.name(),
                "lines": log.lines,
                "requests": log.requests,
            })
        });
        json!({
            "options": {
                "scenario": options.scenario.name(),
                "rounds": options.rounds,
                "duration_seconds": options.duration,
                "connections": options.connections,
                "threads": options.threads,
                "workers": options.workers,
                "body_bytes": options.size.bytes(),
                "access_log": !options.no_log,
            },
            "environment": self.environment,
            "summaries": summaries.collect::<Vec<_>>(),
            "logs": logs.collect::<Vec<_>>(),
            "rounds": rounds.collect::<Vec<_>>(),
        })
    }
}

/// A line about one contender in one round.
pub(crate) fn one_line(measurement: &Measurement) -> String {
    Metric::ALL
        .map(|metric| format!("{} {}", metric.format(metric.of(measurement)), metric.title()))
        .join("  ")
}

fn summarise(measurements: &[Measurement]) -> Vec<Summary> {
    Contender::ALL
        .into_iter()
        .filter_map(|contender| {
            let own: Vec<&Measurement> = measurements
                .iter()
                .filter(|measurement| measurement.contender == contender)
                .collect();
            let figures = Metric::ALL
                .into_iter()
                .map(|metric| {
                    let ratios = own
                        .iter()
                        .filter_map(|&measurement| {
                            let reference = measurements.iter().find(|other| {
                                other.contender == REFERENCE && other.round == measurement.round
                            })?;
                            Some(metric.of(measurement) / metric.of(reference))
                        })
                        .collect();
                    Some(Figure {
                        value: Spread::of(own.iter().map(|&own| metric.of(own)).collect())?,
                        ratio: Spread::of(ratios),
                    })
                })
                .collect::<Option<_>>()?;
            Some(Summary {
                contender,
                figures,
                seen: own.iter().fold(Seen::default(), |sum, own| sum.plus(own.seen)),
            })
        })
        .collect()
}

fn cell(metric: Metric, figure: &Figure, contender: Contender) -> String {
    let value = metric.format(figure.value.median);
    match figure.ratio {
        Some(_) if contender == REFERENCE => format!("{value} (1×)"),
        Some(ratio) => {
            format!("{value} ({:.2}×, {:.2}–{:.2})", ratio.median, ratio.lowest, ratio.highest)
        }
        None => value,
    }
}

fn spread(spread: &Spread) -> Value {
    json!({ "median": spread.median, "lowest": spread.lowest, "highest": spread.highest })
}

fn with_chart(markdown: &str, stem: &str) -> String {
    let chart = format!("![The same figures as bars]({stem}.svg)\n");
    match markdown.split_once("\n| |") {
        Some((before, table)) => format!("{before}\n{chart}\n| |{table}"),
        None => markdown.to_owned(),
    }
}

fn counted(count: impl TryInto<u64> + Copy, what: &str) -> String {
    let count = count.try_into().unwrap_or(0);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;

    fn measurement(round: u32, contender: Contender, rate: f64) -> Measurement {
        Measurement {
            round,
            contender,
            load: Load {
                requests: 1000,
                requests_per_second: rate,
                p50: Duration::from_micros(500),
                p99: Duration::from_micros(5000),
                bytes: 1e6,
            },
            cpu: Duration::from_micros(16_000),
            peak_memory: 3 << 20,
            seen: Seen { connections: 2, requests: 1000 },
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let measurements = [
            measurement(0, Contender::Proxyd, 100.0),
            measurement(0, Contender::Nginx, 200.0),
            measurement(1, Contender::Nginx, 50.0),
            measurement(1, Contender::Proxyd, 50.0),
            measurement(2, Contender::Nginx, 100.0),
            measurement(2, Contender::Proxyd, 200.0),
        ];
        let summaries = summarise(&measurements);
        let contenders: Vec<_> = summaries.iter().map(|summary| summary.contender).collect();
        assert_eq!(contenders, [Contender::Nginx, Contender::Proxyd]);
        let rate = summaries[1].figures[0];
        let expected = |median, lowest, highest| Spread { median, lowest, highest };
        assert_eq!(rate.value, expected(100.0, 50.0, 200.0));
        assert_eq!(rate.ratio, Some(expected(1.0, 0.5, 2.0)));
        assert_eq!(summaries[1].seen, Seen { connections: 6, requests: 3000 });
    }

    #[test]
    fn without_nginx_there_are_no_ratios() {
        let summaries = summarise(&[measurement(0, Contender::Relay, 100.0)]);
        assert!(summaries[0].figures.iter().all(|figure| figure.ratio.is_none()));
        assert_eq!(cell(Metric::Rate, &summaries[0].figures[0], Contender::Relay), "100");
    }

    #[test]
    fn medians_of_even_and_odd_counts() {
        let median = |figures: &[f64]| Spread::of(figures.to_vec()).map(|spread| spread.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(72_607.78), "72,608");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        let proxyd = measurement(0, Contender::Proxyd, 1.0);
        assert_eq!(Metric::Cpu.format(Metric::Cpu.of(&proxyd)), "16.0");
        assert_eq!(Metric::Median.format(Metric::Median.of(&proxyd)), "0.50");
        assert_eq!(Metric::Memory.format(Metric::Memory.of(&proxyd)), "3.0");
    }

    #[test]
    fn a_log_with_holes_is_told() {
        use clap::Parser as _;
        let options = crate::command_line::CommandLine::parse_from(["proxyd-bench"]).options;
        let environment = Environment {
            processor: "Abacus".to_owned(),
            processors: 1,
            kernel: "6".to_owned(),
            load_average: "0.1".to_owned(),
            versions: vec!["nginx/1".to_owned()],
        };
        let log = |contender, lines| Logged { contender, lines, requests: 10_000 };
        let report = Report::new(
            &options,
            environment,
            vec![measurement(0, Contender::Nginx, 100.0), measurement(0, Contender::Proxyd, 110.0)],
            vec![log(Contender::Nginx, 10_001), log(Contender::Proxyd, 9_000)],
        );
        let markdown = report.markdown();
        assert!(markdown.contains("proxyd wrote 9,000 log lines for 10,000"), "{markdown}");
        assert!(!markdown.contains("nginx wrote"), "{markdown}");
        assert!(markdown.contains("| proxyd | 110 (1.10×, 1.10–1.10) |"), "{markdown}");
        assert!(markdown.contains("| nginx | 100 (1×) |"), "{markdown}");
        assert!(with_chart(&markdown, "hit").contains("](hit.svg)\n\n| |"));
        assert_eq!(report.json()["summaries"][1]["requests_per_second"]["value"]["median"], 110.0);
        assert_eq!(report.json()["rounds"][0]["round"], 1);
    }
}
