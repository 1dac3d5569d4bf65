//! Command lines, as they are typed.

use super::*;
use crate::config::raw::Role;
use crate::config::tests::Folder;

fn run(line: &str) -> Result<Action, Diagnostics> {
    run_with(line, &[])
}

fn run_with(line: &str, environment: &[(String, String)]) -> Result<Action, Diagnostics> {
    prepare_with(Cli::try_parse_from(line.split(' ')).unwrap(), environment)
}

fn loaded(line: &str) -> Loaded {
    match run(line).unwrap() {
        Action::Run(loaded) => *loaded,
        other => panic!("{other:?}"),
    }
}

fn printed(line: &str) -> String {
    match run(line).unwrap() {
        Action::Print(text) => text,
        other => panic!("{other:?}"),
    }
}

fn errors(line: &str) -> Vec<String> {
    run(line).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_definitions_are_sound() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("Examples:") && help.contains("proxyd reverse --listen"), "{help}");
}

#[test]
fn without_arguments_it_is_a_forward_proxy_for_this_machine() {
    let loaded = loaded("proxyd");
    let listener = &loaded.resolved.listeners[0];
    assert_eq!(listener.role, Role::Forward);
    assert_eq!(listener.addresses[0].to_string(), "127.0.0.1:3128");
    let admin = loaded.resolved.admin.as_ref().unwrap();
    assert_eq!((admin.address.to_string().as_str(), admin.optional), ("127.0.0.1:9901", true));
    assert!(loaded.resolved.access_log.is_some() && loaded.resolved.metrics);
    assert!(loaded.warnings.is_empty() && loaded.sources.is_empty());
    let greeting = greeting(&loaded, true);
    assert!(greeting.contains("forward proxy  127.0.0.1:3128"), "{greeting}");
    assert!(greeting.ends_with("try: curl -x http://127.0.0.1:3128 https://example.com/\n"));
    // Somebody else has its address.
    assert!(!super::greeting(&loaded, false).contains("admin"));
}

#[test]
fn options_are_keys() {
    let loaded = loaded(
        "proxyd forward --listen 10.0.0.1:3128 --connect-port 443 --connect-port 8000-8099 \
         --allow-private --allow-client 10.0.0.0/8 --allow-client ::1 --admin off \
         --access-log off --workers 3",
    );
    let resolved = &loaded.resolved;
    assert_eq!(resolved.listeners[0].allow_clients.len(), 2);
    assert!(resolved.forward.connect_ports.contains(8050));
    assert!(resolved.forward.allow_private_destinations);
    assert!(resolved.admin.is_none() && resolved.access_log.is_none());
    assert_eq!(resolved.server.workers, Some(3));
}

#[test]
fn reverse_stands_before_its_endpoints() {
    let loaded = loaded(
        "proxyd reverse --listen 127.0.0.1:80 --to http://127.0.0.1:1 --to http://127.0.0.1:2",
    );
    let resolved = &loaded.resolved;
    assert_eq!(resolved.listeners[0].role, Role::Gateway);
    assert_eq!(resolved.upstreams["origin"].endpoints.len(), 2);
    assert_eq!(resolved.table.routes().len(), 1);
    assert!(loaded.warnings.is_empty());
}

fn is_its_file(line: &str) {
    // Whatever follows `--` is the program's.
    let (own, program) = line.split_once(" -- ").map_or((line, None), |(a, b)| (a, Some(b)));
    let program = program.map(|words| format!(" -- {words}")).unwrap_or_default();
    let text = printed(&format!("{own} --print-config{program}"));
    let folder = Folder::new(&[("printed.toml", &text)]);
    let file = loaded(&format!("proxyd run --config {}", folder.path("printed.toml").display()));
    assert_eq!(file.raw, loaded(line).raw, "{line}\n{text}");
}

#[test]
fn a_program_in_one_line_is_the_file_that_it_prints() {
    for line in [
        "proxyd exec -- date -u",
        "proxyd exec --listen 127.0.0.1:81 --path /u --stdin --content-type text/plain -- ./tr a-z A-Z",
        "proxyd exec --path /t/{f} --param f=path:/tmp --stderr merge --runs 3 -- cat {path.f}",
        "proxyd exec --param n=integer:1..9 --default n=5 --cache-ttl 10m -- seq {query.n}",
    ] {
        is_its_file(line);
    }
}

