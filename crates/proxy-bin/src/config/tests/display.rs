//! What `config show` and `--print-config` print.

use super::*;

const TEXT: &str = r#"
[listeners.web]
address = "127.0.0.1:80"
role = "gateway"

[upstreams."a.b"]
endpoints = ["http://127.0.0.1:3000", { url = "http://127.0.0.1:3001" }]

[[routes]]
name = "one"
upstream = "a.b"
match = { paths = ["/1"], fields = { "X-Api-Key" = "k1" } }
request_fields = { set = { Authorization = "Bearer k2", X-Text = "a b\"c\\" } }
response_fields = {}

[[routes]]
name = "two"
respond = { status = 404, body = "no\n\"more\"\u007f" }
"#;

#[test]
fn the_effective_configuration_says_where_values_came_from() {
    let folder = Folder::new(&[("a.toml", TEXT)]);
    let overrides = Overrides {
        environment: vec![("PROXYD__SERVER__WORKERS".into(), "2".into())],
        arguments: vec![Argument {
            option: "--admin".into(),
            path: KeyPath::of("admin.address"),
            change: Change::Set("127.0.0.1:9901".into()),
        }],
        ..Overrides::default()
    };
    let loaded = load(&folder.path("a.toml"), &overrides).unwrap();
    let text = folder.relative(show::effective(&loaded));
    for line in [
        "address = \"127.0.0.1:80\"  # a.toml:3:11",
        "workers = 2  # environment PROXYD__SERVER__WORKERS",
        "address = \"127.0.0.1:9901\"  # command line --admin",
        "drain_timeout = \"30s\"  # default",
        "connections = 10000  # default",
        "protocols = [\"h1\"]  # default",
        "[upstreams.\"a.b\"]",
        "Authorization = \"(redacted)\"  # a.toml:13:44",
        "X-Api-Key = \"(redacted)\"  # a.toml:12:52",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("k1") && !text.contains("k2"), "{text}");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let first = Folder::new(&[("a.toml", TEXT)]).load("a.toml").unwrap();
    let second = Folder::new(&[("a.toml", &show::written(&first))]).load("a.toml").unwrap();
    assert_eq!(first.raw, second.raw);
    assert_eq!(first.written, second.written);
    let plain = TEXT.replace("Authorization", "X-A").replace("X-Api-Key", "X-B");
    let first = Folder::new(&[("a.toml", &plain)]).load("a.toml").unwrap();
    let second = Folder::new(&[("a.toml", &show::effective(&first))]).load("a.toml").unwrap();
    assert_eq!(first.raw, second.raw);
}

#[test]
fn the_schema_is_json() {
    let schema: Value =
        serde_json::from_str(&show::json_schema(&crate::extensions::Extensions::default()))
            .unwrap();
    assert_eq!(schema["title"], "proxyd configuration");
    assert_eq!(schema["additionalProperties"], false);
}
