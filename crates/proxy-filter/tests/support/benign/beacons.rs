//! What pages tell about their visitors, and the cookies they keep.

use super::pages::slug;
use super::random::{Random, base64, encode, form, json};
use super::words::{HOSTS, WORDS};
use super::{Draft, Template};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("measure-get", 350, measure),
    ("measure-post", 300, measure_post),
    ("pixel", 150, pixel),
    ("bids", 150, bids),
    ("errors", 150, errors),
    ("sensor", 150, sensor),
    ("batch", 150, batch),
    ("matrix", 80, matrix),
    ("vitals", 80, vitals),
];

/// A `Cookie` field.
pub(crate) fn cookies(random: &mut Random) -> String {
    let mut all = vec![format!("_ga=GA1.2.{}.{}", random.digits(10), random.digits(10))];
    for _ in 0..1 + random.below(7) {
        all.push(match random.below(16) {
            0 => format!("OptanonConsent=isGpcEnabled=0&datestamp=Mon+Jan+01+2024+10%3A11%3A12+GMT%2B0100+(Central+European+Standard+Time)&version=202311.1.0&isIABGlobal=false&hosts=&consentId={}&interactionCount=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A0&geolocation=DE%3BBY&AwaitingReconsent=false", random.uuid()),
            1 => format!("prefs={}", encode(&format!("{{\"theme\":\"dark\",\"lang\":\"en\",\"tz\":\"Europe/Berlin\",\"last\":\"/{}?a=b\"}}", slug(random)))),
            2 => format!("session={}", base64(format!("{{\"user\":{},\"roles\":[\"a\",\"b\"],\"exp\":{}}}", random.digits(5), random.digits(10)).as_bytes())),
            3 => format!("__cf_bm={}-{}-1.0.1.1-{}", random.token(43), random.digits(10), random.token(86)),
            4 => format!("ak_bmsc={}~{}~{}", random.hex(32).to_uppercase(), "0".repeat(24), random.base64(100)),
            5 => format!("_gcl_au=1.1.{}.{}", random.digits(9), random.digits(10)),
            6 => format!("AMCV_{}%40AdobeOrg=179643557%7CMCIDTS%7C19{}%7CMCMID%7C{}%7CMCAAMLH-{}%7C6%7CMCOPTOUT-{}s%7CNONE%7CvVersion%7C5.5.0", random.hex(24).to_uppercase(), random.digits(3), random.digits(38), random.digits(10), random.digits(10)),
            7 => format!("euconsent-v2={}", random.token(180)),
            8 => format!("_abck={}~-1~{}~-1~-1~-1", random.hex(32).to_uppercase(), random.base64(160)),
            9 => format!("utag_main=v_id:{}$_sn:3$_se:12$_ss:0$_st:{}$ses_id:{}%3Bexp-session$_pn:4%3Bexp-session", random.hex(20), random.digits(13), random.digits(13)),
            10 => format!("cart={}", encode(&format!("[{{\"sku\":\"{}\",\"qty\":1,\"name\":{}}}]", random.token(6), json("Levi's 501 (blue); 32\"")))),
            11 => format!("s_cc=true; s_sq=%5B%5BB%5D%5D; s_ppv={}%2C50%2C50%2C900", encode("home|landing:page > top")),
            12 => format!("_hjSessionUser_{}={}", random.digits(6), base64(format!("{{\"id\":\"{}\",\"created\":{}}}", random.uuid(), random.digits(13)).as_bytes())),
            13 => format!("lastQuery={}", encode(random.search())),
            14 => format!("wordpress_logged_in_{}=john%7C{}%7C{}%7C{}", random.hex(32), random.digits(10), random.token(43), random.hex(64)),
            _ => format!("{}={}", random.pick(&["sid", "uid", "_fbp", "datr", "NID", "csrftoken", "id", "time", "top"]), random.token(24)),
        });
    }
    all.join("; ")
}

