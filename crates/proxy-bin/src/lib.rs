//! proxyd: a forward proxy and gateway.
