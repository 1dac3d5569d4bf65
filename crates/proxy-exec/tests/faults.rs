//! Programs that misbehave, and clients that leave: nothing hangs, and nothing is left.

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use proxy_exec::{ExecConfig, ExecRunner, ExecService, Stderr};
use support::{
    content, get, gone, mark, marked, processes, reason, runner, script, send, service, until,
};

#[tokio::test]
async fn the_client_leaves_in_mid_stream() {
    let mark = mark();
    let program = service(marked(&mark, "echo x; sleep 1000 & sleep 1000"));
    let response = get(&program, "/").await;
    until("both run", || processes(&mark).len() >= 2).await;
    drop(response);
    gone(&mark).await;
}

#[tokio::test]
async fn the_client_leaves_before_the_first_byte() {
    let mark = mark();
    let program = service(marked(&mark, "sleep 1000"));
    let waiting = tokio::spawn({
        let program = program.clone();
        async move { drop(get(&program, "/").await) }
    });
    until("it runs", || !processes(&mark).is_empty()).await;
    waiting.abort();
    gone(&mark).await;
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_after_the_grace() {
    let mark = mark();
    let program = service(marked(&mark, "trap '' TERM; echo x; while :; do sleep 0.1; done"));
    drop(get(&program, "/").await);
    gone(&mark).await;
}

#[tokio::test]
async fn one_that_hears_sigterm_may_tidy_up() {
    let folder = support::Folder::new();
    let done = folder.path().join("done");
    // It waits in its own `wait`: a shell loses signals while it starts a program.
    let text = format!(
        "trap 'sleep 0.1; echo x > {}; exit' TERM; sleep 1000 & echo x; wait",
        done.display()
    );
    let mut config = script(&text);
    config.timeouts.kill_after = Duration::from_secs(20);
    let program = service(config);
    drop(get(&program, "/").await);
    until("it tidied up", || done.exists()).await;
}

#[tokio::test]
async fn a_daemon_does_not_outlive_its_run() {
    let mark = mark();
    // Its own session, its parent gone, its streams elsewhere: all that a daemon does.
    let text = "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &) ; echo x; sleep 0.1";
    let response = get(&service(marked(&mark, text)), "/").await;
    assert_eq!(content(response).await.unwrap(), "x\n");
    gone(&mark).await;
}

#[tokio::test]
async fn a_daemon_is_killed_while_other_runs_go_on() {
    let (other, mark) = (mark(), mark());
    let runner = runner();
    let service = |config| ExecService::new(config, &runner).unwrap();
    let long = service(marked(&other, "echo x; sleep 1000"));
    let going_on = get(&long, "/").await;
    let text = "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &) ; echo x";
    content(get(&service(marked(&mark, text)), "/").await).await.unwrap();
    gone(&mark).await;
    assert!(!processes(&other).is_empty());
    drop(going_on);
    gone(&other).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_does_not_hang_the_response() {
    let mark = mark();
    let response = get(&service(marked(&mark, "echo x; sleep 1000 & exit 0")), "/").await;
    assert_eq!(content(response).await.unwrap(), "x\n");
    gone(&mark).await;
}

#[tokio::test]
async fn a_grandchild_that_writes_for_ever_does_not_hang_the_response() {
    let mark = mark();
    let response = get(&service(marked(&mark, "yes & sleep 0.1; exit 0")), "/").await;
    // What it would still write is cut off, and it shows.
    let error = content(response).await.err().map(|(_, error)| error);
    assert!(error.as_ref().is_some_and(|e| e.contains("output_held")), "{error:?}");
    gone(&mark).await;
}

#[tokio::test]
async fn a_slow_client_gets_all_that_the_program_wrote() {
    let folder = support::Folder::new();
    let go = folder.path().join("go");
    for errors in [Stderr::Discard, Stderr::Log] {
        let _ = std::fs::remove_file(&go);
        let runner = runner();
        let text = format!(
            "printf first; until [ -e {} ]; do sleep 0.01; done; head -c 200000 /dev/zero",
            go.display()
        );
        let mut config = script(&text).stderr(errors);
        config.timeouts.kill_after = Duration::ZERO;
        let program = ExecService::new(config, &runner).unwrap();
        let mut body = get(&program, "/").await.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "first");
        std::fs::write(&go, "").unwrap();
        // It ends, what it wrote is in the pipe, and every grace is over.
        until("the program has ended", || runner.spawner().running() == 0).await;
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), 200_000, "{errors:?}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_keep_the_program_beyond_its_time() {
    let mark = mark();
    let runner = runner();
    let mut config = marked(&mark, "trap '' TERM; yes");
    config.timeouts.total = Some(Duration::from_millis(300));
    let program = ExecService::new(config, &runner).unwrap();
    let response = get(&program, "/").await;
    assert_eq!(response.status(), 200);
    // Nobody polls it, and its place is free again.
    gone(&mark).await;
    until("its place is free", || runner.spawner().running() == 0).await;
    let (_, error) = content(response).await.unwrap_err();
    assert!(error.contains("total_timeout"), "{error}");
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_though_nobody_reads() {
    let mark = mark();
    let runner = runner();
    let text = "printf first; (trap '' TERM; sleep 1000; sleep 1000) & exit 0";
    let program = ExecService::new(marked(&mark, text), &runner).unwrap();
    let response = get(&program, "/").await;
    gone(&mark).await;
    until("its place is free", || runner.spawner().running() == 0).await;
    assert_eq!(content(response).await.unwrap(), "first");
}

#[tokio::test]
async fn one_that_writes_for_ever_is_ended_by_its_limits() {
    let mark = mark();
    let mut config = marked(&mark, "exec yes");
    config.limits.output = Some(1 << 20);
    let (text, error) = content(get(&service(config), "/").await).await.unwrap_err();
    assert!(error.contains("output_limit") && text.len() <= 1 << 20, "{error} {}", text.len());
    let mut config = marked(&mark, "exec yes");
    config.timeouts.total = Some(Duration::from_millis(200));
    let (_, error) = content(get(&service(config), "/").await).await.unwrap_err();
    assert!(error.contains("total_timeout"), "{error}");
    gone(&mark).await;
}

#[tokio::test]
async fn one_that_never_reads_its_input() {
    let mark = mark();
    let endless =
        stream::repeat_with(|| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![0; 4096]))));
    let mut config = marked(&mark, "sleep 1000").stdin();
    config.timeouts.first_byte = Some(Duration::from_millis(200));
    let request = Request::post("/").body(StreamBody::new(endless)).unwrap();
    let response = send(&service(config), request).await;
    assert_eq!((response.status().as_u16(), reason(&response)), (504, "program_silent"));
    gone(&mark).await;
}

