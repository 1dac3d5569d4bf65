//! Compression: how by `[compress]`, whether by routes and `[forward]`.

use proxy_compress::{Coding, Levels};

use super::*;
use crate::config::resolved::CompressPolicy;

fn route(compress: &str) -> String {
    format!("{GATEWAY}[[routes]]\nname = \"all\"\nupstream = \"app\"\n{compress}\n")
}

fn policy(compress: &str) -> Option<CompressPolicy> {
    loaded(&route(compress)).resolved.routes[0].compress.clone()
}

#[test]
fn without_a_word_nothing_is_compressed() {
    assert!(policy("").is_none() && policy("compress = false").is_none());
    let told = warnings(&format!("{}[compress]\nmin_size = \"2KiB\"\n", route("")));
    assert!(told[0].contains("nothing is compressed"), "{told:?}");
}

#[test]
fn the_defaults() {
    let resolved = loaded(&route("compress = true")).resolved;
    let limits = resolved.compress;
    assert_eq!((limits.memory, limits.cpu_percent, limits.dictionaries), (256 << 20, 60, None));
    let policy = resolved.routes[0].compress.clone().expect("a policy");
    assert_eq!(policy.codings, [Coding::Zstd, Coding::Brotli, Coding::Gzip]);
    assert_eq!(policy.levels, Levels { zstd: 3, br: 3, gzip: 4 });
    assert_eq!(policy.stored_levels, Levels { zstd: 19, br: 11, gzip: 9 });
    assert_eq!((policy.max_stored, policy.min_size), (8 << 20, 1024));
    assert!(policy.content_types.contains(b"text/html"));
    assert!(!policy.content_types.contains(b"image/png"));
    assert!(policy.decode && !policy.secrets && !policy.refuse && !policy.from_upstream);
    assert!(!policy.precompressed);
}

#[test]
fn every_key_arrives() {
    let resolved = loaded(&format!(
        "{}{}",
        route("compress = true"),
        r#"
[compress]
codings = ["gzip", "br"]
level = { br = 6 }
stored_level = { zstd = 22, gzip = 7 }
max_stored = "1MiB"
min_size = 200
content_types = ["image/png"]
secrets = true
unacceptable = "refuse"
decode = false
from_upstream = true
memory = "64MiB"
cpu_share = "25%"
dictionaries = "8MiB"
"#
    ))
    .resolved;
    let limits = resolved.compress;
    assert_eq!(
        (limits.memory, limits.cpu_percent, limits.dictionaries),
        (64 << 20, 25, Some(8 << 20))
    );
    let policy = resolved.routes[0].compress.clone().expect("a policy");
    assert_eq!(policy.codings, [Coding::Gzip, Coding::Brotli]);
    assert_eq!(policy.levels, Levels { br: 6, ..Levels::ON_THE_FLY });
    assert_eq!(policy.stored_levels, Levels { zstd: 22, br: 11, gzip: 7 });
    assert_eq!((policy.max_stored, policy.min_size), (1 << 20, 200));
    assert!(policy.content_types.contains(b"image/png"));
    assert!(!policy.content_types.contains(b"text/html"));
    assert!(policy.secrets && policy.refuse && !policy.decode && policy.from_upstream);
}

#[test]
fn a_route_has_keys_of_its_own_over_the_general_ones() {
    let more = "\n[compress]\nmin_size = 200\nlevel = { gzip = 1, br = 1 }\n";
    let own = route("compress = { level = { gzip = 2 }, secrets = true }") + more;
    let policy = loaded(&own).resolved.routes[0].compress.clone().expect("a policy");
    assert_eq!((policy.min_size, policy.secrets, policy.levels.gzip), (200, true, 2));
    let policy = loaded(&route("compress = { precompressed = true }")).resolved;
    assert!(policy.routes[0].compress.as_ref().expect("a policy").precompressed);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (keys, expected) in [
        ("codings = []", "compress.codings: expected at least one coding"),
        ("codings = [\"gzip\", \"gzip\"]", "compress.codings[1]: \"gzip\" stands here twice"),
        (
            "level = { br = 11 }",
            "compress.level.br: expected a level from 0 to 6; for what a cache stores, `stored_level` goes further",
        ),
        ("level = { gzip = 10 }", "compress.level.gzip: expected a level from 1 to 9"),
        (
            "stored_level = { zstd = 23 }",
            "compress.stored_level.zstd: expected a level from 1 to 22",
        ),
        ("cpu_share = \"0%\"", "compress.cpu_share: expected a share from \"1%\" to \"100%\""),
        ("content_types = [\"text\"]", "compress.content_types[0]"),
        ("memory = \"1MiB\"", "compress.memory"),
        (
            "from_upstream = true\nprecompressed = true",
            "compress.precompressed: with `from_upstream`",
        ),
    ] {
        let text = format!("{}[compress]\n{keys}\n", route("compress = true"));
        let told = Folder::new(&[("a.toml", &text)]).errors("a.toml");
        assert!(told.len() == 1 && told[0].contains(expected), "{keys}: {told:?}");
    }
}
