//! What pages make browsers ask for.

use super::random::{Random, encode, form};
use super::words::{HOSTS, NAMES, WORDS};
use super::{Draft, Template};

pub(crate) const TEMPLATES: &[(&str, usize, Template)] = &[
    ("page", 350, page),
    ("search", 500, search),
    ("asset", 250, asset),
    ("listing", 250, listing),
    ("redirect", 250, redirect),
    ("login-return", 120, login_return),
    ("image-proxy", 100, image_proxy),
    ("font", 60, font),
    ("suggest", 120, suggest),
    ("map", 80, map),
    ("file", 120, file),
];

pub(crate) fn referer(random: &mut Random) -> String {
    let host = random.pick(HOSTS);
    match random.below(5) {
        0 => format!("https://{host}/"),
        1 => format!(
            "https://www.google.com/search?q={}&sca_esv={}&ei={}&oq=&gs_lp={}&sclient=gws-wiz",
            form(random.search()),
            random.hex(16),
            random.token(22),
            random.token(120)
        ),
        2 => format!(
            "https://{host}/{}?utm_source=newsletter&utm_medium=email&utm_campaign={}",
            slug(random),
            form(&random.words(WORDS, 3))
        ),
        3 => format!(
            "https://{host}/redirect?url={}",
            encode(&format!("https://{host}/a?b={}&c=d;e=f", random.token(8)))
        ),
        _ => format!("https://{host}/{}", slug(random)),
    }
}

pub(crate) fn slug(random: &mut Random) -> String {
    let count = 1 + random.below(6);
    random.words(WORDS, count).replace(' ', "-")
}

fn page(random: &mut Random) -> Draft {
    let mut path = format!("/{}/{}", slug(random), slug(random));
    match random.below(9) {
        0 => path += ".html",
        1 => path += &format!("/{}", random.digits(6)),
        2 => path += &format!(";jsessionid={}", random.hex(32)),
        3 => path += &format!("/{}/", encode(random.pick(NAMES)).replace("%2F", "-")),
        4 => {
            path += &format!(
                "/wiki/{}",
                encode(random.search()).replace("%2F", "_").replace("%5C", "").replace("..", "")
            );
        }
        5 => path += &format!("/@{}/post_{}", random.pick(WORDS), random.hex(10)),
        6 => path += "/index.php",
        7 => path += &format!("/dp/B0{}/ref=sr_1_{}", random.token(8), random.digits(1)),
        _ => {}
    }
    if random.chance(50) {
        path += &format!(
            "?page={}&sort={}&dir=asc",
            random.digits(2),
            random.pick(&["price", "order_by_date", "name desc", "-created_at"]).replace(' ', "+")
        );
    }
    Draft::get(path)
}

fn search(random: &mut Random) -> Draft {
    let query = match random.below(4) {
        0 => {
            let n = 1 + random.below(7);
            random.words(WORDS, n)
        }
        1 => format!("{} {}", random.pick(NAMES), random.pick(WORDS)),
        2 => format!("{} {}", random.pick(WORDS), random.search()),
        _ => random.search().to_owned(),
    };
    let name = random.pick(&["q", "query", "search", "s", "keyword", "term", "k", "wd", "text"]);
    let encoded = if random.chance(60) { form(&query) } else { encode(&query) };
    Draft::get(format!(
        "/search?{name}={encoded}&hl=en&start={}&filter=on&tbm=&client=firefox-b-d",
        random.digits(2)
    ))
}

