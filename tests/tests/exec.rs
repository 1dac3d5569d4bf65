//! Programs as resources: the stack as it is deployed, with ffmpeg and curl.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use proxyd_tests::client;
use proxyd_tests::ports;
use proxyd_tests::processes::descendants;
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting;

const EVENTS: &str =
    "#!/bin/sh\nfor i in 1 2 3; do echo \"out $i\"; echo \"err $i\" >&2; sleep 0.2; done\nexit 7\n";

/// Equal requests share a run; the output of each names its process.
fn before(routes: &str) -> Proxyd {
    let address = ports::free();
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\n\
         [cache]\nmemory = \"64MiB\"\n\n{routes}"
    );
    proxyd::run(address, &config).start()
}

const CLIP: &str = r#"
[[routes]]
name = "clip"
match = { paths = ["/clip"], methods = ["GET"] }
cache = { ttl = "10m" }

[routes.exec]
program = "ffmpeg"
args = ["-hide_banner", "-loglevel", "warning", "-re", "-f", "lavfi", "-i", "testsrc2=duration={query.seconds}:size={query.size}:rate=25", "-f", "mpegts", "pipe:1"]
content_type = "video/mp2t"
timeouts = { total = "120s", read_idle = "20s", kill_after = "1s" }
limits = { runs = 4, queue = 64, output = "1GiB" }
env = { MARK = "clip" }
params.seconds = { in = "query", type = "integer", min = 1, max = 60, default = 5 }
params.size = { in = "query", type = "string", pattern = "[0-9]{2,4}x[0-9]{2,4}", default = "640x360" }
"#;

/// The processes below another one that run this program.
fn below(proxy: &Proxyd, program: &str) -> usize {
    descendants(proxy.id()).iter().filter(|process| process.name == program).count()
}

fn curl(url: &str, to: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-s", "--max-time", "60", "-o"]).arg(to).arg(url);
    curl
}

