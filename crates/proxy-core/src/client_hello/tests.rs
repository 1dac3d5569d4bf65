use proptest::prelude::*;

use super::*;

/// What real clients sent to a server on loopback.
const RECORDED: &[(&str, &[u8])] = &[
    ("openssl_tls13", include_bytes!("../../tests/data/client_hello/openssl_tls13.bin")),
    ("openssl_tls12", include_bytes!("../../tests/data/client_hello/openssl_tls12.bin")),
    (
        "openssl_tls10_without_name",
        include_bytes!("../../tests/data/client_hello/openssl_tls10_without_name.bin"),
    ),
    ("curl", include_bytes!("../../tests/data/client_hello/curl.bin")),
    ("python_address", include_bytes!("../../tests/data/client_hello/python_address.bin")),
    ("chromium", include_bytes!("../../tests/data/client_hello/chromium.bin")),
];

fn recorded(name: &str) -> &'static [u8] {
    RECORDED.iter().find(|(own, _)| *own == name).expect("recorded").1
}

fn read(bytes: &[u8]) -> HelloProgress {
    ClientHelloReader::default().feed(bytes).clone()
}

fn hello(bytes: &[u8]) -> ClientHello {
    match read(bytes) {
        HelloProgress::Hello(hello) => *hello,
        other => panic!("{other:?}"),
    }
}

fn fault(bytes: &[u8]) -> HelloFault {
    match read(bytes) {
        HelloProgress::Malformed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

fn vector16(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("length");
    [&length.to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name)].concat()))
}

/// The handshake message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector16(extensions)];
    handshake(1, &body.concat())
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("length").to_be_bytes();
    [&[kind][..], &length[1..], body].concat()
}

/// As records of at most `size` bytes of content.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &vector16(part)].concat();
    message.chunks(size).flat_map(record).collect()
}

fn with(extensions: &[u8]) -> Vec<u8> {
    records(&message(extensions), MAX_FRAGMENT)
}

#[test]
fn hellos_of_real_clients_are_read() {
    type Expected = (&'static str, Option<&'static str>, u16, &'static [&'static str], bool);
    let expected: &[Expected] = &[
        ("openssl_tls13", Some("www.origin.test"), 0x0303, &["h2", "http/1.1"], false),
        ("openssl_tls12", Some("www.origin.test"), 0x0303, &[], false),
        ("openssl_tls10_without_name", None, 0x0301, &[], false),
        ("curl", Some("a.b.origin.test"), 0x0303, &["h2", "http/1.1"], false),
        ("python_address", None, 0x0303, &[], false),
        // GREASE in ciphers, groups, versions and extensions, and a GREASE ECH.
        ("chromium", Some("shop.origin.test"), 0x0303, &["h2", "http/1.1"], true),
    ];
    for (name, server_name, version, alpn, encrypted) in expected {
        let hello = hello(recorded(name));
        assert_eq!(hello.server_name.as_deref(), *server_name, "{name}");
        assert_eq!(hello.legacy_version, *version, "{name}");
        assert_eq!(hello.encrypted_hello, *encrypted, "{name}");
        let offered: Vec<_> = hello.alpn().map(|p| String::from_utf8_lossy(p)).collect();
        assert_eq!(offered, *alpn, "{name}");
    }
}

#[test]
fn what_is_not_tls_is_known_by_its_first_bytes() {
    let not_tls: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-OpenSSH",
        &[0x80, 46, 1, 3, 1],
        &[22, 2],
        &[0],
        &[21, 3],
    ];
    for bytes in not_tls {
        assert_eq!(read(bytes), HelloProgress::NotTls, "{bytes:?}");
    }
    for bytes in [&[][..], &[22], &[22, 3], &[22, 3, 1, 0]] {
        assert_eq!(read(bytes), HelloProgress::More, "{bytes:?}");
    }
}

