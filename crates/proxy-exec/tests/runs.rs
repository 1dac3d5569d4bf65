//! Programs as responses: streaming, input, exits, frames.

mod support;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use proxy_exec::params::{Kind, Param, Source, Template};
use proxy_exec::{Directory, ExecConfig, Stderr};
use proxy_testkit::ManualClock;
use support::{content, get, processes, reason, script, send, service, until};
use tower::{Layer as _, ServiceExt as _};

#[tokio::test]
async fn output_comes_as_it_is_written() {
    let folder = support::Folder::new();
    let go = folder.path().join("go");
    let text =
        format!("printf one; until [ -e {} ]; do sleep 0.01; done; printf two", go.display());
    let response = get(&service(script(&text)), "/").await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "one");
    // The program goes on only now: nothing was held back until its end.
    std::fs::write(go, "").unwrap();
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(second, "two");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn content_goes_in_and_output_comes_out_meanwhile() {
    let program = service(ExecConfig::new("cat").stdin());
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let parts = stream::unfold(receiver, |mut receiver| async {
        let data = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(Frame::data(data)), receiver))
    });
    let body = StreamBody::new(Box::pin(parts));
    sender.send(Bytes::from_static(b"first")).await.unwrap();
    let response = send(&program, Request::post("/").body(body).unwrap()).await;
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    sender.send(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_run_that_writes_nothing_is_an_empty_response() {
    let response = get(&service(ExecConfig::new("true")), "/").await;
    assert_eq!(response.status(), 200);
    assert!(http_body::Body::is_end_stream(response.body()));
}

#[tokio::test]
async fn a_failure_before_the_first_byte_has_a_status() {
    let folder = support::Folder::new();
    let plain = folder.file("plain", "#!/bin/sh\n", 0o644);
    let garbage = folder.file("garbage", "\x7fELFxxxx", 0o755);
    let mut nowhere = ExecConfig::new("true");
    nowhere.directory = Directory::Fixed("/no/such/folder".into());
    for (config, status, expected) in [
        (script("exit 3"), 502, "program_failed"),
        (script("kill -9 $$"), 502, "program_ended_by_signal"),
        (ExecConfig::new("no-such-program"), 500, "program_not_found"),
        (ExecConfig::new("/no/such/program"), 500, "program_not_found"),
        (ExecConfig::new(plain.to_str().unwrap()), 500, "program_not_executable"),
        (ExecConfig::new(garbage.to_str().unwrap()), 500, "program_not_executable"),
        (nowhere, 500, "program_directory"),
    ] {
        let name = config.program.clone();
        let response = get(&service(config), "/").await;
        assert_eq!((response.status().as_u16(), reason(&response)), (status, expected), "{name}");
    }
}

#[tokio::test]
async fn a_failure_in_mid_stream_is_no_clean_end() {
    let response = get(&service(script("echo half; exit 3")), "/").await;
    assert_eq!(response.status(), 200);
    let (text, error) = content(response).await.unwrap_err();
    assert_eq!(text, "half\n");
    assert!(error.contains("failed"), "{error}");
    let mut config = script("echo half; exit 3");
    config.success = vec![0, 3];
    assert_eq!(content(get(&service(config), "/").await).await.unwrap(), "half\n");
}

#[tokio::test]
async fn the_exit_status_is_a_trailer_where_it_is_taken() {
    let mut config = script("echo x; exit 1");
    config.success = vec![0, 1];
    let program = service(config);
    let request =
        Request::get("/").header("te", "trailers").body(Full::<Bytes>::default()).unwrap();
    let response = send(&program, request).await;
    assert_eq!(response.headers()["trailer"], "Exit-Status");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["exit-status"], "1");
    let collected = get(&program, "/").await.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_none());
}

#[tokio::test]
async fn standard_errors_go_where_they_are_told() {
    let text = "echo out; echo err >&2";
    let mut merged = script("exec 2>&1; echo out; echo err");
    merged.stderr = Stderr::Discard;
    for (stderr, expected) in [
        (Stderr::Log, "out\n"),
        (Stderr::Merge, "out\nerr\n"),
        (Stderr::Discard, "out\n"),
        (Stderr::Frames, "out\n"),
    ] {
        let response = get(&service(script(text).stderr(stderr)), "/").await;
        assert_eq!(content(response).await.unwrap(), expected, "{stderr:?}");
    }
}

