//! Floods over HTTP/2: frames that cost a client nothing. Each must be ended by the proxy within
//! 3,000 frames, with the right code and a count, while others are served and memory stays.

use std::net::SocketAddr;

use proxyd_tests::configured;
use proxyd_tests::h2_client::{Ending, H2Client};
use proxyd_tests::h2_wire::{Event, INITIAL_WINDOW, code, kind};
use proxyd_tests::hpack;
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::waiting;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PRIORITY: u8 = 2;
/// What a flood may grow the process by, in KiB.
const ROOM: u64 = 16 * 1024;
/// And a hundred answers of 100 KB that wait for their windows, which an upstream's buffers hold too.
const ROOM_FOR_ANSWERS: u64 = 48 * 1024;

fn start(origin: &Origin, limits: &str) -> Proxyd {
    configured::gateway(&origin.url(), "protocols = [\"h1\", \"h2\"]", limits).start()
}

fn origin() -> Origin {
    Origin::answering(|request, _| match request.head.target.as_str() {
        "/never" => Vec::new(),
        "/large" => {
            let content = "x".repeat(100_000);
            vec![
                Act::send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
                Act::send(&content),
            ]
        }
        _ => ok("hello"),
    })
}

/// What an honest client, and the process, must look like whatever a flood does.
struct Honest {
    client: H2Client,
    resident: u64,
    room: u64,
}

impl Honest {
    fn new(proxy: &Proxyd) -> Self {
        let mut honest =
            Self { client: H2Client::connect(proxy.address()), resident: 0, room: ROOM };
        honest.check(proxy);
        honest.resident = proxy.resident_kib();
        honest
    }

    fn check(&mut self, proxy: &Proxyd) {
        let answer = self.client.get("/");
        assert_eq!((answer.status(), answer.ending), (200, Ending::Whole));
        if self.resident > 0 {
            let grown = proxy.resident_kib().saturating_sub(self.resident);
            assert!(grown < self.room, "{grown} KiB more");
        }
    }
}

/// A client's frames as bytes.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn head(path: &str) -> Vec<u8> {
    hpack::encode(&H2Client::head("GET", path, &[]))
}

/// Sends all of it and says with which code the connection was ended, and that it is over.
fn ended(address: SocketAddr, flood: &[u8]) -> u32 {
    let mut client = H2Client::connect(address);
    client.link.send_raw(flood);
    let mut with = None;
    loop {
        match client.link.event() {
            Event::GoAway { code, .. } => with = Some(code),
            Event::Closed => return with.expect("a GOAWAY before the end"),
            Event::Silence => panic!("it may go on, after {with:?}"),
            _ => {}
        }
    }
}

/// Waits until so many connections are counted under these reasons together: what the HTTP/2 library
/// itself finds too much is told apart.
fn counted(proxy: &Proxyd, reasons: &[&str], times: u32) {
    waiting::until(&format!("{times} of {reasons:?}"), || {
        let metrics = proxy.ask_admin("/metrics").text();
        let count = |reason: &&str| -> u32 {
            let name = format!("proxy_server_timeouts_total{{reason=\"{reason}\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
            count.unwrap_or(0)
        };
        (reasons.iter().map(count).sum::<u32>() == times).then_some(())
    });
}

#[test]
fn frames_that_move_nothing_are_ended() {
    let origin = origin();
    let proxy = start(&origin, "");
    let mut honest = Honest::new(&proxy);
    let open = frame(kind::HEADERS, END_HEADERS, 1, &head("/never"));
    let trailers = hpack::encode(&[("x-a", "b")]);
    let floods: [(&str, Vec<u8>, Vec<u8>); 8] = [
        ("PING", Vec::new(), frame(kind::PING, 0, 0, &[0; 8])),
        ("SETTINGS", Vec::new(), frame(kind::SETTINGS, 0, 0, &[])),
        ("SETTINGS that change", Vec::new(), frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 9])),
        ("PRIORITY", Vec::new(), frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 1])),
        ("unknown kinds", Vec::new(), frame(0x60, 0, 0, b"whatever")),
        ("trailers", open.clone(), frame(kind::HEADERS, END_HEADERS, 1, &trailers)),
        ("empty DATA", open.clone(), frame(kind::DATA, 0, 1, &[])),
        ("WINDOW_UPDATE", open, frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
    ];
    for (name, first, frame) in floods {
        let flood = [first, frame.repeat(3_000)].concat();
        assert_eq!(ended(proxy.address(), &flood), code::ENHANCE_YOUR_CALM, "{name}");
        honest.check(&proxy);
    }
    counted(&proxy, &["idle_frames", "http2_flood"], 8);
}

/// CVE-2023-44487, all at once.
#[test]
fn rapid_resets_are_ended() {
    let origin = origin();
    let proxy = start(&origin, "");
    let mut honest = Honest::new(&proxy);
    let block = head("/never");
    let mut flood = Vec::new();
    for stream in (1..3_000).step_by(2) {
        flood.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block));
        flood.extend(frame(kind::RST_STREAM, 0, stream, &code::CANCEL.to_be_bytes()));
    }
    assert_eq!(ended(proxy.address(), &flood), code::ENHANCE_YOUR_CALM);
    honest.check(&proxy);
    counted(&proxy, &["stream_resets", "http2_flood"], 1);
}

/// What makes the server reset a stream.
type Wrong = fn(u32) -> Vec<u8>;

