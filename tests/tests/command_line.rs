//! The command line: exit codes, errors with their place and a likely fix, and the modes without
//! a file.

use std::process::{Command, Stdio};

use proxyd_tests::client;
use proxyd_tests::origin::Origin;
use proxyd_tests::ports;
use proxyd_tests::proxyd::{self, Outcome};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

const SOUND: &str = "[listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\
                     [upstreams.app]\nendpoints = [\"http://127.0.0.1:3000\"]\n\
                     [[routes]]\nname = \"all\"\nupstream = \"app\"\n";

fn run(arguments: &[&str]) -> Outcome {
    proxyd::run_to_end(Scratch::new("cli").path(), arguments)
}

fn check(config: &str) -> Outcome {
    let scratch = Scratch::new("check");
    scratch.write("proxyd.toml", config);
    proxyd::run_to_end(scratch.path(), &["check", "--config", "proxyd.toml"])
}

#[test]
fn a_sound_file_is_0_and_one_line() {
    let checked = check(SOUND);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(checked.stdout.trim().lines().count(), 1, "{checked:?}");
}

/// `proxyd config keys | head`, and a disk that is full.
#[test]
fn output_that_nobody_reads_is_no_failure_and_one_that_is_lost_is() {
    let (reader, nobody) = std::io::pipe().expect("a pipe");
    drop(reader);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    for (output, code, says) in [
        (Stdio::from(nobody), 0, ""),
        (Stdio::from(full), 1, "proxyd: cannot write to standard output: "),
    ] {
        let mut command = Command::new(proxyd::binary());
        let done = command.args(["config", "keys"]).stdout(output).output().expect("proxyd");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{stderr}");
        assert!(stderr.starts_with(says) && stderr.lines().count() <= 1, "{stderr}");
    }
}

#[test]
fn every_error_is_told_with_its_place() {
    let config = "[listeners.web]\naddress = \"nowhere\"\nrole = \"gatway\"\n\
                  trusted_proxys = []\n\
                  [upstreams.app]\nendpoints = [\"http://127.0.0.1:3000\"]\n\
                  [upstreams.app.timeouts]\nconnect = 5\n\
                  [[routes]]\nname = \"all\"\nupstream = \"ap\"\n";
    let checked = check(config);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for part in [
        "proxyd.toml:2:11",
        "proxyd.toml:3:8",
        "proxyd.toml:4:1",
        "trusted_proxies",
        "gateway",
        "proxyd.toml:8:11",
    ] {
        assert!(checked.stderr.contains(part), "{part}: {}", checked.stderr);
    }
    // What refers to something else is told in the same run.
    let checked = check(&SOUND.replace("upstream = \"app\"", "upstream = \"ap\""));
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("proxyd.toml:8:12"), "{}", checked.stderr);
    assert!(checked.stderr.contains("app"), "{}", checked.stderr);
}

#[test]
fn syntax_errors_and_missing_files_have_places_too() {
    let broken = check("[listeners\n");
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.stderr.contains("proxyd.toml:1:"), "{}", broken.stderr);
    let missing = run(&["check", "--config", "nowhere.toml"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("nowhere.toml"), "{}", missing.stderr);
    let token =
        check(&format!("[admin]\naddress = \"127.0.0.1:1\"\ntoken = {{ file = \"no\" }}\n{SOUND}"));
    assert_eq!(token.code, Some(2), "{token:?}");
    assert!(token.stderr.contains("proxyd.toml:3:"), "{}", token.stderr);
}

