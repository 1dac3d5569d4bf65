//! The beginning of a connection, and frames as such: RFC 9113 sections 3.4, 4 and 5.5.

use proxyd_tests::h2_wire::{PREFACE, kind};

use crate::case::{
    COMPRESSION, Case, END_HEADERS, END_STREAM, FRAME_SIZE, Must, PADDED, PRIORITY, PROTOCOL,
    WHOLE, frame, head, setting,
};

/// A kind that no standard defines.
const UNKNOWN: u8 = 0x60;
const PRIORITY_FRAME: u8 = 2;

pub(crate) fn cases() -> Vec<Case> {
    [beginnings(), sizes(), unknown_things(), header_blocks()].concat()
}

fn beginnings() -> Vec<Case> {
    let settings = frame(kind::SETTINGS, 0, 0, &[]);
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    vec![
        Case::new("3.4", "preface and SETTINGS", Must::GoOn).bare().send(PREFACE).send(&settings),
        Case::new("3.4", "a frame before SETTINGS", Must::EndConnection(PROTOCOL))
            .bare()
            .send(PREFACE)
            .send(ping),
        Case::new("3.4", "an acknowledgement first", Must::EndConnection(PROTOCOL))
            .bare()
            .send(PREFACE)
            .frame(kind::SETTINGS, 1, 0, []),
        Case::new("3.4", "the preface byte by byte", Must::GoOn)
            .bare()
            .pieces(PREFACE)
            .send(settings),
        Case::new("3.4", "a request with the preface", Must::Answer(1, 200))
            .bare()
            .send([PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat())
            .get(1, "/"),
    ]
}

fn sizes() -> Vec<Case> {
    let longest = vec![b'x'; 16_384];
    let too_long = vec![b'x'; 16_385];
    vec![
        Case::new("4.2", "DATA of 16,384 bytes", Must::Answer(1, 200)).post(1, "/").frame(
            kind::DATA,
            END_STREAM,
            1,
            &longest,
        ),
        Case::new("4.2", "DATA of 16,385 bytes", Must::EndStream(1, FRAME_SIZE))
            .post(1, "/faulty")
            .frame(kind::DATA, END_STREAM, 1, &too_long),
        Case::new("4.2", "HEADERS of 16,385 bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::HEADERS,
            WHOLE,
            1,
            &too_long,
        ),
        Case::new("4.2", "an unknown frame of 16,385 bytes", Must::EndConnection(FRAME_SIZE))
            .frame(UNKNOWN, 0, 0, &too_long),
        Case::new("4.2", "SETTINGS of 16,386 bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::SETTINGS,
            0,
            0,
            vec![0; 16_386],
        ),
        Case::new("4.2", "a length of 2^24 - 1", Must::EndConnection(FRAME_SIZE)).send([
            0xff,
            0xff,
            0xff,
            kind::DATA,
            0,
            0,
            0,
            0,
            1,
        ]),
    ]
}

fn unknown_things() -> Vec<Case> {
    let reserved = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut bytes = frame(kind, flags, stream, payload);
        bytes[5] |= 0x80;
        bytes
    };
    vec![
        Case::new("4.1", "an unknown kind on the connection", Must::GoOn).frame(
            UNKNOWN,
            0xff,
            0,
            b"anything",
        ),
        Case::new("4.1", "an unknown kind on an idle stream", Must::GoOn).frame(
            UNKNOWN,
            0,
            7,
            b"anything",
        ),
        Case::new("4.1", "an unknown kind within a message", Must::Answer(1, 200))
            .post(1, "/")
            .frame(UNKNOWN, 0, 1, b"anything")
            .frame(kind::DATA, END_STREAM, 1, b"hello"),
        Case::new("4.1", "flags that PING does not define", Must::GoOn).frame(
            kind::PING,
            0xfe,
            0,
            [0; 8],
        ),
        Case::new("4.1", "flags that DATA does not define", Must::Answer(1, 200))
            .post(1, "/")
            .frame(kind::DATA, 0xf6 | END_STREAM, 1, b"hello"),
        Case::new("4.1", "flags that SETTINGS does not define", Must::GoOn).frame(
            kind::SETTINGS,
            0xfe,
            0,
            [],
        ),
        Case::new("4.1", "the reserved bit in PING", Must::GoOn).send(reserved(
            kind::PING,
            0,
            0,
            &[0; 8],
        )),
        Case::new("4.1", "the reserved bit in HEADERS", Must::Answer(1, 200)).send(reserved(
            kind::HEADERS,
            WHOLE,
            1,
            &head("GET", "/", &[]),
        )),
        Case::new("5.5", "an unknown setting", Must::GoOn).frame(
            kind::SETTINGS,
            0,
            0,
            setting(0xff, 1),
        ),
        Case::new("5.5", "an unknown kind within a header block", Must::EndConnection(PROTOCOL))
            .frame(kind::HEADERS, END_STREAM, 1, head("GET", "/faulty", &[]))
            .frame(UNKNOWN, 0, 1, []),
        // The kinds of RFC 7838 and RFC 9218, and PRIORITY, which no longer means anything.
        Case::new("5.5", "ALTSVC", Must::GoOn).frame(0xa, 0, 0, b"\0\0"),
        Case::new("5.5", "PRIORITY_UPDATE", Must::GoOn).frame(0x10, 0, 0, b"\0\0\0\x01u=3"),
        Case::new("5.3", "PRIORITY on an idle stream", Must::GoOn).frame(
            PRIORITY_FRAME,
            0,
            9,
            [0, 0, 0, 0, 10],
        ),
        Case::new("5.3", "HEADERS with a priority", Must::Answer(1, 200)).frame(
            kind::HEADERS,
            WHOLE | PRIORITY,
            1,
            [&[0, 0, 0, 0, 10][..], &head("GET", "/", &[])].concat(),
        ),
        Case::new("5.3", "HEADERS that are padded", Must::Answer(1, 200)).frame(
            kind::HEADERS,
            WHOLE | PADDED,
            1,
            [&[3][..], &head("GET", "/", &[]), &[0; 3]].concat(),
        ),
        Case::new("5.3", "a stream that depends on itself", Must::EndStream(1, PROTOCOL)).frame(
            kind::HEADERS,
            WHOLE | PRIORITY,
            1,
            [&[0, 0, 0, 1, 10][..], &head("GET", "/faulty", &[])].concat(),
        ),
    ]
}