#[tokio::test]
async fn one_that_ends_before_its_input_does() {
    let endless =
        stream::repeat_with(|| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; 4096]))));
    let program = service(script("head -c 3").stdin());
    let response = send(&program, Request::post("/").body(StreamBody::new(endless)).unwrap()).await;
    assert_eq!(content(response).await.unwrap(), "xxx");
}

#[tokio::test]
async fn one_that_closes_its_input_and_goes_on() {
    let endless =
        stream::repeat_with(|| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; 4096]))));
    let program = service(script("exec <&-; sleep 0.1; echo done").stdin());
    let response = send(&program, Request::post("/").body(StreamBody::new(endless)).unwrap()).await;
    assert_eq!(content(response).await.unwrap(), "done\n");
}

#[tokio::test]
async fn content_that_breaks_off_ends_the_run() {
    let mark = mark();
    let parts = stream::iter([
        Ok(Frame::data(Bytes::from_static(b"x"))),
        Err(std::io::Error::other("broke")),
    ]);
    let request = Request::post("/").body(StreamBody::new(parts)).unwrap();
    let response = send(&service(marked(&mark, "cat; sleep 1000").stdin()), request).await;
    match response.status().as_u16() {
        400 => assert_eq!(reason(&response), "content_incomplete"),
        _ => assert!(content(response).await.unwrap_err().1.contains("input_broke")),
    }
    gone(&mark).await;
}

#[tokio::test]
async fn one_that_closes_its_output_and_lives_on() {
    let mark = mark();
    let mut config = marked(&mark, "echo x; exec >&- 2>&-; sleep 1000");
    config.timeouts.read_idle = Some(Duration::from_millis(200));
    let (text, error) = content(get(&service(config), "/").await).await.unwrap_err();
    assert!(text == "x\n" && error.contains("idle_timeout"), "{text} {error}");
    gone(&mark).await;
}

#[tokio::test]
async fn slow_but_steady_is_not_idle() {
    let mut config = script("for i in 1 2 3 4 5 6; do printf $i; sleep 0.1; done");
    config.timeouts.read_idle = Some(Duration::from_millis(400));
    config.timeouts.first_byte = Some(Duration::from_secs(20));
    assert_eq!(content(get(&service(config), "/").await).await.unwrap(), "123456");
}

