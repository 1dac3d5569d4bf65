//! What recorded browsing has that nobody would think of: addresses escaped once too often or that
//! end in a question mark, ways in of services that begin with a dot, sessions of what is embedded,
//! recordings of pages, packed bytes behind a head of text.

use super::pages::slug;
use super::random::{Random, encode, json};
use super::words::{HOSTS, WORDS};
use super::{Draft, Template};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("escaped-twice", 60, escaped_twice),
    ("question", 60, question),
    ("service", 40, service),
    ("embedded-session", 40, embedded_session),
    ("versions", 40, versions),
    ("clicks", 60, clicks),
    ("recording", 80, recording),
    ("packed", 40, packed),
    ("assets", 40, assets),
];

fn address(random: &mut Random) -> String {
    format!("https://{}/{}", random.pick(HOSTS), slug(random))
}

/// An address copied out of a page, with `&amp;` left in it.
fn escaped_twice(random: &mut Random) -> Draft {
    let names =
        ["as", "pc", "id", "cr", "source", "sn", "w", "dd", "cut", "at", "nc", "ps", "time"];
    let inner = format!(
        "{}?{}={}&amp;{}={}&amp;{}={}",
        address(random),
        random.pick(&names),
        random.digits(8),
        random.pick(&names),
        random.digits(4),
        random.pick(&names),
        random.pick(WORDS),
    );
    match random.below(2) {
        0 => Draft::get(format!("/postback?ac={}&oz_url={}", random.digits(8), encode(&inner))),
        _ => Draft::get(format!(
            "/delivery/spc.php?zones={}&amp;{}=&amp;r={}&amp;charset=UTF-8&amp;loc={}",
            random.digits(4),
            random.pick(&names),
            random.digits(8),
            encode(&address(random)),
        )),
    }
}

/// Addresses that end in a question mark.
fn question(random: &mut Random) -> Draft {
    let host = random.pick(HOSTS);
    let page = match random.below(4) {
        0 => format!("http://{host}/?"),
        1 => format!(
            "https://{host}/activityi;src={};type={};ord={}.{}?",
            random.digits(7),
            random.token(6),
            random.digits(13),
            random.digits(2)
        ),
        2 => format!("https://{host}/{}/index.html?", slug(random)),
        _ => format!("https://{host}/{}/?", slug(random)),
    };
    let name = random.pick(&["u", "url", "pageUrl", "pe", "c7", "pf", "top", "bstk"]);
    Draft::get(format!("/collect/?time={}&{name}={}&fmt=js", random.digits(13), encode(&page)))
        .with("referer", page)
}

/// Ways into services under names that begin with a dot.
fn service(random: &mut Random) -> Draft {
    let target = match random.below(4) {
        0 => format!("/.lp?start=t&ser={}&cb=1&v=5", random.digits(8)),
        1 => format!("/.ws?v=5&ns=app-{}&s={}", random.digits(1), random.token(32)),
        2 => format!("/.rest/delivery/pages/v1/{}", slug(random)),
        _ => format!("/.imaging/mte/theme/large/{}.jpg", slug(random)),
    };
    Draft::get(target)
}

/// The session that something embedded in another's page counts.
fn embedded_session(random: &mut Random) -> Draft {
    let target = match random.below(3) {
        0 => format!("/fp/tags.js?org_id={}&session_id={}", random.token(8), random.hex(80)),
        1 => format!(
            "/api/vv/1?callback=cb_{0}&ts={0}&sessionId={1}&siteId=5502",
            random.digits(13),
            random.token(5)
        ),
        _ => format!(
            "/adServer.bs?secCall=1&sessionid={}&cn=rsb&pli={}&w=728&h=90",
            random.digits(19),
            random.digits(8)
        ),
    };
    Draft::get(target).with("referer", address(random))
}

/// Telemetry that says what made it.
fn versions(random: &mut Random) -> Draft {
    let body = format!(
        "[{{\"time\":\"2024-01-01T00:00:00.000Z\",\"iKey\":\"{}\",\"name\":\"Microsoft.ApplicationInsights.Pageview\",\"tags\":{{\"ai.user.id\":\"{}\",\"ai.internal.sdkVersion\":\"javascript:3.{}.{}\",\"ai.operation.name\":\"/{}\"}},\"data\":{{\"baseType\":\"PageviewData\",\"baseData\":{{\"ver\":2,\"name\":{},\"url\":{}}}}}}}]",
        random.uuid(),
        random.token(22),
        random.below(9),
        random.below(20),
        slug(random),
        json(random.search()),
        json(&address(random)),
    );
    Draft::post("/v2/track", "application/json", body)
}

