//! The life of streams: RFC 9113 sections 5.1 and 5.2.

use proxyd_tests::h2_wire::kind;

use crate::case::{
    CLOSED_OR_PROTOCOL, Case, END_HEADERS, END_STREAM, FLOW_CONTROL, Must, PROTOCOL,
    REFUSED_OR_PROTOCOL, STREAM_CLOSED, WHOLE, head, setting,
};

pub(crate) fn cases() -> Vec<Case> {
    [idle(), half_closed(), closed(), identifiers(), windows()].concat()
}

fn cancel() -> [u8; 4] {
    8u32.to_be_bytes()
}

fn idle() -> Vec<Case> {
    let case =
        |what: &str| Case::new("5.1", format!("idle: {what}"), Must::EndConnection(PROTOCOL));
    vec![
        case("DATA").frame(kind::DATA, END_STREAM, 1, b"x"),
        case("RST_STREAM").frame(kind::RST_STREAM, 0, 1, cancel()),
        case("WINDOW_UPDATE").frame(kind::WINDOW_UPDATE, 0, 1, 100u32.to_be_bytes()),
        case("CONTINUATION").frame(kind::CONTINUATION, END_HEADERS, 1, head("GET", "/faulty", &[])),
        case("DATA on a stream of the server's").frame(kind::DATA, END_STREAM, 2, b"x"),
        case("RST_STREAM on a stream of the server's").frame(kind::RST_STREAM, 0, 2, cancel()),
    ]
}

fn half_closed() -> Vec<Case> {
    let case = |what: &str, codes| {
        Case::new("5.1", format!("half-closed: {what}"), Must::EndStream(1, codes)).get(1, "/never")
    };
    vec![
        case("DATA", STREAM_CLOSED).frame(kind::DATA, END_STREAM, 1, b"x"),
        case("HEADERS", STREAM_CLOSED).frame(kind::HEADERS, WHOLE, 1, head("GET", "/faulty", &[])),
        case("CONTINUATION", CLOSED_OR_PROTOCOL).frame(kind::CONTINUATION, END_HEADERS, 1, []),
        Case::new("5.1", "half-closed: WINDOW_UPDATE", Must::Answer(1, 200)).get(1, "/").frame(
            kind::WINDOW_UPDATE,
            0,
            1,
            100u32.to_be_bytes(),
        ),
        Case::new("5.1", "half-closed: PRIORITY", Must::Answer(1, 200)).get(1, "/").frame(
            2,
            0,
            1,
            [0, 0, 0, 0, 10],
        ),
        Case::new("5.1", "half-closed: RST_STREAM", Must::GoOn).get(1, "/never").frame(
            kind::RST_STREAM,
            0,
            1,
            cancel(),
        ),
    ]
}

fn closed() -> Vec<Case> {
    let reset = |what: &str, must| {
        Case::new("5.1", format!("closed by the client's reset: {what}"), must)
            .get(1, "/never")
            .frame(kind::RST_STREAM, 0, 1, cancel())
    };
    let ended = |what: &str, must| {
        Case::new("5.1", format!("closed by its end: {what}"), must).get(1, "/").answered(1)
    };
    let again = head("GET", "/faulty", &[]);
    vec![
        reset("DATA", Must::EndStream(1, STREAM_CLOSED)).frame(kind::DATA, END_STREAM, 1, b"x"),
        reset("HEADERS", Must::EndStream(1, STREAM_CLOSED)).frame(kind::HEADERS, WHOLE, 1, &again),
        reset("CONTINUATION", Must::EndConnection(CLOSED_OR_PROTOCOL)).frame(
            kind::CONTINUATION,
            END_HEADERS,
            1,
            &again,
        ),
        reset("PRIORITY", Must::GoOn).frame(2, 0, 1, [0, 0, 0, 0, 10]),
        reset("RST_STREAM", Must::GoOn).frame(kind::RST_STREAM, 0, 1, cancel()),
        ended("DATA", Must::EndStream(1, STREAM_CLOSED)).frame(kind::DATA, END_STREAM, 1, b"x"),
        ended("HEADERS", Must::EndConnection(STREAM_CLOSED)).frame(kind::HEADERS, WHOLE, 1, &again),
        ended("CONTINUATION", Must::EndConnection(CLOSED_OR_PROTOCOL)).frame(
            kind::CONTINUATION,
            END_HEADERS,
            1,
            &again,
        ),
        ended("PRIORITY", Must::GoOn).frame(2, 0, 1, [0, 0, 0, 0, 10]),
        ended("RST_STREAM", Must::GoOn).frame(kind::RST_STREAM, 0, 1, cancel()),
        ended("WINDOW_UPDATE", Must::GoOn).frame(kind::WINDOW_UPDATE, 0, 1, 9u32.to_be_bytes()),
    ]
}

fn identifiers() -> Vec<Case> {
    let mut many = Case::new(
        "5.1.2",
        "more streams than the server takes",
        Must::Refuse(17, REFUSED_OR_PROTOCOL),
    );
    for stream in (1..=17).step_by(2) {
        many = many.post(stream, "/open");
    }
    vec![
        Case::new("5.1.1", "an even identifier", Must::EndConnection(PROTOCOL)).get(2, "/faulty"),
        Case::new(
            "5.1.1",
            "an identifier lower than one before",
            Must::EndConnection(CLOSED_OR_PROTOCOL),
        )
        .get(5, "/")
        .answered(5)
        .get(3, "/faulty"),
        Case::new("5.1.1", "identifiers left out", Must::Answer(9, 200))
            .get(1, "/")
            .answered(1)
            .get(9, "/"),
        many,
    ]
}

fn windows() -> Vec<Case> {
    let most = 0x7fff_ffffu32.to_be_bytes();
    vec![
        Case::new(
            "6.9.1",
            "a connection's window above 2^31 - 1",
            Must::EndConnection(FLOW_CONTROL),
        )
        .frame(kind::WINDOW_UPDATE, 0, 0, most)
        .frame(kind::WINDOW_UPDATE, 0, 0, most),
        Case::new("6.9.1", "a stream's window above 2^31 - 1", Must::EndStream(1, FLOW_CONTROL))
            .post(1, "/faulty")
            .frame(kind::WINDOW_UPDATE, 0, 1, most)
            .frame(kind::WINDOW_UPDATE, 0, 1, most),
        Case::new("6.9.2", "a first window of one byte", Must::Answer(1, 200))
            .frame(kind::SETTINGS, 0, 0, setting(4, 1))
            .get(1, "/"),
        Case::new("6.9.2", "a window made smaller than what was sent", Must::Answer(3, 200))
            .get(1, "/")
            .answered(1)
            .frame(kind::SETTINGS, 0, 0, setting(4, 0))
            .frame(kind::SETTINGS, 0, 0, setting(4, 65_535))
            .get(3, "/"),
        Case::new(
            "6.9.2",
            "a first window that makes an open one too large",
            Must::EndConnection(FLOW_CONTROL),
        )
        .post(1, "/faulty")
        .frame(kind::WINDOW_UPDATE, 0, 1, 1_000_000u32.to_be_bytes())
        .frame(kind::SETTINGS, 0, 0, setting(4, 0x7fff_ffff)),
    ]
}
