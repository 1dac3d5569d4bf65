//! The figures as bars: one SVG, readable on a light and on a dark page.
//!
//! The chart brings its own background and follows the reader's colour scheme,
//! so no text ever stands on a colour that it was not chosen for.

use std::fmt::Write as _;

use crate::contenders::Contender;
use crate::report::{Figure, Metric, Summary};

const MARGIN: f64 = 24.0;
const HEADER: f64 = 74.0;
const PANEL_WIDTH: f64 = 404.0;
const PANEL_HEADER: f64 = 32.0;
const PANEL_GAP: f64 = 28.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
const LABEL: f64 = 84.0;
const LONGEST_BAR: f64 = 190.0;
const FOOTER: f64 = 34.0;

/// What is drawn, two panels in a row.
const PANELS: [(Metric, &str); 4] = [
    (Metric::Cpu, "CPU per request, µs"),
    (Metric::Rate, "Requests per second"),
    (Metric::Slowest, "Latency, 99th percentile, ms"),
    (Metric::Memory, "Peak memory, MiB"),
];

const STYLE: &str = "
  .page { fill: #ffffff; stroke: #d8dee4 }
  text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .panel { font-size: 13px; font-weight: 600 }
  .quiet { fill: #59636e }
  .value { font-variant-numeric: tabular-nums }
  .strong { font-weight: 600 }
  .proxyd { fill: #0969da }
  .peer { fill: #8c959f }
  .again { fill: #c3cad1 }
  .floor { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
  .span { stroke: #1f2328; stroke-width: 1.2; fill: none; opacity: .65 }
  .axis { stroke: #d8dee4 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #30363d }
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    .proxyd { fill: #4493f8 }
    .peer { fill: #6e7681 }
    .again { fill: #3d444d }
    .floor { stroke: #6e7681 }
    .span { stroke: #e6edf3 }
    .axis { stroke: #30363d }
  }
";

/// Draws the chart.
pub(crate) fn draw(summaries: &[Summary], title: &str, caption: &str) -> String {
    let rows = summaries.len() as f64;
    let panel_height = PANEL_HEADER + rows * ROW;
    let width = 2.0 * MARGIN + 2.0 * PANEL_WIDTH + PANEL_GAP;
    let height = HEADER + 2.0 * (panel_height + PANEL_GAP) + FOOTER;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title caption">
<style>{STYLE}</style>
<rect class="page" x="0.5" y="0.5" width="{}" height="{}" rx="8"/>
<text id="title" class="title" x="{MARGIN}" y="34">{}</text>
<text id="caption" class="quiet" x="{MARGIN}" y="54">{}</text>
"#,
        width - 1.0,
        height - 1.0,
        escape(title),
        escape(caption),
    );
    for (index, (metric, title)) in PANELS.into_iter().enumerate() {
        let x = MARGIN + (index % 2) as f64 * (PANEL_WIDTH + PANEL_GAP);
        let y = HEADER + (index / 2) as f64 * (panel_height + PANEL_GAP);
        panel(&mut svg, summaries, metric, title, (x, y));
    }
    let relayed = summaries.iter().any(|summary| summary.contender == Contender::Relay);
    let _ = writeln!(
        svg,
        r#"<text class="quiet" x="{MARGIN}" y="{}">Bar: median of the rounds. Line: lowest to highest round. ×: ratio to nginx within a round, median.{}</text>"#,
        height - 20.0,
        if relayed { " Dashed: no proxy, the floor." } else { "" },
    );
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, summaries: &[Summary], metric: Metric, title: &str, at: (f64, f64)) {
    let (x, y) = at;
    let better = if metric.higher_is_better() { "higher is better" } else { "lower is better" };
    let _ = writeln!(
        svg,
        r#"<text class="panel" x="{x}" y="{:.1}">{} <tspan class="quiet" font-weight="400" dx="6">{better}</tspan></text>"#,
        y + 16.0,
        escape(title),
    );
    let index = Metric::ALL.iter().position(|&other| other == metric);
    let figures: Vec<(Contender, Figure)> = summaries
        .iter()
        .filter_map(|summary| Some((summary.contender, *summary.figures.get(index?)?)))
        .collect();
    let most = figures.iter().map(|(_, figure)| figure.value.highest).fold(0.0, f64::max);
    let scale = if most > 0.0 { LONGEST_BAR / most } else { 0.0 };
    let left = x + LABEL;
    for (row, (contender, figure)) in figures.iter().enumerate() {
        let top = y + PANEL_HEADER + row as f64 * ROW;
        bar(svg, *contender, metric, figure, scale, (left, top));
    }
    let _ = writeln!(
        svg,
        r#"<path class="axis" d="M{left:.1} {:.1}v{:.1}"/>"#,
        y + PANEL_HEADER - 4.0,
        figures.len() as f64 * ROW,
    );
}

fn bar(
    svg: &mut String,
    contender: Contender,
    metric: Metric,
    figure: &Figure,
    scale: f64,
    at: (f64, f64),
) {
    let (left, top) = at;
    let strong = if contender == Contender::Proxyd { " strong" } else { "" };
    let baseline = top + BAR / 2.0 + 4.0;
    let middle = top + BAR / 2.0;
    let place = |value: f64| left + value * scale;
    let value = figure.value;
    let ratio = figure.ratio.map_or_else(String::new, |ratio| {
        format!(r#" <tspan class="quiet">{:.2}×</tspan>"#, ratio.median)
    });
    let _ = writeln!(
        svg,
        r#"<text class="label{strong}" x="{:.1}" y="{baseline:.1}" text-anchor="end">{}</text>
<rect class="{}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{BAR}" rx="2"/>
<path class="span" d="M{:.1} {middle:.1}H{:.1}"/>
<text class="value{strong}" x="{:.1}" y="{baseline:.1}">{}{ratio}</text>"#,
        left - 8.0,
        escape(contender.name()),
        class(contender),
        value.median * scale,
        place(value.lowest),
        place(value.highest),
        place(value.highest) + 7.0,
        metric.format(value.median),
    );
}

fn class(contender: Contender) -> &'static str {
    match contender {
        Contender::Proxyd => "proxyd",
        Contender::Nginx | Contender::NginxTuned | Contender::Haproxy | Contender::Varnish => {
            "peer"
        }
        Contender::NginxAgain => "again",
        Contender::Relay => "floor",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Seen;
    use crate::report::Spread;

    fn summary(contender: Contender, scale: f64) -> Summary {
        let spread =
            |middle: f64| Spread { median: middle, lowest: middle * 0.9, highest: middle * 1.1 };
        Summary {
            contender,
            figures: [60_000.0, 17.0, 0.7, 5.0, 4.0]
                .map(|value| Figure { value: spread(value * scale), ratio: Some(spread(scale)) })
                .to_vec(),
            seen: Seen::default(),
        }
    }

    fn widths(svg: &str, class: &str) -> Vec<f64> {
        svg.lines()
            .filter_map(|line| line.strip_prefix(&format!(r#"<rect class="{class}""#)))
            .map(|line| {
                let (_, rest) = line.split_once(r#"width=""#).unwrap();
                rest.split_once('"').unwrap().0.parse().unwrap()
            })
            .collect()
    }

    /// Enough of a parser to find a tag that was not closed.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag that ends");
            assert!(!text.contains('>'), "a stray bracket after <{tag}>");
            assert!(tag.matches('"').count() % 2 == 0, "<{tag}>");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let svg = draw(&[summary(Contender::Nginx, 1.0), summary(Contender::Proxyd, 0.5)], "", "");
        let (nginx, proxyd) = (widths(&svg, "peer"), widths(&svg, "proxyd"));
        assert_eq!(nginx.len(), PANELS.len());
        for (nginx, proxyd) in nginx.iter().zip(&proxyd) {
            assert!((nginx - proxyd * 2.0).abs() < 0.2, "{nginx} {proxyd}");
            assert!(*nginx <= LONGEST_BAR);
        }
    }

    #[test]
    fn labels_values_and_ratios_are_there() {
        let all = Contender::ALL.map(|contender| summary(contender, 1.25));
        let svg = draw(&all, "Hits", "10 rounds");
        for text in [">Hits<", "10 rounds", "75,000", "21.2", "1.25×", "lower is better"] {
            assert!(svg.contains(text), "{text}");
        }
        for contender in Contender::ALL {
            assert!(svg.contains(&format!(">{}</text>", contender.name())));
        }
    }

    #[test]
    fn the_document_is_well_formed_whatever_the_words() {
        for summaries in [
            Contender::ALL.map(|contender| summary(contender, 1.0)).to_vec(),
            vec![summary(Contender::Relay, 0.0)],
            vec![],
        ] {
            let svg = draw(&summaries, "<", r#"<a> & "b""#);
            assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_well_formed(&svg);
        }
    }
}