#[tokio::test]
async fn frames_tell_streams_apart_and_how_it_ended() {
    let program = service(script("echo out; echo err >&2; exit 7").stderr(Stderr::Frames));
    for (accept, parts) in [
        (
            "text/event-stream",
            [
                "event: stdout\ndata: out\n\n",
                "event: stderr\ndata: err\n\n",
                "event: exit\ndata: {\"status\":7,\"why\":\"failed\"}\n\n",
            ],
        ),
        (
            "application/x-ndjson",
            [
                "{\"data\":\"out\",\"event\":\"stdout\"}\n",
                "{\"data\":\"err\",\"event\":\"stderr\"}\n",
                "{\"event\":\"exit\",\"status\":7,\"why\":\"failed\"}\n",
            ],
        ),
    ] {
        let request = Request::get("/").header("accept", accept);
        let response = send(&program, request.body(Full::<Bytes>::default()).unwrap()).await;
        assert_eq!(response.headers()["content-type"], accept);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let text = content(response).await.unwrap();
        for part in parts {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.ends_with(parts[2]), "{text}");
    }
}

#[tokio::test]
async fn a_cgi_program_writes_its_own_head() {
    let mut config = script(
        "printf 'Status: 404\\nContent-Type: text/plain\\nX-Query: %s\\n\\ngone' \"$QUERY_STRING\"",
    );
    config.cgi = true;
    let response = get(&service(config), "/").await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["x-query"].as_bytes()),
        (404, &b""[..])
    );
    assert_eq!(content(response).await.unwrap(), "gone");
    let mut config = script("echo no head");
    config.cgi = true;
    assert_eq!(reason(&get(&service(config), "/").await), "program_output_without_fields");
    // It ends well, and has not said what it is.
    let mut config = script("echo X: y");
    config.cgi = true;
    assert_eq!(reason(&get(&service(config), "/").await), "program_output_without_fields");
}

#[tokio::test]
async fn the_environment_is_what_was_configured() {
    let mut config = ExecConfig::new("env");
    config.env.push(("OWN".to_owned(), Template::parse("a{query.x}").unwrap()));
    let config = config.param("x", Param::new(Source::Query, Kind::pattern("[a-z]").unwrap()));
    let text = content(get(&service(config), "/?x=b").await).await.unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["LANG=C.UTF-8", "OWN=ab", "PATH=/usr/local/bin:/usr/bin:/bin"]);
}

#[tokio::test]
async fn nothing_of_the_proxy_is_open_in_the_program() {
    let _held = std::fs::File::open("/etc/passwd").unwrap();
    let config = script("ls -l /proc/self/fd; cat /proc/self/stat; umask; pwd");
    let text = content(get(&service(config), "/").await).await.unwrap();
    let open = text.lines().filter(|line| line.contains("->")).count();
    // The three streams and the folder that `ls` reads.
    assert_eq!(open, 4, "{text}");
    assert!(text.ends_with("0077\n/\n"), "{text}");
}

#[tokio::test]
async fn a_fresh_directory_is_gone_after_the_run() {
    let below = support::Folder::new();
    let mut config = script("echo x > file; mkdir -p a/b; pwd; ls -ld . | cut -c1-10");
    config.directory = Directory::Fresh(below.path().to_owned());
    let program = service(config);
    let one = content(get(&program, "/").await).await.unwrap();
    let two = content(get(&program, "/").await).await.unwrap();
    assert_ne!(one, two);
    assert!(one.contains("drwx------"), "{one}");
    let own = std::fs::read_dir(below.path()).unwrap().next().unwrap().unwrap().path();
    until("the folders are removed", || std::fs::read_dir(&own).unwrap().count() == 0).await;
}

#[tokio::test]
async fn what_one_run_may_not_set_for_the_next() {
    let below = support::Folder::new();
    let runner = support::runner();
    let with = |mask| {
        let mut config = script("umask; ls -ld . | cut -c1-10");
        config.directory = Directory::Fresh(below.path().to_owned());
        config.umask = mask;
        proxy_exec::ExecService::new(config, &runner).unwrap()
    };
    for (mask, shown) in [(0o777, "0777"), (0o022, "0022"), (0o077, "0077")] {
        let text = content(get(&with(mask), "/").await).await.unwrap();
        assert_eq!(text, format!("{shown}\ndrwx------\n"));
    }
}

