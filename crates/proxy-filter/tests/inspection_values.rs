//! Single values as requests carry them: ordinary ones that must pass although they look like
//! something, and attacks that must not although they look like something ordinary.

use std::sync::OnceLock;

use http::Request;
use proxy_core::RequestHead;
use proxy_filter::inspect::{Engine, InspectConfig, Report};

/// Rules are compiled once.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(InspectConfig::default()).expect("the built-in rules"))
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// Judges a parameter of the query.
fn query(name: &str, value: &str) -> (bool, Report) {
    let request = Request::get(format!("/?{name}={}", escaped(value))).body(()).expect("a request");
    engine().judge(RequestHead::of(&request), b"")
}

/// Judges content.
fn post(kind: &str, content: &str) -> (bool, Report) {
    let request = Request::post("/").header("content-type", kind).body(()).expect("a request");
    engine().judge(RequestHead::of(&request), content.as_bytes())
}

/// What people type, and what pages and programs put into their links.
const ORDINARY: &[(&str, &str)] = &[
    // Addresses, volumes, kinds.
    ("address", "1200 Broadway; Apt 5B"),
    ("address", "12 Oak; Apt #5"),
    ("address", "12 Oak St; Apt 5B, New York"),
    ("q", "Batman 12 | Vol 3"),
    ("q", "RJ45 | Cat 6"),
    ("q", "RJ45; Cat 6"),
    // Words of what3words, targets without a host, a share in a string of a program.
    ("q", "///filled.count.soap"),
    ("next", "//?utm_source=x"),
    ("next", "//#a"),
    ("q", "\\\\\\\\server\\share"),
    // Links to pages and modules beside.
    ("redirect", "../index.php"),
    ("back", "../login.jsp?x=1"),
    ("config", "../package.json"),
    ("q", "file:../../packages/ui"),
    ("q", "link:../../x"),
    ("q", "import a from './../../utils'"),
    ("q", "[a](./../../README.md)"),
    ("q", "<a href=../../x>"),
    // Which shell, and which manager of packages.
    ("shell", "bash"),
    ("shell", "zsh"),
    ("shell", "powershell"),
    ("shell", "cmd"),
    ("system", "pacman"),
    // Queries of OData, in a text.
    ("text", "https://h/odata/Items?v=1&page=2&$top=5"),
    ("text", "see https://h/odata/Items?v=1&page=2&$top=5 for more"),
    // Searches for functions.
    ("q", "exit()"),
    ("q", "die()"),
    ("q", "python exit() or quit()"),
    // What is looked up in manuals, and quoted in a sentence.
    ("q", "constructor"),
    ("q", "(function(){ return 1 })() is a function that is called at once"),
    ("q", "Smarty_Internal_Template is deprecated"),
    ("q", "{{#if user}}"),
    ("q", "Bash > Scripting > Loops"),
    // Addresses of pages, and what a page hands on.
    ("path", "/etc/designs/site/clientlibs.css"),
    ("next", "/opt/in"),
    ("page", "/blog/login"),
    ("file", "http://a.test/list.txt"),
    ("file", "save.old"),
    ("q", "a \\.\\./ in an expression"),
    ("retpath", "http://a.test/index.php"),
    ("image_path", "http://a.test/a.gif"),
    ("url", "http://192.168.0.1/"),
    ("url", "http://10.1.2.3:8080/admin"),
    ("url", "https://a.test/?x=@b"),
    ("html", "<a href=\"https://a.test/?a=b\">"),
    // Texts about code and messages.
    ("q", "what is a service worker"),
    ("q", "level=alert, host=a"),
    ("q", "'a' + 'b' is 'ab'"),
    ("q", "new Worker() or SharedWorker"),
    ("q", "the x-frame-options: header\nand others"),
    ("q", "copy to program files"),
    ("q", "how to copy files to program files"),
    ("q", "'a' + 'b' + 'c' is 'abc'"),
    ("q", "when is new Worker('x.js') slow"),
    ("q", "{std::move(x)} in C++"),
    ("q", "{Foo::bar"),
    ("url", "https://a.test?@user"),
    ("url", "https://a.test#@home"),
    ("q", "Plan\nExpect: rain"),
    ("q", "Film\nTrailer: https://a.test/"),
    ("css", "/etc/site.css"),
    ("q", "true() or false() in a formula"),
    ("q", "if (1) { a }"),
];