/// RFC 8446 section 5.1.
#[test]
fn records_may_cut_the_message_anywhere_and_nothing_may_stand_between() {
    let message = message(&server_name(b"x.test"));
    for size in [1, 2, 3, 4, 5, 40, 60] {
        let bytes = records(&message, size);
        assert_eq!(hello(&bytes).server_name.as_deref(), Some("x.test"), "{size}");
        let followed = [&bytes[..], b"\x17\x03\x03early data"].concat();
        assert_eq!(hello(&followed).server_name.as_deref(), Some("x.test"), "{size}");
    }
    let first = records(&message[..10], 10);
    let interleaved = [&first[..], &[21, 3, 3, 0, 2, 1, 0]].concat();
    assert_eq!(fault(&interleaved), HelloFault::Interleaved);
    assert_eq!(fault(&[&first[..], &[22, 3, 1, 0, 0]].concat()), HelloFault::RecordLength);
    assert_eq!(fault(&[22, 3, 1, 0, 0]), HelloFault::RecordLength);
    assert_eq!(fault(&[22, 3, 1, 0x40, 1]), HelloFault::RecordLength);
    assert_eq!(fault(&records(&handshake(2, &[0; 40]), 100)), HelloFault::OtherMessage);
}

#[test]
fn a_name_is_read_as_every_server_reads_it_or_not_at_all() {
    let name = |name: &[u8]| with(&server_name(name));
    assert_eq!(hello(&name(b"X.Test.")).server_name.as_deref(), Some("x.test"));
    assert_eq!(hello(&name(b"192.0.2.1")).server_name.as_deref(), Some("192.0.2.1"));
    assert_eq!(
        hello(&name(b"xn--bcher-kva.test")).server_name.as_deref(),
        Some("xn--bcher-kva.test")
    );
    let bad: &[&[u8]] = &[
        b"",
        b".",
        b"x..test",
        b".x.test",
        b"x.test..",
        b"x\0.test",
        "bücher.test".as_bytes(),
        b"x test",
        &[b'a'; 255],
    ];
    for bytes in bad {
        assert_eq!(fault(&name(bytes)), HelloFault::Name, "{bytes:?}");
    }
    // RFC 6066 section 3: one name of each type, and there is one type.
    let entry = |kind: u8, name: &[u8]| [&[kind][..], &vector16(name)].concat();
    let two = [entry(0, b"a.test"), entry(0, b"b.test")].concat();
    assert_eq!(fault(&with(&extension(0, &vector16(&two)))), HelloFault::Form);
    assert_eq!(fault(&with(&extension(0, &vector16(&entry(1, b"a.test"))))), HelloFault::Form);
    assert_eq!(fault(&with(&extension(0, &[]))), HelloFault::Form);
    assert_eq!(fault(&with(&extension(0, &[0, 0]))), HelloFault::Form);
    // RFC 8446 section 4.2: no extension twice.
    let twice = [server_name(b"a.test"), server_name(b"b.test")].concat();
    assert_eq!(fault(&with(&twice)), HelloFault::Duplicate);
    let alpn = extension(16, &vector16(b"\x02h2"));
    assert_eq!(fault(&with(&[&alpn[..], &alpn].concat())), HelloFault::Duplicate);
    assert_eq!(fault(&with(&extension(16, &vector16(b"\x00")))), HelloFault::Form);
}

#[test]
fn an_encrypted_hello_is_noticed() {
    for kind in [0xfe0d, 0xffce] {
        let bytes = with(&[server_name(b"front.test"), extension(kind, &[0; 200])].concat());
        assert!(hello(&bytes).encrypted_hello, "{kind:x}");
    }
    assert!(!hello(&with(&server_name(b"x.test"))).encrypted_hello);
}

