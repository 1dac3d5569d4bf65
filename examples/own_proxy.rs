//! The whole of proxyd with a layer of one's own in it, configured as ours are.
//!
//! ```text
//! cargo run -p proxyd-examples --bin own_proxy -- check --config examples/own_proxy.toml
//! cargo run -p proxyd-examples --bin own_proxy -- run --config examples/own_proxy.toml
//! curl -i http://127.0.0.1:8080/
//! ```
//!
//! `[extensions.version]` of the file asks for the layer and says what it does; an unknown key there,
//! or a value of the wrong type, is reported with file, line and column. `config schema` has its keys.

use std::process::ExitCode;

use http::{HeaderValue, Response};
use proxy_core::Body;
use proxyd::Program;
use proxyd::extensions::{Extension, Slot};
use tower::util::MapResponseLayer;

/// `[extensions.version]`
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Version {
    /// What the field `App-Version` of every response says.
    number: String,
}

fn version() -> Extension {
    Extension::new("version", Slot::Permitted, |config: Version| {
        let number = HeaderValue::try_from(config.number)?;
        Ok::<_, http::header::InvalidHeaderValue>(MapResponseLayer::new(
            move |mut response: Response<Body>| {
                response.headers_mut().insert("app-version", number.clone());
                response
            },
        ))
    })
}

fn main() -> ExitCode {
    Program::new().extension(version()).main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proxyd::embed::Stack;
    use tower::ServiceExt;

    const FILE: &str = include_str!("own_proxy.toml");

    /// What becomes of a file of this text.
    async fn served(name: &str, text: &str) -> Result<Response<Body>, String> {
        let path = std::env::temp_dir().join(format!("own-proxy-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        let stack = Stack::builder().extension(version()).from_file(&path);
        let _ = std::fs::remove_file(&path);
        let service = stack.map_err(|error| error.to_string())?.service("web").expect("a listener");
        let request = Request::get("/").header("host", "a.test").body(Body::empty());
        Ok(service.oneshot(request.expect("a request")).await.expect("an answer"))
    }

    #[tokio::test]
    async fn the_file_says_whether_and_what() {
        let answer = served("all", FILE).await.expect("a stack");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["app-version"], "1.2.3");
        let without = FILE.split("[extensions").next().expect("the rest");
        let answer = served("without", without).await.expect("a stack");
        assert!(!answer.headers().contains_key("app-version"));
    }

    #[tokio::test]
    async fn what_is_wrong_in_its_table_has_a_place() {
        for (name, from, to, told) in [
            ("key", "number =", "numbr =", ":13:1: error: extensions.version.numbr: unknown key"),
            (
                "type",
                "\"1.2.3\"",
                "7",
                ":13:10: error: extensions.version.number: expected a string",
            ),
            ("value", "1.2.3", "1\\n2", ":12:1: error: extensions.version: failed to parse header"),
            ("name", "s.version]", "s.versoin]", "did you mean `version`?"),
        ] {
            let error = served(name, &FILE.replace(from, to)).await.expect_err(name);
            assert!(error.contains(told), "{name}: {error}");
        }
    }
}