fn asset(random: &mut Random) -> Draft {
    Draft::get(match random.below(8) {
        0 => format!("/static/js/main.{}.chunk.js", random.hex(8)),
        1 => format!("/_next/static/chunks/pages/%5Bslug%5D-{}.js", random.hex(16)),
        2 => format!("/_next/image?url=%2Fimages%2F{}.png&w=640&q=75", slug(random)),
        3 => format!("/combo?js/a-min.js&js/b-min.js&css/c.css&v={}", random.hex(6)),
        4 => format!(
            "/load.php?lang=en&modules=ext.a%2Cb%7Cjquery.c%7Cmediawiki.page.{}&only=styles&skin=vector",
            random.pick(WORDS)
        ),
        5 => format!("/wp-includes/js/jquery/jquery.min.js?ver=3.7.{}", random.digits(1)),
        6 => format!(
            "/images/{}_{}x{}.webp?auto=format,compress&fit=crop&crop=faces,edges&q=60",
            random.hex(12),
            random.digits(3),
            random.digits(3)
        ),
        _ => format!(
            "/xjs/_/js/k=xjs.s.en.{}.O/am={}/d=1/ed=1/dg=0/br=1/rs={}/m=cdos,hsm,jsa,d,csi",
            random.token(10),
            random.token(40),
            random.token(20)
        ),
    })
}

fn listing(random: &mut Random) -> Draft {
    let filter = match random.below(7) {
        0 => "filter[price][gte]=10&filter[price][lte]=99&filter[color][]=red&filter[color][]=blue".to_owned(),
        1 => format!("price=10-{}&size=S|M|L&brand={}", random.digits(2), form(random.pick(NAMES))),
        2 => "$filter=Price%20gt%2020%20and%20Category%20eq%20'Toys'&$orderby=Name%20desc&$top=10&$select=Id,Name".to_owned(),
        3 => "jql=project+%3D+ABC+AND+status+in+%28Open%2C+%22In+Progress%22%29+ORDER+BY+created+DESC".to_owned(),
        4 => format!("fields=id,title,date&include=author,comments&sort=-date&page[size]=20&page[number]={}", random.digits(1)),
        5 => format!("fq=category_s:%22{}%22&fq=price_f:[10+TO+50]&facet=true&facet.field=brand&wt=json&rows=20", random.pick(WORDS)),
        _ => format!("refinementList%5Bbrand%5D%5B0%5D={}&range%5Bprice%5D=%3A{}&toggle%5Bsale%5D=true", form(random.pick(NAMES)), random.digits(3)),
    };
    Draft::get(format!("/c/{}?{filter}", slug(random)))
}

fn redirect(random: &mut Random) -> Draft {
    let host = random.pick(HOSTS);
    let inner = format!(
        "https://{host}/{}?id={}&time={}&cat={}&sort=top&ls=1&host={}",
        slug(random),
        random.digits(5),
        random.digits(10),
        random.pick(WORDS),
        host
    );
    let outer = match random.below(5) {
        0 => encode(&inner),
        1 => encode(&encode(&inner)),
        2 => encode(&format!("https://login.example.com/?next={}&prompt=none", encode(&inner))),
        3 => encode(&format!("/{}?ref={}", slug(random), encode(&inner))),
        _ => encode(&format!("//{host}/x#section;a=b")),
    };
    let name = random.pick(&[
        "url",
        "next",
        "redirect_uri",
        "return_to",
        "u",
        "continue",
        "dest",
        "RelayState",
        "target",
    ]);
    Draft::get(format!("/out?{name}={outer}&h={}", random.hex(40)))
}

fn login_return(random: &mut Random) -> Draft {
    let jwt = format!(
        "eyJhbGciOiJSUzI1NiIsImtpZCI6Ij{}.eyJpc3MiOiJodHRwczovL{}.{}",
        random.token(20),
        random.token(180),
        random.token(342)
    );
    Draft::get(match random.below(4) {
        0 => format!(
            "/callback?code={}&state={}&scope=email%20profile%20openid%20https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fuserinfo.email&authuser=0&prompt=consent",
            random.token(70),
            random.base64(24).replace('+', "%2B").replace('=', "%3D")
        ),
        1 => format!("/cb?id_token={jwt}&state={}", random.uuid()),
        2 => format!(
            "/authorize?client_id={}&response_type=code&code_challenge={}&code_challenge_method=S256&redirect_uri={}&nonce={}",
            random.uuid(),
            random.token(43),
            encode("com.example.app://callback"),
            random.token(20)
        ),
        _ => format!(
            "/saml?SAMLRequest={}&RelayState={}",
            encode(&random.base64(300)),
            encode("https://sp.example.com/home?x=1&y=2")
        ),
    })
}