fn measure(random: &mut Random) -> Draft {
    let title = format!("{} | {} - {}", random.search(), random.words(WORDS, 3), "Example & Co.");
    Draft::get(format!(
        "/g/collect?v=2&tid=G-{}&gtm=45je{}v{}za200&_p={}&gcd=13l3l3l3l1&npa=0&dma=1&cid={}.{}&ul=en-us&sr=1920x1080&uaa=x86&uab=64&uafvl=Chromium%3B126.0.6478.127%7CNot%252FA)Brand%3B8.0.0.0&uamb=0&uap=Windows&uapv=15.0.0&are=1&_s=2&sid={}&sct=1&seg=1&dl={}&dr={}&dt={}&en=user_engagement&ep.category={}&epn.value=1.5&_et={}",
        random.token(10).to_uppercase(),
        random.digits(4),
        random.digits(8),
        random.digits(9),
        random.digits(9),
        random.digits(10),
        random.digits(10),
        encode(&format!(
            "https://{}/{}?q={}",
            random.pick(HOSTS),
            slug(random),
            form(random.search())
        )),
        encode(&format!("https://www.google.com/search?q={}", form(random.search()))),
        encode(&title),
        encode(&random.words(WORDS, 2)),
        random.digits(4),
    ))
}

fn measure_post(random: &mut Random) -> Draft {
    let url = format!("https://{}/{}", random.pick(HOSTS), slug(random));
    let body = match random.below(5) {
        0 => format!("{{\"v\":1,\"type\":\"click\",\"el\":\"a.btn.btn-primary[href='/x?a=1&b=2']\",\"url\":\"{url}\",\"text\":{},\"path\":\"html>body>div#app>ul>li:nth-child(2)>a\",\"ts\":{}}}", json(random.search()), random.digits(13)),
        1 => format!("en=page_view&dl={}&dt={}&_ee=1\r\nen=scroll&epn.percent_scrolled=90&_et={}", encode(&url), encode(random.search()), random.digits(4)),
        2 => format!("[{{\"event\":\"view\",\"properties\":{{\"$current_url\":\"{url}?utm_term={}\",\"$browser\":\"Chrome\",\"$os\":\"Windows\",\"$referrer\":\"$direct\",\"token\":\"{}\"}}}}]", form(random.search()), random.hex(32)),
        3 => format!("data={}", encode(&base64(format!("{{\"event\":\"$autocapture\",\"properties\":{{\"$elements_chain\":\"a.nav-link:attr__href=\\\"/{}\\\"nth-child=\\\"1\\\"\",\"distinct_id\":\"{}\"}}}}", slug(random), random.uuid()).as_bytes()))),
        _ => format!("{{\"messages\":[{{\"type\":\"track\",\"event\":\"Product Viewed\",\"properties\":{{\"name\":{},\"price\":19.99,\"currency\":\"USD\",\"url\":\"{url}\"}},\"context\":{{\"page\":{{\"search\":\"?id={}&time=now\",\"title\":{}}},\"userAgent\":\"Mozilla/5.0 (Windows NT 10.0; Win64; x64)\"}}}}],\"sentAt\":\"2024-01-01T00:00:00.000Z\"}}", json(random.search()), random.digits(4), json(random.search())),
    };
    let kind = random.pick(&[
        "text/plain;charset=UTF-8",
        "application/json",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/json; charset=utf-8",
        "text/plain",
    ]);
    Draft::post("/collect", kind, body)
}

fn pixel(random: &mut Random) -> Draft {
    let url =
        format!("https://{}/{}?a={}&b[]=1", random.pick(HOSTS), slug(random), random.digits(3));
    Draft::get(match random.below(3) {
        0 => format!(
            "/tr/?id={}&ev=PageView&dl={}&rl=&if=false&ts={}&cd[content_ids]=[%22{}%22]&cd[content_name]={}&cd[value]=10.00&sw=1920&sh=1080&v=2.9.160&r=stable&ec=0&o=4126&fbp=fb.1.{}.{}&cs_est=true&ler=empty&it={}&coo=false&exp=k0&rqm=GET",
            random.digits(15),
            encode(&url),
            random.digits(13),
            random.digits(6),
            encode(random.search()),
            random.digits(13),
            random.digits(10),
            random.digits(13)
        ),
        1 => format!(
            "/b/ss/examplecom/1/JS-2.22.0/s{}?AQB=1&ndh=1&pf=1&t=1%2F0%2F2024%2010%3A11%3A12%201%20-60&mid={}&ce=UTF-8&pageName={}&g={}&c1=D%3Dv1&v1={}&h1=a%7Cb%7Cc&events=event1%2Cevent2%3D5&products=%3BSKU1%3B1%3B10.00%3Bevent3%3D1%7Cevent4%3D2&AQE=1",
            random.digits(14),
            random.digits(38),
            encode("shop:home > sale"),
            encode(&url),
            encode(random.search())
        ),
        _ => format!(
            "/i/adsct?bci=3&eci=2&event_id={}&integration=advertiser&p_id=Twitter&p_user_id=0&pl_id={}&tw_document_href={}&tw_iframe_status=0&txn_id=o1&type=javascript&version=2.3.30",
            random.uuid(),
            random.uuid(),
            encode(&url)
        ),
    })
}

