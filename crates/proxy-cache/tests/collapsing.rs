//! One fill for any number of concurrent requests (issue: collapsing while streaming).

mod stage;

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use proxy_cache::{CacheRules, OnDisconnect};
use proxy_testkit::{Answer, ScriptedBody, Step, WakeCount, poll_once};
use stage::{Stage, text_of};

fn fresh(body: ScriptedBody) -> Response<ScriptedBody> {
    Response::builder().header("cache-control", "max-age=60").body(body).expect("a response")
}

/// An answer that waits for its release.
fn held(response: Response<ScriptedBody>) -> stage::Stub {
    Answer::Held(Box::new(Answer::Respond(response)))
}

#[tokio::test]
async fn a_thousand_requests_for_one_missing_response_are_one_upstream() {
    let stage = Stage::new(|| held(fresh(stage::held_body().0)));
    let mut asking: Vec<_> = (0..1000).map(|_| Box::pin(stage.get("/a"))).collect();
    for request in &mut asking {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    assert_eq!(stage.origin.calls(), 1);
    stage.origin.release();
    let mut answers = Vec::new();
    for request in &mut asking {
        let Poll::Ready(answer) = poll_once(request.as_mut()) else { panic!("nobody answers") };
        answers.push(answer);
    }
    let collapsed = answers.iter().filter(|answer| stage::status(answer).contains("collapsed"));
    assert_eq!(collapsed.count(), 999);
    assert_eq!(stage.origin.calls(), 1);
    // The first bytes are there for all, while the rest is still awaited.
    for answer in &mut answers {
        let frame = poll_once(pin!(answer.body_mut().frame()));
        let Poll::Ready(Some(Ok(frame))) = frame else { panic!("no first bytes") };
        assert_eq!(frame.into_data().expect("data"), "ab");
    }
}

#[tokio::test]
async fn the_leader_may_leave_before_and_during_the_content() {
    let (body, probe) = stage::held_body();
    let mut body = Some(body);
    let stage = Stage::new(move || held(fresh(body.take().expect("asked once"))));
    let mut leader = Box::pin(stage.get("/a"));
    let mut second = Box::pin(stage.get("/a"));
    let mut third = Box::pin(stage.get("/a"));
    let wakes = WakeCount::new();
    for request in [&mut leader, &mut second, &mut third] {
        assert!(wakes.poll(|cx| request.as_mut().poll(cx)).is_pending());
    }
    drop(leader);
    stage.origin.release();
    assert!(wakes.count() > 0, "those who stay are woken");
    let Poll::Ready(mut second) = poll_once(second.as_mut()) else { panic!("no answer") };
    let Poll::Ready(third) = poll_once(third.as_mut()) else { panic!("no answer") };
    let Poll::Ready(Some(Ok(_))) = poll_once(pin!(second.body_mut().frame())) else {
        panic!("no first bytes");
    };
    drop(second);
    probe.release();
    assert_eq!(text_of(third).await, "abcd");
    // It was stored although those who began it have left.
    let again = stage.get("/a").await;
    assert!(stage::status(&again).contains("hit"), "{}", stage::status(&again));
    assert_eq!(stage.origin.calls(), 1);
}

#[tokio::test]
async fn the_last_one_to_leave_ends_it() {
    for policy in [OnDisconnect::Cancel, OnDisconnect::FinishIfShared] {
        let (body, probe) = stage::held_body();
        let mut body = Some(body);
        let rules = CacheRules { on_disconnect: policy, ..CacheRules::default() };
        let stage =
            Stage::with(rules, move || Answer::Respond(fresh(body.take().expect("asked once"))));
        let mut answer = stage.get("/a").await;
        let first = answer.body_mut().frame().await.expect("a frame").expect("sound");
        assert_eq!(first.into_data().expect("data"), "ab");
        drop(answer);
        assert!(probe.is_dropped(), "{policy:?}");
        assert_eq!(stage.tasks.started(), 0);
    }
}

#[tokio::test]
async fn what_many_wanted_is_finished_for_the_store() {
    let (body, probe) = stage::held_body();
    let mut body = Some(body);
    let stage = Stage::new(move || Answer::Respond(fresh(body.take().expect("asked once"))));
    let first = stage.get("/a").await;
    let second = stage.get("/a").await;
    assert!(stage::status(&second).contains("collapsed"));
    drop((first, second));
    assert_eq!(stage.tasks.started(), 1);
    probe.release();
    stage.tasks.run_until_stalled();
    assert_eq!(text_of(stage.get("/a").await).await, "abcd");
    assert_eq!(stage.origin.calls(), 1);
}

#[tokio::test]
async fn an_unshareable_answer_releases_all_at_once_and_is_remembered() {
    let stage = Stage::new(|| {
        let mut response = fresh(ScriptedBody::new([Step::data("mine")]));
        response.headers_mut().insert("cache-control", "no-store".parse().expect("a value"));
        held(response)
    });
    let mut asking: Vec<_> = (0..10).map(|_| Box::pin(stage.get("/a"))).collect();
    for request in &mut asking {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    assert_eq!(stage.origin.calls(), 1);
    stage.origin.release();
    for request in &mut asking {
        let _ = poll_once(request.as_mut());
    }
    // Each by itself, none behind another.
    assert_eq!(stage.origin.calls(), 10);
    let mut later: Vec<_> = (0..3).map(|_| Box::pin(stage.get("/a"))).collect();
    for request in &mut later {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    assert_eq!(stage.origin.calls(), 13, "it is not collapsed again");
    stage.clock.advance(std::time::Duration::from_secs(11));
    let mut later: Vec<_> = (0..3).map(|_| Box::pin(stage.get("/a"))).collect();
    for request in &mut later {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    assert_eq!(stage.origin.calls(), 14, "but later it is");
}

#[tokio::test]
async fn what_breaks_off_is_never_stored() {
    for steps in [
        vec![Step::data("ab"), Step::Error("broken")],
        vec![Step::data("ab"), Step::Yield, Step::Error("broken")],
    ] {
        let mut steps = Some(steps);
        let stage = Stage::new(move || {
            let steps = steps.take().unwrap_or_else(|| vec![Step::data("whole")]);
            Answer::Respond(fresh(ScriptedBody::new(steps)))
        });
        let broken = stage.get("/a").await;
        assert!(broken.into_body().collect().await.is_err());
        assert_eq!(text_of(stage.get("/a").await).await, "whole");
        assert_eq!(stage.origin.calls(), 2);
    }
}

#[tokio::test]
async fn variants_do_not_get_each_others_answer() {
    let languages = std::sync::Mutex::new(["de", "en"].into_iter());
    let stage = Stage::new(move || {
        let language = languages.lock().expect("one test").next().expect("asked twice");
        let mut response = fresh(ScriptedBody::new([Step::data(language)]));
        response.headers_mut().insert("vary", "accept-language".parse().expect("a value"));
        held(response)
    });
    let ask = |language: &'static str| {
        stage.ask(Request::get("/a").header("host", "a.test").header("accept-language", language))
    };
    let (mut de, mut en) = (Box::pin(ask("de")), Box::pin(ask("en")));
    assert!(poll_once(de.as_mut()).is_pending());
    assert!(poll_once(en.as_mut()).is_pending());
    assert_eq!(stage.origin.calls(), 1);
    stage.origin.release();
    stage.origin.release();
    let (de, en) = tokio::join!(de, en);
    assert_eq!((text_of(de).await, text_of(en).await), ("de".into(), "en".into()));
    assert_eq!(text_of(ask("de").await).await, "de");
    assert_eq!(text_of(ask("en").await).await, "en");
    assert_eq!(stage.origin.calls(), 2);
}

#[tokio::test]
async fn a_panic_upstream_hurts_nobody_else_for_ever() {
    let mut first = true;
    let stage = Stage::new(move || {
        if std::mem::take(&mut first) {
            Answer::PanicInFuture
        } else {
            Answer::Respond(fresh(ScriptedBody::new([Step::data("fine")])))
        }
    });
    let stage = Arc::new(stage);
    let asking = Arc::clone(&stage);
    let panicked = tokio::spawn(async move { asking.get("/a").await.status() }).await;
    assert!(panicked.is_err());
    let answer = stage.get("/a").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text_of(answer).await, "fine");
}

/// What must be validated for each client is no answer to those who wait (RFC 9111 section 4).
#[tokio::test]
async fn collapsing_is_reuse() {
    for control in ["no-cache", "max-age=0, must-revalidate"] {
        let stage = Stage::new(move || {
            let mut response = fresh(ScriptedBody::new([Step::data("x")]).exact());
            response.headers_mut().insert("cache-control", control.parse().expect("a value"));
            response.headers_mut().insert("etag", "\"1\"".parse().expect("a value"));
            held(response)
        });
        let mut first = Box::pin(stage.get("/a"));
        let mut second = Box::pin(stage.get("/a"));
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(second.as_mut()).is_pending());
        stage.origin.release();
        assert!(poll_once(first.as_mut()).is_ready());
        assert!(poll_once(second.as_mut()).is_pending(), "{control}");
        assert_eq!(stage.origin.calls(), 2, "{control}");
    }
}

#[tokio::test]
async fn who_joins_late_is_told_how_old_it_is() {
    let (body, _probe) = stage::held_body();
    let mut body = Some(body);
    let stage = Stage::new(move || Answer::Respond(fresh(body.take().expect("asked once"))));
    let _first = stage.get("/a").await;
    stage.clock.advance(std::time::Duration::from_secs(7));
    let late = stage.get("/a").await;
    assert_eq!(late.headers()["age"], "7");
    stage.clock.advance(std::time::Duration::from_secs(60));
    let mut too_late = Box::pin(stage.ask(Request::get("/a").header("host", "a.test")));
    // The minute is over: it is not for those who ask now.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = poll_once(too_late.as_mut());
    }));
    assert!(panicked.is_err(), "upstream was asked");
}