/// CVE-2025-8671, `MadeYouReset`: the client has the server reset its streams.
#[test]
fn streams_that_make_us_reset_them_are_ended() {
    let origin = origin();
    let proxy = start(&origin, "");
    let mut honest = Honest::new(&proxy);
    let block = head("/never");
    let wrong: [(&str, Wrong); 3] = [
        ("no more window", |stream| frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("a window too large", |stream| {
            let most = frame(kind::WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
            most.repeat(2)
        }),
        ("malformed trailers", |stream| {
            frame(kind::HEADERS, END_HEADERS, stream, &hpack::encode(&[("x-a", "b")]))
        }),
    ];
    for (name, wrong) in wrong {
        let mut flood = Vec::new();
        for stream in (1..3_000).step_by(2) {
            flood.extend(frame(kind::HEADERS, END_HEADERS, stream, &block));
            flood.extend(wrong(stream));
        }
        let code = ended(proxy.address(), &flood);
        assert!([code::ENHANCE_YOUR_CALM, code::PROTOCOL_ERROR].contains(&code), "{name}: {code}");
        honest.check(&proxy);
    }
}

/// A block of a few bytes that stands for megabytes, again and again.
#[test]
fn header_blocks_that_unfold_are_refused() {
    let origin = origin();
    let proxy = start(&origin, "");
    let mut honest = Honest::new(&proxy);
    // A field of 4,000 bytes is remembered, and then named 16,000 times.
    let mut block = head("/never");
    block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
    block.extend(vec![b'x'; 4_000]);
    let mut flood = Vec::new();
    for stream in (1..200).step_by(2) {
        flood.extend(frame(kind::HEADERS, END_STREAM, stream, &block));
        flood.extend(frame(kind::CONTINUATION, END_HEADERS, stream, &[0xbe; 16_000]));
    }
    let mut client = H2Client::connect(proxy.address());
    client.link.send_raw(&flood);
    let mut refused = 0;
    while refused < 100 {
        match client.link.event() {
            Event::Fields { fields, .. } => {
                assert_eq!(fields[0], (":status".into(), "431".into()));
                refused += 1;
            }
            Event::Reset { .. } => refused += 1,
            Event::GoAway { code, .. } => {
                assert_ne!(code, 0);
                break;
            }
            Event::Closed => break,
            Event::Silence => panic!("nothing comes of it after {refused}"),
            Event::Data { .. } => {}
        }
    }
    assert!(!origin.lines().iter().any(|line| line.contains("/never")));
    honest.check(&proxy);
}

#[test]
fn streams_without_a_window_hold_little_and_end() {
    let origin = origin();
    let proxy = start(&origin, "[server.timeouts]\nwrite = \"1s\"\n");
    let mut honest = Honest::new(&proxy);
    honest.room = ROOM_FOR_ANSWERS;
    let block = head("/large");
    let mut flood =
        frame(kind::SETTINGS, 0, 0, &[0, u8::try_from(INITIAL_WINDOW).unwrap(), 0, 0, 0, 0]);
    for stream in (1..2_000).step_by(2) {
        flood.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block));
    }
    let mut client = H2Client::connect(proxy.address());
    client.link.send_raw(&flood);
    let (mut refused, mut given_up) = (0, 0);
    // h2 takes a hundred streams at a time; all others it refuses.
    while refused + given_up < 1_000 {
        match client.link.event() {
            Event::Reset { code: code::REFUSED_STREAM, .. } => refused += 1,
            Event::Reset { code: code::CANCEL, .. } => given_up += 1,
            Event::Fields { end, .. } => assert!(!end),
            Event::GoAway { code, .. } => {
                assert_ne!(code, 0);
                break;
            }
            other => panic!("{other:?} after {refused} and {given_up}"),
        }
        if (refused + given_up) % 100 == 0 {
            honest.check(&proxy);
        }
    }
    let some = |metrics: &str| metrics.contains("timeouts_total{reason=\"write\"}");
    waiting::until("a count", || some(&proxy.ask_admin("/metrics").text()).then_some(()));
}

/// What looks like a flood is none: pings of a long-lived connection, windows opened for each
/// piece, content of a byte.
#[test]
fn honest_clients_are_not_taken_for_floods() {
    let origin = origin();
    let proxy = start(&origin, "[server.limits]\nh2_idle_frames = 200\n");
    let mut client = H2Client::connect(proxy.address());
    for _ in 0..30 {
        let stream = client.begin(&H2Client::head("GET", "/large", &[]), true);
        let mut left = 100_000;
        while left > 0 {
            match client.link.event() {
                Event::Data { content, .. } => {
                    left -= content.len();
                    let more = u32::try_from(content.len()).expect("a length");
                    // Twice as often as needed.
                    for part in [1, more - 1].into_iter().filter(|part| *part > 0) {
                        client.link.send_window(0, part);
                        client.link.send_window(stream, part);
                    }
                }
                Event::Fields { .. } => {}
                other => panic!("{other:?} with {left} left"),
            }
        }
    }
    let stream = client.begin(&H2Client::head("POST", "/", &[]), false);
    for _ in 0..500 {
        client.link.send_data(stream, b"x", false);
    }
    client.link.send_data(stream, b"", true);
    assert_eq!(client.answer(stream).status(), 200);
    assert_eq!(origin.last().content.len(), 500);
}
