//! ObserveLayer: access log and metrics as views of the exchange record.