#[test]
fn a_one_line_mode_is_the_file_that_it_prints() {
    for line in [
        "proxyd",
        "proxyd forward --listen 0.0.0.0:3128 --allow-client 10.0.0.0/8 --connect-port 8443 --allow-private",
        "proxyd forward --listen 0.0.0.0:3128 --open --admin off --access-log off",
        "proxyd reverse --listen 127.0.0.1:81 --to http://127.0.0.1:3000 --workers 2 --admin 127.0.0.1:1",
        "proxyd reverse --to http://a.test --to http://b.test --access-log -",
        "proxyd forward --cache",
        "proxyd forward --audit-log audit.jsonl",
        "proxyd reverse --to http://a.test --cache=1GiB",
    ] {
        is_its_file(line);
    }
    assert_eq!(
        printed(
            "proxyd reverse --to http://127.0.0.1:3000 --admin off --access-log off --print-config"
        ),
        "[[routes]]\nname = \"all\"\nupstream = \"origin\"\n\n\
         [listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\n\
         [upstreams.origin]\nendpoints = [\"http://127.0.0.1:3000\"]\n"
            .replace("[[routes]]\nname = \"all\"\nupstream = \"origin\"\n\n", "")
            .replace(
                "\n\n[upstreams",
                "\n\n[[routes]]\nname = \"all\"\nupstream = \"origin\"\n\n[upstreams"
            )
    );
}

#[test]
fn a_cache_is_asked_for_and_sized() {
    let stores = |line: &str| {
        let resolved = loaded(line).resolved;
        let routes = resolved.routes.iter().filter(|route| route.cache.is_some()).count();
        resolved.cache.map(|stores| (stores.memory, resolved.forward.cache.is_some(), routes))
    };
    assert_eq!(stores("proxyd"), Some((64 << 20, true, 0)));
    assert_eq!(stores("proxyd forward"), None);
    assert_eq!(stores("proxyd forward --cache"), Some((64 << 20, true, 0)));
    assert_eq!(stores("proxyd reverse --to http://a.test"), None);
    assert_eq!(stores("proxyd reverse --to http://a.test --cache=1GiB"), Some((1 << 30, false, 1)));
    assert_eq!(
        errors("proxyd forward --cache=lots"),
        [
            "command line --cache: error: cache.memory: expected a size such as \"64KiB\" or \"10MB\", found the string \"lots\""
        ]
    );
    let text = printed("proxyd reverse --to http://a.test --cache=256MiB --print-config");
    assert!(text.contains("[cache]\nmemory = \"256MiB\"\n"), "{text}");
    assert!(text.contains("[defaults]\ncache = true\n"), "{text}");
}

#[test]
fn what_is_wrong_names_the_option() {
    assert_eq!(
        errors(
            "proxyd forward --listen :3128 --allow-client 10.0.0.0/40 --workers 5000 --connect-port x"
        ),
        [
            "command line --workers: error: server.workers: expected a whole number up to 1024, found the number 5000",
            "command line --listen: error: listeners.forward.address: expected `ip:port` or `unix:/path`, found `:3128`; write `127.0.0.1:3128` for this machine only or `0.0.0.0:3128` for every address",
            "command line --allow-client: error: listeners.forward.allow_clients[0]: expected a network such as `10.0.0.0/8` or an IP address, found `10.0.0.0/40`; `40` is not a prefix length for 10.0.0.0",
            "command line --connect-port: error: forward.connect_ports[0]: expected a port from 1 to 65535 or a range such as `8000-8099`, found `x`",
        ]
    );
}

#[test]
fn no_open_proxy() {
    let found = errors("proxyd forward --listen 0.0.0.0:3128");
    assert!(found[0].contains("would serve everyone who can reach it"), "{found:?}");
    loaded("proxyd forward --listen 0.0.0.0:3128 --open");
}

#[test]
fn what_is_not_built_yet_says_so() {
    for (line, expected) in [
        (
            "explain GET http://a/",
            "command line explain: error: expected `--config FILE`, or `--admin ADDR` to ask a running process",
        ),
        (
            "forwrad",
            "command line forwrad: error: no command is named `forwrad`; did you mean `forward`?",
        ),
    ] {
        assert_eq!(errors(&format!("proxyd {line}")), [expected], "{line}");
    }
}

