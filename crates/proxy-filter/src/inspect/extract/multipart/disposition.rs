//! What the `Content-Disposition` of a part says.

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    /// A value.
    No,
    /// A file.
    Yes,
    /// A file to some readers and a value to others: `filename*`, an empty name, other names that
    /// begin as `filename`.
    Perhaps,
}

/// The parameters of a part that count.
#[derive(Debug)]
pub(super) struct Disposition<'a> {
    pub(super) names: Vec<&'a [u8]>,
    pub(super) file_names: Vec<&'a [u8]>,
    pub(super) file: File,
    /// Whether readers may take it apart in two ways.
    pub(super) is_ambiguous: bool,
}

/// Takes the value of a `Content-Disposition` apart.
pub(super) fn disposition(field: &[u8]) -> Disposition<'_> {
    let mut said = Disposition {
        names: Vec::new(),
        file_names: Vec::new(),
        file: File::No,
        is_ambiguous: false,
    };
    let mut plain_file_names = 0;
    for Parameter { key, value, odd } in parameters(field) {
        said.is_ambiguous |= odd;
        let name = key.trim_ascii();
        if name.eq_ignore_ascii_case(b"name") {
            said.names.push(value);
        } else if name.len() >= 8 && name[..8].eq_ignore_ascii_case(b"filename") {
            said.file_names.push(value);
            // Blanks before the sign are blanks in the name to some.
            if key.len() == 8 {
                plain_file_names += 1;
            }
            if key.len() == 8 && !value.is_empty() {
                said.file = File::Yes;
            } else if said.file == File::No {
                said.file = File::Perhaps;
            }
        }
    }
    said.is_ambiguous |= said.names.len() > 1 || plain_file_names > 1;
    said
}

struct Parameter<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// Some readers see its end elsewhere.
    odd: bool,
}

/// The parameters of a field: `; key=value`, `; key="value"`.
fn parameters(field: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    let mut rest = field;
    std::iter::from_fn(move || {
        let semicolon = memchr::memchr(b';', rest)?;
        rest = rest[semicolon + 1..].trim_ascii_start();
        let equals = memchr::memchr(b'=', rest)?;
        let key = &rest[..equals];
        let value = rest[equals + 1..].trim_ascii_start();
        let (value, tail, odd) = match value.strip_prefix(b"\"") {
            Some(quoted) => {
                // A quote ends the value only where another parameter or the end follows.
                let mut end = quoted.len();
                for at in memchr::memchr_iter(b'"', quoted) {
                    let tail = quoted[at + 1..].trim_ascii_start();
                    if tail.is_empty() || tail[0] == b';' {
                        end = at;
                        break;
                    }
                }
                let tail = quoted.get(end + 1..).unwrap_or(b"");
                // Escaped, it ends nothing where escapes are known.
                let escaped = quoted[..end].last() == Some(&b'\\') && !tail.trim_ascii().is_empty();
                (&quoted[..end], tail, escaped)
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                let text = value[..end].trim_ascii_end();
                (text, &value[end..], memchr::memchr(b'"', text).is_some())
            }
        };
        rest = tail;
        Some(Parameter { key, value, odd })
    })
}
