//! Content that grows a thousandfold, made without much work.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;

pub const MEGABYTE: usize = 1 << 20;

/// So many megabytes of zeros.
pub fn bomb(coding: &str, megabytes: usize) -> Bytes {
    let zeros = vec![0; MEGABYTE];
    match coding {
        "gzip" => {
            // Members make it quick to write.
            let mut one = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
            one.write_all(&zeros).unwrap();
            one.finish().unwrap().repeat(megabytes).into()
        }
        "deflate" => {
            // So do blocks that end at a byte; then an empty one, which is the last.
            let mut block = Vec::with_capacity(64 * 1024);
            let mut one = flate2::Compress::new(Compression::best(), false);
            one.compress_vec(&zeros, &mut block, flate2::FlushCompress::Full).unwrap();
            assert_eq!(one.total_in(), MEGABYTE as u64);
            [block.repeat(megabytes), vec![3, 0]].concat().into()
        }
        "br" => {
            let mut out = Vec::new();
            let mut one = brotli::CompressorWriter::new(&mut out, MEGABYTE, 5, 22);
            for _ in 0..megabytes {
                one.write_all(&zeros).unwrap();
            }
            drop(one);
            out.into()
        }
        "zstd" => zstd::encode_all(&zeros[..], 1).unwrap().repeat(megabytes).into(),
        _ => unreachable!(),
    }
}

/// Ordinary content in one coding.
pub fn coded_as(coding: &str, content: &[u8]) -> Bytes {
    match coding {
        "gzip" => {
            let mut one = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
            one.write_all(content).unwrap();
            one.finish().unwrap().into()
        }
        "deflate" => {
            let mut one = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
            one.write_all(content).unwrap();
            one.finish().unwrap().into()
        }
        "br" => {
            let mut out = Vec::new();
            brotli::CompressorWriter::new(&mut out, 4096, 3, 18).write_all(content).unwrap();
            out.into()
        }
        "zstd" => zstd::encode_all(content, 1).unwrap().into(),
        _ => unreachable!(),
    }
}
