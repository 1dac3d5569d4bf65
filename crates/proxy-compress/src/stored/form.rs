//! Whether coded content that somebody else has made is a form of content that is here.

use bytes::Bytes;

use crate::decode::decoder;

/// What is compared at a time.
const PIECE: usize = 16 * 1024;

/// Whether `coded` is one stream in this coding, with nothing behind it, that decodes to just this
/// content. No more is decoded than there is content, and a piece.
pub(super) fn is_form_of(coding: &str, coded: &[u8], content: &[Bytes]) -> bool {
    let Some(mut decoder) = decoder(coding) else { return false };
    let (mut rest, mut out) = (coded, Vec::with_capacity(PIECE));
    let mut expected = Expected { chunks: content.iter(), chunk: &[] };
    while !decoder.is_ended() {
        out.clear();
        let Ok(used) = decoder.decode(rest, &mut out) else { return false };
        rest = &rest[used..];
        if !expected.begins_with(&out) || (used == 0 && out.is_empty()) {
            return false;
        }
    }
    rest.is_empty() && expected.is_over()
}

/// Content that is yet to come out.
struct Expected<'a> {
    chunks: std::slice::Iter<'a, Bytes>,
    chunk: &'a [u8],
}

impl Expected<'_> {
    /// Whether this comes next; takes it off.
    fn begins_with(&mut self, mut out: &[u8]) -> bool {
        while !out.is_empty() {
            if self.chunk.is_empty() {
                let Some(next) = self.chunks.next() else { return false };
                self.chunk = next;
            }
            let len = out.len().min(self.chunk.len());
            if out[..len] != self.chunk[..len] {
                return false;
            }
            (out, self.chunk) = (&out[len..], &self.chunk[len..]);
        }
        true
    }

    fn is_over(&self) -> bool {
        self.chunk.is_empty() && self.chunks.clone().all(Bytes::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn coded(coding: &str, content: &[u8]) -> Vec<u8> {
        match coding {
            "gzip" => {
                let mut one =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                one.write_all(content).expect("memory");
                one.finish().expect("memory")
            }
            "br" => {
                let mut out = Vec::new();
                brotli::CompressorWriter::new(&mut out, 4096, 5, 22)
                    .write_all(content)
                    .expect("memory");
                out
            }
            _ => zstd::encode_all(content, 3).expect("memory"),
        }
    }

    #[test]
    fn a_form_is_one_to_the_last_byte() {
        let whole: Vec<u8> = (0..60_000u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
        let chunks = |content: &[u8]| -> Vec<Bytes> {
            content.chunks(10_000).map(Bytes::copy_from_slice).chain([Bytes::new()]).collect()
        };
        let content = chunks(&whole);
        for coding in ["gzip", "br", "zstd"] {
            let form = coded(coding, &whole);
            let is_form = |form: &[u8]| is_form_of(coding, form, &content);
            assert!(is_form(&form), "{coding}");
            let mut other = whole.clone();
            other[200_000] ^= 1;
            for (what, wrong) in [
                ("another byte", coded(coding, &other)),
                ("less", coded(coding, &whole[..whole.len() - 1])),
                ("more", coded(coding, &[&whole[..], b"x"].concat())),
                ("much more", coded(coding, &[&whole[..], &vec![0; 1 << 20]].concat())),
                ("broken off", form[..form.len() - 1].to_vec()),
                ("with something behind it", [&form[..], b"x"].concat()),
                ("twice", [&form[..], &form].concat()),
                ("nothing", Vec::new()),
                ("no coding", whole.clone()),
            ] {
                assert!(!is_form(&wrong), "{coding}: {what}");
            }
        }
        assert!(is_form_of("br", &coded("br", b""), &[]));
        assert!(!is_form_of("turn", b"", &[]));
    }
}
