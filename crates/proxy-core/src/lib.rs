//! The vocabulary of the proxy: body, error, exchange record, request head, target forms, framing, hygiene.
