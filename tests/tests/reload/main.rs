//! Reload: another configuration takes effect while the proxy serves, all of it or nothing.

mod effect;
mod files;
mod severing;
mod survival;

use proxyd_tests::client;
use proxyd_tests::configured;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{Launch, Proxyd};

const HOST: &str = "Host: origin.test\r\n";

/// A gateway in front of this origin, which tells by which generation it answers.
fn gateway(origin: &Origin, listener: &str, rest: &str) -> Launch {
    let marked = format!("{rest}\n[routes.response_fields]\nset = {{ x-generation = \"1\" }}\n");
    configured::gateway(&origin.url(), listener, &marked).env(RUNTIME.0, RUNTIME.1)
}

/// What the configuration in effect puts into its answers.
fn mark(proxy: &Proxyd) -> String {
    let answer = client::get(proxy.address(), "origin.test", "/");
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.field("x-generation").expect("a mark").to_owned()
}

fn set_mark(proxy: &Proxyd, from: &str, to: &str) {
    let line = |mark: &str| format!("x-generation = \"{mark}\"");
    operator::edit(proxy, &line(from), &line(to));
}
