//! Nothing is left of many runs. Alone in its process, whose descriptors it counts.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use proxy_exec::ExecService;
use support::{children_of, get, gone, mark, marked, runner, send, until, warden_of};

#[tokio::test]
async fn nothing_is_left_of_many_aborted_runs() {
    let runs: usize = std::env::var("EXEC_RUNS").map_or(300, |n| n.parse().unwrap());
    let mark = mark();
    let runner = runner().runs(64);
    let mut config = marked(&mark, "echo x; exec sleep 1000");
    config.limits.runs = 64;
    let program = ExecService::new(config, &runner).unwrap();
    let warm = get(&program, "/").await;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let warden = warden_of(&mark).await;
    drop(warm);
    until("the first is over", || runner.spawner().running() == 0).await;
    let before = open();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..runs {
        let program = program.clone();
        tasks.spawn(async move {
            let request = Request::get("/").body(Full::<Bytes>::default()).unwrap();
            let mut run = Box::pin(send(&program, request));
            match number % 3 {
                // Before it is started, in any state, and after the first byte.
                0 => drop(tokio::time::timeout(Duration::ZERO, &mut run).await),
                1 => drop(tokio::time::timeout(Duration::from_millis(3), &mut run).await),
                _ => drop(run.await),
            }
        });
        if tasks.len() >= 32 {
            tasks.join_next().await;
        }
    }
    while tasks.join_next().await.is_some() {}
    until("every run is over", || runner.spawner().running() == 0).await;
    gone(&mark).await;
    until("every descriptor is closed", || open() <= before).await;
    assert!(children_of(warden).is_empty(), "no zombie is left");
}
