//! Each kind of frame: RFC 9113 section 6.

use proxyd_tests::h2_wire::kind;

use crate::case::{
    ACK, CLOSED_OR_PROTOCOL, Case, END_HEADERS, END_STREAM, FLOW_CONTROL, FRAME_SIZE, Must, PADDED,
    PRIORITY, PROTOCOL, WHOLE, head, setting,
};

const PRIORITY_FRAME: u8 = 2;
const PUSH_PROMISE: u8 = 5;

pub(crate) fn cases() -> Vec<Case> {
    [data(), headers(), resets(), settings(), pushes(), pings(), windows(), continuations()]
        .concat()
}

fn data() -> Vec<Case> {
    vec![
        Case::new("6.1", "DATA on stream 0", Must::EndConnection(PROTOCOL)).frame(
            kind::DATA,
            END_STREAM,
            0,
            b"x",
        ),
        Case::new("6.1", "padding longer than the frame", Must::EndConnection(PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::DATA, END_STREAM | PADDED, 1, b"\x09hello"),
        Case::new("6.1", "padding as long as the frame", Must::EndConnection(PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::DATA, END_STREAM | PADDED, 1, b"\x06hello"),
        Case::new(
            "6.1",
            "no room for the padding's length",
            Must::EndConnection(FRAME_OR_PROTOCOL),
        )
        .post(1, "/faulty")
        .frame(kind::DATA, END_STREAM | PADDED, 1, b""),
        Case::new("6.1", "nothing but padding", Must::Answer(1, 200)).post(1, "/").frame(
            kind::DATA,
            END_STREAM | PADDED,
            1,
            b"\x03\0\0\0",
        ),
        Case::new("6.1", "padded content", Must::Answer(1, 200)).post(1, "/").frame(
            kind::DATA,
            END_STREAM | PADDED,
            1,
            b"\x02hello\0\0",
        ),
        Case::new("6.1", "an empty end", Must::Answer(1, 200))
            .post(1, "/")
            .frame(kind::DATA, 0, 1, b"hello")
            .frame(kind::DATA, END_STREAM, 1, b""),
    ]
}

const FRAME_OR_PROTOCOL: &[u32] = &[1, 6];

fn headers() -> Vec<Case> {
    let padded = |length: u8| [&[length][..], &head("GET", "/faulty", &[])].concat();
    vec![
        Case::new("6.2", "HEADERS on stream 0", Must::EndConnection(PROTOCOL)).get(0, "/faulty"),
        Case::new("6.2", "padding longer than the frame", Must::EndConnection(PROTOCOL)).frame(
            kind::HEADERS,
            WHOLE | PADDED,
            1,
            padded(0xff),
        ),
        Case::new("6.2", "padding that cuts the header block", Must::EndConnection(ANY)).frame(
            kind::HEADERS,
            WHOLE | PADDED,
            1,
            padded(5),
        ),
        Case::new("6.2", "no room for the priority", Must::EndConnection(FRAME_OR_PROTOCOL)).frame(
            kind::HEADERS,
            WHOLE | PRIORITY,
            1,
            [0, 0, 0],
        ),
        Case::new(
            "6.2",
            "no room for the padding's length",
            Must::EndConnection(FRAME_OR_PROTOCOL),
        )
        .frame(kind::HEADERS, WHOLE | PADDED, 1, []),
        Case::new("6.3", "PRIORITY on stream 0", Must::EndConnection(PROTOCOL)).frame(
            PRIORITY_FRAME,
            0,
            0,
            [0, 0, 0, 0, 10],
        ),
        Case::new("6.3", "PRIORITY of four bytes", Must::EndStream(1, FRAME_SIZE))
            .post(1, "/never")
            .frame(PRIORITY_FRAME, 0, 1, [0, 0, 0, 0]),
        Case::new("6.3", "PRIORITY of six bytes", Must::EndStream(1, FRAME_SIZE))
            .post(1, "/never")
            .frame(PRIORITY_FRAME, 0, 1, [0; 6]),
        Case::new("6.3", "PRIORITY on itself", Must::EndStream(1, PROTOCOL))
            .post(1, "/never")
            .frame(PRIORITY_FRAME, 0, 1, [0, 0, 0, 1, 10]),
    ]
}

/// Where the block that is left is no header section in one way or another.
const ANY: &[u32] = &[1, 9];

fn resets() -> Vec<Case> {
    vec![
        Case::new("6.4", "RST_STREAM on stream 0", Must::EndConnection(PROTOCOL)).frame(
            kind::RST_STREAM,
            0,
            0,
            [0, 0, 0, 8],
        ),
        Case::new("6.4", "RST_STREAM of three bytes", Must::EndConnection(FRAME_SIZE))
            .post(1, "/never")
            .frame(kind::RST_STREAM, 0, 1, [0, 0, 8]),
        Case::new("6.4", "RST_STREAM of five bytes", Must::EndConnection(FRAME_SIZE))
            .post(1, "/never")
            .frame(kind::RST_STREAM, 0, 1, [0, 0, 0, 8, 0]),
        Case::new("6.4", "a code that no standard defines", Must::GoOn).post(1, "/never").frame(
            kind::RST_STREAM,
            0,
            1,
            0xdead_beefu32.to_be_bytes(),
        ),
    ]
}

fn settings() -> Vec<Case> {
    let one = |what: &str, name: u16, value: u32, must| {
        Case::new("6.5.2", what, must).frame(kind::SETTINGS, 0, 0, setting(name, value))
    };
    let wrong = Must::EndConnection(PROTOCOL);
    vec![
        Case::new("6.5", "an acknowledgement with content", Must::EndConnection(FRAME_SIZE)).frame(
            kind::SETTINGS,
            ACK,
            0,
            setting(3, 1),
        ),
        Case::new("6.5", "SETTINGS on a stream", wrong).frame(kind::SETTINGS, 0, 1, setting(3, 1)),
        Case::new("6.5", "SETTINGS of five bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::SETTINGS,
            0,
            0,
            [0; 5],
        ),
        Case::new("6.5", "SETTINGS of seven bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::SETTINGS,
            0,
            0,
            [0; 7],
        ),
        one("ENABLE_PUSH 0", 2, 0, Must::GoOn),
        one("ENABLE_PUSH 1", 2, 1, Must::GoOn),
        one("ENABLE_PUSH 2", 2, 2, wrong),
        one("INITIAL_WINDOW_SIZE 2^31 - 1", 4, 0x7fff_ffff, Must::GoOn),
        one("INITIAL_WINDOW_SIZE 2^31", 4, 0x8000_0000, Must::EndConnection(FLOW_CONTROL)),
        one("INITIAL_WINDOW_SIZE 2^32 - 1", 4, u32::MAX, Must::EndConnection(FLOW_CONTROL)),
        one("MAX_FRAME_SIZE 16,383", 5, 16_383, wrong),
        one("MAX_FRAME_SIZE 0", 5, 0, wrong),
        one("MAX_FRAME_SIZE 2^24 - 1", 5, 0x00ff_ffff, Must::GoOn),
        one("MAX_FRAME_SIZE 2^24", 5, 0x0100_0000, wrong),
        one("HEADER_TABLE_SIZE 0", 1, 0, Must::GoOn),
        one("HEADER_TABLE_SIZE 2^32 - 1", 1, u32::MAX, Must::GoOn),
        one("MAX_CONCURRENT_STREAMS 0", 3, 0, Must::GoOn),
        one("MAX_HEADER_LIST_SIZE 2^32 - 1", 6, u32::MAX, Must::GoOn),
        one("ENABLE_CONNECT_PROTOCOL 1", 8, 1, Must::GoOn),
        Case::new("6.5.3", "the last of two values holds", Must::Answer(1, 200))
            .frame(kind::SETTINGS, 0, 0, [setting(4, 1), setting(4, 65_535)].concat())
            .get(1, "/"),
        Case::new("6.5.3", "a table made small and large again", Must::Answer(1, 200))
            .frame(kind::SETTINGS, 0, 0, setting(1, 0))
            .frame(kind::SETTINGS, 0, 0, setting(1, 4096))
            .get(1, "/"),
    ]
}

fn pushes() -> Vec<Case> {
    let promise = [&[0, 0, 0, 2][..], &head("GET", "/faulty", &[])].concat();
    vec![
        Case::new("8.4", "PUSH_PROMISE of a client", Must::EndConnection(PROTOCOL))
            .post(1, "/never")
            .frame(PUSH_PROMISE, END_HEADERS, 1, &promise),
        Case::new("8.4", "PUSH_PROMISE on stream 0", Must::EndConnection(PROTOCOL)).frame(
            PUSH_PROMISE,
            END_HEADERS,
            0,
            &promise,
        ),
    ]
}

fn pings() -> Vec<Case> {
    vec![
        Case::new("6.7", "an acknowledgement of nothing", Must::GoOn).frame(
            kind::PING,
            ACK,
            0,
            *b"whatever",
        ),
        Case::new("6.7", "PING on a stream", Must::EndConnection(PROTOCOL)).frame(
            kind::PING,
            0,
            1,
            [0; 8],
        ),
        Case::new("6.7", "PING of seven bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::PING,
            0,
            0,
            [0; 7],
        ),
        Case::new("6.7", "PING of nine bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::PING,
            0,
            0,
            [0; 9],
        ),
        Case::new("6.7", "an empty PING", Must::EndConnection(FRAME_SIZE)).frame(
            kind::PING,
            0,
            0,
            [],
        ),
        Case::new("6.8", "GOAWAY on a stream", Must::EndConnection(PROTOCOL)).frame(
            kind::GOAWAY,
            0,
            1,
            [0; 8],
        ),
        Case::new("6.8", "GOAWAY of seven bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::GOAWAY,
            0,
            0,
            [0; 7],
        ),
    ]
}

fn windows() -> Vec<Case> {
    let more = |n: u32| n.to_be_bytes();
    vec![
        Case::new("6.9", "no more for the connection", Must::EndConnection(PROTOCOL)).frame(
            kind::WINDOW_UPDATE,
            0,
            0,
            more(0),
        ),
        Case::new("6.9", "no more for a stream", Must::EndStream(1, PROTOCOL))
            .post(1, "/faulty")
            .frame(kind::WINDOW_UPDATE, 0, 1, more(0)),
        Case::new("6.9", "WINDOW_UPDATE of three bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::WINDOW_UPDATE,
            0,
            0,
            [0, 0, 1],
        ),
        Case::new("6.9", "WINDOW_UPDATE of five bytes", Must::EndConnection(FRAME_SIZE)).frame(
            kind::WINDOW_UPDATE,
            0,
            0,
            [0, 0, 0, 1, 0],
        ),
        Case::new("6.9", "the reserved bit", Must::GoOn).frame(
            kind::WINDOW_UPDATE,
            0,
            0,
            more(0x8000_0001),
        ),
    ]
}

fn continuations() -> Vec<Case> {
    let block = head("GET", "/faulty", &[]);
    let case = |what: &str, codes| Case::new("6.10", what, Must::EndConnection(codes));
    vec![
        Case::new("6.10", "two of them", Must::Answer(1, 200))
            .frame(kind::HEADERS, END_STREAM, 1, &head("GET", "/", &[])[..10])
            .frame(kind::CONTINUATION, 0, 1, &head("GET", "/", &[])[10..20])
            .frame(kind::CONTINUATION, END_HEADERS, 1, &head("GET", "/", &[])[20..]),
        case("followed by another kind", PROTOCOL)
            .frame(kind::HEADERS, END_STREAM, 1, &block[..10])
            .frame(kind::CONTINUATION, 0, 1, &block[10..])
            .frame(kind::DATA, END_STREAM, 1, b"x"),
        case("on stream 0", PROTOCOL).frame(kind::HEADERS, END_STREAM, 1, &block[..10]).frame(
            kind::CONTINUATION,
            END_HEADERS,
            0,
            &block[10..],
        ),
        case("after a whole header block", CLOSED_OR_PROTOCOL).get(1, "/never").frame(
            kind::CONTINUATION,
            END_HEADERS,
            1,
            &block,
        ),
        case("after the last of them", CLOSED_OR_PROTOCOL)
            .frame(kind::HEADERS, END_STREAM, 1, &head("GET", "/never", &[])[..10])
            .frame(kind::CONTINUATION, END_HEADERS, 1, &head("GET", "/never", &[])[10..])
            .frame(kind::CONTINUATION, END_HEADERS, 1, &block),
        case("after DATA", PROTOCOL).post(1, "/never").frame(kind::DATA, 0, 1, b"x").frame(
            kind::CONTINUATION,
            END_HEADERS,
            1,
            &block,
        ),
    ]
}