#[test]
fn a_certificate_comes_with_its_key() {
    let files = "--tls-cert /nowhere/a.pem --tls-key /nowhere/a.key";
    let cannot = |key: &str, file: &str| {
        format!(
            "command line --tls-{key}: error: listeners.web.tls.certificates[0].{key}: \
             cannot read /nowhere/{file}: No such file or directory"
        )
    };
    assert_eq!(
        errors(&format!("proxyd reverse --to https://a {files}")),
        [cannot("cert", "a.pem"), cannot("key", "a.key")]
    );
}

/// Options are those of the command: what would do nothing is an error, wherever it stands.
#[test]
fn options_that_a_command_has_no_use_for_are_refused() {
    use clap::CommandFactory as _;
    for (line, option) in [
        ("proxyd --admin 127.0.0.1:1 ca init", "--admin"),
        ("proxyd --workers 2 purge --all", "--workers"),
        ("proxyd --print-config check a.toml", "--print-config"),
    ] {
        let expected = format!("command line {option}: error: no option of this command");
        assert_eq!(errors(line), [expected], "{line}");
    }
    for line in ["ca init --admin 127.0.0.1:1", "purge --all --workers 2", "check a --print-config"]
    {
        let words = format!("proxyd {line}");
        assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{line}");
    }
    let mut root = Cli::command();
    root.build();
    for name in ["ca", "audit", "completions", "man", "test"] {
        let command = root.find_subcommand_mut(name).unwrap();
        let help = command.render_long_help().to_string();
        assert!(!help.contains("--workers") && !help.contains("--admin"), "{help}");
    }
    // Before the command or after it is the same where it has one.
    for line in ["proxyd --workers 3 forward", "proxyd forward --workers 3"] {
        assert_eq!(loaded(line).resolved.server.workers, Some(3), "{line}");
    }
    let text = printed("proxyd --print-config --admin off forward");
    assert!(text.contains("[listeners.forward]") && !text.contains("[admin]"), "{text}");
}

