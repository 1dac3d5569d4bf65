//! The filter in axum: who may ask for what, as one layer.
//!
//! ```text
//! cargo run -p proxyd-examples --bin filtered_axum
//! curl -i http://localhost:3004/
//! curl -i http://localhost:3004/internal/keys
//! curl -i -X DELETE http://localhost:3004/
//! curl -i http://127.0.0.1:3004/
//! ```

use axum::Router;
use axum::routing::get;
use http::Method;
use proxy_core::ErrorPagesLayer;
use proxy_filter::policies::{HostPolicy, MethodPolicy, PathPolicy};
use proxy_filter::{FilterLayer, Policies};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn app() -> Result<Router, Failure> {
    let policies = Policies::new()
        .then(HostPolicy::allow(["localhost", "app.test"])?.rule("our-names"))
        .then(MethodPolicy::allow([Method::GET, Method::HEAD]).rule("reading"))
        .then(PathPolicy::deny(["/internal"])?.rule("internal"));
    Ok(Router::new()
        .route("/", get(|| async { "hello\n" }))
        .route("/internal/keys", get(|| async { "secret\n" }))
        .layer(FilterLayer::new(policies))
        // The last one is the outermost: it writes the pages.
        .layer(ErrorPagesLayer::new("app").show_rules(true)))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3004").await?;
    axum::serve(listener, app()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    #[tokio::test]
    async fn it_refuses_what_it_should() {
        for (method, host, path, status) in [
            ("GET", "localhost:3004", "/", 200),
            ("GET", "a.app.test", "/", 200),
            ("GET", "evil.test", "/", 403),
            ("DELETE", "localhost", "/", 405),
            ("GET", "localhost", "/internal/keys", 403),
        ] {
            let request = Request::builder().method(method).uri(path).header("host", host);
            let request = request.body(Body::empty()).expect("a request");
            let answer = app().expect("an app").oneshot(request).await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{method} {host} {path}");
        }
    }
}
