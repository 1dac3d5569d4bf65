//! What browsing sends besides pages and forms: chains of advertisements, consents, logins by other
//! sites, filters of tables and boards, reports of browsers, and what people type.

use super::random::{Random, encode, form, json};
use super::{Draft, Template};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("advert", 250, advert),
    ("consent", 200, consent),
    ("identity", 120, identity),
    ("filter", 150, filter),
    ("typed", 500, typed),
    ("editor", 300, editor),
    ("policy-report", 60, policy_report),
    ("download", 100, download),
];

/// A URL inside a URL inside a URL, with macros that nobody filled in.
fn advert(random: &mut Random) -> Draft {
    let page = format!("https://shop.example.com/p?id={}&utm_source=a|b", random.digits(6));
    let click = format!("https://t.example.net/c?u={}&kv=a%3Db%3Bc%3Dd", encode(&page));
    let tail = random.pick(&[
        "&gdpr_consent=${GDPR_CONSENT_755}&addtl=1~39.43.46",
        "&cid=%%CACHEBUSTER%%&m={{campaign.name}}&g={gclid}&z=[timestamp]&y=__CREATIVE__",
        ";dc_lat=;dc_rdid=;tag_for_child_directed_treatment=;ord=1?",
        "&sz=300x250|728x90&pos=atf,btf&d=1;2;3",
    ]);
    Draft::get(format!("/ad/{}?u={}{tail}", random.digits(5), encode(&click)))
}

fn consent(random: &mut Random) -> Draft {
    let cookie = match random.below(6) {
        0 => format!("OptanonConsent=isGpcEnabled=0&datestamp=Mon+Nov+20+2023+10%3A00%3A00+GMT%2B0100+(CET)&version=6.33.0&isIABGlobal=false&hosts=&consentId={}&groups=C0001%3A1%2CC0002%3A1&geolocation=DE%3BBY&AwaitingReconsent=false", random.uuid()),
        1 => format!("euconsent-v2=CP{}.YAAAAAAAAAAA; __cf_bm={}-1700-0-AbC/dEf+Gh==", random.token(90), random.token(40)),
        2 => "utag_main=v_id:018b$_sn:1$_se:5%3Bexp-session$_ss:0%3Bexp-session$_st:1700000000000%3Bexp-session".into(),
        3 => format!("dtPC=1${}_456h1vABC-0e0; dtSa=true%7CC%7C-1%7CLogin%7C-%7C1700%7C123_456%7Chttps%3A%2F%2Fa.example.com%2F%7C%7C%7C%7C", random.digits(9)),
        4 => "mp_a_mixpanel=%7B%22distinct_id%22%3A%20%22%24device%3A18b%22%2C%22%24initial_referrer%22%3A%20%22%24direct%22%2C%22__mps%22%3A%20%7B%7D%7D".into(),
        _ => format!("theme={{\"dark\":true}}; cart=[{{\"id\":{},\"qty\":2}}]; PREF=f6=40000000&tz=Europe.Berlin; CONSENT=YES+cb.20210720-07-p0.en+FX+410; s_sq=%5B%5BB%5D%5D", random.digits(4)),
    };
    Draft::get("/").with("cookie", cookie)
}

fn identity(random: &mut Random) -> Draft {
    let state = format!("{{\"r\":\"/a?b={}\",\"n\":\"x'y\"}}", random.digits(3));
    match random.below(3) {
        0 => Draft::get(format!(
            "/saml?SAMLRequest={}&RelayState={}&SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256&Signature={}",
            encode(&random.base64(300)),
            encode("https://a.example.com/app?x=1"),
            encode(&random.base64(256)),
        )),
        1 => Draft::post(
            "/saml/acs",
            "application/x-www-form-urlencoded",
            format!("SAMLResponse={}&RelayState=%2Fhome", encode(&random.base64(900))),
        ),
        _ => Draft::get(format!(
            "/oauth/authorize?response_type=code&client_id={}&redirect_uri={}&scope=openid+profile+email&state={}&nonce=n-{}",
            random.token(12),
            encode("https://app.example.com/cb?next=/home"),
            encode(&state),
            random.token(11),
        )),
    }
}

fn filter(random: &mut Random) -> Draft {
    let text = random.pick(&[
        "Name eq 'O''Neil' and Price gt 20 or startswith(Name,'A')",
        "project = ABC AND status in (Open, \"In Progress\") AND assignee = currentUser() ORDER BY created DESC",
        "(refreshInterval:(pause:!t,value:0),time:(from:now-15m,to:now))",
        "(columns:!(_source),filters:!(),index:'logs-*',query:(language:kuery,query:'a:b and c'))",
        "sum(rate(http_requests_total{job=\"a\"}[5m])) by (instance)",
        "is:open is:issue label:\"good first issue\" -author:me sort:updated-desc",
        "from:(a@example.com OR b@example.com) has:attachment larger:5M",
        "price:[10 TO 50] AND -tag:\"sold out\"",
    ]);
    Draft::get(format!("/find?$filter={}&page={}", encode(text), random.digits(1)))
}

