//! Web cache deception: a path that looks like a file, and an answer that is somebody's page.

use http::{HeaderMap, header};

/// Extensions of files that everybody may see, and how their media types begin.
const TYPES: &[(&str, &[&str])] = &[
    ("css", &["text/css"]),
    ("js", &["text/javascript", "application/javascript", "application/x-javascript"]),
    ("mjs", &["text/javascript", "application/javascript"]),
    ("map", &["application/json", "application/octet-stream", "text/plain"]),
    ("wasm", &["application/wasm"]),
    ("png", &["image/"]),
    ("jpg", &["image/"]),
    ("jpeg", &["image/"]),
    ("gif", &["image/"]),
    ("webp", &["image/"]),
    ("avif", &["image/"]),
    ("svg", &["image/"]),
    ("ico", &["image/"]),
    ("bmp", &["image/"]),
    ("woff", &["font/", "application/"]),
    ("woff2", &["font/", "application/"]),
    ("ttf", &["font/", "application/"]),
    ("otf", &["font/", "application/"]),
    ("eot", &["font/", "application/"]),
    ("mp3", &["audio/"]),
    ("ogg", &["audio/", "video/", "application/ogg"]),
    ("mp4", &["video/", "audio/"]),
    ("webm", &["video/", "audio/"]),
    ("pdf", &["application/pdf"]),
    ("zip", &["application/"]),
    ("gz", &["application/"]),
];

/// Whether a response claims to be what the extension of its path says it is not. Types that are
/// not told, or are `application/octet-stream`, promise nothing.
pub(crate) fn is_deceptive(path: &str, response: &HeaderMap) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    // `/account/a.css;x` and encoded forms of it are the tricks of the trade.
    let name = last.split([';', '%', ',']).next().unwrap_or(last);
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
    let Some((_, types)) = known else { return false };
    let Some(told) = response.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let told = told.split(';').next().unwrap_or(told).trim();
    if told.is_empty() || told.eq_ignore_ascii_case("application/octet-stream") {
        return false;
    }
    !types
        .iter()
        .any(|start| told.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_no_style_sheet() {
        let says = |path: &str, media_type: &'static str| {
            let fields =
                HeaderMap::from_iter([(header::CONTENT_TYPE, media_type.parse().expect("valid"))]);
            is_deceptive(path, &fields)
        };
        for (path, media_type, deceptive) in [
            ("/account/a.css", "text/html; charset=utf-8", true),
            ("/account/a.css;b", "text/html", true),
            ("/account/a.css%2fb", "text/html", true),
            ("/account/a.PNG", "application/json", true),
            ("/a.css", "Text/CSS", false),
            ("/a.js", "application/javascript", false),
            ("/a.woff2", "application/octet-stream", false),
            ("/a.html", "text/html", false),
            ("/a", "text/html", false),
            ("/v1.2/a", "text/html", false),
        ] {
            assert_eq!(says(path, media_type), deceptive, "{path} {media_type}");
        }
        assert!(!is_deceptive("/a.css", &HeaderMap::new()));
    }
}
