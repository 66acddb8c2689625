//! Compressed data: made for planted leaks, and unpacked wherever it lies in what is searched.

use std::io::{Read, Write as _};

use brotli::{CompressorWriter, Decompressor};
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::Form;

/// Most that is unpacked from one stream.
const MOST: u64 = 64 << 20;

pub(super) fn pack(form: Form, text: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory cannot fail";
    let level = Compression::default();
    match form {
        Form::Gzip => {
            let mut stream = GzEncoder::new(Vec::new(), level);
            stream.write_all(text).expect(IN_MEMORY);
            stream.finish().expect(IN_MEMORY)
        }
        Form::Zlib => {
            let mut stream = ZlibEncoder::new(Vec::new(), level);
            stream.write_all(text).expect(IN_MEMORY);
            stream.finish().expect(IN_MEMORY)
        }
        Form::Deflate => {
            let mut stream = DeflateEncoder::new(Vec::new(), level);
            stream.write_all(text).expect(IN_MEMORY);
            stream.finish().expect(IN_MEMORY)
        }
        _ => {
            let mut stream = CompressorWriter::new(Vec::new(), 4096, 5, 22);
            stream.write_all(text).expect(IN_MEMORY);
            stream.into_inner()
        }
    }
}

/// The contents of every compressed stream in there. Those with a signature are found wherever they begin, the others
/// when they are the whole. Streams that break off give what came before.
pub(super) fn unpack_all(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    for at in 0..bytes.len().saturating_sub(2) {
        let rest = &bytes[at..];
        if rest.starts_with(&[0x1f, 0x8b, 8]) {
            contents.push(read(MultiGzDecoder::new(rest)));
        } else if rest[0] == 0x78 && matches!(rest[1], 0x01 | 0x5e | 0x9c | 0xda) {
            contents.push(read(ZlibDecoder::new(rest)));
        }
    }
    contents.push(read(DeflateDecoder::new(bytes)));
    contents.push(read(Decompressor::new(bytes, 4096)));
    contents.retain(|content| !content.is_empty());
    contents
}

fn read(stream: impl Read) -> Vec<u8> {
    let mut content = Vec::new();
    // What came before an error counts.
    let _ = stream.take(MOST).read_to_end(&mut content);
    content
}
