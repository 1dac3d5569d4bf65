//! What the edges of HTTP/2 and HTTP/3 share: many streams on one connection.

pub(crate) mod head;
pub(crate) mod interim;
pub(crate) mod response_head;
pub(crate) mod streams;
