//! The settings in `peers/`: names to replace, lines to keep or leave out.

/// Replaces each `{{name}}`.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let filled = values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    });
    debug_assert!(!filled.contains("{{"), "a name is left:\n{filled}");
    filled
}

/// Keeps or leaves out the lines that end in `mark`.
pub(crate) fn with_lines(template: &str, mark: &str, keep: bool) -> String {
    template
        .lines()
        .filter_map(|line| match line.strip_suffix(mark) {
            Some(line) => keep.then(|| line.trim_end()),
            None => Some(line),
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NGINX: &str = include_str!("../peers/nginx.conf");
    const HAPROXY: &str = include_str!("../peers/haproxy.conf");
    const MARKS: [&str; 5] = ["#@log", "#@cache", "#@tuned", "#@tls", "#@clear"];

    const VALUES: [(&str, &str); 11] = [
        ("workers", "3"),
        ("port", "8080"),
        ("origin", "9090"),
        ("access_log", "off"),
        ("answer", "return 200 x;"),
        ("sendfile", "on"),
        ("store", "/dev/shm/x"),
        ("store_size", "64"),
        ("certificate", "/tmp/cert.pem"),
        ("certificate_key", "/tmp/key.pem"),
        ("certificate_and_key", "/tmp/both.pem"),
    ];

    /// What stands in a line that is not a comment.
    fn has_line(text: &str, part: &str) -> bool {
        text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(part))
    }

    #[test]
    fn every_template_is_filled_completely() {
        for (template, address) in [
            (include_str!("../peers/origin.conf"), "127.0.0.1:8080"),
            (NGINX, "127.0.0.1:8080"),
            (HAPROXY, "127.0.0.1:8080"),
            (include_str!("../peers/varnish.vcl"), "127.0.0.1"),
        ] {
            for keep in [true, false] {
                let text = MARKS.iter().fold(template.to_owned(), |text, mark| {
                    // One of the two listens.
                    let keep = if *mark == "#@clear" { !keep } else { keep };
                    with_lines(&text, mark, keep)
                });
                let text = fill(&text, &VALUES);
                assert!(!text.contains("{{") && !has_line(&text, "#@"), "{text}");
                assert!(text.contains(address), "{text}");
            }
        }
    }

    #[test]
    fn what_is_left_out_is_not_spoken_of() {
        for (template, mark, word) in [
            (HAPROXY, "#@log", "log"),
            (NGINX, "#@cache", "proxy_cache"),
            (NGINX, "#@tuned", "open_file_cache"),
            (NGINX, "#@tls", "ssl_certificate"),
            (HAPROXY, "#@tls", "alpn"),
        ] {
            assert!(has_line(&with_lines(template, mark, true), word));
            assert!(!has_line(&with_lines(template, mark, false), word));
        }
    }
}
