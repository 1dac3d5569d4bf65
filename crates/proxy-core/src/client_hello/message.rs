//! The message itself: RFC 8446 section 4.1.2, and the three extensions that are read.

use super::{ClientHello, HelloFault};

/// RFC 6066 section 3.
const SERVER_NAME: u16 = 0;
/// RFC 7301.
const ALPN: u16 = 16;
/// RFC 9849.
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// `encrypted_server_name` of draft-ietf-tls-esni-02, which came before.
const ENCRYPTED_SERVER_NAME: u16 = 0xffce;
/// The longest name that DNS carries, and a trailing dot.
const MAX_NAME: usize = 254;

/// Reads the content of a whole ClientHello message.
pub(super) fn read(message: &[u8]) -> Result<ClientHello, HelloFault> {
    let mut rest = Cursor(message);
    let legacy_version = rest.u16()?;
    if legacy_version >> 8 != 3 {
        return Err(HelloFault::Form);
    }
    // random
    rest.bytes(32)?;
    if rest.vector8()?.len() > 32 {
        return Err(HelloFault::Form);
    }
    let cipher_suites = rest.vector16()?.len();
    if cipher_suites == 0 || cipher_suites % 2 != 0 {
        return Err(HelloFault::Form);
    }
    // compression methods
    if rest.vector8()?.is_empty() {
        return Err(HelloFault::Form);
    }
    let mut hello = ClientHello {
        server_name: None,
        encrypted_hello: false,
        legacy_version,
        alpn: Box::default(),
    };
    // TLS 1.2 and older: there may be no extensions at all (RFC 5246 section 7.4.1.2).
    if rest.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Cursor(rest.vector16()?);
    rest.end()?;
    let mut has_alpn = false;
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        match kind {
            SERVER_NAME if hello.server_name.is_some() => return Err(HelloFault::Duplicate),
            SERVER_NAME => hello.server_name = Some(server_name(data)?),
            ALPN if has_alpn => return Err(HelloFault::Duplicate),
            ALPN => {
                has_alpn = true;
                hello.alpn = protocols(data)?;
            }
            ENCRYPTED_CLIENT_HELLO | ENCRYPTED_SERVER_NAME => hello.encrypted_hello = true,
            _ => {}
        }
    }
    Ok(hello)
}

/// The one name of a `ServerNameList`. Several of one type are forbidden, and `host_name` is the
/// only type there is; servers that read a longer list differ in which name they take.
fn server_name(data: &[u8]) -> Result<Box<str>, HelloFault> {
    let mut rest = Cursor(data);
    let mut list = Cursor(rest.vector16()?);
    rest.end()?;
    if list.u8()? != 0 {
        return Err(HelloFault::Form);
    }
    let name = list.vector16()?;
    list.end()?;
    if name.is_empty() || name.len() > MAX_NAME || !name.iter().all(u8::is_ascii_graphic) {
        return Err(HelloFault::Name);
    }
    let name = std::str::from_utf8(name).map_err(|_| HelloFault::Name)?;
    // RFC 6066 has no trailing dot; some clients send one, and servers ignore it.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.split('.').any(str::is_empty) {
        return Err(HelloFault::Name);
    }
    Ok(name.to_ascii_lowercase().into())
}

/// A `ProtocolNameList`, without the length in front of it.
fn protocols(data: &[u8]) -> Result<Box<[u8]>, HelloFault> {
    let mut rest = Cursor(data);
    let list = rest.vector16()?;
    rest.end()?;
    let mut names = Cursor(list);
    while !names.0.is_empty() {
        if names.vector8()?.is_empty() {
            return Err(HelloFault::Form);
        }
    }
    Ok(list.into())
}

/// What is left to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], HelloFault> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(HelloFault::Form)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, HelloFault> {
        Ok(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, HelloFault> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector with its length in one byte.
    fn vector8(&mut self) -> Result<&'a [u8], HelloFault> {
        let length = self.u8()?;
        self.bytes(length.into())
    }

    /// A vector with its length in two bytes.
    fn vector16(&mut self) -> Result<&'a [u8], HelloFault> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), HelloFault> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloFault::Form) }
    }
}
