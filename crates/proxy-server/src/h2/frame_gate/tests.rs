use std::time::Duration;

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    FrameHead { length: payload.len(), kind, flags, stream }.write(&mut out);
    out.put_slice(payload);
    out.to_vec()
}

/// A gate behind the preface and SETTINGS.
fn begun(idle_frames: u32) -> FrameGate {
    let mut gate = FrameGate::new(idle_frames, Instant::now());
    let start = [&[b'x'; PREFACE][..], &frame(SETTINGS, 0, 0, &[])].concat();
    assert_eq!(gate.pass(&start, Instant::now), (start.len(), Then::Wait));
    gate
}

fn judged(gate: &mut FrameGate, bytes: &[u8]) -> Option<Fault> {
    match gate.pass(bytes, Instant::now) {
        (passed, Then::Wait) => {
            assert_eq!(passed, bytes.len());
            None
        }
        (_, Then::End(fault)) => Some(fault),
        (passed, Then::Empty) => {
            assert_eq!(passed + HEAD, bytes.len());
            None
        }
        (_, Then::Trailers(_)) => panic!("trailers"),
    }
}

#[tokio::test(start_paused = true)]
async fn frames_in_pieces_are_judged_as_whole_ones() {
    let good = [
        vec![b'x'; PREFACE],
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1, 0, 3, 0, 0, 0, 9]),
        frame(HEADERS, END_HEADERS, 1, b"block"),
        frame(DATA, 1, 1, b"content"),
        frame(PING, 0, 0, &[0; 8]),
    ]
    .concat();
    let bad = frame(PING, 0, 0, &[0; 7]);
    let all = [good.clone(), bad].concat();
    for size in 1..all.len() {
        let mut gate = FrameGate::new(100, Instant::now());
        let (mut held, mut passed, mut fault) = (Vec::new(), Vec::new(), None);
        for piece in all.chunks(size) {
            held.extend_from_slice(piece);
            let (n, then) = gate.pass(&held, Instant::now);
            passed.extend(held.drain(..n));
            if let Then::End(reason) = then {
                fault = Some(reason);
                break;
            }
        }
        assert_eq!(passed, good, "in pieces of {size}");
        assert_eq!(fault, Some(Fault::Broken(Reason::FRAME_SIZE_ERROR)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_too_large_is_never_seen() {
    let mut gate = FrameGate::new(100, Instant::now());
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
    let start = [&[b'x'; PREFACE][..], &settings].concat();
    let end = Then::End(Fault::Broken(Reason::FLOW_CONTROL_ERROR));
    assert_eq!(gate.pass(&start, Instant::now), (start.len() - 1, end));
}

#[tokio::test(start_paused = true)]
async fn a_second_header_block_is_held_back() {
    let mut gate = begun(100);
    assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, 3, b"block")), None);
    let data = frame(DATA, 0, 3, b"content");
    let both = [data.clone(), frame(HEADERS, END_HEADERS | END_STREAM, 3, b"trailers")].concat();
    let (passed, then) = gate.pass(&both, Instant::now);
    assert_eq!(passed, data.len());
    let Then::Trailers(head) = then else { panic!("{then:?}") };
    assert_eq!((head.stream, head.length), (3, 8));
    // It is shown again until it is there as a whole.
    assert_eq!(gate.pass(&both[passed..], Instant::now), (0, then));
    assert_eq!(gate.took_trailers(head, Instant::now), Ok(()));
    assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, 5, b"block")), None);
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_on_a_stream_that_was_ended() {
    let closed = Some(Fault::Broken(Reason::STREAM_CLOSED));
    let ends = [
        frame(HEADERS, END_HEADERS | END_STREAM, 5, b"block"),
        [frame(HEADERS, END_HEADERS, 5, b"block"), frame(DATA, END_STREAM, 5, b"x")].concat(),
        [frame(HEADERS, END_HEADERS, 5, b"block"), frame(RST_STREAM, 0, 5, &[0; 4])].concat(),
    ];
    for end in ends {
        for later in [frame(DATA, 0, 5, b"x"), frame(HEADERS, END_HEADERS, 5, b"block")] {
            let mut gate = begun(100);
            assert_eq!(judged(&mut gate, &end), None);
            assert_eq!(judged(&mut gate, &later), closed);
        }
    }
    // Nor on one that was never opened and is lower than another.
    let mut gate = begun(100);
    assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, 5, b"block")), None);
    assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, 3, b"block")), closed);
    // Of too many nothing is known.
    let mut gate = begun(100);
    for stream in 1..=1025 {
        assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, stream, b"block")), None);
    }
    assert_eq!(judged(&mut gate, &frame(DATA, END_STREAM, 3, b"x")), None);
    assert_eq!(judged(&mut gate, &frame(DATA, END_STREAM, 3, b"x")), None);
}

