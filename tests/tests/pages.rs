//! The pages of the documentation against the program: they name no key that does not exist and
//! leave none out, have every status and limit, and link to what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proxyd_tests::pages;
use proxyd_tests::proxyd;
use proxyd_tests::scratch::Scratch;

/// What a piece of a configuration lacks, and a whole one would have.
const LACKS: [&str; 6] = [
    "nothing to listen on",
    "cannot read",
    "no upstream is named",
    "no listener is named",
    "no rate limit is named",
    "there is no folder",
];

#[test]
fn every_piece_of_a_configuration_is_one() {
    let scratch = Scratch::new("pages");
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages::all() {
        for fence in pages::fences(&page).iter().filter(|fence| fence.info == "toml") {
            count += 1;
            scratch.write("piece.toml", &fence.text);
            let arguments = ["check", "--config", "piece.toml"];
            let checked = proxyd::run_to_end(scratch.path(), &arguments);
            let is_wrong =
                |line: &&str| !line.is_empty() && !LACKS.iter().any(|lack| line.contains(lack));
            let lines = checked.stderr.lines().filter(is_wrong);
            let page = page.file_name().unwrap_or_default().display().to_string();
            wrong.extend(lines.map(|line| format!("{page}, fence at line {}: {line}", fence.line)));
        }
    }
    assert!(count > 40, "{count} pieces were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The lines of a page that are not in a fence.
fn prose(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{page:?}: {error}"));
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// Where the links of a line lead.
fn links(line: &str) -> Vec<&str> {
    let mut rest = line;
    let mut links = Vec::new();
    while let Some((_, after)) = rest.split_once("](") {
        let (link, after) = after.split_once(')').unwrap_or((after, ""));
        links.push(link);
        rest = after;
    }
    links
}

/// The anchors of a page, as mdBook and others make them of headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let of = |title: &str| -> String {
        let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let lines = prose(page);
    let titles = lines.iter().filter(|line| line.starts_with('#'));
    titles.map(|line| of(line.trim_start_matches('#'))).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages::all() {
        let folder = page.parent().expect("a folder");
        for line in prose(&page) {
            for link in links(&line) {
                if link.contains("://") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let to = if path.is_empty() { page.clone() } else { folder.join(path) };
                let is_page = to.extension().is_some_and(|ending| ending == "md");
                let is_there = to.exists()
                    && (anchor.is_empty() || (is_page && anchors(&to).contains(anchor)));
                if !is_there {
                    wrong.push(format!("{}: {link}", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Links of the book to the rest of the project are named and not linked by `docs/build`, which
/// has to know where they lead.
#[test]
fn the_book_has_every_page_and_links_to_nothing_else() {
    let docs = pages::workspace().join("docs");
    let summary = prose(&docs.join("SUMMARY.md"));
    let named: Vec<PathBuf> =
        summary.iter().flat_map(|line| links(line)).map(|link| docs.join(link)).collect();
    let script = fs::read_to_string(docs.join("build")).expect("docs/build");
    for page in pages::all().iter().filter(|page| page.starts_with(&docs)) {
        if !page.ends_with("SUMMARY.md") {
            let count = named.iter().filter(|named| *named == page).count();
            assert_eq!(count, 1, "{} in SUMMARY.md", page.display());
        }
        for line in prose(page) {
            for link in links(&line).into_iter().filter(|link| !link.contains("://")) {
                let inside = page.strip_prefix(&docs).expect("below").components().count() - 1;
                let up = link.split('/').take_while(|part| *part == "..").count();
                if up > inside {
                    let first = link.trim_start_matches("../").split('/').next().unwrap_or("");
                    let known = script.contains(&format!("{first}|"))
                        || script.contains(&format!("|{first})"));
                    assert!(known, "{}: docs/build does not know {link}", page.display());
                }
            }
        }
    }
}

/// The cells of the rows of tables.
fn rows(page: &str) -> Vec<Vec<String>> {
    let page = pages::workspace().join("docs").join(page);
    let cells = |line: &String| -> Vec<String> {
        let inner = line.trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    prose(&page).iter().filter(|line| line.starts_with('|')).map(cells).collect()
}

/// The sources of the crates that are not tests.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let tests = ["tests", "tests.rs", "benches", "examples", "proxy-testkit"];
            let is_test = tests.iter().any(|test| name == *test);
            if path.is_dir() && !is_test {
                collect(&path, into);
            } else if !is_test && path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                // Tests in a file stand at its end.
                let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                into.push((path, text));
            }
        }
    }
    let mut sources = Vec::new();
    collect(&pages::workspace().join("crates"), &mut sources);
    sources
}

const STATUSES: [(&str, &str); 24] = [
    ("BAD_REQUEST", "400"),
    ("UNAUTHORIZED", "401"),
    ("FORBIDDEN", "403"),
    ("NOT_FOUND", "404"),
    ("METHOD_NOT_ALLOWED", "405"),
    ("NOT_ACCEPTABLE", "406"),
    ("PROXY_AUTHENTICATION_REQUIRED", "407"),
    ("REQUEST_TIMEOUT", "408"),
    ("PAYLOAD_TOO_LARGE", "413"),
    ("URI_TOO_LONG", "414"),
    ("UNSUPPORTED_MEDIA_TYPE", "415"),
    ("EXPECTATION_FAILED", "417"),
    ("MISDIRECTED_REQUEST", "421"),
    ("UNPROCESSABLE_ENTITY", "422"),
    ("TOO_EARLY", "425"),
    ("TOO_MANY_REQUESTS", "429"),
    ("REQUEST_HEADER_FIELDS_TOO_LARGE", "431"),
    ("INTERNAL_SERVER_ERROR", "500"),
    ("NOT_IMPLEMENTED", "501"),
    ("BAD_GATEWAY", "502"),
    ("SERVICE_UNAVAILABLE", "503"),
    ("GATEWAY_TIMEOUT", "504"),
    ("HTTP_VERSION_NOT_SUPPORTED", "505"),
    ("LOOP_DETECTED", "508"),
];

fn code_of(name: &str) -> &'static str {
    let known = STATUSES.iter().find(|(own, _)| *own == name);
    known.unwrap_or_else(|| panic!("a number for {name}")).1
}

/// The error kinds and the refusals of the code are all on the page, with their status.
#[test]
fn every_status_is_on_its_page() {
    let rows = rows("statuses.md");
    let has = |first: &str, second: &str| {
        rows.iter().any(|row| row.len() > 1 && row[0].contains(first) && row[1].contains(second))
    };
    let mut missing = Vec::new();
    let error = pages::workspace().join("crates/proxy-core/src/error.rs");
    let error = fs::read_to_string(error).expect("error.rs");
    let mut kinds = 0;
    // `DnsTimeout = "dns_timeout", GATEWAY_TIMEOUT, Upstream;`
    for line in error.lines().filter(|line| line.ends_with(';') && line.contains(" = \"")) {
        let mut parts = line.split('"').skip(1);
        let (Some(token), Some(rest)) = (parts.next(), parts.next()) else { continue };
        let status = code_of(rest.trim_start_matches([',', ' ']).split(',').next().unwrap_or(""));
        kinds += 1;
        let found = rows.iter().any(|row| row[0] == format!("`{token}`") && row[1] == status);
        if !found {
            missing.push(format!("{token} {status}"));
        }
    }
    assert!(kinds > 20, "{kinds} kinds were found");
    let mut refusals = 0;
    for (path, text) in sources() {
        for call in text.split("Refusal::new(").skip(1) {
            let call: String = call.chars().take(160).filter(|c| !c.is_whitespace()).collect();
            let Some(rest) = call.strip_prefix("StatusCode::") else { continue };
            let Some((status, rest)) = rest.split_once(",\"") else { continue };
            let Some((reason, _)) = rest.split_once('"') else { continue };
            refusals += 1;
            if !has(code_of(status), &format!("`{reason}`")) {
                missing.push(format!("{} {reason} ({})", code_of(status), path.display()));
            }
        }
    }
    assert!(refusals > 20, "{refusals} refusals were found");
    assert!(missing.is_empty(), "not in docs/statuses.md:\n{}", missing.join("\n"));
}

/// What `proxyd config keys` prints: the table that a key stands in, the key, its default.
fn keys() -> Vec<(String, String, String)> {
    let printed = proxyd::run_to_end(&pages::workspace(), &["config", "keys"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let mut keys = Vec::new();
    let mut heading = String::new();
    for line in printed.stdout.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.trim_matches('`').to_owned();
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.split(" | ").collect();
            let name = cells[0].trim_matches(['|', ' ', '`']).to_owned();
            keys.push((heading.clone(), name, cells[2].trim().to_owned()));
        }
    }
    keys
}

/// Someone tells what a key does, beyond the line that is made from the schema.
#[test]
fn every_key_is_told_of() {
    let docs = pages::workspace().join("docs");
    let mut told = String::new();
    for page in pages::all().iter().filter(|page| page.starts_with(&docs)) {
        told.push_str(&fs::read_to_string(page).expect("a page"));
    }
    let words: BTreeSet<&str> =
        told.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let keys = keys();
    assert!(keys.len() > 300, "{} keys", keys.len());
    let missing: Vec<String> = keys
        .iter()
        .filter(|(_, name, _)| {
            let last = name.rsplit('.').next().unwrap_or(name).trim_end_matches("[]");
            !words.contains(last)
        })
        .map(|(table, name, _)| format!("{table} {name}"))
        .collect();
    assert!(missing.is_empty(), "on no page of docs/:\n{}", missing.join("\n"));
}

/// The limits and times of `[server]` on their page have the defaults of the code.
#[test]
fn every_limit_is_on_its_page() {
    let rows = rows("limits.md");
    let plain = |text: &str| text.trim_matches('"').replace("24h", "1d");
    let mut wrong = Vec::new();
    let mut count = 0;
    for (table, name, default) in keys() {
        let own = name.strip_prefix("limits.").or_else(|| name.strip_prefix("timeouts."));
        let Some(own) = own.filter(|_| table == "[server]" && !default.is_empty()) else {
            continue;
        };
        count += 1;
        let default = plain(default.trim_matches('`'));
        let row = rows.iter().find(|row| row[0] == format!("`{own}`"));
        let page = row.map(|row| row[1].split(' ').next().unwrap_or_default());
        if page != Some(default.as_str()) {
            wrong.push(format!("{own}: the code says {default}, the page {page:?}"));
        }
    }
    assert!(count > 15, "{count} limits");
    assert!(wrong.is_empty(), "docs/limits.md:\n{}", wrong.join("\n"));
}
