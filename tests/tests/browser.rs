//! A headless Chromium browses through `proxyd forward`: a page with 50 assets, over http and
//! over https through CONNECT.

use proxyd_tests::chromium::Chromium;
use proxyd_tests::nginx::Nginx;
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting;

const ASSETS: usize = 50;

/// A page with that many scripts, each of which counts itself.
fn page() -> String {
    let scripts: String =
        (0..ASSETS).map(|n| format!("<script src=\"asset-{n}.js\"></script>\n")).collect();
    format!(
        "<!doctype html><html><head><meta charset=utf-8><link rel=icon href=data:,>\
         <script>window.count = 0;</script>\n{scripts}</head>\n\
         <body><p id=said>not yet</p><script>\n\
         document.getElementById('said').textContent = 'loaded ' + window.count;\n\
         </script></body></html>\n"
    )
}

fn browse(proxy: &Proxyd, url: &str) -> String {
    let through = format!("--proxy-server={}", proxy.url());
    let options = [
        "--disable-quic",
        "--ignore-certificate-errors",
        &through,
        "--proxy-bypass-list=<-loopback>",
    ];
    Chromium::new().page(url, &options)
}

#[test]
fn a_page_with_50_assets_loads_over_http_and_https() {
    let nginx = Nginx::start("types { text/html html; text/javascript js; }");
    nginx.file("index.html", page());
    for number in 0..ASSETS {
        nginx.file(&format!("asset-{number}.js"), "window.count += 1;\n");
    }
    let port = nginx.https.port().to_string();
    let proxy = proxyd::forward().args(&["--allow-private", "--connect-port", &port]).start();
    for (url, connect) in [
        (format!("http://{}/index.html", nginx.http), false),
        (format!("https://{}/index.html", nginx.https), true),
    ] {
        let before = nginx.log().lines().count();
        let dom = browse(&proxy, &url);
        assert!(dom.contains("loaded 50"), "{url}: {dom}");
        let asked = || nginx.log().lines().count() - before;
        waiting::until("nginx has logged all", || (asked() > ASSETS).then_some(()));
        assert_eq!(asked(), ASSETS + 1, "{url}");
        // It really went through the proxy.
        waiting::until("the access log has it", || {
            let log = proxy.log();
            let seen = if connect {
                log.lines().any(|line| line.contains("CONNECT"))
            } else {
                (0..ASSETS).all(|n| log.contains(&format!("asset-{n}.js")))
            };
            seen.then_some(())
        });
    }
}