#[test]
fn a_file_is_named_with_its_option_or_without() {
    let text = "[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n";
    let folder = Folder::new(&[("a.toml", text)]);
    let file = folder.path("a.toml");
    for option in ["", "-c ", "--config "] {
        let line = format!("{option}{}", file.display());
        assert_eq!(loaded(&format!("proxyd run {line}")).resolved.listeners.len(), 1, "{line}");
        assert!(printed(&format!("proxyd check {line}")).contains("ok: 1 listener"), "{line}");
        assert!(printed(&format!("proxyd config show {line}")).contains("127.0.0.1:80"), "{line}");
    }
    for line in ["proxyd run", "proxyd check a.toml -c b.toml"] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn an_authority_has_both_of_its_files() {
    for line in [
        "proxyd forward --intercept a.test",
        "proxyd forward --intercept-ca-cert a --intercept a.test",
        "proxyd forward --intercept-ca-key a",
        "proxyd ca init --name=",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn the_order_is_mode_environment_command_line() {
    let environment = [
        ("PROXYD__LISTENERS__FORWARD__ADDRESS".to_owned(), "127.0.0.1:1".to_owned()),
        ("PROXYD__SERVER__WORKERS".to_owned(), "1".to_owned()),
    ];
    let Action::Run(loaded) = run_with("proxyd --workers 2", &environment).unwrap() else {
        panic!("it runs")
    };
    assert_eq!(loaded.resolved.listeners[0].addresses[0].to_string(), "127.0.0.1:1");
    assert_eq!(loaded.resolved.server.workers, Some(2));
}

#[test]
fn check_and_show() {
    let folder = Folder::new(&[(
        "a.toml",
        "[admin]\naddress = \"127.0.0.1:1\"\n[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n",
    )]);
    let file = folder.path("a.toml");
    let text = folder.relative(printed(&format!("proxyd check --config {}", file.display())));
    assert_eq!(
        text,
        "a.toml: ok: 1 listener, 0 upstreams, 0 routes, 1 warning\n\
         a.toml:3:12: warning: listeners.web: there are no routes: every request gets 404\n"
    );
    let text = printed(&format!("proxyd config show -c {} --admin off", file.display()));
    assert!(!text.contains("[admin]"), "{text}");
    assert!(printed("proxyd config schema").contains("\"listeners\""));
}

#[test]
fn a_program_is_one_route_and_its_parameters_are_typed() {
    let loaded = loaded(
        "proxyd exec --listen 127.0.0.1:81 --path /clips/{id} --param id=string:[a-z]{1,8} \
         --param n=integer:..60 --default n=5 --param mode={type=\"enum\",values=[\"a\"],secret=true} \
         --content-type video/mp2t --stderr frames --runs 2 -- tool {path.id} -n{query.n} {field.mode}",
    );
    let route = &loaded.raw.routes[0];
    assert_eq!(route.matches.path_regex.as_deref(), Some("/clips/[^/]+"));
    assert_eq!(route.matches.methods, ["GET", "HEAD"]);
    let exec = route.exec.as_ref().unwrap();
    let sources: Vec<_> = exec.params.values().map(|param| param.source).collect();
    use crate::config::raw::ParamSource::{Field, Path, Query};
    assert_eq!(sources, [Path, Field, Query]);
    assert!(exec.params["mode"].secret);
    let resolved = loaded.resolved.routes[0].exec.as_ref().unwrap();
    assert_eq!((resolved.limits.runs, resolved.args.len()), (2, 3));
    let greeting = greeting(&loaded, true);
    assert!(greeting.ends_with("try: curl 'http://127.0.0.1:81/clips/{id}'\n"), "{greeting}");
}

#[test]
fn a_program_with_input_is_asked_by_post() {
    let upper = loaded("proxyd exec --stdin -- tr a-z A-Z");
    assert_eq!(upper.raw.routes[0].matches.methods, ["POST"]);
    assert_eq!(upper.resolved.listeners[0].addresses[0].to_string(), "127.0.0.1:8080");
    let text = greeting(&upper, true);
    assert!(text.ends_with("try: curl --data-binary @FILE http://127.0.0.1:8080/\n"), "{text}");
    let form = loaded("proxyd exec --param a=boolean -- echo {form.a}");
    assert_eq!(form.raw.routes[0].matches.methods, ["POST"]);
}

#[test]
fn what_is_wrong_with_a_parameter_is_told() {
    for (options, words, part) in [
        (
            "",
            "echo {query.a}",
            "exec: error: the placeholder {query.a} needs a type, such as --param a=integer",
        ),
        ("--param a", "echo {query.a}", "--param: error: expected NAME=TYPE or NAME=TYPE:RULE"),
        ("--param a=text", "echo {query.a}", "found `text`"),
        ("--param a=string", "echo {query.a}", "a string needs a pattern: NAME=string:PATTERN"),
        ("--param a=integer:3", "echo {query.a}", "expected a range such as `1..60`, found `3`"),
        ("--param a=integer:x..3", "echo {query.a}", "expected a number, found `x`"),
        ("--param a=boolean:x", "echo {query.a}", "the type `boolean` has no rule"),
        ("--param a={type=}", "echo {query.a}", "expected a table"),
        ("--param a=integer --param a=integer", "echo {query.a}", "`a` is declared twice"),
        ("--param a=integer", "echo", "no argument has a placeholder such as {query.a}"),
        ("--default a=1", "echo", "`a` is not declared"),
        ("--param a=integer --default a", "echo {query.a}", "expected NAME=VALUE, found `a`"),
        ("--param a=integer --default a=x", "echo {query.a}", "the default is refused"),
        ("--param a=string:[", "echo {query.a}", "regex"),
        ("--param a=string:.*", "sh -c {query.a}", "a placeholder where the program reads code"),
        ("--stderr nowhere", "echo", "command line --stderr: error: routes[0].exec.stderr"),
        ("--runs 0", "echo", "command line --runs: error: routes[0].exec.limits.runs"),
        ("--path x", "echo", "command line --path: error: routes[0].match.paths[0]"),
        ("--cache-ttl x", "echo", "command line --cache-ttl: error: routes[0].cache.ttl"),
        ("", "awk {print}", "command line ARG: error: routes[0].exec.args[0]"),
    ] {
        let line = format!("proxyd exec {options} -- {words}").replace("  ", " ");
        let found = errors(&line);
        assert!(found.iter().any(|error| error.contains(part)), "{line}: {found:?}");
    }
    // Without a program there is nothing to do.
    assert!(Cli::try_parse_from(["proxyd", "exec", "--path", "/x"]).is_err());
}