/// What is typed into fields of search, in many languages.
fn typed(random: &mut Random) -> Draft {
    let text = random.pick(&[
        "R&D tax credit 2024", "AT&T; Verizon | T-Mobile", "\"to be or not to be\" -shakespeare",
        "1+1=2 or 1+1=3", "iphone 15 pro max 256gb < $1000", "50% off sale & free shipping!!!",
        "C:\\Users\\Me\\Documents", "127.0.0.1 vs 0.0.0.0", "O'Reilly's guide -- 3rd edition",
        "d'Artagnan & the 3 musketeers", "rock 'n' roll", "l'h\u{f4}tel \"de ville\" d'\u{c9}vreux",
        "\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{691c}\u{7d22} & \u{30c6}\u{30b9}\u{30c8}",
        "\u{43f}\u{43e}\u{438}\u{441}\u{43a} '\u{432} \u{43a}\u{430}\u{432}\u{44b}\u{447}\u{43a}\u{430}\u{445}'",
        "\u{627}\u{644}\u{628}\u{62d}\u{62b} \"\u{634}\u{64a}\u{621}\"", "\u{1f389} party!!! \u{1f389} (free)",
        "who is the president; when elected?", "sleep (song) by ash", "wait for it...",
        "having a baby; group by age", "insert coin to continue", "select a category or brand",
        "kill bill vol. 2", "date night ideas | restaurants", "head & shoulders", "top 10 or top 20",
        "cut the rope; play free", "sort by: price (low to high)", "like or dislike = same",
        "1/2 cup; 3/4 tsp", "5' 10\" tall", "24\" monitor", "it's 5 o'clock", "don't & won't",
        "issue #42 -- fixed", "see you @ 8 pm", "me@example.com; you@example.com", "a|b|c", "<3",
        ":-) ;-) :P", "=SUM(A1:A10)", "100% cotton", "$100 - $200", "ps5; xbox | switch",
        "union jack", "drop earrings", "order by phone", "exec chef jobs", "id card renewal",
        "more or less", "true or false?", "x and sin(x)=cos(x)", "cat food; dog food",
    ]);
    match random.below(5) {
        0 => Draft::get(format!("/search?q={}&hl=en", form(text))),
        1 => Draft::get("/r")
            .with("referer", format!("https://www.google.com/search?q={}", form(text))),
        2 => {
            Draft::post("/api/search", "application/json", format!("{{\"query\":{}}}", json(text)))
        }
        3 => Draft::get(format!(
            "/g/collect?v=2&dl={}&dt={}&en=page_view&ep.search_term={}",
            encode(&format!("https://www.example.com/search?q={}", form(text))),
            encode(&format!("{text} - Example")),
            encode(text),
        )),
        _ => Draft::get("/").with("cookie", format!("last_search={}; a=b", encode(text))),
    }
}

/// What editors of rich text, Markdown, tables and formulas save.
fn editor(random: &mut Random) -> Draft {
    let text = random.pick(&[
        "<p>Hello <strong>world</strong>, it's <em>me</em> &amp; you; see <a href=\"https://example.com/?a=1&b=2\" target=\"_blank\">link</a></p>",
        "<div style=\"color: red; background: url('https://e.com/x.png')\"><img src=\"https://e.com/a.png\" alt=\"x\" width=\"100\" /></div>",
        "# Title\n\nSome *markdown* with `code` and\n\n- one\n- two; three\n\n> a quote -- by O'Brien\n",
        "Name,Qty,Price\n\"O'Brien, Pat\",3,4.50\nSmith;Jones,1,2\n=A1+B1,1,1\n",
        "Hi team; please review: 1) the plan, 2) the cost (approx. $5,000), 3) time & place -- thanks! John O'Neil",
        "I can't open the file C:\\Users\\Me\\Documents\\report.docx; it says 'access denied'.",
        "We need to select one of the options from the list where price is lower than 10 and order by date.",
        "Let $f(x) = x^2 + 2x$ and $g(x) = \\frac{1}{x}$; then $f(g(x)) = \\frac{1}{x^2} + \\frac{2}{x}$.",
        ".a > .b:hover { content: \"x\"; color: #333; background: url(data:image/png;base64,AAAA); }",
        "Dear Sir/Madam,\n\nI'd like to return order #12345 -- it's the wrong size. \"Blue\" or 'Green'?\n\nRegards,\nAnne-Marie d'Arcy",
        "5 > 3 && 2 < 4 || a == b; x != y",
        "Meet at 10:30; bring: id, cash | card & passport",
    ]);
    match random.below(3) {
        0 => Draft::post(
            "/save",
            "application/x-www-form-urlencoded",
            format!("body={}&id={}&submit=Save", form(text), random.digits(3)),
        ),
        1 => Draft::post(
            "/api/save",
            "application/json",
            format!("{{\"body\":{},\"draft\":true}}", json(text)),
        ),
        _ => {
            let boundary = format!("----WebKitFormBoundary{}", random.token(16));
            let content = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\n{text}\r\n--{boundary}\r\n\
                 Content-Disposition: form-data; name=\"file\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--{boundary}--\r\n"
            );
            Draft::post("/save", &format!("multipart/form-data; boundary={boundary}"), content)
        }
    }
}

fn policy_report(random: &mut Random) -> Draft {
    let sample = random.pick(&["alert(document.cookie)", "window.x=1", "onclick attribute", ""]);
    let report = format!(
        "{{\"csp-report\":{{\"document-uri\":\"https://a.example.com/?q={}\",\"blocked-uri\":\"inline\",\"script-sample\":{},\"original-policy\":\"default-src 'self'; script-src 'unsafe-inline'\"}}}}",
        random.digits(3),
        json(sample)
    );
    Draft::post("/csp", "application/csp-report", report)
}

fn download(random: &mut Random) -> Draft {
    let name = random.pick(&[
        "file (1).pdf",
        "include(2).zip",
        "C++ in a nutshell.pdf",
        "Q&A; notes.txt",
        "it's-final.docx",
        "AC_DC (band).jpg",
        "report [v2].xlsx",
        "a+b=c.png",
        "100% wool.jpg",
        "r\u{e9}sum\u{e9} (copy).doc",
    ]);
    let place = random.pick(&["/download/", "/files/2024/05/", "/wiki/", "/media/"]);
    Draft::get(format!("{place}{}?v={}", encode(name), random.digits(2)))
}