#[test]
fn a_clip_is_whole_and_one_run_serves_all_who_ask_for_it() {
    let proxy = before(CLIP);
    let url = format!("{}/clip?seconds=2&size=320x240", proxy.url());
    let same = format!("{}/clip?size=320x240&seconds=2", proxy.url());
    let mut clients: Vec<_> = (0..20)
        .map(|number| {
            let to = proxy.folder().join(format!("{number}.ts"));
            let url = if number % 2 == 0 { &url } else { &same };
            (curl(url, &to).spawn().expect("curl"), to)
        })
        .collect();
    waiting::until("ffmpeg runs", || (below(&proxy, "ffmpeg") > 0).then_some(()));
    let mut most = 0;
    for (client, _) in &mut clients {
        waiting::until("curl ends", || {
            most = most.max(below(&proxy, "ffmpeg"));
            client.try_wait().expect("curl")
        });
    }
    assert_eq!(most, 1);
    let contents: Vec<_> =
        clients.iter().map(|(_, to)| std::fs::read(to).expect("a clip")).collect();
    assert!(contents.iter().all(|content| *content == contents[0] && !content.is_empty()));
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration:stream=width,height"])
        .args(["-of", "default=nw=1"])
        .arg(&clients[0].1)
        .output()
        .expect("ffprobe");
    let text = String::from_utf8_lossy(&probe.stdout).into_owned();
    for part in ["width=320", "height=240", "duration=2.0"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_client_that_is_killed_leaves_no_program() {
    let proxy = before(CLIP);
    let url = format!("{}/clip?seconds=60", proxy.url());
    let mut client = curl(&url, Path::new("/dev/null")).spawn().expect("curl");
    waiting::until("ffmpeg runs", || (below(&proxy, "ffmpeg") == 1).then_some(()));
    client.kill().expect("it runs");
    client.wait().expect("it ends");
    waiting::until("ffmpeg is gone", || (below(&proxy, "ffmpeg") == 0).then_some(()));
}

#[test]
fn different_clips_never_exceed_the_limit() {
    let proxy = before(CLIP);
    let mut clients: Vec<_> = (0..12)
        .map(|number| {
            let url = format!("{}/clip?seconds=1&size=64x{}", proxy.url(), 64 + 2 * number);
            curl(&url, Path::new("/dev/null")).args(["--fail"]).spawn().expect("curl")
        })
        .collect();
    let mut most = 0;
    for client in &mut clients {
        let status = waiting::until("curl ends", || {
            most = most.max(below(&proxy, "ffmpeg"));
            client.try_wait().expect("curl")
        });
        assert!(status.success(), "{status}");
    }
    assert!((1..=4).contains(&most), "{most}");
}

#[test]
fn frames_and_input_and_refusals() {
    let address = ports::free();
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"upper\"\nmatch = {{ paths = [\"/upper\"], methods = [\"POST\"] }}\n\
         [routes.exec]\nprogram = \"tr\"\nargs = [\"a-z\", \"A-Z\"]\nstdin = true\n\
         [[routes]]\nname = \"events\"\nmatch = {{ paths = [\"/events\"] }}\n\
         [routes.exec]\nprogram = \"sh\"\nargs = [\"-c\", '''{EVENTS}''']\nstderr = \"frames\"\n"
    );
    let proxy = proxyd::run(address, &config).start();
    let run = |arguments: &[&str]| {
        let output = Command::new("curl").args(["-s"]).args(arguments).output().expect("curl");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let url = format!("{}/upper", proxy.url());
    assert_eq!(run(&["--data-binary", "hello", &url]), (Some(0), "HELLO".to_owned()));
    let url = format!("{}/events", proxy.url());
    let (code, text) = run(&["-H", "Accept: text/event-stream", &url]);
    assert_eq!(code, Some(0));
    assert!(text.contains("event: stderr\ndata: err 2\n\n"), "{text}");
    assert!(text.ends_with("event: exit\ndata: {\"status\":7,\"why\":\"failed\"}\n\n"), "{text}");
    // The same as bytes: it failed, so the message is not whole.
    assert_eq!(run(&[&url]), (Some(18), "out 1\nout 2\nout 3\n".to_owned()));
    let refused = client::get(address, "evil.test", "/events");
    assert_eq!(refused.status(), 421);
}

#[test]
fn one_line_is_one_program() {
    let proxy = proxyd::exec()
        .args(&["--path", "/seq", "--content-type", "text/plain"])
        .args(&["--param", "last=integer:1..9", "--default", "last=2", "--"])
        .args(&["printf", "%s-%s\\n", "{query.last}", "$HOME; `id`"])
        .start();
    let get = |target: &str| client::get(proxy.address(), "localhost", target);
    let answer = get("/seq?last=7");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), "7-$HOME; `id`\n");
    assert_eq!(answer.field("content-type"), Some("text/plain"));
    assert_eq!(get("/seq").text(), "2-$HOME; `id`\n");
    for refused in ["/seq?last=10", "/seq?last=a", "/seq?last=1&last=1", "/seq?other=1"] {
        assert_eq!(get(refused).status(), 400, "{refused}");
    }
    assert_eq!(get("/other").status(), 404);
}

/// A stream that is compressed on its way is still one: what the program has written arrives, and
/// can be read, while it waits.
#[test]
fn a_compressed_stream_stays_live() {
    use std::io::Read as _;
    let proxy = before(
        "[[routes]]\nname = \"log\"\ncompress = true\ninspect = \"report\"\n\
         [routes.exec]\nprogram = \"sh\"\ncontent_type = \"text/plain\"\n\
         args = [\"-c\", \"echo first; while [ ! -e go ]; do sleep 0.05; done; echo last\"]\n",
    );
    let mut client = Command::new("curl")
        .args(["-sN", "--max-time", "60", "--compressed", "-D", "head"])
        .arg(proxy.url())
        .current_dir(proxy.folder())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    let mut output = client.stdout.take().expect("piped");
    let mut first = [0; 6];
    output.read_exact(&mut first).expect("the first line, while the program waits");
    assert_eq!(&first, b"first\n");
    let head = std::fs::read_to_string(proxy.folder().join("head")).expect("a head");
    assert!(head.to_lowercase().contains("content-encoding: "), "{head}");
    std::fs::write(proxy.folder().join("go"), "").expect("a file");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "last\n");
    assert!(client.wait().expect("curl").success());
}

