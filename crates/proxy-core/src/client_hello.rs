//! What a TLS client says first: a reader for ClientHello, fed as bytes arrive.
//!
//! A proxy that relays bytes it can not decrypt still sees the first message of TLS (RFC 8446
//! section 4.1.2): the server's name (RFC 6066 section 3), the protocols offered (RFC 7301) and
//! whether an encrypted ClientHello hides the rest (RFC 9849). [`ClientHelloReader`] takes the
//! bytes in whatever pieces they come, over any number of records (RFC 8446 section 5.1), and keeps
//! no more of them than its limit.
//!
//! It is stricter than some servers, so that a name is read here as any server reads it: a second
//! `server_name`, a list of several names, or a name that is no ASCII is a fault, never a guess.
//! What follows the ClientHello is not looked at. Without IO, clock or panic.
//!
//! ```
//! use proxy_core::client_hello::{ClientHelloReader, HelloProgress};
//!
//! let mut reader = ClientHelloReader::default();
//! assert!(matches!(reader.feed(b"SSH-2.0-x\r\n"), HelloProgress::NotTls));
//! let mut reader = ClientHelloReader::default();
//! assert!(matches!(reader.feed(b"\x16\x03"), HelloProgress::More));
//! ```

mod message;

use std::fmt;

/// A ClientHello in TLS records: 16 KiB take in the largest that is seen, post-quantum key shares
/// and an encrypted ClientHello included (some 4 KiB), and are one record of the largest size.
pub const DEFAULT_LIMIT: usize = 16 * 1024;

/// The largest content of a record (RFC 8446 section 5.1).
const MAX_FRAGMENT: usize = 16 * 1024;
/// The header of a record: type, version, length.
const RECORD_HEADER: usize = 5;
/// The header of a handshake message: type, length.
const MESSAGE_HEADER: usize = 4;
/// The content type `handshake`.
const HANDSHAKE: u8 = 22;
/// The handshake type `client_hello`.
const CLIENT_HELLO: u8 = 1;

/// What is known after the bytes so far. All but `More` is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloProgress {
    /// So far it is the beginning of a ClientHello, and more must come.
    More,
    /// It is not TLS. An SSL 2.0 ClientHello is not either.
    NotTls,
    /// A whole ClientHello.
    Hello(Box<ClientHello>),
    /// It begins as TLS does, and is no ClientHello that this reader takes.
    Malformed(HelloFault),
}

/// What a ClientHello says of where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// The name in `server_name`, in lower case and without a trailing dot. `None`: it names none.
    pub server_name: Option<Box<str>>,
    /// Whether it carries an encrypted ClientHello (RFC 9849) or its predecessor (`esni`). Then
    /// `server_name` may be that of a front. Browsers also send it where there is nothing to hide
    /// (GREASE ECH), and from outside the two can not be told apart.
    pub encrypted_hello: bool,
    /// `legacy_version`: `0x0303` for TLS 1.2 and 1.3.
    pub legacy_version: u16,
    alpn: Box<[u8]>,
}

impl ClientHello {
    /// The protocols of `application_layer_protocol_negotiation`, in order of preference.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.alpn;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            let (protocol, tail) = tail.split_at_checked(usize::from(length))?;
            rest = tail;
            Some(protocol)
        })
    }
}

/// Why something that begins as TLS is no ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HelloFault {
    /// A record that is empty or longer than records may be.
    RecordLength,
    /// Something else than handshake stands between the parts of the message.
    Interleaved,
    /// A handshake message of another type.
    OtherMessage,
    /// It is longer than the reader's limit.
    TooLong,
    /// Its lengths do not add up, or an extension that is read has the wrong form.
    Form,
    /// An extension that is read stands there twice.
    Duplicate,
    /// The server's name is no host name.
    Name,
}

impl HelloFault {
    /// One word for log and metric label.
    pub const fn token(self) -> &'static str {
        match self {
            Self::RecordLength => "record_length",
            Self::Interleaved => "interleaved_record",
            Self::OtherMessage => "other_message",
            Self::TooLong => "too_long",
            Self::Form => "form",
            Self::Duplicate => "duplicate_extension",
            Self::Name => "server_name",
        }
    }
}