fn bids(random: &mut Random) -> Draft {
    let body = format!(
        "{{\"id\":\"{}\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"format\":[{{\"w\":300,\"h\":250}}],\"topframe\":1}},\"secure\":1,\"ext\":{{\"data\":{{\"pbadslot\":\"/123/home(top)\"}}}}}}],\"site\":{{\"page\":\"https://{}/{}?x=1&y=2\",\"ref\":\"\",\"domain\":\"example.com\",\"cat\":[\"IAB1\"],\"keywords\":{}}},\"device\":{{\"ua\":\"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)\",\"dnt\":0,\"language\":\"en\",\"sua\":{{\"browsers\":[{{\"brand\":\"Not/A)Brand\",\"version\":[\"8\"]}}]}}}},\"user\":{{\"ext\":{{\"consent\":\"{}\",\"eids\":[{{\"source\":\"id5-sync.com\",\"uids\":[{{\"id\":\"ID5*{}\",\"atype\":1}}]}}]}}}},\"tmax\":500,\"regs\":{{\"ext\":{{\"gdpr\":1}}}}}}",
        random.uuid(),
        random.pick(HOSTS),
        slug(random),
        json(&random.words(WORDS, 5).replace(' ', ",")),
        random.token(180),
        random.token(90),
    );
    Draft::post("/openrtb2/auction", "text/plain", body)
}

fn errors(random: &mut Random) -> Draft {
    let stack = random.pick(&[
        "TypeError: Cannot read properties of undefined (reading 'map')\n    at e.render (https://www.example.com/static/js/main.js:2:48213)\n    at Array.forEach (<anonymous>)",
        "ReferenceError: alert is not defined\n    at onclick (https://www.example.com/:12:5)\n    at eval (eval at <anonymous> (app.js:1:1))",
        "java.lang.NullPointerException: Attempt to invoke virtual method 'int java.lang.String.length()' on a null object reference\n\tat com.example.app.MainActivity.onCreate(MainActivity.kt:42)\n\tat android.app.Activity.performCreate(Activity.java:8290)",
        "SyntaxError: Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON",
        "PDOException: SQLSTATE[42S02]: Base table or view not found: 1146 Table 'shop.users' doesn't exist",
        "Traceback (most recent call last):\n  File \"/app/main.py\", line 10, in <module>\n    raise ValueError('bad value')\nValueError: bad value",
        "Error: Command failed: npm run build\nnpm ERR! code ELIFECYCLE\nnpm ERR! errno 1",
        "ChunkLoadError: Loading chunk 5 failed.\n(error: https://www.example.com/5.js)",
    ]);
    let body = format!(
        "{{\"event_id\":\"{}\",\"sent_at\":\"2024-01-01T00:00:00.000Z\",\"sdk\":{{\"name\":\"sentry.javascript.react\",\"version\":\"7.1\"}}}}\n{{\"type\":\"event\"}}\n{{\"exception\":{{\"values\":[{{\"type\":\"Error\",\"value\":{},\"mechanism\":{{\"type\":\"onerror\",\"handled\":false}}}}]}},\"breadcrumbs\":[{{\"category\":\"ui.click\",\"message\":\"body > div#root > button.btn[type=\\\"submit\\\"]\"}},{{\"category\":\"console\",\"message\":\"warn: {}\"}}],\"request\":{{\"url\":\"https://{}/{}\"}}}}",
        random.hex(32),
        json(stack),
        random.words(WORDS, 4),
        random.pick(HOSTS),
        slug(random),
    );
    Draft::post(
        format!(
            "/api/{}/envelope/?sentry_key={}&sentry_version=7",
            random.digits(7),
            random.hex(32)
        ),
        "text/plain;charset=UTF-8",
        body,
    )
}

