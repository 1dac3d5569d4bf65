//! What is said about all of it: `explain`, and mistakes.

use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::run_to_end;
use proxyd_tests::scratch::Scratch;

#[test]
fn explain_asks_and_copies_nothing_and_says_what_would_be() {
    let (auth, shadow) = (Origin::saying("no"), Origin::saying("no"));
    let config = format!(
        "[listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n\
         forward_auth = {{ upstream = \"auth\", path = \"/verify\", copy_fields = [\"Remote-User\"] }}\n\
         mirror = {{ upstream = \"shadow\" }}\n\
         split = {{ to = [{{ upstream = \"next\", fields = {{ X-Canary = true }} }}, \
         {{ upstream = \"next\", share = \"100%\" }}] }}\n\n\
         [upstreams]\napp.endpoints = [\"http://127.0.0.1:9\"]\n\
         next.endpoints = [\"http://127.0.0.1:10\"]\n\
         auth.endpoints = [\"{}\"]\nshadow.endpoints = [\"{}\"]\n",
        auth.url(),
        shadow.url()
    );
    let folder = Scratch::new("traffic-explain");
    folder.write("proxyd.toml", &config);
    let arguments = ["explain", "--config", "proxyd.toml", "GET", "http://app.test/", "-H"];
    let explained = |field| {
        let all = [&arguments[..], &[field]].concat();
        let outcome = run_to_end(folder.path(), &all);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    };
    let text = explained("X-Canary: 1");
    for part in
        ["forward_auth", "so far: it is asked for /verify", "split", "127.0.0.1:10", "mirror"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // Chance is not drawn: what is shown is no answer to what a request gets.
    let text = explained("Remote-User: root");
    for part in ["by chance: 100% to next", "127.0.0.1:9"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!((auth.links(), shadow.links()), (0, 0));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let folder = Scratch::new("traffic-mistakes");
    let config = "[listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\n\
         [upstreams.app]\nendpoints = [\"http://127.0.0.1:9\"]\n\n\
         [[routes]]\nname = \"one\"\nupstream = \"app\"\n\
         forward_auth = { upstream = \"ap\", path = \"verify\", copy_fields = [\"TE\", \"a b\", \
         \"Host\", \"X-Forwarded-For\", \"X-Forwarded-User\"], response_fields = [\"Content-Type\"] }\n\
         split = { by = \"cokie:x\", to = [{ upstream = \"app\" }, \
         { upstream = \"app\", share = \"60%\" }, { upstream = \"app\", share = \"60%\" }] }\n\n\
         [[routes]]\nname = \"two\"\nrespond = { body = \"x\" }\nmirror = { upstream = \"app\" }\n\
         forward_auth = false\n\n\
         [[routes]]\nname = \"three\"\nupstream = \"app\"\nforward_auth = false\n\
         mirror = { upstream = \"app\" }\n\n\
         [[routes]]\nname = \"four\"\nupstream = \"next\"\nforward_auth = false\n\
         split = { to = [{ upstream = \"app\", share = \"10%\" }] }\nmirror = { upstream = \"app\" }\n\n\
         [upstreams.next]\nendpoints = [\"http://127.0.0.1:10\"]\n\n\
         [defaults]\nforward_auth = { upstream = \"nobody\" }\n";
    folder.write("proxyd.toml", config);
    let outcome = run_to_end(folder.path(), &["check", "--config", "proxyd.toml"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for part in [
        "routes[0].forward_auth.upstream: no upstream is named `ap`; did you mean `app`?",
        "routes[0].forward_auth.path: expected a path such as `/verify`, found `verify`",
        "`TE` belongs to one connection",
        "`a b` is not a field name",
        "routes[0].split.by: expected",
        "routes[0].split.to[0]: expected either `share`, or `fields` and `cookies`",
        "routes[0].split.to: the shares are more than 100% together",
        "routes[1].mirror: needs an `upstream`",
        "`Host` is made by the proxy",
        "`X-Forwarded-For` is made by the proxy",
        "routes[0].forward_auth.response_fields[0]: `Content-Type` is about content",
        "routes[2].mirror.upstream: `app` serves the route",
        "routes[3].mirror.upstream: `app` serves the route",
        "defaults.forward_auth.upstream: no upstream is named `nobody`",
    ] {
        assert!(outcome.stderr.contains(part), "{part}\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("`X-Forwarded-User`"), "{}", outcome.stderr);
}