#[tokio::test]
async fn who_takes_frames_hears_that_a_quiet_program_runs() {
    let clock = ManualClock::new();
    let runner = support::runner().clock(Arc::new(clock.clone()));
    let mark = support::mark();
    let mut config = support::marked(&mark, "sleep 1000").stderr(Stderr::Frames);
    (config.timeouts.first_byte, config.timeouts.read_idle) = (None, None);
    let program = proxy_exec::ExecService::new(config, &runner).unwrap();
    for (accept, comment) in [("text/event-stream", true), ("application/x-ndjson", false)] {
        let request = Request::get("/").header("accept", accept).header("host", "localhost");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = tokio::spawn(program.clone().oneshot(request));
        // Its head comes without a line, a second after it has started.
        until("a head", || {
            clock.advance(Duration::from_millis(100));
            response.is_finished()
        })
        .await;
        let Ok(response) = response.await.unwrap();
        assert_eq!(response.headers()["content-type"], accept);
        let mut body = response.into_body();
        for _ in 0..2 {
            assert!(proxy_testkit::poll_once(std::pin::pin!(body.frame())).is_pending());
            clock.advance(Duration::from_secs(16));
            match proxy_testkit::poll_once(std::pin::pin!(body.frame())) {
                Poll::Ready(frame) => {
                    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), ":\n\n");
                    assert!(comment);
                }
                Poll::Pending => assert!(!comment),
            }
        }
        drop(body);
        support::gone(&mark).await;
    }
}

#[tokio::test]
async fn a_failure_that_is_soon_has_a_status_though_frames_are_taken() {
    let program = service(script("exit 3").stderr(Stderr::Frames));
    let request = Request::get("/").header("accept", "text/event-stream");
    let response = send(&program, request.body(Full::<Bytes>::default()).unwrap()).await;
    assert_eq!(reason(&response), "program_failed");
}

#[tokio::test]
async fn a_path_is_looked_for_and_stays_below_its_root() {
    let folder = support::Folder::new();
    folder.file("a", "of a", 0o644);
    let param = Param::new(Source::Query, Kind::Path { root: folder.path().to_owned() });
    let cat = ExecConfig::new("cat").arg("{query.file}").unwrap().param("file", param);
    let program = service(cat);
    assert_eq!(content(get(&program, "/?file=a").await).await.unwrap(), "of a");
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
    for (value, status, expected) in [
        ("b", 404, "param_path_unknown"),
        ("out", 400, "param_path"),
        ("..%2fa", 400, "param_path"),
        ("%2fetc%2fpasswd", 400, "param_path"),
    ] {
        let response = get(&program, &format!("/?file={value}")).await;
        assert_eq!((response.status().as_u16(), reason(&response)), (status, expected), "{value}");
    }
}

#[tokio::test]
async fn seccomp_lets_programs_work_and_keeps_name_spaces_away() {
    if !proxy_exec::support().seccomp {
        return;
    }
    // Threads, processes, pipes and files work; and nobody becomes root in a space of his own.
    let text = "seq 1 2000 | sort -n --parallel=2 | tail -n 1; \
                unshare -U true 2>/dev/null || echo no unshare; \
                perl -e 'my $r = syscall(56, 0x10000000 | 17, 0, 0, 0, 0); \
                         exit 0 if $r == 0; print $r < 0 ? \"no clone\" : \"clone\", \"\\n\"'";
    let mut config = script(text);
    config.confine.seccomp = true;
    let text = content(get(&service(config), "/").await).await.unwrap();
    let expected = match std::env::consts::ARCH {
        "x86_64" => "2000\nno unshare\nno clone\n",
        _ => "2000\nno unshare\n",
    };
    assert!(text.starts_with(expected), "{text}");
}

