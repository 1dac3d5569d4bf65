//! What people send: forms, comments, files, and texts in all the places they are sent in.

use super::random::{Random, base64, encode, form, json};
use super::words::{NAMES, WORDS};
use super::{Draft, Template, texts};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("login", 120, login),
    ("address", 200, address),
    ("upload", 120, upload),
    ("rich-text", 150, rich_text),
    ("viewstate", 60, viewstate),
    ("settings", 80, settings),
    ("chat", 150, chat),
];

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// A text in the places that texts are sent in.
pub(crate) fn places(text: &str) -> Vec<(&'static str, Draft)> {
    let mut all = vec![
        (
            "form",
            Draft::post(
                "/comments",
                "application/x-www-form-urlencoded",
                format!(
                    "post_id=12&author={}&comment={}&submit=Post+Comment",
                    form("Anne O'Neil"),
                    form(text)
                ),
            ),
        ),
        (
            "json",
            Draft::post(
                "/api/comments",
                "application/json",
                format!("{{\"body\":{},\"parent\":null,\"notify\":true}}", json(text)),
            ),
        ),
        (
            "part",
            Draft::post(
                "/posts",
                &format!("multipart/form-data; boundary={BOUNDARY}"),
                format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{text}\r\n--{BOUNDARY}--\r\n"
                ),
            ),
        ),
    ];
    if text.len() < 300 && !text.contains('\n') {
        all.push(("query", Draft::get(format!("/preview?text={}&lang=en", form(text)))));
    }
    all
}

fn login(random: &mut Random) -> Draft {
    let length = 8 + random.below(16);
    let password = random.noise(length);
    Draft::post(
        "/session",
        "application/x-www-form-urlencoded",
        format!(
            "authenticity_token={}&user%5Bemail%5D={}&user%5Bpassword%5D={}&user%5Bremember_me%5D=1&commit=Sign+in",
            encode(&random.base64(48)),
            form(&format!("{}@example.com", random.pick(WORDS))),
            form(&password)
        ),
    )
}

fn address(random: &mut Random) -> Draft {
    Draft::post(
        "/checkout",
        "application/x-www-form-urlencoded; charset=UTF-8",
        format!(
            "utf8=%E2%9C%93&first_name={}&last_name={}&address1={}&address2={}&city={}&zip={}&phone={}&note={}&total=%E2%82%AC10%2C50",
            form(random.pick(NAMES)),
            form(random.pick(NAMES)),
            form(random.pick(&[
                "12 Rue de l'Église",
                "Straße des 17. Juni 135",
                "5/7 King's Road, Flat #3",
                "C/ D'Aragó 255, 2-1",
                "Plot 4 & 5; Sector-12",
                "1600 Pennsylvania Ave NW",
                "ul. Świętego Jana 3 m. 4",
                "東京都千代田区1-1"
            ])),
            form(random.pick(&[
                "",
                "c/o O'Connor",
                "Apt. 4B (rear)",
                "PO Box 1=1",
                "2nd floor; ring bell"
            ])),
            form(random.pick(&["L'Aquila", "St. John's", "Coeur d'Alene", "München", "Xi'an"])),
            random.digits(5),
            form("+49 (0)89 / 123-456"),
            form(random.search()),
        ),
    )
}