/// What must not pass beside them.
const ATTACKS: &[(&str, &str)] = &[
    ("address", "12 Oak; sleep 5"),
    ("q", "127.0.0.1; ping 10.0.0.1"),
    ("q", "1;apt install nmap"),
    ("q", "RJ45; cat /etc/passwd"),
    ("q", "///etc/passwd"),
    ("q", "///../../etc/passwd"),
    ("q", "///./../x"),
    ("next", "//../x"),
    ("q", "///evil.example/"),
    ("next", "///www.evil.example"),
    ("next", "///a.evil.example"),
    ("redirect", "../.env"),
    ("back", "../web.config"),
    ("config", "../conf/app.ini"),
    ("redirect", "../../index.php"),
    ("q", "./../../x"),
    ("q", "file:../../../x"),
    ("q", "..\\..\\boot.ini"),
    ("shell", "bash -c id"),
    ("shell", "whoami"),
    ("system", "id"),
    ("cmd", "bash"),
    ("q", "a=c;b=at;$a$b x"),
    ("q", "a=l&&b=s&&$a$b"),
    ("q", "';exit();//"),
    ("q", "1;die(1)"),
    ("q", "<?php exit();"),
    ("q", "C:\\windows\\system.ini"),
    ("q", "c:/windows/debug/netsetup.log"),
    ("q", "../windows/win.ini"),
    ("q", "/windows/system32/cmd.exe"),
    ("q", "(function(){return 1})()"),
    ("q", "(function(){x=1})();y"),
    ("a[constructor][prototype][b]", "1"),
    ("q", "{Smarty_Internal_Write_File::writeFile($a,1)}"),
    ("q", "{self::getStreamVariable(\"file:///x\")}"),
    ("q", "{{#each \"s\" as |string|}}"),
    ("q", "//*"),
    ("q", "a'] | //*"),
    ("q", "uname > a > out.txt"),
    ("q", "/etc/vfstab"),
    ("q", "/etc/x/y.conf"),
    ("q", "/var/adm/acct/sum/loginlog"),
    ("q", "/usr/local/php4/lib/php.ini"),
    ("q", "/opt/lampp/logs/error_log"),
    ("q", "/apache2/logs/access.log"),
    ("q", "C:\\xampp\\apache\\logs\\error.log"),
    ("q", "/root/.Xauthority"),
    ("q", "/home/a/.ksh_history"),
    ("q", "..2f..2f..2fetc2fpasswd"),
    ("q", ".\\/\\.\\.\\/\\.\\.\\/x"),
    ("page", "index.php.old"),
    ("page", "inc/db.inc~"),
    ("page", "save.py~"),
    ("page", "default.aspx~"),
    ("q", "x' and not(/a) or '"),
    ("url", "http://a.test#@b:80/"),
    ("q", "1\r\nExpect: 100-continue"),
    ("include_path", "http://a.test/x.txt"),
    ("conf[path]", "http://a.test/x.php?"),
    ("url", "http://10.0.0.1:6379/"),
    ("url", "http://a.default.svc.cluster.local/api"),
    ("url", "http://a.test#@b.test/x"),
    ("url", "http:/x//169.254.169.254/latest"),
    ("q", "<img src=\"https://a.test/?"),
    ("q", "<a href='//a.test/?x="),
    ("q", "1\"'></textarea></script><a href=//a.test>x</a>"),
    ("q", "\\nSet-Cookie: x=y"),
    ("q", "Function('x=1')()"),
    ("q", "};a=eval;b=c;a(b)//"),
    ("q", "'];a=alert;a(1)//"),
    ("q", "a=/ab/.source+/cd/.source"),
    ("q", "x=''+'ja'+'va'"),
    ("q", "with(location)with(hash)eval(a)"),
    ("q", "\" style=-moz-binding:url(//a.test/x.xml#y) a=\""),
    ("q", "select a from syscat.tabauth"),
    ("q", "Reflect.apply(f,null,[1])"),
    ("q", "navigator.serviceWorker.register('//a.test/x.js')"),
    ("q", "document.body.innerHTML='x'"),
    ("q", "5\nalert(1);"),
    ("q", "a\r\nX-Frame-Options:"),
    ("q", "a\\r\\nSet-Cookie: x=y"),
    ("q", "a\u{560d}\u{560a}Set-Cookie: x=y"),
    ("q", "' or true() or ''='"),
    ("q", "' or //user[name='a']/b or '1'='1"),
    ("q", "' or boolean(//a) or '1'='1"),
    ("q", "a)(*"),
    ("q", "iif(3=4,1,1/0)"),
    ("q", "1; copy (select 1) to program 'x'"),
    ("q", ";C=$'id';$C"),
    ("q", "{if system('x')}{/if}"),
    ("q", "@php(x())"),
    ("q", "@{var p = new Thing(1);}"),
    ("q", "<#assign x=1>"),
    ("q", "#set($x=$y)"),
    ("q", "$rt.getRuntime().exec(1)"),
    ("q", "BAhvOhNBY3RpdmU6OlByb3h5"),
];