fn sensor(random: &mut Random) -> Draft {
    let length = 200 + random.below(600);
    let noise = random.noise(length);
    let (content_type, body) = match random.below(4) {
        0 => (
            "text/plain;charset=UTF-8",
            format!(
                "{{\"sensor_data\":{}}}",
                json(&format!(
                    "3;0;1;2048;{};{},0,0,0,1,0;{noise}",
                    random.digits(7),
                    random.digits(2)
                ))
            ),
        ),
        1 => (
            "application/x-www-form-urlencoded",
            format!(
                "payload={}&appId=PX{}&tag=v8.0.2&uuid={}&ft=330&seq=1&en=NTA&pc={}&rsc=2",
                encode(&random.base64(300)),
                random.token(8),
                random.uuid(),
                random.digits(16)
            ),
        ),
        2 => (
            "application/x-protobuffer",
            String::from_utf8_lossy(
                &(0..300).map(|_| random.next() as u8 & 0x7F).collect::<Vec<_>>(),
            )
            .into_owned(),
        ),
        _ => (
            "application/json",
            format!(
                "{{\"p\":{},\"t\":\"{}\",\"sig\":\"{}\"}}",
                json(&random.base64(400)),
                random.token(60),
                random.hex(64)
            ),
        ),
    };
    Draft::post("/akam/13/pixel_check", content_type, body)
}

fn batch(random: &mut Random) -> Draft {
    let body = format!(
        "f.req={}&at={}%3A{}&",
        encode(&format!(
            "[[[\"{}\",\"[[\\\"{}\\\",null,[1,2,3]],\\\"{}\\\"]\",null,\"generic\"]]]",
            random.token(6),
            random.pick(WORDS),
            random.token(30)
        )),
        random.token(34),
        random.digits(13),
    );
    Draft::post(
        format!(
            "/_/data/batchexecute?rpcids={}&source-path=%2F&f.sid=-{}&bl=boq_example_{}.{}_p0&hl=en&soc-app=1&_reqid={}&rt=c",
            random.token(6),
            random.digits(19),
            random.digits(8),
            random.digits(2),
            random.digits(6)
        ),
        "application/x-www-form-urlencoded;charset=UTF-8",
        body,
    )
}

fn matrix(random: &mut Random) -> Draft {
    Draft::get(format!(
        "/activity;src={};type=invmedia;cat={};ord={};npa=0;u1={};u2=undefined;ps=1;pcor={};uaa=x86;uab=64;gtm={};~oref={}?",
        random.digits(7),
        random.token(8),
        random.digits(13),
        encode(random.pick(WORDS)),
        random.digits(9),
        random.token(16),
        encode(&format!("https://{}/{}?a=b&c=d", random.pick(HOSTS), slug(random))),
    ))
}

fn vitals(random: &mut Random) -> Draft {
    let body = format!(
        "{{\"memory\":{{\"totalJSHeapSize\":{}}},\"resources\":[],\"referrer\":\"\",\"eventType\":1,\"firstPaint\":{},\"timingsV2\":{{\"nextHopProtocol\":\"h2\",\"name\":\"https://{}/{}\"}},\"dt\":\"\",\"pageloadId\":\"{}\",\"landingPath\":\"/\",\"lcp\":{{\"value\":{},\"path\":\"/\",\"element\":\"div.hero>img.lazy[alt=\\\"{}\\\"]\",\"url\":\"\"}}}}",
        random.digits(8),
        random.digits(4),
        random.pick(HOSTS),
        slug(random),
        random.uuid(),
        random.digits(4),
        random.pick(WORDS),
    );
    Draft::post("/cdn-cgi/rum?", "application/json", body)
}