#[tokio::test]
async fn limits_are_set_and_kill() {
    let mut config = script("exec sh -c 'while :; do :; done'");
    config.confine.cpu_seconds = Some(1);
    assert_eq!(reason(&get(&service(config), "/").await), "program_ended_by_signal");
    // Memory beyond its limit: what dd asks for it does not get.
    let mut config = script("exec dd if=/dev/zero of=/dev/null bs=512M count=1");
    config.confine.memory = Some(64 << 20);
    assert_eq!(reason(&get(&service(config), "/").await), "program_failed");
    let mut config = script("ulimit -t; ulimit -n; ulimit -f; ulimit -c; nice");
    config.confine.cpu_seconds = Some(7);
    config.confine.open_files = Some(33);
    config.confine.file_size = Some(1 << 20);
    config.nice = 5;
    let text = content(get(&service(config), "/").await).await.unwrap();
    // sh counts file sizes in blocks of 512 bytes.
    assert_eq!(text, "7\n33\n2048\n0\n5\n");
}

#[tokio::test]
async fn a_confined_program_is_found_missing_too() {
    let folder = support::Folder::new();
    let plain = folder.file("plain", "#!/bin/sh\n", 0o644);
    for (program, expected) in [
        ("no-such-program", "program_not_found"),
        (plain.to_str().unwrap(), "program_not_executable"),
    ] {
        let mut config = ExecConfig::new(program);
        config.confine.open_files = Some(33);
        assert_eq!(reason(&get(&service(config), "/").await), expected);
    }
}

#[tokio::test]
async fn a_confined_program_is_alone_and_ended_too() {
    let mark = mark();
    let mut config = marked(
        &mark,
        "echo x; ls /proc/self/fd | wc -l; cut -d' ' -f 1,5,6 /proc/$$/stat; sleep 1000",
    );
    config.confine.open_files = Some(64);
    let response = get(&service(config), "/").await;
    let mut body = response.into_body();
    let mut text = String::new();
    while text.lines().count() < 3 {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(&String::from_utf8_lossy(&data));
    }
    let lines: Vec<&str> = text.lines().collect();
    // The streams and the folder that ls reads.
    assert_eq!(lines[1], "4");
    let ids: Vec<&str> = lines[2].split(' ').collect();
    assert!(ids[0] == ids[1] && ids[0] == ids[2], "its own group and session: {ids:?}");
    drop(body);
    gone(&mark).await;
}

#[tokio::test]
async fn no_more_run_than_may_and_the_rest_waits_or_is_refused() {
    let mark = mark();
    let mut config = marked(&mark, "echo x; sleep 1000");
    config.limits.runs = 2;
    config.limits.queue = 1;
    let program = service(config);
    let (one, two) = (get(&program, "/").await, get(&program, "/").await);
    let waiting = tokio::spawn({
        let program = program.clone();
        async move { get(&program, "/").await }
    });
    // One thread: it has gone as far as it can, which is into the queue.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let refused = get(&program, "/").await;
    assert_eq!((refused.status().as_u16(), reason(&refused)), (503, "runs_exhausted"));
    assert!(!waiting.is_finished());
    drop(one);
    let three = waiting.await.unwrap();
    assert_eq!(three.status(), 200);
    drop((two, three));
    gone(&mark).await;
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_to_come_back() {
    let mut config = script("echo x; sleep 1000");
    config.limits.runs = 1;
    config.timeouts.queue = Duration::from_millis(100);
    let program = service(config);
    let _one = get(&program, "/").await;
    let refused = get(&program, "/").await;
    assert_eq!((refused.status().as_u16(), reason(&refused)), (503, "runs_exhausted"));
}

#[tokio::test]
async fn the_limit_of_all_holds_over_the_limits_of_each() {
    let runner: ExecRunner = runner().runs(1);
    let service = |config| ExecService::new(config, &runner).unwrap();
    let mut second = script("echo x");
    second.timeouts.queue = Duration::from_millis(100);
    let (first, second) = (service(script("echo x; sleep 1000")), service(second));
    let held = get(&first, "/").await;
    assert_eq!(reason(&get(&second, "/").await), "runs_exhausted");
    drop(held);
    until("the place is free again", || runner.spawner().running() == 0).await;
    assert_eq!(content(get(&second, "/").await).await.unwrap(), "x\n");
}