fn image_proxy(random: &mut Random) -> Draft {
    Draft::get(match random.below(4) {
        0 => format!(
            "/cdn-cgi/image/width=640,quality=75,format=auto/https://{}/a/{}.jpg",
            random.pick(HOSTS),
            random.hex(8)
        ),
        1 => format!(
            "/unsafe/fit-in/300x200/filters:quality(80):format(webp)/https%3A//{}/a.jpg",
            random.pick(HOSTS)
        ),
        2 => format!(
            "/s/files/1/{}/products/{}_grande.jpg?v={}",
            random.digits(4),
            encode(random.pick(NAMES)),
            random.digits(10)
        ),
        _ => format!(
            "/image/upload/c_fill,g_auto,h_250,w_970/b_rgb:000000,e_gradient_fade,y_-0.50/c_scale,co_rgb:ffffff,fl_relative,l_text:montserrat_25_style_bold_align_center:{},w_0.5,y_0.18/v{}/a.jpg",
            encode(random.pick(WORDS)),
            random.digits(10)
        ),
    })
}

fn font(random: &mut Random) -> Draft {
    Draft::get(format!(
        "/css2?family=Roboto:ital,wght@0,{}00;1,400&family=Open+Sans:wght@300..800&display=swap&text={}",
        random.below(9) + 1,
        encode(random.search())
    ))
}

fn suggest(random: &mut Random) -> Draft {
    let text = random.search();
    let cut: String = text.chars().take(1 + random.below(12)).collect();
    Draft::get(format!(
        "/complete/search?q={}&cp={}&client=gws-wiz&xssi=t&gs_pcrt=2&hl=en&authuser=0&psi={}.{}&dpr=1&callback=jQuery{}_{}&_={}",
        encode(&cut),
        random.digits(1),
        random.token(22),
        random.digits(13),
        random.digits(21),
        random.digits(13),
        random.digits(13)
    ))
}

fn map(random: &mut Random) -> Draft {
    Draft::get(match random.below(3) {
        0 => format!(
            "/maps/vt/pb=!1m5!1m4!1i12!2i{}!3i{}!4i256!2m3!1e0!2sm!3i{}!3m12!2sen-US!3sUS!5e18!12m4!1e68!2m2!1sset!2sRoadmap!4e0!5m1!1e0!23i{}",
            random.digits(4),
            random.digits(4),
            random.digits(9),
            random.digits(7)
        ),
        1 => format!(
            "/maps/@48.{},11.{},15z/data=!3m1!4b1?entry=ttu&hl=de",
            random.digits(5),
            random.digits(5)
        ),
        _ => format!(
            "/geocode?bbox=-122.5,37.{},-122.3,37.8&q={}&types=address,poi&limit=5&access_token=pk.{}.{}",
            random.digits(3),
            encode("1 Infinite Loop; Cupertino (CA) #5"),
            random.token(80),
            random.token(22)
        ),
    })
}

fn file(random: &mut Random) -> Draft {
    let name = random.pick(&[
        "Report (final) v2.pdf",
        "O'Reilly - Learning SQL.epub",
        "Q&A; summary.docx",
        "photo_2024-01-01_12-00-00.jpg",
        "résumé.pdf",
        "100% done.xlsx",
        "Screenshot 2024-05-01 at 10.11.12 AM.png",
        "data[1].csv",
        "archive.tar.gz",
        "setup.exe",
    ]);
    Draft::get(match random.below(3) {
        0 => format!("/files/{}", encode(name)),
        1 => format!("/download?file={}&token={}", encode(name), random.hex(32)),
        _ => format!(
            "/bucket/{}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F20240101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20240101T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&response-content-disposition={}&X-Amz-Signature={}",
            encode(name),
            random.token(20),
            encode(&format!("attachment; filename=\"{name}\"")),
            random.hex(64)
        ),
    })
}