#[test]
fn a_hello_ends_at_the_limit() {
    let fill =
        |size: usize| with(&[extension(21, &vec![0; size]), server_name(b"x.test")].concat());
    let overhead = fill(0).len();
    let fits = fill(DEFAULT_LIMIT - overhead);
    assert_eq!(fits.len(), DEFAULT_LIMIT);
    assert_eq!(hello(&fits).server_name.as_deref(), Some("x.test"));
    // One byte more is refused as soon as its length is read.
    let longer = records(
        &message(&[extension(21, &vec![0; DEFAULT_LIMIT]), server_name(b"x.test")].concat()),
        4000,
    );
    assert_eq!(fault(&longer[..9]), HelloFault::TooLong);
    // The headers of records count: they are kept too.
    let message = message(&extension(21, &vec![0; 4000]));
    assert_eq!(fault(&records(&message, 1)), HelloFault::TooLong);
    let mut reader = ClientHelloReader::new(5);
    assert_eq!(*reader.feed(&[22, 3, 1, 0, 9]), HelloProgress::More);
    assert_eq!(*reader.feed(&[1]), HelloProgress::Malformed(HelloFault::TooLong));
}

#[test]
fn a_hello_without_extensions_is_one() {
    let body = [&[3, 1][..], &[7; 32], &[0], &[0, 2, 0, 10], &[1, 0]].concat();
    let hello = hello(&records(&handshake(1, &body), 1000));
    assert_eq!((hello.server_name, hello.legacy_version), (None, 0x0301));
}

#[test]
fn the_answer_stays() {
    let mut reader = ClientHelloReader::default();
    let first = reader.feed(recorded("curl")).clone();
    assert_eq!(*reader.feed(b"GET / HTTP/1.1\r\n"), first);
    assert_eq!(*reader.progress(), first);
}

fn in_pieces(bytes: &[u8], cuts: &[usize], limit: usize) -> HelloProgress {
    let mut reader = ClientHelloReader::new(limit);
    let mut rest = bytes;
    for cut in cuts {
        let (piece, tail) = rest.split_at((*cut).min(rest.len()));
        reader.feed(piece);
        // The smallest piece of memory that a vector takes is eight bytes.
        assert!(reader.message.capacity() <= limit.max(8), "{}", reader.message.capacity());
        rest = tail;
    }
    reader.feed(rest).clone()
}

/// A recorded hello, cut into records and damaged somewhere.
fn hellos() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (0..RECORDED.len(), 1..2000_usize, edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(which, size, edits, end, whole)| {
            let mut bytes = records(&RECORDED[which].1[RECORD_HEADER..], size);
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !whole {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        bytes in hellos(),
        cuts in proptest::collection::vec(0..200_usize, 0..40),
        limit in prop_oneof![Just(DEFAULT_LIMIT), 0..3000_usize],
    ) {
        let whole = ClientHelloReader::new(limit).feed(&bytes).clone();
        prop_assert_eq!(&in_pieces(&bytes, &cuts, limit), &whole);
        prop_assert_eq!(&in_pieces(&bytes, &vec![1; bytes.len()], limit), &whole);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        start in prop_oneof![Just(&b""[..]), Just(&b"\x16\x03\x01"[..]), Just(&b"\x16\x03\x01\x00\x40\x01\x00\x00"[..])],
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        cuts in proptest::collection::vec(0..20_usize, 0..20),
    ) {
        let bytes = [start, &bytes[..]].concat();
        prop_assert_eq!(in_pieces(&bytes, &cuts, DEFAULT_LIMIT), read(&bytes));
    }

    #[test]
    fn any_extensions_are_read_without_panic(
        extensions in proptest::collection::vec((prop_oneof![Just(0_u16), Just(16), Just(0xfe0d), any::<u16>()], proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let bytes: Vec<u8> = extensions.iter().flat_map(|(kind, data)| extension(*kind, data)).collect();
        let progress = read(&with(&bytes));
        prop_assert!(matches!(progress, HelloProgress::Hello(_) | HelloProgress::Malformed(_)));
    }
}