impl fmt::Display for HelloFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Reads a ClientHello. What it answers does not depend on how the bytes are cut into pieces.
#[derive(Debug)]
pub struct ClientHelloReader {
    limit: usize,
    /// Bytes taken in so far, headers of records included.
    taken: usize,
    header: [u8; RECORD_HEADER],
    /// How much of `header` there is; it is whole while a record's content comes.
    header_length: usize,
    /// What the current record still holds.
    record_left: usize,
    /// The handshake message so far; never longer than `limit`.
    message: Vec<u8>,
    progress: HelloProgress,
}

impl Default for ClientHelloReader {
    /// With [`DEFAULT_LIMIT`].
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl ClientHelloReader {
    /// A reader that takes a ClientHello of at most `limit` bytes, headers of records included. It
    /// never allocates more than that.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            header: [0; RECORD_HEADER],
            header_length: 0,
            record_left: 0,
            message: Vec::new(),
            progress: HelloProgress::More,
        }
    }

    /// Takes the next bytes. Once the answer is another than `More` it stays, and bytes are
    /// ignored.
    pub fn feed(&mut self, bytes: &[u8]) -> &HelloProgress {
        if self.progress == HelloProgress::More {
            let within = &bytes[..bytes.len().min(self.limit - self.taken)];
            self.progress = self.take(within);
            self.taken += within.len();
            if self.progress == HelloProgress::More && within.len() < bytes.len() {
                self.progress = HelloProgress::Malformed(HelloFault::TooLong);
            }
            if self.progress != HelloProgress::More {
                self.message = Vec::new();
            }
        }
        &self.progress
    }

    /// What is known so far.
    pub const fn progress(&self) -> &HelloProgress {
        &self.progress
    }

    fn take(&mut self, mut bytes: &[u8]) -> HelloProgress {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.record_left == 0 {
                bytes = rest;
                if let Err(end) = self.take_header(byte) {
                    return end;
                }
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.record_left));
            bytes = rest;
            self.record_left -= part.len();
            match self.take_part(part) {
                HelloProgress::More => {}
                end => return end,
            }
        }
        HelloProgress::More
    }

    /// One byte of a record's header.
    fn take_header(&mut self, byte: u8) -> Result<(), HelloProgress> {
        let wrong = match self.header_length {
            0 => byte != HANDSHAKE,
            // The major version is 3 from SSL 3.0 to TLS 1.3; the minor one says nothing.
            1 => byte != 3,
            _ => false,
        };
        if wrong {
            return Err(match self.message.is_empty() {
                true => HelloProgress::NotTls,
                false => HelloProgress::Malformed(HelloFault::Interleaved),
            });
        }
        self.header[self.header_length] = byte;
        self.header_length += 1;
        if self.header_length == RECORD_HEADER {
            self.header_length = 0;
            self.record_left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            if self.record_left == 0 || self.record_left > MAX_FRAGMENT {
                return Err(HelloProgress::Malformed(HelloFault::RecordLength));
            }
        }
        Ok(())
    }

    /// A part of a record's content.
    fn take_part(&mut self, part: &[u8]) -> HelloProgress {
        let missing = MESSAGE_HEADER.saturating_sub(self.message.len()).min(part.len());
        let (header, content) = part.split_at(missing);
        self.message.extend_from_slice(header);
        if self.message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return HelloProgress::Malformed(HelloFault::OtherMessage);
        }
        let Some(&[_, high, middle, low]) = self.message.first_chunk::<MESSAGE_HEADER>() else {
            return HelloProgress::More;
        };
        let length = MESSAGE_HEADER
            + usize::from(high) * 0x1_0000
            + usize::from(middle) * 0x100
            + usize::from(low);
        if length + RECORD_HEADER > self.limit {
            return HelloProgress::Malformed(HelloFault::TooLong);
        }
        if self.message.capacity() < length {
            self.message.reserve_exact(length - self.message.len());
        }
        let wanted = (length - self.message.len()).min(content.len());
        self.message.extend_from_slice(&content[..wanted]);
        if self.message.len() < length {
            return HelloProgress::More;
        }
        match message::read(&self.message[MESSAGE_HEADER..]) {
            Ok(hello) => HelloProgress::Hello(Box::new(hello)),
            Err(fault) => HelloProgress::Malformed(fault),
        }
    }
}

#[cfg(test)]
mod tests;
