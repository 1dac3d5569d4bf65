use super::*;

#[test]
fn the_client_chooses_by_accept() {
    for (accept, expected) in [
        ("text/event-stream", Some(Format::Events)),
        ("Application/X-NDJSON", Some(Format::Lines)),
        ("*/*", None),
        ("text/html", None),
        ("text/event-stream;q=0", None),
        ("application/x-ndjson;q=0.5, text/event-stream;q=0.9", Some(Format::Events)),
    ] {
        let mut fields = HeaderMap::new();
        fields.insert(header::ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(Format::of(&fields), expected, "{accept}");
    }
}

#[test]
fn a_line_is_a_frame_however_it_came() {
    let mut framer = Framer::new(Format::Events);
    assert!(framer.push(Stream::Output, b"a").is_empty());
    let made = framer.push(Stream::Output, b"b\nc\rd\r\n\ne");
    let expected = "event: stdout\ndata: ab\n\nevent: stdout\ndata: c\n\n\
                    event: stdout\ndata: d\n\nevent: stdout\ndata: \n\n";
    assert_eq!(made, expected);
    let exit = Exit { code: Some(7), ..Exit::default() };
    let made = framer.finish(&exit, "failed");
    assert_eq!(
        made,
        "event: stdout\ndata: e\n\nevent: exit\ndata: {\"status\":7,\"why\":\"failed\"}\n\n"
    );
}

#[test]
fn nothing_in_a_line_ends_its_frame() {
    let mut framer = Framer::new(Format::Lines);
    let made = framer.push(Stream::Errors, b"\"},\xff\x00\n");
    let read: serde_json::Value = serde_json::from_slice(&made).unwrap();
    assert_eq!(read["data"], "\"},\u{fffd}\0");
    assert_eq!(made.iter().filter(|byte| **byte == b'\n').count(), 1);
    let exit = Exit { signal: Some(9), ..Exit::default() };
    assert_eq!(
        framer.finish(&exit, "signal"),
        "{\"event\":\"exit\",\"signal\":\"SIGKILL\",\"why\":\"signal\"}\n"
    );
}

#[test]
fn a_line_without_end_is_not_kept() {
    let mut framer = Framer::new(Format::Lines);
    let made = framer.push(Stream::Output, &vec![b'x'; LONGEST_LINE * 2]);
    assert!(!made.is_empty());
    assert!(framer.output.held.len() <= LONGEST_LINE);
}
#[test]
fn an_end_of_two_bytes_is_one_however_it_came() {
    let mut framer = Framer::new(Format::Lines);
    let mut made = framer.push(Stream::Output, b"10%\r").to_vec();
    // It is told at once, though LF may follow.
    assert_eq!(made, b"{\"data\":\"10%\",\"event\":\"stdout\"}\n");
    made.extend(framer.push(Stream::Output, b""));
    made.extend(framer.push(Stream::Output, b"\n"));
    assert_eq!(made.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(framer.push(Stream::Output, b"\r\r\n\n").iter().filter(|b| **b == b'\n').count(), 3);
}

#[test]
fn no_character_is_cut() {
    for shift in 0..4 {
        let text = format!("{}{}", "x".repeat(shift), "😀".repeat(LONGEST_LINE));
        for size in [1000, 40_000, text.len()] {
            let mut framer = Framer::new(Format::Lines);
            let mut made = Vec::new();
            for part in text.as_bytes().chunks(size) {
                made.extend(framer.push(Stream::Output, part));
            }
            made.extend(framer.push(Stream::Output, b"\n"));
            let mut whole = String::new();
            for line in made.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let read: serde_json::Value = serde_json::from_slice(line).unwrap();
                let part = read["data"].as_str().unwrap();
                assert!(part.len() <= LONGEST_LINE, "{}", part.len());
                whole.push_str(part);
            }
            assert!(whole == text, "{shift} {size}");
        }
    }
    // What is no text at all is cut too.
    let mut framer = Framer::new(Format::Lines);
    assert!(!framer.push(Stream::Output, &vec![0x80; LONGEST_LINE * 2]).is_empty());
}
