//! What the other service is asked, and what nobody but it may say.

use proxy_core::Reply;
use proxy_testkit::{ScriptedBody, Step};

use super::*;

#[tokio::test]
async fn who_may_passes_with_the_fields_of_the_answer() {
    let (auth, asked) = auth(204, &[("x-user", "ann"), ("x-other", "no")], "");
    assert_eq!(ask(auth, request()).await.1, "x-user=ann");
    let asked = asked.lock().unwrap();
    let (method, target, fields) = &asked[0];
    assert_eq!((method.as_str(), target.as_str()), ("GET", "/verify?a=b"));
    for (name, expected) in [
        ("host", Some("app.test")),
        ("cookie", Some("a=b")),
        ("content-length", None),
        ("if-none-match", None),
        ("connection", None),
        ("x-hop", None),
        ("x-user", None),
        ("x_user", None),
        ("x-forwarded-method", Some("POST")),
        ("x-forwarded-uri", Some("/path?query")),
        ("x-forwarded-host", Some("app.test")),
        ("x-forwarded-proto", Some("http")),
    ] {
        assert_eq!(fields.get(name).map(|value| value.to_str().unwrap()), expected, "{name}");
    }
}

/// Asks, and gives the fields of the question.
async fn question(asks: ForwardAuth, lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let (auth, asked) = auth(204, &[], "");
    let mut request = request();
    for (name, value) in lines {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    ask_with(auth, asks, request).await;
    let (_, _, fields) = asked.lock().unwrap().remove(0);
    fields
}

fn names(fields: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

/// What layers above write of a request.
const FORWARDING: [(&str, &str); 5] = [
    ("x-forwarded-for", "192.0.2.7"),
    ("forwarded", "for=192.0.2.7;proto=https;host=public.test, for=192.0.2.8"),
    ("x-request-id", "id-1"),
    ("traceparent", "00-1-1-00"),
    ("via", "1.1 edge"),
];

const TOLD: [&str; 4] =
    ["x-forwarded-host", "x-forwarded-method", "x-forwarded-proto", "x-forwarded-uri"];

#[tokio::test]
async fn what_is_sent_can_be_chosen_but_for_who_asks_and_for_what() {
    // A name that comes twice is sent once.
    let chosen = ["cookie", "cookie", "host"].map(HeaderName::from_static);
    let asks = asks().sends(chosen).keeps_forwarded();
    let fields = question(asks, &FORWARDING).await;
    let all =
        [&["cookie", "forwarded", "host", "traceparent", "via", "x-forwarded-for"], &TOLD[..]]
            .concat();
    assert_eq!(names(&fields), [&all[..], &["x-request-id"]].concat());
    assert_eq!(fields.get_all("cookie").iter().count(), 1);
    // Where nobody above has made them they are the client's own words.
    let fields = question(self::asks(), &FORWARDING).await;
    assert!(!fields.contains_key("forwarded") && !fields.contains_key("x-forwarded-for"));
}

#[tokio::test]
async fn the_host_that_is_asked_about_is_the_one_that_is_served() {
    let lines = [&FORWARDING[..], &[("x-forwarded-host", "public.test")]].concat();
    let fields = question(asks().keeps_forwarded(), &lines).await;
    for name in ["host", "x-forwarded-host"] {
        assert_eq!(fields[name], "app.test", "{name}");
    }
    assert_eq!(fields["forwarded"], "for=192.0.2.7;proto=https, for=192.0.2.8");
    assert_eq!(fields["x-forwarded-proto"], "https");
    let same = [("x-forwarded-host", "app.test"), ("forwarded", "for=a;host=app.test")];
    let fields = question(asks().keeps_forwarded(), &same).await;
    assert_eq!(fields["forwarded"], "for=a;host=app.test");
}

/// Services that stand behind several kinds of proxies read them all.
#[tokio::test]
async fn other_names_for_what_was_asked_are_not_in_the_question() {
    let lines = [
        ("x-original-url", "/public"),
        ("x-original-uri", "/public"),
        ("x-original-method", "OPTIONS"),
        ("x-original-host", "public.test"),
        ("x-rewrite-url", "/public"),
        ("x-auth-request-redirect", "/public"),
        ("x_original_url", "/public"),
        ("x-original_uri", "/public"),
        ("x_forwarded_uri", "/public"),
        ("x-forwarded_method", "OPTIONS"),
        ("x_forwarded_for", "127.0.0.1"),
        ("x-auth_request_redirect", "/public"),
    ];
    let sends = lines.map(|(name, _)| HeaderName::from_static(name));
    for asks in [asks(), asks().keeps_forwarded(), asks().sends(sends).keeps_forwarded()] {
        let fields = question(asks, &lines).await;
        let left = names(&fields).into_iter().filter(|name| !TOLD.contains(name));
        let left: Vec<_> = left.filter(|name| *name != "host" && *name != "cookie").collect();
        assert_eq!(left, Vec::<&str>::new());
        assert_eq!(fields["x-forwarded-uri"], "/path?query");
    }
}

/// About another target, or none, it is not asked.
#[tokio::test]
async fn the_target_is_told_byte_by_byte() {
    let (auth, asked) = auth(204, &[], "");
    let target = http::Uri::from_maybe_shared(bytes::Bytes::from("/caf\u{e9}?\u{fc}")).unwrap();
    let mut request = request();
    *request.uri_mut() = target;
    assert_eq!(ask(auth, request).await.0.status(), 200);
    let told = asked.lock().unwrap()[0].2["x-forwarded-uri"].clone();
    assert_eq!(told.as_bytes(), "/caf\u{e9}?\u{fc}".as_bytes());
}

#[tokio::test]
async fn clients_prove_themselves_also_where_the_service_answers_with_another_proof() {
    let asks = asks().copies([http::header::AUTHORIZATION]);
    let (auth, asked) = auth(204, &[("authorization", "Bearer own")], "");
    let mut request = request();
    request.headers_mut().insert("authorization", "Basic client".parse().unwrap());
    let app = service_fn(|request: Request<ForwardAuthBody<Full<bytes::Bytes>>>| async move {
        let all = request.headers().get_all("authorization").iter();
        let all: Vec<_> = all.map(|value| value.to_str().unwrap()).collect();
        Ok::<_, Infallible>(Response::new(Body::full(all.join(","))))
    });
    let layer = ForwardAuthLayer::new(auth, asks, Arc::new(SystemClock));
    let Ok(response) = layer.layer(app).oneshot(request).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "Bearer own");
    assert_eq!(asked.lock().unwrap()[0].2["authorization"], "Basic client");
}

#[tokio::test]
async fn nothing_passes_under_the_names_of_the_service_in_whatever_spelling() {
    let names = ["x_team", "x-user"].map(HeaderName::from_static);
    let asks = asks().copies(names).user(HeaderName::from_static("x-login"));
    let (auth, _) = auth(204, &[("x-login", "ann")], "");
    let body = ScriptedBody::new([
        Step::data("abc"),
        Step::Trailers(HeaderMap::from_iter(
            ["x-user", "x_user", "x-team", "x-login", "x_login", "x-sum"]
                .map(|name| (HeaderName::from_static(name), "forged".parse().unwrap())),
        )),
    ]);
    let mut request = Request::post("/").header("trailer", "X-User, x-sum").body(body).unwrap();
    for name in ["x-user", "x_user", "x-team", "x_team", "x-login", "x_login"] {
        request.headers_mut().insert(name, "forged".parse().unwrap());
    }
    request.headers_mut().append("trailer", "x_team, X-Login, x-time".parse().unwrap());
    let app = service_fn(|request: Request<ForwardAuthBody<ScriptedBody>>| async {
        let (head, body) = request.into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap();
        Ok::<_, Infallible>(Response::new((head.headers, trailers)))
    });
    let layer = ForwardAuthLayer::new(auth, asks, Arc::new(SystemClock));
    let Ok(response) = layer.layer(app).oneshot(request).await;
    let Reply::Inner { body: (fields, trailers) } = response.into_body() else {
        panic!("it passes");
    };
    assert_eq!(self::names(&fields), ["trailer"]);
    assert_eq!(fields["trailer"], "x-sum, x-time");
    assert_eq!(self::names(&trailers), ["x-sum"]);
}
