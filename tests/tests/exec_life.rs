//! What is left of programs, and what is known of them: after the proxy was killed, after clients
//! left, after anything.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use proxyd_tests::client;
use proxyd_tests::ports;
use proxyd_tests::processes::{descendants, open_descriptors, with_environment};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

fn with(routes: &str) -> Proxyd {
    let address = ports::free();
    let config =
        format!("[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\n{routes}");
    proxyd::run(address, &config).start()
}

/// A request whose response has begun; the program writes at once.
fn begun(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = asked(address, path);
    let patience = Some(waiting::PATIENCE);
    stream.set_read_timeout(patience).expect("a socket");
    let mut head = [0; 1];
    stream.read_exact(&mut head).expect("a response");
    stream
}

fn asked(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the proxy");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

#[test]
fn the_proxy_killed_takes_everything_along() {
    // One ignores what asks it to end, one has left its group, and all work in folders of theirs.
    let address = ports::free();
    let mark = format!("MARK=killed-{}", address.port());
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"stays\"\n[routes.exec]\nprogram = \"sh\"\n\
         args = [\"-c\", \"trap '' TERM; (setsid sleep 1000 &); touch file; echo x; sleep 1000\"]\n\
         directory = \"fresh\"\ntimeouts = {{ kill_after = \"200ms\" }}\n\
         env = {{ MARK = \"{}\" }}\n",
        &mark[5..]
    );
    let temporary = Scratch::new("runs");
    let folder = temporary.path().to_str().expect("text");
    let mut proxy = proxyd::run(address, &config).env("TMPDIR", folder).start();
    let clients: Vec<_> = (0..4).map(|_| begun(address, "/")).collect();
    let below = descendants(proxy.id());
    assert!(with_environment(&mark).len() >= 8, "{below:?}");
    let count = || std::fs::read_dir(temporary.path()).expect("a folder").count();
    assert_eq!(count(), 1);
    proxy.signal("KILL");
    proxy.wait_exit();
    waiting::until("its programs are gone", || with_environment(&mark).is_empty().then_some(()));
    waiting::until("their folders are", || (count() == 0).then_some(()));
    // The warden and its keeper too.
    let alive = || below.iter().any(|process| descendants(1).contains(process));
    waiting::until("all of it is gone", || (!alive()).then_some(()));
    drop(clients);
}

#[test]
fn nothing_is_left_of_many_aborted_runs() {
    let runs: usize =
        std::env::var("EXEC_RUNS").map_or(600, |runs| runs.parse().expect("a number"));
    let proxy = with(
        "[[routes]]\nname = \"wait\"\n[routes.exec]\nprogram = \"sh\"\n\
         args = [\"-c\", \"echo x; exec sleep 1000\"]\nlimits = { runs = 64, queue = 1000 }\n",
    );
    let address = proxy.address();
    let abort = |number: usize| match number % 3 {
        0 => drop(asked(address, "/")),
        1 => {
            let stream = asked(address, "/");
            std::thread::sleep(Duration::from_millis(3));
            drop(stream);
        }
        _ => drop(begun(address, "/")),
    };
    let is_quiet = || {
        let left = descendants(proxy.id());
        // The keeper and the warden.
        (left.len() == 2 && left.iter().all(|process| !process.is_zombie)).then_some(left)
    };
    for number in 0..30 {
        abort(number);
    }
    let own = waiting::until("the first are over", is_quiet);
    let pids: Vec<u32> = own.iter().map(|process| process.pid).chain([proxy.id()]).collect();
    let open = || -> Vec<usize> { pids.iter().map(|pid| open_descriptors(*pid)).collect() };
    let is_closed = |most: &[usize]| open().iter().zip(most).all(|(now, most)| now <= most);
    let mut before = open();
    waiting::until("it has settled", || {
        let now = open();
        let settled = now == before;
        before = now;
        settled.then_some(())
    });
    std::thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for number in (worker..runs).step_by(8) {
                    abort(number);
                }
            });
        }
    });
    assert_eq!(waiting::until("nobody is left", is_quiet), own);
    // A connection of the test itself may come and go: a few, not one for each run.
    let most: Vec<usize> = before.iter().map(|open| open + 8).collect();
    waiting::until("every descriptor is closed", || is_closed(&most).then_some(()));
    assert_eq!(client::get(address, "elsewhere.test", "/").status(), 421);
}