#[tokio::test]
async fn each_variant_collapses_by_itself() {
    let stage = Stage::new(|| {
        let mut response = fresh(stage::held_body().0);
        response.headers_mut().insert("vary", "accept-language".parse().expect("a value"));
        held(response)
    });
    let ask =
        |language: &'static str| {
            Box::pin(stage.ask(
                Request::get("/a").header("host", "a.test").header("accept-language", language),
            ))
        };
    let mut de = ask("de");
    assert!(poll_once(de.as_mut()).is_pending());
    stage.origin.release();
    let Poll::Ready(_filling) = poll_once(de.as_mut()) else { panic!("no answer") };
    let mut en: Vec<_> = (0..10).map(|_| ask("en")).collect();
    for request in &mut en {
        assert!(poll_once(request.as_mut()).is_pending());
    }
    assert_eq!(stage.origin.calls(), 2, "ten for English wait for one");
}

#[tokio::test]
async fn who_asks_after_a_purge_does_not_join_what_was_before() {
    let (body, _probe) = stage::held_body();
    let mut bodies = vec![ScriptedBody::new([Step::data("new")]), body];
    let stage = Stage::new(move || Answer::Respond(fresh(bodies.pop().expect("asked twice"))));
    let _old = stage.get("/a").await;
    stage.layer.purge(&proxy_cache::purge::Selector::All, false, false);
    assert_eq!(text_of(stage.get("/a").await).await, "new");
}
