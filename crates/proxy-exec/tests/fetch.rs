//! Parameters that are URLs and are fetched: what programs read, and what becomes of what can not
//! be had.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{Empty, StreamBody};
use proxy_core::{Body, ErrorKind, Exchange, ProxyError};
use proxy_exec::fetch::Fetching;
use proxy_exec::params::{Kind, Param, Source};
use proxy_exec::{ExecConfig, ExecService};
use proxy_testkit::ExchangeBuilder;
use support::{content, get, reason, runner, script, send};

/// A program that reads what `from` names.
fn reads(config: ExecConfig) -> ExecConfig {
    config.param("from", Param::new(Source::Query, Kind::Url).fetch())
}

/// What was asked for, and what is answered.
#[derive(Clone, Default)]
struct Web(Arc<Mutex<Vec<String>>>);

impl Web {
    fn service(
        &self,
        config: ExecConfig,
        answer: impl Fn() -> Result<Response<Body>, ProxyError> + Send + Sync + 'static,
    ) -> ExecService {
        let asked = Arc::clone(&self.0);
        let fetcher = move |url: Uri, _: Option<&Exchange>| -> Fetching {
            asked.lock().unwrap().push(url.to_string());
            Box::pin(std::future::ready(answer()))
        };
        ExecService::new(config, &runner().fetcher(Arc::new(fetcher))).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn pieces(list: Vec<Result<&'static str, &'static str>>) -> Body {
    let frames = list.into_iter().map(|piece| match piece {
        Ok(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
        Err(text) => Err(std::io::Error::other(text)),
    });
    Body::new(StreamBody::new(stream::iter(frames)))
}

#[tokio::test]
async fn a_program_reads_what_the_url_names_and_sees_no_url() {
    let web = Web::default();
    let program = reads(script("printf '%s:' \"$*\"; tr a-z A-Z"));
    let program = web.service(program, || Ok(Response::new(pieces(vec![Ok("a"), Ok("b")]))));
    let response = get(&program, "/?from=http%3A%2F%2Fa.test%2Fx%3Fy").await;
    assert_eq!(response.status(), 200);
    assert_eq!(content(response).await.unwrap(), ":AB");
    assert_eq!(web.asked(), ["http://a.test/x?y"]);
}

#[tokio::test]
async fn another_may_fetch_for_the_same_program() {
    let first = Web::default();
    let program = first.service(reads(ExecConfig::new("cat")), || Ok(Response::default()));
    let other = |_: Uri, _: Option<&Exchange>| -> Fetching {
        Box::pin(std::future::ready(Ok(Response::new(Body::full("other")))))
    };
    let program = program.with_fetcher(Arc::new(other));
    let response = get(&program, "/?from=http%3A%2F%2Fa.test").await;
    assert_eq!(content(response).await.unwrap(), "other");
    assert!(first.asked().is_empty());
}

#[tokio::test]
async fn nothing_is_fetched_for_a_request_that_runs_nothing() {
    let web = Web::default();
    let program = web.service(reads(ExecConfig::new("cat")), || Ok(Response::default()));
    for bad in ["/", "/?from=file%3A%2F%2F%2Fetc%2Fpasswd", "/?from=http%3A%2F%2Fu%40a.test"] {
        assert_eq!(get(&program, bad).await.status(), 400, "{bad}");
    }
    let head = Request::head("/?from=http%3A%2F%2Fa.test").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(send(&program, head).await.status(), 200);
    assert!(web.asked().is_empty(), "{:?}", web.asked());
}

#[tokio::test]
async fn what_can_not_be_had_has_a_status_and_starts_nothing() {
    type Answer = fn() -> Result<Response<Body>, ProxyError>;
    let folder = support::Folder::new();
    let touched = folder.path().join("ran");
    let cases: [(Answer, u16, &str); 6] = [
        (|| Err(ProxyError::new(ErrorKind::DestinationIpProhibited)), 502, "url_not_fetched"),
        (|| Err(ProxyError::new(ErrorKind::ConnectionRefused)), 502, "url_not_fetched"),
        (
            || {
                let redirect = Response::builder().status(StatusCode::FOUND);
                Ok(redirect.header("location", "http://b.test/").body(Body::empty()).unwrap())
            },
            502,
            "url_status",
        ),
        (
            || Ok(Response::builder().status(206).body(Body::full("part")).unwrap()),
            502,
            "url_status",
        ),
        (
            || {
                let coded = Response::builder().header("content-encoding", "gzip");
                Ok(coded.body(Body::full("x")).unwrap())
            },
            502,
            "url_coding",
        ),
        (|| Ok(Response::new(Body::full("more than eight"))), 502, "url_too_large"),
    ];
    for (answer, status, expected) in cases {
        let mut program = reads(script(&format!("touch {}; cat", touched.display())));
        program.limits.fetch = 8;
        let program = Web::default().service(program, answer);
        let response = get(&program, "/?from=http%3A%2F%2Fa.test").await;
        assert_eq!((response.status().as_u16(), reason(&response)), (status, expected));
    }
    assert!(!touched.exists());
}

#[tokio::test]
async fn what_does_not_answer_is_not_waited_for_long() {
    let mut program = reads(ExecConfig::new("cat"));
    program.timeouts.start = Duration::from_millis(50);
    let fetcher = |_: Uri, _: Option<&Exchange>| -> Fetching { Box::pin(std::future::pending()) };
    let program = ExecService::new(program, &runner().fetcher(Arc::new(fetcher))).unwrap();
    let response = get(&program, "/?from=http%3A%2F%2Fa.test").await;
    assert_eq!((response.status().as_u16(), reason(&response)), (504, "url_slow"));
}

#[tokio::test]
async fn what_breaks_off_or_is_too_much_is_no_whole_output() {
    for (answer, begins) in [
        (vec![Ok("ab"), Err("reset")], "url_content_incomplete"),
        (vec![Ok("123456"), Ok("789")], "url_content_incomplete"),
    ] {
        let mut program = reads(script("cat >/dev/null; echo whole"));
        program.limits.fetch = 8;
        let answer = Arc::new(Mutex::new(Some(pieces(answer))));
        let program = Web::default().service(program, move || {
            Ok(Response::new(answer.lock().unwrap().take().unwrap_or_default()))
        });
        let response = get(&program, "/?from=http%3A%2F%2Fa.test").await;
        assert_eq!((response.status().as_u16(), reason(&response)), (502, begins));
    }
    // The same after the first byte: the message breaks off.
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let late = stream::once(async move {
        let _ = wait.await;
        Err::<Frame<Bytes>, _>(std::io::Error::other("reset"))
    });
    let late = Arc::new(Mutex::new(Some(Body::new(StreamBody::new(Box::pin(late))))));
    let program = Web::default().service(reads(script("printf early; cat")), move || {
        Ok(Response::new(late.lock().unwrap().take().unwrap_or_default()))
    });
    let response = get(&program, "/?from=http%3A%2F%2Fa.test").await;
    assert_eq!(response.status(), 200);
    go.send(()).unwrap();
    let (text, error) = content(response).await.unwrap_err();
    assert_eq!(text, "early");
    assert!(error.contains("fetch_broke"), "{error}");
}

#[tokio::test]
async fn the_record_says_what_was_read_but_for_secrets() {
    for (is_secret, expected) in [(false, "cat < http://a.test/x"), (true, "cat < '[redacted]'")] {
        let mut from = Param::new(Source::Query, Kind::Url).fetch();
        from.secret = is_secret;
        let program = ExecConfig::new("cat").param("from", from);
        let program = Web::default().service(program, || Ok(Response::new(Body::full("x"))));
        let exchange = ExchangeBuilder::new().build();
        let mut request =
            Request::get("/?from=http%3A%2F%2Fa.test%2Fx").body(Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(exchange.clone());
        assert_eq!(content(send(&program, request).await).await.unwrap(), "x");
        let shown: Vec<_> =
            exchange.with_decisions(|list| list.iter().map(|one| one.reason.to_string()).collect());
        assert!(shown.iter().any(|text: &String| text == expected), "{shown:?}");
    }
}

#[test]
fn what_can_not_work_is_said() {
    let said = |config: ExecConfig| -> Vec<(String, String)> { config.check() };
    assert!(said(reads(ExecConfig::new("cat"))).is_empty());
    let url = || Param::new(Source::Query, Kind::Url).fetch();
    for (config, place, word) in [
        (reads(ExecConfig::new("cat").stdin()), "params.from.fetch", "`stdin`"),
        (reads(ExecConfig::new("bash")), "params.from.fetch", "code"),
        (reads(ExecConfig::new("cat")).param("other", url()), "params.other", "one"),
        (
            ExecConfig::new("cat").param("n", Param::new(Source::Query, Kind::Boolean).fetch()),
            "params.n",
            "URL",
        ),
    ] {
        let found = said(config);
        assert!(
            found.iter().any(|(at, text)| at == place && text.contains(word)),
            "{place}: {found:?}"
        );
    }
    let nothing = ExecService::new(reads(ExecConfig::new("cat")), &runner()).unwrap_err();
    assert_eq!(nothing.place, "params.from.fetch");
}