#[test]
fn ordinary_values_pass() {
    let mut wrong = Vec::new();
    for (name, value) in ORDINARY {
        let form = format!("{name}={}", escaped(value));
        for (blocked, report) in
            [query(name, value), post("application/x-www-form-urlencoded", &form)]
        {
            if blocked {
                wrong.push(format!("{name}={value}: {report:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn attacks_beside_them_do_not() {
    let missed: Vec<_> = ATTACKS.iter().filter(|(name, value)| !query(name, value).0).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Pages about a system and its downloads are no files of it, nor is a link from one.
#[test]
fn paths_of_pages_pass() {
    for path in [
        "/downloads/windows/setup.exe",
        "/pub/windows/putty.exe",
        "/docs/windows/system/requirements",
        "/docs/windows/debugging-tools",
        // A token of base64 with a sign of its own for padding.
        "/t/0hGyM3bJXcZsIwkQeRtYuIoPaSdFgHjKlZxCvBnM1234567890abcdefghijklmnop~",
    ] {
        let page = Request::get(path).body(()).expect("a request");
        let link = Request::get("/").header("referer", format!("https://a.test{path}"));
        let link = link.body(()).expect("a request");
        for request in [page, link] {
            let (blocked, report) = engine().judge(RequestHead::of(&request), b"");
            assert!(!blocked, "{request:?}: {report:?}");
        }
    }
    let long = format!("/{}.php~", "a".repeat(70));
    for path in [
        "/windows/system32/cmd.exe",
        "/c:/windows/system.ini",
        "/a/windows/win.ini",
        "/index.php~",
        &long,
    ] {
        let request = Request::get(path).body(()).expect("a request");
        assert!(engine().judge(RequestHead::of(&request), b"").0, "{path}");
    }
}

/// What platforms serve under a dot has its whole name, or more behind a sign.
#[test]
fn hidden_files_have_no_names_of_platforms() {
    let judge = |path: &str| {
        let request = Request::get(path).body(()).expect("a request");
        engine().judge(RequestHead::of(&request), b"").0
    };
    for path in ["/.rest/nodes", "/.well-known/x", "/.cdn-cgi/a.js", "/.auth/login", "/quotes/.SPX"]
    {
        assert!(!judge(path), "{path}");
    }
    for path in [
        "/.CREDS",
        "/.TOKEN/x",
        "/a/.TOKEN/x",
        "/.restored",
        "/.apikeys",
        "/.authtokens",
        "/.edgeconfig/x",
        "/a/.nextcloud",
    ] {
        assert!(judge(path), "{path}");
    }
}

/// What makes a text a document, put around a fragment.
#[test]
fn a_fragment_is_no_document() {
    let form =
        |text: &str| post("application/x-www-form-urlencoded", &format!("q={}", escaped(text))).0;
    let long = "a".repeat(200);
    for text in [
        "```\n{{7*7}}\n```".to_owned(),
        "```\ncat /etc/passwd\n```".to_owned(),
        format!("';\n;\n)\n,\n;\n; cat /etc/passwd #{long}"),
        format!(";\n;\n;\n;\n; cat /etc/passwd #{long}"),
        format!("'''\n)\n)\n)\n; cat /etc/passwd #{long}"),
        format!("```\n; cat /etc/passwd\n\n\n\n\n#{long}"),
    ] {
        assert!(form(&text), "{text}");
    }
    let json = |text: &str| post("application/json", text).0;
    assert!(json(r#"{"source":"!cat /etc/passwd\n"}"#));
    assert!(json(r#"{"source":"; cat /etc/passwd\n"}"#));
    assert!(json(r#"{"source":["; cat /etc/passwd\n"]}"#));
    let cell = r#"{"cells":[{"cell_type":"code","metadata":{},"source":["!ls -la data | head -3\n","!cat data/a.csv | wc -l\n"]}]}"#;
    assert!(!json(cell), "a notebook");
}

/// What had nothing in one parameter is looked at again in one that is named for commands.
#[test]
fn a_value_that_passed_elsewhere_does_not_hide_a_command() {
    let many: String = (0..30).map(|n| format!("a{n}=b{n}&")).collect();
    let judge = |rest: &str| {
        let request = Request::get(format!("/?{many}{rest}")).body(()).expect("a request");
        engine().judge(RequestHead::of(&request), b"").0
    };
    assert!(!judge("q=whoami&q=whoami"));
    assert!(judge("q=whoami&cmd=whoami"));
}

/// What rules about code and query languages must tell apart.
#[test]
fn names_of_classes_and_lists_are_no_code() {
    let mut wrong = Vec::new();
    for value in [
        "f()()",
        "BinaryFormatter is obsolete SYSLIB0011",
        "XamlReader",
        "at System.Diagnostics.Process.Start(ProcessStartInfo info)",
        "GaNJ0123456789abcdef",
        "sin\ncos\ntan\n",
        "{{ settings.logo_width }}",
        "let a: string[] | // or none",
    ] {
        if query("q", value).0 {
            wrong.push(value);
        }
    }
    for value in [
        "x)(&)",
        "*)(uid=*))(|(uid=*",
        "{{settings.SECRET_KEY}}",
        "gASVIQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU",
        "cos\nsystem\n(S'id'\ntR.",
        "a[b=1] | //user/pass",
        "<ObjectDataProvider MethodName=\"Start\">",
        "{\"$type\":\"System.Windows.Data.ObjectDataProvider, PresentationFramework\"}",
    ] {
        if !query("q", value).0 {
            wrong.push(value);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
