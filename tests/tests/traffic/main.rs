//! Traffic of a route: another service decides, some requests go elsewhere, some are copied.

mod decisions;
mod mirrors;
mod shares;
mod told;

use proxyd_tests::client::{self, Answer};
use proxyd_tests::configured;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{Launch, Proxyd};
use proxyd_tests::waiting;

/// A gateway with a route to `app`, which asks `auth` with these further keys.
fn asking(app: &Origin, auth: &str, keys: &str, rest: &str) -> Launch {
    let rest = format!(
        "forward_auth = {{ upstream = \"auth\", path = \"/verify?x=1\", {keys} }}\n{rest}\n\
         [upstreams.auth]\nendpoints = [\"{auth}\"]\n"
    );
    configured::gateway(&app.url(), "", &rest)
}

fn get(proxy: &Proxyd, fields: &str) -> Answer {
    let raw = format!("GET /a/b?c HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

fn counted(proxy: &Proxyd, series: &str) {
    waiting::until(series, || proxy.ask_admin("/metrics").text().contains(series).then_some(()));
}