#[test]
fn a_run_whose_client_left_is_in_the_logs() {
    let proxy = with(
        "[log.access]\npath = \"access.log\"\n[log.audit]\npath = \"audit.log\"\n\
         [[routes]]\nname = \"wait\"\n[routes.exec]\nprogram = \"sh\"\n\
         args = [\"-c\", \"echo last words >&2; printf 0123456789; exec sleep 1000\"]\n",
    );
    let stream = begun(proxy.address(), "/left");
    waiting::until("it wrote", || proxy.stderr().contains("last words").then_some(()));
    drop(stream);
    let read = |file: &str| std::fs::read_to_string(proxy.folder().join(file)).unwrap_or_default();
    let line = waiting::until("a line in the access log", || {
        read("access.log").lines().find(|line| line.contains("/left")).map(str::to_owned)
    });
    assert!(line.contains("\"exec\":{\"why\":\"client_left\""), "{line}");
    let record = waiting::until("a record", || {
        read("audit.log").lines().find(|line| line.contains("exec sleep 1000")).map(str::to_owned)
    });
    assert!(record.contains("\"verdict\":\"run\",\"reason\":\"sh -c"), "{record}");
    waiting::until("a word in the log", || {
        proxy.stderr().contains("its client left").then_some(())
    });
}

#[test]
fn what_confines_programs_is_said() {
    let address = ports::free();
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"tool\"\n[routes.exec]\nprogram = \"true\"\n\
         limits = {{ memory = \"1GiB\", open_files = 64 }}\nsandbox = {{ network = false }}\n\
         cgroup = {{ memory = \"1GiB\" }}\n\
         [exec]\ncgroup = \"/no/such/group\"\n"
    );
    let folder = Scratch::new("check");
    std::fs::write(folder.path().join("proxyd.toml"), &config).expect("a file");
    let checked = proxyd::run_to_end(folder.path(), &["check", "--config", "proxyd.toml"]);
    let said = "confined by limits of each process (memory, open_files), no_new_privs, seccomp; \
                without effect: control group: ";
    let text = format!("{}{}", checked.stdout, checked.stderr);
    assert!(text.contains(&format!("exec `tool`: {said}")), "{text}");
    let proxy = proxyd::run(address, &config).start();
    waiting::until("it is in the log", || {
        let log = proxy.stderr();
        (log.contains("limits of each process") && log.contains("without effect")).then_some(())
    });
    // Where it has to take effect it is an error.
    let config = config.replace("{ network = false }", "{ network = false, required = true }");
    std::fs::write(folder.path().join("proxyd.toml"), &config).expect("a file");
    let checked = proxyd::run_to_end(folder.path(), &["check", "--config", "proxyd.toml"]);
    assert_eq!(checked.code, Some(2), "{}", checked.stderr);
}

/// What goes in comes out, whatever the size, and the proxy keeps nothing of it.
#[test]
fn a_long_stream_takes_no_memory() {
    const MIB: usize = 48;
    let proxy = with(
        "[[routes]]\nname = \"cat\"\nlimits = { body = \"none\" }\n\
         [routes.exec]\nprogram = \"cat\"\nstdin = true\n",
    );
    let through = |mib: usize| {
        let mut source = Command::new("head")
            .args(["-c", &format!("{mib}M"), "/dev/zero"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("head");
        let mut client = Command::new("curl")
            .args(["-sS", "--max-time", "300", "-T", "-", "-X", "POST", &proxy.url()])
            .stdin(source.stdout.take().expect("piped"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let mut output = client.stdout.take().expect("piped");
        let count = std::io::copy(&mut output, &mut std::io::sink()).expect("content");
        source.wait().expect("head");
        assert!(client.wait().expect("curl").success());
        count
    };
    assert_eq!(through(4), 4 << 20);
    let before = proxy.resident_kib();
    assert_eq!(through(MIB), (MIB as u64) << 20);
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB");
}
