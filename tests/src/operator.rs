//! What operators do with a running proxy: change its configuration, order a reload, ask what is in
//! effect.

use std::fs;

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::proxyd::Proxyd;

/// The environment variable that says where the token of changes is written, and its value: the
/// folder of the proxy.
pub const RUNTIME: (&str, &str) = ("RUNTIME_DIRECTORY", ".");

/// `POST` at the admin listener, with the token of a proxy that was started with [`RUNTIME`].
#[must_use]
pub fn post(proxy: &Proxyd, path: &str, content: &str) -> Answer {
    let file = proxy.folder().join(format!("admin-{}.token", proxy.admin().port()));
    let token = fs::read_to_string(file).expect("a token");
    let length = content.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n{content}"
    );
    Client::connect(proxy.admin()).ask("POST", request)
}

/// What an answer says in JSON.
#[must_use]
pub fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.text()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Orders a reload that takes effect.
pub fn reload(proxy: &Proxyd) -> Value {
    let answer = post(proxy, "/reload", "");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    json(&answer)
}

/// The configuration of a proxy.
#[must_use]
pub fn config(proxy: &Proxyd) -> String {
    fs::read_to_string(proxy.folder().join("proxyd.toml")).expect("a configuration")
}

/// Puts another configuration into its place, as a whole.
pub fn configure(proxy: &Proxyd, config: &str) {
    let new = proxy.folder().join("proxyd.toml.new");
    fs::write(&new, config).expect("written");
    fs::rename(new, proxy.folder().join("proxyd.toml")).expect("renamed");
}

/// Changes a text in the configuration of a proxy, which has it.
pub fn edit(proxy: &Proxyd, from: &str, to: &str) {
    let before = config(proxy);
    assert!(before.contains(from), "{from} is not in {before}");
    configure(proxy, &before.replace(from, to));
}

/// The value of a metric without labels, or with these.
#[must_use]
pub fn metric(proxy: &Proxyd, name: &str) -> f64 {
    let page = proxy.ask_admin("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name}: {page}"))
}
