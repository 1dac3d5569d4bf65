//! The warden: what it obeys, what becomes of its runs when it or the proxy is gone.

mod support;

use http_body_util::BodyExt as _;
use proxy_exec::{Directory, ExecService};
use support::{
    children_of, content, get, gone, kill, mark, marked, processes, runner, script, service, stat,
    until, warden_of,
};

#[tokio::test]
async fn when_the_warden_dies_its_runs_do_and_another_takes_its_place() {
    let mark = mark();
    let runner = runner();
    // One of them is in no group that the proxy could know.
    let text = "setsid sleep 1000 & echo x; sleep 1000";
    let program = ExecService::new(marked(&mark, text), &runner).unwrap();
    let response = get(&program, "/").await;
    until("the daemon runs", || processes(&mark).len() >= 2).await;
    kill("-9", warden_of(&mark).await);
    let (_, error) = content(response).await.unwrap_err();
    assert!(error.contains("lost"), "{error}");
    gone(&mark).await;
    let program = ExecService::new(script("echo again"), &runner).unwrap();
    assert_eq!(content(get(&program, "/").await).await.unwrap(), "again\n");
}

#[tokio::test]
async fn when_the_proxy_is_gone_everything_is() {
    let mark = mark();
    let runner = runner();
    let text = "trap '' TERM; (setsid sleep 1000 &); echo x; sleep 1000";
    let program = ExecService::new(marked(&mark, text), &runner).unwrap();
    let response = get(&program, "/").await;
    assert!(!processes(&mark).is_empty());
    // What dropping the last handle does to the warden, the end of this process would do too.
    std::mem::drop((response, program, runner));
    gone(&mark).await;
}

#[tokio::test]
async fn directories_of_runs_go_with_the_proxy_and_with_the_warden() {
    for kills in [false, true] {
        let mark = mark();
        let below = support::Folder::new();
        let runner = runner();
        // It writes as long as it lives, and so does who has left it.
        let text = "trap '' TERM; (setsid sh -c 'while :; do mktemp -p . ; done' >/dev/null &); \
                    mkdir -p a/b; echo x; sleep 1000";
        let mut config = marked(&mark, text);
        config.directory = Directory::Fresh(below.path().to_owned());
        let program = ExecService::new(config, &runner).unwrap();
        let mut body = get(&program, "/").await.into_body();
        body.frame().await.unwrap().unwrap();
        let count = || std::fs::read_dir(below.path()).unwrap().count();
        assert_eq!(count(), 1);
        if kills {
            kill("-9", warden_of(&mark).await);
        }
        std::mem::drop((body, program, runner));
        gone(&mark).await;
        until("its folder is gone", || count() == 0).await;
    }
}

#[tokio::test]
async fn who_stops_the_service_does_not_stop_the_runs() {
    let mark = mark();
    let folder = support::Folder::new();
    let go = folder.path().join("go");
    let text = format!("echo x; until [ -e {} ]; do sleep 0.01; done; echo y", go.display());
    let response = get(&service(marked(&mark, &text)), "/").await;
    let warden = warden_of(&mark).await;
    let keeper: i32 = stat(warden, 1).unwrap().parse().unwrap();
    for signal in ["-TERM", "-INT", "-HUP"] {
        kill(signal, warden);
        kill(signal, keeper);
    }
    std::fs::write(go, "").unwrap();
    assert_eq!(content(response).await.unwrap(), "x\ny\n");
}

#[tokio::test]
async fn programs_hear_every_signal_and_have_their_own_session() {
    let text = "grep -E '^Sig(Blk|Ign)' /proc/self/status; cut -d' ' -f 1,5,6 /proc/$$/stat; \
                ulimit -S -n; ulimit -c";
    let mut confined = script(text);
    confined.confine.file_size = Some(1 << 20);
    for config in [script(text), confined] {
        let text = content(get(&service(config), "/").await).await.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "SigBlk:\t0000000000000000");
        // Whatever is ignored was so before the proxy was started.
        let ids: Vec<&str> = lines[2].split(' ').collect();
        assert!(ids[0] == ids[1] && ids[0] == ids[2], "{ids:?}");
        assert!(lines[3].parse::<u32>().unwrap() <= 1024, "{}", lines[3]);
        assert_eq!(lines[4], "0");
    }
}

#[tokio::test]
async fn what_dies_below_a_run_is_no_zombie_until_its_end() {
    let mark = mark();
    // A double fork: its parent is gone at once, its group is that of the run.
    let text = "for i in 1 2 3 4 5; do (sh -c 'exit' & ); done; echo x; sleep 1000";
    let program = service(marked(&mark, text));
    let mut body = get(&program, "/").await.into_body();
    body.frame().await.unwrap().unwrap();
    let warden = warden_of(&mark).await;
    // Those it left behind may have just come to the warden, and not be dead yet.
    until("only the program is left", || children_of(warden).len() == 1).await;
    drop(body);
    gone(&mark).await;
}
