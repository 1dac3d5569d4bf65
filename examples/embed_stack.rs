//! The whole stack in an axum program, by a file, and exchanged while it serves.
//!
//! ```text
//! cargo run -p proxyd-examples --bin embed_stack -- examples/embed_stack.toml
//! curl -i http://127.0.0.1:3011/                       # by the file: its routes, its rules
//! curl -i http://127.0.0.1:3011/own                    # by axum
//! curl -i -X POST http://127.0.0.1:3011/own/reload     # reads the file again
//! ```
//!
//! A listener of the file says what the service does; its address is not listened on. What axum does
//! not know goes to it. A file that can not be used changes nothing, and says why.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use proxyd::embed::{Stack, StackError};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Served {
    stack: Stack,
    path: String,
}

fn app(path: &str) -> Result<Router, Failure> {
    let stack = Stack::builder().from_file(path)?;
    let web = stack.service("web").ok_or("there is no listener `web`")?;
    let served = Served { stack, path: path.to_owned() };
    Ok(Router::new()
        .route("/own", get(|| async { "axum's own\n" }))
        .route("/own/reload", post(reload))
        .with_state(served)
        .fallback_service(web))
}

async fn reload(State(served): State<Served>) -> Result<&'static str, (StatusCode, String)> {
    let change = move || {
        let loaded = Stack::builder().load(&served.path).map_err(StackError::Configuration)?;
        served.stack.swap(loaded)
    };
    let failed = |error: String| (StatusCode::UNPROCESSABLE_ENTITY, error + "\n");
    let changed = tokio::task::spawn_blocking(change).await.map_err(|e| failed(e.to_string()))?;
    changed.map_err(|e| failed(e.to_string()))?;
    Ok("done\n")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "examples/embed_stack.toml".to_owned());
    let app = app(&path)?.into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3011").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use http::Request;
    use tower::ServiceExt;

    /// A file of its own, with a fixed answer.
    fn written(path: &std::path::Path, answer: &str) {
        let config = include_str!("embed_stack.toml").replace("by the file", answer);
        std::fs::write(path, config).expect("a file");
    }

    async fn ask(app: &Router, method: &str, path: &str, last: u8) -> (u16, String) {
        let from = ConnectInfo(SocketAddr::from(([192, 0, 2, last], 50_000)));
        let request = Request::builder().method(method).uri(path).header("host", "a.test");
        let request = request.extension(from).body(Body::empty()).expect("a request");
        let answer = app.clone().oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let content = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("content");
        (status, String::from_utf8_lossy(&content).into_owned())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_serves_by_the_file_and_by_the_next_one() {
        let folder = std::env::temp_dir().join(format!("embed-stack-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("stack.toml");
        written(&path, "first");
        let app = app(&path.display().to_string()).expect("an app");
        assert_eq!(ask(&app, "GET", "/own", 1).await, (200, "axum's own\n".to_owned()));
        assert_eq!(ask(&app, "GET", "/", 1).await, (200, "first\n".to_owned()));
        assert_eq!(ask(&app, "GET", "/staff/", 1).await.0, 200);
        assert_eq!(ask(&app, "GET", "/staff/", 99).await.0, 403, "another client");
        let (status, page) = ask(&app, "CONNECT", "a.test:443", 1).await;
        assert!(status == 501 || status == 405, "{status} {page}");

        written(&path, "second");
        assert_eq!(ask(&app, "POST", "/own/reload", 1).await.0, 200);
        assert_eq!(ask(&app, "GET", "/", 1).await, (200, "second\n".to_owned()));

        std::fs::write(&path, "[listeners.web]\nadress = 1\n").expect("a file");
        let (status, why) = ask(&app, "POST", "/own/reload", 1).await;
        assert_eq!(status, 422);
        assert!(why.contains("did you mean `address`?"), "{why}");
        assert_eq!(ask(&app, "GET", "/", 1).await, (200, "second\n".to_owned()));
        let _ = std::fs::remove_dir_all(folder);
    }
}