#[test]
fn extensions_that_this_program_has_not_are_an_error() {
    let checked = check(&format!("{SOUND}[extensions.mine]\nshare = 1\n"));
    assert_eq!(checked.code, Some(2), "{checked:?}");
    let told = "error: extensions.mine: this program has no extensions";
    assert!(checked.stderr.contains(told), "{}", checked.stderr);
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [
        &["nonsense"][..],
        &["forward", "--nonsense"],
        &["forward", "--listen", "nowhere"],
        &["reverse", "--listen", "127.0.0.1:0"],
        &["reverse", "--listen", "127.0.0.1:0", "--to", "nowhere at all"],
        &["run"],
        &["run", "--config", "nowhere.toml"],
        &["forward", "--listen", "127.0.0.1:0", "--connect-port", "x"],
        &["forward", "--listen", "127.0.0.1:0", "--allow-client", "x"],
    ] {
        let outcome = run(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert!(!outcome.stderr.is_empty(), "{arguments:?}");
        assert!(outcome.stdout.is_empty(), "{arguments:?}: {outcome:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let outcome = run(&["forward", "--listen", &address, "--admin", "off"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&address), "{outcome:?}");
    assert!(outcome.stderr.contains("another process listens there"), "{outcome:?}");
}

#[test]
fn help_and_version_are_0_and_show_examples() {
    for arguments in
        [&["--help"][..], &["forward", "--help"], &["reverse", "--help"], &["exec", "--help"]]
    {
        let outcome = run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("proxyd "), "{outcome:?}");
    }
    assert_eq!(run(&["--version"]).code, Some(0));
}

#[test]
fn print_config_prints_a_file_that_is_sound() {
    for arguments in [
        &["reverse", "--listen", "127.0.0.1:8080", "--to", "http://127.0.0.1:3000"][..],
        &["forward", "--listen", "127.0.0.1:3128", "--connect-port", "8443", "--allow-private"],
    ] {
        let mut all = arguments.to_vec();
        all.push("--print-config");
        let printed = run(&all);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let checked = check(&printed.stdout);
        assert_eq!(checked.code, Some(0), "{}\n{checked:?}", printed.stdout);
    }
}

#[test]
fn config_schema_is_json_and_config_show_tells_where_values_come_from() {
    let schema = run(&["config", "schema"]);
    assert_eq!(schema.code, Some(0), "{schema:?}");
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).expect("JSON");
    assert!(schema["properties"]["listeners"].is_object());

    let scratch = Scratch::new("show");
    scratch.write("proxyd.toml", SOUND);
    let args = ["config", "show", "--config", "proxyd.toml"];
    let shown = proxyd::run_to_end(scratch.path(), &args);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("proxyd.toml:2"), "{}", shown.stdout);
    assert!(shown.stdout.contains("drain_timeout"), "{}", shown.stdout);
}

#[test]
fn json_files_includes_and_the_environment_are_read() {
    let origin = Origin::saying("hello");
    let (written, used) = (ports::free(), ports::free());
    let config = format!(
        "include = [\"routes.d/*.toml\"]\n[listeners.web]\naddress = \"{written}\"\n\
         role = \"gateway\"\n[upstreams.app]\nendpoints = [\"{}\"]\n",
        origin.url()
    );
    let scratch = Scratch::new("include");
    let path = scratch.write("proxyd.toml", &config);
    let route = "[[routes]]\nname = \"all\"\nupstream = \"app\"\n";
    let place = scratch.write("routes.d/all.toml", route);
    let whole = std::fs::read_to_string(&path).expect("the file");
    let whole = whole.replace("routes.d/*.toml", &place.display().to_string());
    let proxy = proxyd::run(used, &whole)
        .env("PROXYD__LISTENERS__WEB__ADDRESS", &used.to_string())
        // Kubernetes sets names of this kind by itself.
        .env("PROXYD_SERVICE_HOST", "10.0.0.1")
        .start();
    assert_eq!(client::get(proxy.address(), "origin.test", "/").text(), "hello");

    let json = "{\"listeners\": {\"web\": {\"address\": \"127.0.0.1:1\", \"role\": \"gatway\"}}}";
    scratch.write("proxyd.json", json);
    let args = ["check", "--config", "proxyd.json"];
    let checked = proxyd::run_to_end(scratch.path(), &args);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("proxyd.json:1:"), "{}", checked.stderr);
}

#[test]
fn a_probe_listener_has_health_and_metrics_only() {
    let origin = Origin::saying("hello");
    let (web, probe) = (ports::free(), ports::free());
    let config = format!(
        "[probe]\naddress = \"{probe}\"\n[listeners.web]\naddress = \"{web}\"\n\
         role = \"gateway\"\n[upstreams.app]\nendpoints = [\"{}\"]\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n",
        origin.url()
    );
    let _proxy = proxyd::run(web, &config).admin(probe).start();
    for (path, status) in
        [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/config", 404), ("/", 404)]
    {
        assert_eq!(client::get(probe, "kubelet.test", path).status(), status, "{path}");
    }
}

#[test]
fn one_line_modes_say_what_listens_where() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).start();
    waiting::until("the greeting", || {
        let said = format!("{}{}", proxy.stdout(), proxy.stderr());
        said.contains(&proxy.address().to_string()).then_some(())
    });
    // A configuration without audit and with an admin listener has something to log.
    waiting::until("a line of its log", || proxy.stderr().contains("INFO").then_some(()));
    assert!(!proxy.stderr().contains('\u{1b}'), "colours, but no terminal: {}", proxy.stderr());
}

/// Binding a unix socket replaces one that is dead, and nothing else.
#[test]
fn a_file_that_is_no_socket_is_never_taken() {
    let scratch = Scratch::new("precious");
    let precious = scratch.join("precious.txt");
    std::fs::write(&precious, "dear").expect("a file");
    let config = format!(
        "[listeners.web]\naddress = \"unix:{}\"\nrole = \"gateway\"\n\
         [upstreams.app]\nendpoints = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n",
        precious.display()
    );
    let file = scratch.join("proxyd.toml");
    std::fs::write(&file, config).expect("a file");
    let outcome = run(&["run", "--config", &file.display().to_string()]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("precious.txt"), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(&precious).expect("still there"), "dear");
}