#[tokio::test(start_paused = true)]
async fn only_its_own_frames_continue_a_header_block() {
    let broken = Some(Fault::Broken(Reason::PROTOCOL_ERROR));
    let others = [
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, END_HEADERS, 3, b"block"),
        frame(CONTINUATION, END_HEADERS, 3, b"block"),
        frame(PING, 0, 0, &[0; 8]),
        frame(0x60, 0, 0, b"whatever"),
    ];
    for other in others {
        let mut gate = begun(100);
        assert_eq!(judged(&mut gate, &frame(HEADERS, END_STREAM, 1, b"block")), None);
        assert_eq!(judged(&mut gate, &frame(CONTINUATION, 0, 1, b"")), None);
        assert_eq!(judged(&mut gate, &other), broken);
    }
    let mut gate = begun(100);
    assert_eq!(judged(&mut gate, &frame(CONTINUATION, END_HEADERS, 1, b"")), broken);
}

#[tokio::test(start_paused = true)]
async fn frames_that_move_nothing_are_counted() {
    let idle = [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PRIORITY, 0, 1, &[0; 5]),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(RST_STREAM, 0, 1, &[0; 4]),
        frame(DATA, 0, 1, &[]),
        frame(0x60, 0, 0, b"whatever"),
    ];
    for idle in idle {
        let mut gate = begun(12);
        assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, 1, b"block")), None);
        // SETTINGS at the beginning were one, which the stream gave back; of windows it gave five.
        let due = if idle[3] == WINDOW_UPDATE { 17 } else { 12 };
        for _ in 0..due {
            assert_eq!(judged(&mut gate, &idle), None, "{idle:?}");
        }
        assert_eq!(judged(&mut gate, &idle), Some(Fault::Flood));
    }
}

#[tokio::test(start_paused = true)]
async fn time_streams_and_what_is_sent_let_more_come() {
    let ping = frame(PING, 0, 0, &[0; 8]);
    let spent = || {
        let mut gate = begun(101);
        // SETTINGS at the beginning were one.
        assert!((0..100).all(|_| judged(&mut gate, &ping).is_none()));
        gate
    };
    let more = |gate: &mut FrameGate| (0..).take_while(|_| judged(gate, &ping).is_none()).count();
    assert_eq!(more(&mut spent()), 0);

    let mut gate = spent();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(more(&mut gate), 40);

    let mut gate = spent();
    assert_eq!(judged(&mut gate, &frame(HEADERS, END_HEADERS, 1, b"block")), None);
    assert_eq!(more(&mut gate), 5);

    // Acknowledgements are no progress: of SETTINGS and of pings.
    let mut gate = spent();
    gate.sent(HEAD + 100 * (HEAD + 8) + 10 * BACK_A_PIECE);
    assert_eq!(more(&mut gate), 10);
    // Windows are opened more often.
    let mut gate = spent();
    gate.sent(HEAD + 100 * (HEAD + 8) + 500 * WINDOWS_A_PIECE);
    let window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    assert_eq!((0..).take_while(|_| judged(&mut gate, &window).is_none()).count(), 601);
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_stream_that_goes_on_are_counted() {
    let mut gate = begun(101);
    let trailers = frame(HEADERS, END_HEADERS, 1, b"block");
    assert_eq!(judged(&mut gate, &trailers), None);
    let took = (0..).take_while(|_| {
        let (_, Then::Trailers(head)) = gate.pass(&trailers, Instant::now) else { panic!() };
        gate.took_trailers(head, Instant::now).is_ok()
    });
    assert_eq!(took.count(), 101);
}

#[tokio::test(start_paused = true)]
async fn empty_content_is_left_out() {
    let mut gate = begun(100);
    let head = frame(HEADERS, END_HEADERS, 1, b"block");
    let both = [head.clone(), frame(DATA, 0, 1, b""), frame(DATA, END_STREAM, 1, b"")].concat();
    assert_eq!(gate.pass(&both, Instant::now), (head.len(), Then::Empty));
    // Not its end.
    assert_eq!(gate.pass(&both[head.len() + HEAD..], Instant::now), (HEAD, Then::Wait));
}