fn upload(random: &mut Random) -> Draft {
    let name = random.pick(&[
        "photo.jpg",
        "IMG_0001.HEIC",
        "résumé (final).pdf",
        "O'Brien contract.docx",
        "data.csv",
        "notes.txt",
        "scan 2024.01.01.png",
    ]);
    let mut body = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n{}\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n", random.search()).into_bytes();
    let start: &[u8] = random.pick::<[u8]>(&[
        b"\xFF\xD8\xFF\xE0\0\x10JFIF",
        b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n",
        b"PK\x03\x04\x14\0\x06\0",
        b"id,name,note\n1,O'Brien,\"a; b\"\n2,=1+1,x\n",
    ]);
    body.extend_from_slice(start);
    body.extend((0..3000).map(|_| random.next() as u8));
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    Draft::post("/upload", &format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

fn rich_text(random: &mut Random) -> Draft {
    let text = random.search().replace('&', "&amp;").replace('<', "&lt;");
    let html = format!(
        "<h2 style=\"text-align: center;\">{}</h2>\n<p><strong>{}</strong> said: &ldquo;{text}&rdquo;<br>It&#39;s <em>5 &lt; 6</em> &amp; more&nbsp;&hellip;</p>\n<ul><li><a href=\"https://www.example.com/{}?a=1&amp;b=2\" target=\"_blank\" rel=\"noopener noreferrer\">link</a></li></ul>\n<table border=\"1\" cellpadding=\"0\"><tbody><tr><td style=\"width: 50%; color: rgb(51, 51, 51); font-family: 'Open Sans', sans-serif;\">x</td></tr></tbody></table>\n<p><img class=\"alignnone\" src=\"data:image/png;base64,{}\" alt=\"{}\" width=\"300\" height=\"200\" /></p>",
        random.words(WORDS, 4),
        random.pick(NAMES).replace('&', "&amp;").replace('"', "&quot;"),
        random.pick(WORDS),
        random.base64(60),
        random.pick(WORDS),
    );
    match random.below(3) {
        0 => Draft::post(
            "/wp-admin/post.php",
            "application/x-www-form-urlencoded",
            format!(
                "post_ID={}&action=editpost&post_title={}&content={}&post_status=publish&_wpnonce={}&tax_input%5Bpost_tag%5D={}",
                random.digits(4),
                form(random.search()),
                form(&html),
                random.hex(10),
                form("a,b")
            ),
        ),
        1 => Draft::post(
            "/api/documents",
            "application/json",
            format!(
                "{{\"html\":{},\"delta\":{{\"ops\":[{{\"insert\":{}}},{{\"attributes\":{{\"bold\":true}},\"insert\":\"x\"}}]}}}}",
                json(&html),
                json(random.search())
            ),
        ),
        _ => Draft::post(
            "/messages",
            &format!("multipart/form-data; boundary={BOUNDARY}"),
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\n{html}\r\n--{BOUNDARY}--\r\n"
            ),
        ),
    }
}

fn viewstate(random: &mut Random) -> Draft {
    Draft::post(
        "/default.aspx",
        "application/x-www-form-urlencoded; charset=utf-8",
        format!(
            "__EVENTTARGET=ctl00%24Main%24Grid&__EVENTARGUMENT=Sort%24Name&__VIEWSTATE={}&__VIEWSTATEGENERATOR={}&__EVENTVALIDATION={}&ctl00%24Main%24Search={}&__ASYNCPOST=true&",
            encode(&base64(&(0..900).map(|_| random.next() as u8).collect::<Vec<_>>())),
            random.hex(8),
            encode(&random.base64(200)),
            form(random.search())
        ),
    )
}

fn settings(random: &mut Random) -> Draft {
    Draft::post(
        "/settings",
        "application/json",
        format!(
            "{{\"cron\":\"*/5 * * * *\",\"regex\":\"^(?:https?://)?(www\\\\.)?[a-z]+\\\\.(com|org)$\",\"format\":\"YYYY-MM-DD HH:mm\",\"template\":\"Hello {{{{name}}}}, your order #{{{{order.id}}}} is ready\",\"fallback\":\"${{user.name}}\",\"selector\":\"#app > ul li:not(.x) a[href^='http']\",\"path\":\"C:\\\\Users\\\\{}\\\\Documents\",\"query\":\"status:open AND (label:bug OR label:\\\"help wanted\\\")\",\"color\":\"rgba(0,0,0,.5)\",\"expr\":\"a > 1 && b < 2 || !c\",\"hosts\":[\"10.0.0.1\",\"db.internal:5432\"]}}",
            random.pick(WORDS),
        ),
    )
}

fn chat(random: &mut Random) -> Draft {
    let all: Vec<&str> = texts().filter(|t| t.len() < 200).collect();
    let text = format!("{} {} {}", random.pick(NAMES), random.pick(&all), random.search());
    Draft::post(
        "/api/chat.postMessage",
        "application/json; charset=utf-8",
        format!(
            "{{\"channel\":\"C{}\",\"text\":{},\"blocks\":[{{\"type\":\"section\",\"text\":{{\"type\":\"mrkdwn\",\"text\":{}}}}}],\"thread_ts\":\"{}.{}\"}}",
            random.token(9),
            json(&text),
            json(&text),
            random.digits(10),
            random.digits(6)
        ),
    )
}
