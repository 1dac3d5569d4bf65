use ::brotli::enc::{BrotliAlloc, StandardAlloc};

use super::*;
use crate::decode::{ContentDecoder, decoder};

fn settings(coding: Coding, len: Option<u64>, live: bool) -> Settings {
    Settings { level: crate::codings::Levels::ON_THE_FLY.of(coding), len, live }
}

/// Everything that these pieces become, through buffers of `room` bytes; flushed after each.
fn code(encoder: &mut Encoder, pieces: &[&[u8]], room: usize, flush: bool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut out = Vec::with_capacity(room);
    for piece in pieces {
        let (mut piece, mut made) = (*piece, Vec::new());
        while !piece.is_empty() {
            let used = encoder.write(piece, &mut out).expect("it codes");
            piece = &piece[used..];
            assert!(used > 0 || !out.is_empty(), "it moves");
            made.append(&mut out);
        }
        while flush && !encoder.flush(&mut out).expect("it flushes") {
            made.append(&mut out);
        }
        made.append(&mut out);
        all.push(made);
    }
    let mut end = Vec::new();
    while !encoder.finish(&mut out).expect("it ends") {
        end.append(&mut out);
    }
    end.append(&mut out);
    all.push(end);
    all
}

fn decode(decoder: &mut dyn ContentDecoder, mut input: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut out = Vec::with_capacity(1024);
    loop {
        let used = decoder.decode(input, &mut out).expect("it decodes");
        input = &input[used..];
        if used == 0 && out.is_empty() {
            return all;
        }
        all.append(&mut out);
    }
}

fn text(len: usize) -> Vec<u8> {
    (0..).flat_map(|n: u32| format!("line {n} of some text; ").into_bytes()).take(len).collect()
}

#[test]
fn what_goes_in_comes_out_whatever_the_room() {
    for coding in Coding::ALL {
        for room in [16, 100, 16 * 1024] {
            for (len, known, live) in
                [(0, true, false), (1, false, true), (200_000, true, false), (200_000, false, true)]
            {
                let content = text(len);
                let known = known.then_some(len as u64);
                let mut encoder =
                    Encoder::new(coding, settings(coding, known, live)).expect("an encoder");
                let pieces: Vec<&[u8]> = content.chunks(70_000).collect();
                let coded = code(&mut encoder, &pieces, room, false).concat();
                let mut decoder = decoder(coding.token()).expect("a decoder");
                assert!(decode(&mut *decoder, &coded) == content, "{coding} {len} {room}");
                assert!(decoder.is_ended(), "{coding} {len}");
            }
        }
    }
}

#[test]
fn what_is_flushed_can_be_read() {
    for coding in Coding::ALL {
        let pieces = [&b"a"[..], b"b", &text(100_000), b"c"];
        for room in [20, 1000] {
            let mut encoder =
                Encoder::new(coding, settings(coding, None, true)).expect("an encoder");
            let coded = code(&mut encoder, &pieces, room, true);
            let mut decoder = decoder(coding.token()).expect("a decoder");
            for (piece, coded) in pieces.iter().zip(&coded) {
                assert!(decode(&mut *decoder, coded) == *piece, "{coding} {room}");
            }
        }
    }
}

#[test]
fn a_used_one_is_as_good_as_new() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let mut settings = settings(coding, Some(50_000), false);
        let content = text(50_000);
        let new = code(&mut Encoder::new(coding, settings).expect("one"), &[&content], 999, false);
        let mut used = Encoder::new(coding, Settings { level: 1, ..settings }).expect("one");
        // Left in mid-content.
        used.write(&text(9_999), &mut Vec::with_capacity(10)).expect("it codes");
        assert!(used.renew(settings));
        assert_eq!(code(&mut used, &[&content], 999, false), new, "{coding}");
        settings.len = None;
        assert!(used.renew(settings));
        let coded = code(&mut used, &[&content], 999, false).concat();
        assert!(decode(&mut *decoder(coding.token()).expect("one"), &coded) == content);
    }
}

#[test]
fn weights_of_zstd_are_not_too_low() {
    // What zstd says of itself, against what the pool counts.
    for level in [1, 3, 6, 12, 19, 22] {
        for (len, live) in [
            (Some(10_000), false),
            (Some(200_000), false),
            (Some(4 << 20), false),
            (Some(8 << 20), false),
            (None, false),
            (None, true),
        ] {
            let settings = Settings { level, len, live };
            let mut zstd = Zstd::new(settings).expect("one");
            zstd.write(&text(5000), &mut Vec::with_capacity(100)).expect("it codes");
            let (is, counted) = (zstd.size(), Zstd::weight(settings));
            assert!(is <= counted * 5 / 4, "{settings:?}: {is}, counted {counted}");
        }
    }
}

/// Counts what the encoder of br holds, and how much it was at most.
#[derive(Clone, Default)]
struct Counting(std::rc::Rc<std::cell::Cell<(usize, usize)>>);

impl<T: Clone + Default> ::brotli::Allocator<T> for Counting {
    type AllocatedMemory = <StandardAlloc as ::brotli::Allocator<T>>::AllocatedMemory;

    fn alloc_cell(&mut self, len: usize) -> Self::AllocatedMemory {
        let (held, most) = self.0.get();
        let held = held + len * size_of::<T>();
        self.0.set((held, most.max(held)));
        StandardAlloc::default().alloc_cell(len)
    }

    fn free_cell(&mut self, data: Self::AllocatedMemory) {
        let (held, most) = self.0.get();
        let size = size_of_val(::brotli::SliceWrapper::slice(&data));
        self.0.set((held.saturating_sub(size), most));
    }
}

impl BrotliAlloc for Counting {}

#[test]
fn weights_of_br_are_not_too_low() {
    for level in 0..=11 {
        for (len, live) in
            [(Some(2000), false), (Some(200_000), false), (None, false), (None, true)]
        {
            let settings = Settings { level, len, live };
            let counting = Counting::default();
            let counted = Brotli::weight(settings);
            // The highest levels take their time; their tables are as large for less.
            let most = if level > 8 { 50_000 } else { 300_000 };
            let content = text(len.unwrap_or(most).min(most) as usize);
            brotli::code_with(counting.clone(), settings, &content);
            let most = counting.0.get().1;
            assert!(most > 0 && most <= counted * 5 / 4, "{settings:?}: {most}, counted {counted}");
        }
    }
}
