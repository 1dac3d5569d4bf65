//! A program as one route of an axum router: its output is the content while it writes it, and it
//! ends when the client leaves.
//!
//! ```sh
//! cargo run -p proxyd-examples --bin exec_axum
//! curl -N 'http://127.0.0.1:3000/count?last=5'        # a line each half second
//! curl -s --data-binary 'hello' http://127.0.0.1:3000/upper
//! curl -i 'http://127.0.0.1:3000/count?last=5000'     # 400: out of range, and nothing is run
//! ```
//!
//! An argument is another address to listen on.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::error::Error;

use axum::Router;
use axum::routing::{get_service, post_service};
use http::HeaderValue;
use proxy_core::ErrorPagesLayer;
use proxy_exec::params::{Kind, Param, Source};
use proxy_exec::{ExecConfig, ExecRunner, ExecService, Warden};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all, before any thread: a copy of this program is the warden that starts the others.
    let warden = Warden::begin();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(warden))
}

async fn serve(warden: Warden) -> Result<(), Box<dyn Error>> {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    // Shared by all programs: the warden, and how many run at a time.
    let runner = ExecRunner::new(warden).runs(8);
    // No shell reads what a client says: it is one word of the script's arguments, a number.
    let range = Kind::Integer { min: 1, max: 60 };
    let count = ExecConfig::new("sh")
        .arg("-c")?
        .arg("for n in $(seq \"$1\"); do echo \"$n\"; sleep 0.5; done")?
        .arg("count")?
        .arg("{query.last}")?
        .param("last", Param::new(Source::Query, range).or("10"))
        .content_type(text.clone());
    let upper = ExecConfig::new("tr").arg("a-z")?.arg("A-Z")?.stdin().content_type(text);
    let app: Router = Router::new()
        .route("/count", get_service(ExecService::new(count, &runner)?))
        .route("/upper", post_service(ExecService::new(upper, &runner)?))
        // The text of refusals.
        .layer(ErrorPagesLayer::new("exec_axum"));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("try: curl -N 'http://{}/count?last=5'", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