fn header_blocks() -> Vec<Case> {
    let whole = head("GET", "/faulty", &[]);
    let begun = |what: &str| {
        Case::new("4.3", what, Must::EndConnection(PROTOCOL)).frame(
            kind::HEADERS,
            END_STREAM,
            1,
            &whole,
        )
    };
    vec![
        begun("PRIORITY within a header block").frame(PRIORITY_FRAME, 0, 1, [0, 0, 0, 0, 10]),
        begun("HEADERS of another stream within a header block").get(3, "/faulty"),
        begun("DATA within a header block").frame(kind::DATA, END_STREAM, 1, b"x"),
        begun("PING within a header block").frame(kind::PING, 0, 0, [0; 8]),
        begun("SETTINGS within a header block").frame(kind::SETTINGS, 0, 0, []),
        begun("WINDOW_UPDATE within a header block").frame(
            kind::WINDOW_UPDATE,
            0,
            0,
            1u32.to_be_bytes(),
        ),
        begun("RST_STREAM within a header block").frame(kind::RST_STREAM, 0, 1, 8u32.to_be_bytes()),
        begun("CONTINUATION of another stream").frame(kind::CONTINUATION, END_HEADERS, 3, []),
        Case::new("4.3", "a header block that is no HPACK", Must::EndConnection(COMPRESSION))
            .frame(kind::HEADERS, WHOLE, 1, [0x82, 0x86, 0x84, 0x41, 0x0c, 0xf1]),
        Case::new("4.3", "a header block in pieces of a byte", Must::Answer(1, 200)).send({
            let block = head("GET", "/", &[]);
            let mut bytes = frame(kind::HEADERS, END_STREAM, 1, &block[..1]);
            // Empty pieces in a row are a flood; pieces of a few bytes are not.
            for piece in block[1..].chunks(24) {
                bytes.extend(frame(kind::CONTINUATION, 0, 1, piece));
            }
            bytes.extend(frame(kind::CONTINUATION, END_HEADERS, 1, &[]));
            bytes
        }),
    ]
}
