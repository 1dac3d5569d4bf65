//! A raw HTTP/2 client: sends header sections as they are, opens windows only where a test says
//! so, and reads answers.

use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use crate::h2_wire::{Event, INITIAL_WINDOW, Link, PREFACE};
use crate::hpack::FieldLines;

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As a message does.
    Whole,
    /// Its stream was reset with this code.
    Reset(u32),
    /// The connection was told to go away with this code, or `None` where it just closed.
    Gone(Option<u32>),
    /// Nothing more came in time.
    Stalled,
}

/// What came on one stream.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Header sections: interim ones, the final one, trailers.
    pub sections: Vec<FieldLines>,
    /// Its content.
    pub content: Vec<u8>,
    /// How it ended.
    pub ending: Ending,
}

impl Answer {
    /// The status of the final response; 0 if none came.
    #[must_use]
    pub fn status(&self) -> u16 {
        let statuses = self.sections.iter().filter_map(|fields| value(fields, ":status"));
        statuses.filter_map(|status| status.parse().ok()).find(|s| *s >= 200).unwrap_or(0)
    }

    /// Its content as text.
    #[must_use]
    pub fn text(&self) -> String {
        crate::wire::latin1(&self.content)
    }

    /// The value of a field in any of its sections.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.sections.iter().find_map(|fields| value(fields, name))
    }
}

/// The first value of a field.
#[must_use]
pub fn value<'a>(fields: &'a FieldLines, name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// A connection.
pub struct H2Client {
    /// The connection itself.
    pub link: Link,
    next: u32,
    going: bool,
}

impl H2Client {
    /// Connects; windows are of the usual size.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// Connects; streams have this window to begin with.
    #[must_use]
    pub fn connect_narrow(address: SocketAddr, window: u32) -> Self {
        Self::connect_with(address, &[(INITIAL_WINDOW, window)])
    }

    /// Connects from the given local address, such as 127.0.0.2.
    #[must_use]
    pub fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
            .expect("socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("bind");
        socket.connect(&address.into()).expect("the proxy listens");
        Self::over(socket.into(), &[])
    }

    fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::over(TcpStream::connect(address).expect("the proxy listens"), settings)
    }

    fn over(stream: TcpStream, settings: &[(u16, u32)]) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        let mut link = Link::new(stream);
        link.send_raw(PREFACE);
        link.send_settings(settings);
        Self { link, next: 1, going: false }
    }

    /// Whether it was told to open no more streams.
    #[must_use]
    pub fn is_told_to_go(&self) -> bool {
        self.going
    }

    /// Notes that it opens no more streams: for who reads what comes by [`Self::link`].
    pub fn told_to_go(&mut self) {
        self.going = true;
    }

    /// The head of a request, in the usual order; more fields follow it.
    #[must_use]
    pub fn head<'a>(
        method: &'a str,
        path: &'a str,
        more: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        let mut fields = vec![
            (":method", method),
            (":scheme", "http"),
            (":authority", "origin.test"),
            (":path", path),
        ];
        fields.extend(more);
        fields
    }

    /// Sends a header section on a new stream, as it is.
    pub fn begin<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(N, V)], end: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.link.send_fields(stream, fields, end);
        stream
    }

    /// Sends a header section on a new stream, and reads what comes of it.
    pub fn ask<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(N, V)]) -> Answer {
        let stream = self.begin(fields, true);
        self.answer(stream)
    }

    /// Sends a GET and reads its answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(&Self::head("GET", path, &[]))
    }

    /// Reads what comes on this stream, until its end; what comes on others is dropped.
    pub fn answer(&mut self, stream: u32) -> Answer {
        let mut answer =
            Answer { sections: Vec::new(), content: Vec::new(), ending: Ending::Stalled };
        loop {
            let event = self.link.event();
            let ended = match event {
                Event::Fields { stream: on, fields, end } if on == stream => {
                    answer.sections.push(fields);
                    end
                }
                Event::Data { stream: on, content, end } if on == stream => {
                    answer.content.extend(content);
                    end
                }
                Event::Reset { stream: on, code } if on == stream => {
                    answer.ending = Ending::Reset(code);
                    return answer;
                }
                // In good order it takes no new streams, and answers those it has.
                Event::GoAway { last, code } => {
                    self.going = true;
                    if last < stream || code != 0 {
                        answer.ending = Ending::Gone(Some(code));
                        return answer;
                    }
                    false
                }
                Event::Closed => {
                    answer.ending = Ending::Gone(None);
                    return answer;
                }
                Event::Silence => return answer,
                _ => false,
            };
            if ended {
                answer.ending = Ending::Whole;
                return answer;
            }
        }
    }
}