/// Where this machine has control groups of version 2 that may be written to.
#[tokio::test]
async fn nobody_leaves_the_control_group_of_a_run() {
    let limits = proxy_exec::CgroupLimits::new();
    if limits.check().is_err() {
        return;
    }
    let mark = support::mark();
    let runner = support::runner();
    let run = |required| {
        let mut config = support::marked(
            &mark,
            "grep ^0: /proc/self/cgroup; setsid sleep 1000 & setsid sleep 1000 & echo x; exit 0",
        );
        config.stderr = Stderr::Discard;
        config.confine.cgroup = Some(limits.clone());
        config.confine.required = required;
        proxy_exec::ExecService::new(config, &runner).unwrap()
    };
    for required in [true, false] {
        let text = content(get(&run(required), "/").await).await.unwrap();
        assert!(text.contains("/proxy-exec-"), "{text}");
        support::gone(&mark).await;
        let group = text.lines().next().unwrap().trim_start_matches("0::").to_owned();
        let folder = std::path::Path::new("/sys/fs/cgroup/unified").join(&group[1..]);
        let other = std::path::Path::new("/sys/fs/cgroup").join(&group[1..]);
        until("its folder is removed", || !folder.exists() && !other.exists()).await;
    }
    // A limit that is not to be had: a run without it, or none.
    let mut config = script("echo x");
    let mut limits = limits.clone();
    limits.memory = Some(1 << 30);
    if limits.check().is_err() {
        config.confine.cgroup = Some(limits);
        assert_eq!(content(get(&service(config.clone()), "/").await).await.unwrap(), "x\n");
        config.confine.required = true;
        assert_eq!(reason(&get(&service(config), "/").await), "program_confinement");
    }
}

#[tokio::test]
async fn head_runs_nothing() {
    let mark = "head-runs-nothing";
    let program = service(script(&format!(": {mark}; sleep 100")));
    let request = Request::head("/").body(Full::<Bytes>::default()).unwrap();
    let response = send(&program, request).await;
    assert_eq!(response.status(), 200);
    assert!(http_body::Body::is_end_stream(response.body()));
    assert!(processes(mark).is_empty());
}

#[tokio::test]
async fn head_makes_no_stored_run_outdated() {
    let mut config = script("echo x");
    config.validators = true;
    let program = service(config);
    assert!(get(&program, "/").await.headers().contains_key("etag"));
    let request = Request::head("/").body(Full::<Bytes>::default()).unwrap();
    let response = send(&program, request).await;
    assert!(!response.headers().contains_key("etag"));
    assert!(!response.headers().contains_key("last-modified"));
}

#[tokio::test]
async fn a_target_that_is_too_long_is_no_other_run() {
    let mut param = Param::new(Source::Query, Kind::pattern("(?s).*").unwrap()).or("default");
    param.max_length = 64 << 10;
    let config = ExecConfig::new("echo").arg("{query.x}").unwrap().param("x", param);
    let program = service(config);
    let entry = proxy_exec::ExecEntryLayer::new(&program).layer(program.clone());
    // Each of these bytes takes three in a target.
    let target = format!("/?x={}", "!".repeat(30_000));
    let request = Request::get(target).header("host", "localhost").body(Full::<Bytes>::default());
    let response = entry.oneshot(request.unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), reason(&response)), (414, "target_too_long"));
}

#[test]
fn rights_are_dropped_whole_or_not() {
    let mut config = ExecConfig::new("true");
    config.uid = Some(1000);
    assert_eq!(config.check()[0].0, "uid");
    config.gid = Some(1000);
    assert!(config.check().is_empty());
    config.uid = None;
    assert_eq!(config.check()[0].0, "gid");
}

#[tokio::test]
async fn confinement_does_not_get_in_its_own_way() {
    let below = support::Folder::new();
    let read: Vec<String> = ["/usr", "/bin", "/lib", "/lib64", "/etc"]
        .into_iter()
        .filter(|p| std::path::Path::new(p).exists())
        .map(str::to_owned)
        .collect();
    let mut config =
        script("echo x > file && cat file; (echo y > ../other) 2> /dev/null || echo z");
    config.directory = Directory::Fresh(below.path().to_owned());
    config.confine.read = Some(read);
    config.confine.open_files = Some(11);
    config.confine.memory = Some(1 << 30);
    config.confine.seccomp = true;
    let response = get(&service(config.clone()), "/").await;
    assert_eq!(reason(&response), "none");
    let text = content(response).await.unwrap();
    // Where the kernel has no landlock the last is allowed.
    let expected = if proxy_exec::support().landlock { "x\nz\n" } else { "x\n" };
    assert_eq!(text, expected);
    if proxy_exec::support().landlock {
        config.confine.write = Some(vec!["/no/such/folder".to_owned()]);
        let response = get(&service(config), "/").await;
        assert_eq!(reason(&response), "program_confinement");
    }
}