/// A path of elements, as what records clicks writes it.
fn path_of_elements(random: &mut Random) -> String {
    let names =
        ["tr", "td", "ul", "li", "a", "select", "nav", "head", "link", "dd", "time", "main"];
    let mut path = random.pick(&names).to_owned();
    for _ in 0..3 + random.below(4) {
        path += " > ";
        path += random.pick(&names);
        if random.chance(30) {
            path += ".";
            path += random.pick(WORDS);
        }
    }
    path
}

fn clicks(random: &mut Random) -> Draft {
    let body = format!(
        "{{\"event_id\":\"{}\"}}\n{{\"type\":\"transaction\"}}\n{{\"breadcrumbs\":[{{\"category\":\"ui.click\",\"message\":{}}},{{\"category\":\"ui.input\",\"message\":{}}}],\"request\":{{\"url\":{}}}}}",
        random.hex(32),
        json(&path_of_elements(random)),
        json(&path_of_elements(random)),
        json(&address(random)),
    );
    Draft::post("/api/42/envelope/", "text/plain;charset=UTF-8", body)
}

/// A recording of a page: elements, their attributes and their texts.
fn recording(random: &mut Random) -> Draft {
    let frame = format!(
        "<iframe src=\"https://{}/ns.html?id={}\" height=\"0\" width=\"0\" style=\"display:none;visibility:hidden\"></iframe>",
        random.pick(HOSTS),
        random.token(7),
    );
    let styles = format!("<link rel=\"stylesheet\" href=\"/{}.css\">", slug(random));
    let up = "../".repeat(1 + random.below(4));
    let link = random.pick(&["index.html", "static/app.1f2e.js", "css/a.css", "img/logo.svg", ""]);
    let body = format!(
        "{{\"events\":[{{\"type\":2,\"data\":{{\"node\":{{\"tagName\":\"noscript\",\"childNodes\":[{{\"type\":3,\"textContent\":{},\"id\":12}}]}}}}}},{{\"type\":2,\"data\":{{\"tagName\":\"a\",\"attributes\":{{\"href\":{},\"data-root\":{},\"onclick\":\"\",\"style\":\"background: url('/{}.png')\"}}}}}},{{\"source\":5,\"text\":{}}}],\"url\":{}}}",
        json(&(frame + &styles)),
        json(&format!("{up}{link}")),
        json(&up),
        slug(random),
        json(random.search()),
        json(&address(random)),
    );
    Draft::post("/s/?compression=none", "application/json", body)
}

/// A head of text, and packed bytes behind it, all sent as text.
fn packed(random: &mut Random) -> Draft {
    let mut body = format!(
        "{{\"event_id\":\"{0}\",\"sent_at\":\"2024-01-01T00:00:00.000Z\"}}\n{{\"type\":\"replay_event\"}}\n{{\"type\":\"replay_event\",\"replay_id\":\"{0}\",\"urls\":[{1}]}}\n{{\"type\":\"replay_recording\",\"length\":2048}}\n{{\"segment_id\":0}}\n",
        random.hex(32),
        json(&address(random)),
    )
    .into_bytes();
    body.extend((0..3000 + random.below(9000)).map(|_| random.next() as u8));
    Draft::post("/api/42/envelope/", "text/plain;charset=UTF-8", body)
}

/// Pictures and scripts where systems have their files, and dots written by their numbers.
fn assets(random: &mut Random) -> Draft {
    match random.below(3) {
        0 => Draft::get(format!("/static/sys/{}.gif", slug(random))),
        1 => Draft::get(format!("/assets/proc/{}.js?v={}", slug(random), random.hex(8))),
        _ => {
            let page = address(random).replace('.', "%2E").replace('/', "%2F").replace(':', "%3A");
            Draft::get(format!("/match?rurl={page}%3Fsid%3D99755%26vcm%5Fxy%3D%2D1%2E%2E%2D1"))
                .with("referer", format!("http://{}/m?r={page}", random.pick(HOSTS)))
        }
    }
}