/// What is uploaded is transcoded while it arrives: the route of examples/exec.toml.
#[test]
fn an_uploaded_film_comes_back_smaller() {
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/exec.toml"));
    let address = ports::free();
    let config = example.expect("an example").replace("127.0.0.1:8080", &address.to_string());
    let log = std::env::temp_dir().join(format!("proxyd-exec-{}.log", address.port()));
    std::fs::write(&log, "old\n").expect("a log");
    let proxy =
        proxyd::run(address, &config.replace("/var/log/syslog", log.to_str().expect("text")))
            .start();
    let film = proxy.folder().join("film.ts");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=duration=1:size=320x240:rate=25"])
        .args(["-f", "mpegts"])
        .arg(&film)
        .status();
    assert!(made.expect("ffmpeg").success());
    let small = proxy.folder().join("small.ts");
    let status = curl(&format!("{}/transcode?height=120", proxy.url()), &small)
        .args(["--fail", "-X", "POST", "-T"])
        .arg(&film)
        .status();
    assert!(status.expect("curl").success());
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=width,height", "-of", "default=nw=1"])
        .arg(&small)
        .output()
        .expect("ffprobe");
    assert!(probe.stdout.starts_with(b"width=160\nheight=120\n"), "{probe:?}");

    // The other route of it: a log as server-sent events, as they are written.
    let events = proxy.folder().join("events");
    let mut reader = curl(&format!("{}/log?lines=1", proxy.url()), &events)
        .args(["-N", "-H", "Accept: text/event-stream"])
        .spawn()
        .expect("curl");
    let holds = |text: &str| {
        let found = std::fs::read_to_string(&events).is_ok_and(|found| found.contains(text));
        found.then_some(())
    };
    waiting::until("the last line", || holds("event: stdout\ndata: old\n\n"));
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).expect("the log");
    std::io::Write::write_all(&mut file, b"new\n").expect("it is written");
    waiting::until("the new line", || holds("event: stdout\ndata: new\n\n"));
    reader.kill().expect("it runs");
    reader.wait().expect("it ends");
    waiting::until("tail is gone", || (below(&proxy, "tail") == 0).then_some(()));
    std::fs::remove_file(&log).expect("the log");
}

/// Each metric that the documents name is there, and no other.
#[test]
fn metrics_of_programs_are_those_of_the_documents() {
    let (address, admin) = (ports::free(), ports::free());
    let config = format!(
        "[admin]\naddress = \"{admin}\"\n\
         [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"echo\"\n[routes.exec]\nprogram = \"echo\"\nargs = [\"x\"]\n"
    );
    let proxy = proxyd::run(address, &config).admin(admin).start();
    assert_eq!(client::get(address, "localhost", "/").text(), "x\n");
    let exported = || -> BTreeSet<String> {
        let text = proxy.ask_admin("/metrics").text();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.starts_with("proxy_exec_"))
            .map(str::to_owned)
            .collect()
    };
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exec.md"))
        .expect("a page");
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `proxy_exec_")?.split('`').next())
        .map(|rest| format!("proxy_exec_{rest}"))
        .collect();
    assert!(documented.len() > 5, "{documented:?}");
    // Histograms appear with their first value, which the end of the run brings.
    waiting::until("all of them", || (exported().len() >= documented.len()).then_some(()));
    assert_eq!(exported(), documented);
}

#[test]
fn secrets_of_programs_are_in_no_log() {
    let proxy = before(
        "[log.access]\npath = \"access.log\"\n\
         [[routes]]\nname = \"echo\"\n[routes.exec]\nprogram = \"echo\"\nargs = [\"{query.key}\"]\n\
         params.key = { in = \"query\", type = \"string\", pattern = \"[a-z]+\", secret = true }\n",
    );
    assert_eq!(client::get(proxy.address(), "localhost", "/?key=hushhush").text(), "hushhush\n");
    let log = waiting::until("a line in the log", || {
        std::fs::read_to_string(proxy.folder().join("access.log"))
            .ok()
            .filter(|log| log.contains("echo"))
    });
    assert!(!log.contains("hushhush"), "{log}");
}

#[test]
fn a_route_has_one_limit_whatever_listener_it_is_asked_on() {
    let (one, other) = (ports::free(), ports::free());
    let config = format!(
        "[listeners.a]\naddress = \"{one}\"\nrole = \"gateway\"\n\
         [listeners.b]\naddress = \"{other}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"wait\"\n[routes.exec]\nprogram = \"sh\"\n\
         args = [\"-c\", \"echo up; exec sleep 60\"]\nlimits = {{ runs = 1, queue = 0 }}\n"
    );
    let proxy = proxyd::run(one, &config).start();
    let to = proxy.folder().join("out");
    let mut first = curl(&proxy.url(), &to).arg("-N").spawn().expect("curl");
    waiting::until("it runs", || std::fs::read(&to).ok().filter(|text| !text.is_empty()));
    for address in [one, other] {
        assert_eq!(client::get(address, "localhost", "/").status(), 503, "{address}");
    }
    first.kill().expect("it runs");
    first.wait().expect("it ends");
}
