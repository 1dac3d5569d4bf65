//! Clients over HTTP/2: several requests at a time on one connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proxyd_tests::h2_client::{H2Client, value};
use proxyd_tests::h2_wire::{Event, code};

use crate::site::{EACH_STORED, SMALL, STORED, Site, TEXT, content};
use crate::tally::{Fault, Tally};

/// How long something may not come: a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of each stream: what it asked for, its status, its content so far.
type Open = BTreeMap<u32, (String, u16, Vec<u8>)>;

/// Starts them.
pub(crate) fn start(site: &Arc<Site>, tally: &Arc<Tally>) -> Vec<JoinHandle<()>> {
    let client = |number: u64| {
        let (site, tally) = (Arc::clone(site), Arc::clone(tally));
        std::thread::spawn(move || {
            let mut client = None;
            tally.paced(5.0, |turn| {
                let seldom = (turn * 31 + number * 17) % STORED;
                let mut paths = vec![SMALL.0.to_owned(), format!("cached/{seldom}")];
                paths.extend([format!("cached/{}", turn % 10), TEXT.0.to_owned()]);
                together(&site, &tally, &mut client, paths);
            });
        })
    };
    (0..2).map(client).collect()
}

/// Asks for all of these at a time, and once more for those that a connection which ends has not
/// taken.
fn together(site: &Site, tally: &Tally, kept: &mut Option<H2Client>, paths: Vec<String>) {
    let begun = Instant::now();
    let mut left = paths;
    for attempt in 0..3 {
        let mut client = kept.take().unwrap_or_else(|| H2Client::connect(site.web));
        let (answered, again) = ask(&mut client, &left, attempt == 2);
        for result in answered {
            tally.count("HTTP/2", begun, result);
        }
        if !client.is_told_to_go() && again.is_empty() {
            *kept = Some(client);
        }
        if again.is_empty() {
            return;
        }
        left = again;
    }
}

/// The results of those that were answered, and the paths of those that were not taken.
fn ask(
    client: &mut H2Client,
    paths: &[String],
    last: bool,
) -> (Vec<Result<(), Fault>>, Vec<String>) {
    let mut open = Open::new();
    for path in paths {
        let target = format!("/{path}");
        let stream = client.begin(&H2Client::head("GET", &target, &[]), true);
        open.insert(stream, (path.clone(), 0, Vec::new()));
    }
    let (mut results, mut again) = (Vec::new(), Vec::new());
    let mut not_taken = |path: String, why: String, results: &mut Vec<_>| {
        if last { results.push(Err(Fault::Other(why))) } else { again.push(path) }
    };
    while !open.is_empty() {
        match client.link.event_within(PATIENCE) {
            Event::Fields { stream, fields, end } => {
                if let Some(own) = open.get_mut(&stream) {
                    let status = value(&fields, ":status").and_then(|text| text.parse().ok());
                    own.1 = status.unwrap_or(own.1);
                }
                if end {
                    results.extend(open.remove(&stream).map(judge));
                }
            }
            Event::Data { stream, content, end } => {
                let size = u32::try_from(content.len()).expect("a frame");
                if size > 0 {
                    client.link.send_window(0, size);
                }
                if let Some(own) = open.get_mut(&stream) {
                    own.2.extend(content);
                }
                if end {
                    results.extend(open.remove(&stream).map(judge));
                } else if size > 0 {
                    client.link.send_window(stream, size);
                }
            }
            Event::Reset { stream, code: code::REFUSED_STREAM } => {
                if let Some((path, ..)) = open.remove(&stream) {
                    not_taken(path, "refused three times".into(), &mut results);
                }
            }
            Event::Reset { stream, code } => {
                if let Some((path, status, content)) = open.remove(&stream) {
                    let told = format!("{path}: {status}, {} bytes, reset: {code}", content.len());
                    results.push(Err(if status == 0 {
                        Fault::Other(told)
                    } else {
                        Fault::Cut(told)
                    }));
                }
            }
            Event::GoAway { last: taken, code } => {
                client.told_to_go();
                let beyond: Vec<u32> = open.keys().copied().filter(|own| *own > taken).collect();
                for stream in beyond {
                    let (path, ..) = open.remove(&stream).expect("a stream");
                    not_taken(path, format!("GOAWAY three times: {code}"), &mut results);
                }
            }
            // A connection that waited may end while something is on its way.
            end @ (Event::Closed | Event::Silence) => {
                client.told_to_go();
                for (path, status, content) in std::mem::take(&mut open).into_values() {
                    if status == 0 && end == Event::Closed && results.is_empty() {
                        not_taken(path, "closed three times".into(), &mut results);
                    } else {
                        let told = format!("{path}: {status}, {} bytes, {end:?}", content.len());
                        results.push(Err(Fault::Other(told)));
                    }
                }
            }
        }
    }
    (results, again)
}

fn judge((path, status, found): (String, u16, Vec<u8>)) -> Result<(), Fault> {
    let size = match path.as_str() {
        path if path == SMALL.0 => SMALL.1,
        path if path == TEXT.0 => TEXT.1,
        _ => EACH_STORED,
    };
    if status != 200 || found != content(&path, size) {
        return Err(Fault::Other(format!("{path}: {status} with {} bytes", found.len())));
    }
    Ok(())
}
