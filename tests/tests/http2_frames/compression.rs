//! Header blocks that are no HPACK: RFC 7541. The state of both ends is lost with them, so the
//! connection ends.

use proxyd_tests::h2_wire::kind;

use crate::case::{COMPRESSION, Case, Must, WHOLE, head};

/// `:method: GET`, `:scheme: http`, `:path: /`, from the static table, and an authority.
const START: &[u8] = b"\x82\x86\x84\x41\x0borigin.test";

pub(crate) fn cases() -> Vec<Case> {
    let broken: &[(&str, &str, &[u8])] = &[
        ("2.3.3", "an index beyond the tables", &[0xff, 0x00]),
        ("2.3.3", "an index far beyond the tables", &[0xff, 0xff, 0xff, 0x0f]),
        ("2.3.3", "a name's index beyond the tables", &[0x7f, 0x0f, 1, b'a']),
        (
            "5.1",
            "an integer without end",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        ("5.1", "an integer that is cut off", &[0xff]),
        (
            "5.1",
            "a length of 2^64",
            &[0x00, 0x7f, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
        ("5.2", "a text that is cut off", &[0x00, 0x05, b'x', b'-']),
        (
            "5.2",
            "padding of more than seven bits",
            &[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff],
        ),
        (
            "5.2",
            "padding of zeros",
            &[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x83, 0x49, 0x50, 0x90],
        ),
        (
            "5.2",
            "the end of a string within it",
            &[
                0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x87, 0x49, 0x51, 0xff, 0xff, 0xff, 0xfa,
                0x7f,
            ],
        ),
        ("6.1", "index 0", &[0x80]),
        ("6.3", "a table larger than was allowed", &[0x3f, 0xe2, 0x1f]),
        ("4.2", "a new size behind a field", &[0x20]),
    ];
    let mut cases: Vec<Case> = broken
        .iter()
        .map(|(section, what, bytes)| {
            let size = *section == "6.3";
            // A size stands at the beginning only.
            let block = if size { [bytes, START].concat() } else { [START, bytes].concat() };
            named(section, what, Must::EndConnection(COMPRESSION)).frame(
                kind::HEADERS,
                WHOLE,
                1,
                block,
            )
        })
        .collect();
    let whole: &[(&str, &str, &[&[u8]])] = &[
        ("6.1", "the static table", &[START]),
        ("6.2.1", "a field that is remembered", &[START, &[0x40, 3, b'x', b'-', b'a', 1, b'b']]),
        (
            "6.2.3",
            "a field that is never remembered",
            &[START, &[0x10, 3, b'x', b'-', b'a', 1, b'b']],
        ),
        ("6.3", "a smaller table", &[&[0x3e], START]),
        ("4.2", "a smaller table and the whole one again", &[&[0x20, 0x3f, 0xe1, 0x1f], START]),
        (
            "5.2",
            "Huffman coding",
            &[START, &[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0x7f]],
        ),
    ];
    for (section, what, parts) in whole {
        cases.push(named(section, what, Must::Answer(1, 200)).frame(
            kind::HEADERS,
            WHOLE,
            1,
            parts.concat(),
        ));
    }
    // What was remembered is found again, on another stream.
    cases.push(
        named("2.3.2", "a remembered field on another stream", Must::Answer(3, 200))
            .frame(kind::HEADERS, WHOLE, 1, [START, &[0x40, 3, b'x', b'-', b'a', 1, b'b']].concat())
            .frame(kind::HEADERS, WHOLE, 3, [b"\x82\x86\x84\xbf", &[0xbe][..]].concat()),
    );
    cases.push(
        named("2.2", "a refused request's fields are remembered", Must::Answer(3, 200))
            .frame(
                kind::HEADERS,
                WHOLE,
                1,
                [b"\x40\x0aconnection\x05close", &head("GET", "/faulty", &[])[..]].concat(),
            )
            .reset(1)
            .frame(kind::HEADERS, WHOLE, 3, START),
    );
    cases
}

fn named(section: &'static str, what: &str, must: Must) -> Case {
    Case::new("RFC 7541", format!("{section} {what}"), must)
}
