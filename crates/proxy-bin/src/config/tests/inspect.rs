//! Inspection: how by `[filter.inspect]`, whether by routes and `[forward]`.

use super::*;

fn route(rest: &str) -> String {
    format!("{GATEWAY}[[routes]]\nname = \"all\"\nupstream = \"app\"\n{rest}\n")
}

fn policy(text: &str) -> Option<String> {
    let mut resolved = loaded(text).resolved;
    resolved.routes.remove(0).inspect.map(|policy| format!("{policy:?}"))
}

#[test]
fn the_table_alone_inspects_all_routes_to_an_upstream() {
    assert_eq!(policy(&route("")), None);
    let policy = policy(&route("[filter.inspect]")).unwrap();
    for part in ["mode: Enforce", "threshold: 5", "window: 65536", "content_limit: 8388608"] {
        assert!(policy.contains(part), "{part}\n{policy}");
    }
    assert!(policy.contains("responses: None"));
    let forward = loaded(&route("[filter.inspect]")).resolved.forward;
    assert!(forward.inspect.is_none());
}

#[test]
fn the_most_specific_wins() {
    let mode = |text: &str| {
        let policy = policy(&route(text))?;
        let at = policy.find("mode: ")? + 6;
        Some(policy[at..].chars().take_while(char::is_ascii_alphabetic).collect::<String>())
    };
    let enforce = "[filter.inspect]\nmode = \"enforce\"\n";
    assert_eq!(mode(&format!("inspect = false\n{enforce}")), None);
    assert_eq!(mode(&format!("inspect = \"off\"\n{enforce}")), None);
    assert_eq!(mode(&format!("inspect = \"report\"\n{enforce}")).unwrap(), "Report");
    assert_eq!(mode(&format!("[defaults]\ninspect = false\n{enforce}")), None);
    assert_eq!(
        mode(&format!("inspect = true\n[defaults]\ninspect = false\n{enforce}")).unwrap(),
        "Enforce"
    );
    // A switch is enough.
    assert_eq!(mode("inspect = true").unwrap(), "Enforce");
    assert_eq!(mode("[filter.inspect]\nmode = \"off\"\n"), None);
    let forward = loaded(
        "[listeners.out]\naddress = \"127.0.0.1:1\"\nrole = \"forward\"\n[forward]\ninspect = \"report\"\n",
    );
    assert!(forward.resolved.forward.inspect.is_some());
}

#[test]
fn every_key_arrives() {
    let folder = Folder::new(&[
        (
            "a.toml",
            &route(
                r#"
[routes.inspect]
threshold = 7
exclusions = [{ rule = "xss-*", parameter = "body" }]

[filter.inspect]
mode = "report"
window = "16KiB"
content_limit = "1MiB"
on_limit = "deny"
exclusions = [{ rule = "own-rule" }]
skip_fields = ["X-Blob"]
rule_files = ["own.toml"]

[filter.inspect.response]
block_content_types = ["application/x-msdownload"]
block_files = ["executable", "wasm"]
leaks = true
max_size = "10MiB"
"#,
            ),
        ),
        (
            "own.toml",
            "[[rule]]\nid = \"own-rule\"\nclass = \"code\"\nscore = 3\nreason = \"ours\"\nwords = [\"frobnicate\"]\n",
        ),
    ]);
    let mut resolved = folder.load("a.toml").unwrap().resolved;
    let policy = format!("{:?}", resolved.routes.remove(0).inspect.unwrap());
    for part in [
        "mode: Report, threshold: 7",
        "rule: \"own-rule\", parameter: None",
        "rule: \"xss-*\", parameter: Some(\"body\")",
        "window: 16384",
        "content_limit: 1048576",
        "on_limit: Deny",
        "skip_fields: [\"x-blob\"]",
        "block_content_types: [\"application/x-msdownload\"]",
        "block_files: [Pe, Elf, MachO, Script, JavaClass, Dex, Shortcut, Wasm]",
        "leaks: true, max_size: Some(10485760)",
    ] {
        assert!(policy.contains(part), "{part}\n{policy}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let inspect = |text: &str| errors(&route(&format!("[filter.inspect]\n{text}")));
    assert_eq!(
        inspect("exclusions = [{ rule = \"sqli-unoin\" }, { rule = \"nothing-*\" }]"),
        [
            "a.toml:8:24: error: filter.inspect.exclusions[0].rule: no rule has the id `sqli-unoin`; did you mean `sqli-union`?",
            "a.toml:8:49: error: filter.inspect.exclusions[1].rule: no rule has the id `nothing-*`",
        ]
    );
    assert_eq!(
        inspect("window = \"1KiB\""),
        [
            "a.toml:8:10: error: filter.inspect.window: expected a size from 4KiB to 512KiB, found 1KiB"
        ]
    );
    assert!(inspect("mode = \"enforced\"")[0].contains("enforce"));
    assert!(inspect("treshold = 5")[0].contains("did you mean `threshold`"));
    assert!(inspect("threshold = 0")[0].contains("filter.inspect.threshold"));
    assert!(inspect("rule_files = [\"none.toml\"]")[0].contains("cannot read none.toml"));
    let kinds = inspect("response = { block_content_types = [\"exe\"] }");
    assert!(kinds[0].contains("expected a media type"), "{kinds:?}");
    let own = errors(&format!(
        "{GATEWAY}[[routes]]\nname = \"a\"\nrespond = {{ status = 200 }}\ninspect = true\n"
    ));
    assert!(own[0].contains("this route has none"), "{own:?}");
    let folder = Folder::new(&[
        ("a.toml", &route("[filter.inspect]\nrule_files = [\"own.toml\"]\n")),
        ("own.toml", "[[rule]]\nid = \"own\"\nclass = \"sqli\"\nscore = 1\nreason = \"r\"\n"),
    ]);
    let own = folder.errors("a.toml");
    assert!(own[0].contains("filter.inspect.rule_files[0]") && own[0].contains("`own`"), "{own:?}");
}

#[test]
fn a_table_without_effect_is_warned_of() {
    let text = route("inspect = false\n[filter.inspect]\n");
    assert!(warnings(&text)[0].contains("nothing is inspected"), "{:?}", warnings(&text));
}
