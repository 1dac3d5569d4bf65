//! Includes, JSON, environment.

use super::*;

#[test]
fn includes_append_routes_and_say_the_rest_once() {
    let folder = Folder::new(&[
        (
            "main.toml",
            "include = [\"routes.d/*.toml\", \"upstreams.json\"]\n[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n[[routes]]\nname = \"first\"\nupstream = \"app\"\nmatch = { paths = [\"/\"] }\n",
        ),
        ("routes.d/20.toml", "[[routes]]\nname = \"third\"\nupstream = \"app\"\n"),
        (
            "routes.d/10.toml",
            "[[routes]]\nname = \"second\"\nupstream = \"app\"\nmatch = { paths = [\"/2\"] }\n",
        ),
        ("routes.d/.hidden.toml", "nonsense"),
        ("routes.d/note.txt", "nonsense"),
        (
            "upstreams.json",
            "{\"upstreams\": {\"app\": {\"endpoints\": [\"http://127.0.0.1:3000\"]}}}",
        ),
    ]);
    let loaded = folder.load("main.toml").unwrap();
    let names: Vec<&str> = loaded.resolved.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["first", "second", "third"]);
    let sources: Vec<String> =
        loaded.sources.iter().map(|path| folder.relative(path.display())).collect();
    assert_eq!(sources, ["main.toml", "routes.d/10.toml", "routes.d/20.toml", "upstreams.json"]);
}

#[test]
fn errors_are_placed_in_the_file_that_says_it() {
    let folder = Folder::new(&[
        ("main.toml", "include = [\"a.toml\", \"b.json\", \"*.toml\"]\n[server]\nworkers = 1\n"),
        (
            "a.toml",
            "[[routes]]\nname = \"a\"\nupstream = \"app\"\n[server]\nworkers = 2\n[listeners.web]\nrole = \"gateway\"\n",
        ),
        (
            "b.json",
            "{\n  \"routes\": [\n    {\"name\": \"b\", \"upstream\": \"app\", \"colur\": 1}\n  ]\n}\n",
        ),
    ]);
    assert_eq!(
        folder.errors("main.toml"),
        ["a.toml:5:11: error: server.workers: set in two files; the other is main.toml:3:11"]
    );
    std::fs::write(folder.path("main.toml"), "include = [\"a.toml\", \"b.json\"]\n").unwrap();
    let found = folder.errors("main.toml");
    assert_eq!(
        found[..2],
        [
            "a.toml:3:12: error: routes[0].upstream: no upstream is named `app`; there is none",
            "a.toml:6:12: error: listeners.web: missing key `address`; expected `ip:port` or `unix:/path`",
        ],
        "{found:#?}"
    );
    assert!(found[2].starts_with("b.json:3:31: error: routes[1].upstream: "), "{found:#?}");
    assert!(found[3].starts_with("b.json:3:38: error: routes[1].colur: unknown key"), "{found:#?}");
}

#[test]
fn an_include_that_is_not_there() {
    let folder =
        Folder::new(&[("main.toml", "include = [\"no.toml\", \"no/*.toml\", \"*.none\", 1]\n")]);
    assert_eq!(
        folder.errors("main.toml"),
        [
            "main.toml:1:12: error: include: cannot read no.toml: No such file or directory",
            "main.toml:1:23: error: include: cannot read no: No such file or directory",
            "main.toml:1:46: error: include: expected file names such as [\"routes.d/*.toml\"]",
        ]
    );
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let folder = Folder::new(&[
        (
            "main.toml",
            "include = [\"other.toml\"]\n[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n",
        ),
        ("other.toml", "include = [\"main.toml\"]\n[server]\nworkers = 3\n"),
    ]);
    let loaded = folder.load("main.toml").unwrap();
    assert_eq!(loaded.resolved.server.workers, Some(3));
    assert_eq!(loaded.sources.len(), 2);
}

#[test]
fn files_are_looked_up_beside_the_file_that_names_them() {
    let folder = Folder::new(&[
        (
            "main.toml",
            "include = [\"conf.d/*.toml\"]\n[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n[log.access]\npath = \"access.jsonl\"\n",
        ),
        (
            "conf.d/admin.toml",
            "[admin]\naddress = \"127.0.0.1:9901\"\ntoken = { file = \"token\" }\n",
        ),
        ("conf.d/token", "  s3cret\n"),
    ]);
    let resolved = folder.load("main.toml").unwrap().resolved;
    assert_eq!(resolved.admin.unwrap().token.unwrap().reveal(), "s3cret");
    let target = resolved::LogTarget::File(folder.path("access.jsonl"));
    assert_eq!(resolved.access_log.unwrap().target, target);
}

#[test]
fn json_says_the_same_as_toml() {
    let folder = Folder::new(&[
        (
            "a.toml",
            "[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n[[routes]]\nname = \"a\"\nrespond = { status = 204 }\n",
        ),
        (
            "a.json",
            r#"{"listeners": {"web": {"address": "127.0.0.1:80", "role": "gateway"}},
            "routes": [{"name": "a", "respond": {"status": 204}}]}"#,
        ),
    ]);
    assert_eq!(folder.load("a.toml").unwrap().raw, folder.load("a.json").unwrap().raw);
}

#[test]
fn the_environment_overrides_and_its_errors_name_the_variable() {
    let folder = Folder::new(&[("a.toml", GATEWAY)]);
    let load = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let overrides = Overrides { environment: variables.collect(), ..Overrides::default() };
        load(&folder.path("a.toml"), &overrides)
    };
    let loaded = load(&[
        ("PROXYD__LISTENERS__WEB__ADDRESS", "127.0.0.2:81"),
        ("PROXYD__SERVER__LIMITS__BODY", "1MiB"),
        ("PROXYD_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(loaded.resolved.listeners[0].addresses[0].to_string(), "127.0.0.2:81");
    assert_eq!(loaded.resolved.listeners[0].limits.body, Some(1 << 20));
    let errors = load(&[("PROXYD__INCLUDE", "[a.toml]")]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "environment PROXYD__INCLUDE: error: include: only a file can include others"
    );
    let errors = load(&[
        ("PROXYD__LISTENERS__WEB__ADDRES", "x"),
        ("PROXYD__LISTENERS__WEB__ADDRESS", "8080"),
        ("PROXYD__SERVER__WORKERS", "many"),
    ])
    .unwrap_err();
    assert_eq!(
        errors.to_string().lines().collect::<Vec<_>>(),
        [
            "environment PROXYD__LISTENERS__WEB__ADDRES: error: listeners.web.addres: unknown key; did you mean `address`?",
            "environment PROXYD__SERVER__WORKERS: error: server.workers: expected a whole number up to 1024, found the string \"many\"",
            "environment PROXYD__LISTENERS__WEB__ADDRESS: error: listeners.web.address: expected `ip:port` or `unix:/path`, found `8080`; write `127.0.0.1:8080` for this machine only or `0.0.0.0:8080` for every address",
        ]
    );
}
