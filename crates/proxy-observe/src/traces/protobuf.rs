//! The few pieces of protobuf that OTLP needs, written straight into bytes: a message is written
//! once and never read, so there is nothing to gain from types that are generated.
//!
//! Field numbers are those of opentelemetry-proto 1.x: `trace/v1/trace.proto`,
//! `common/v1/common.proto`, `resource/v1/resource.proto`, `collector/trace/v1/trace_service.proto`.

/// A message under construction.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// Longer values are cut.
const LONGEST: usize = 1024;

impl Message {
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.varint(u64::from(field << 3 | 2));
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, &value.as_bytes()[..value.floor_char_boundary(LONGEST)])
    }

    pub(super) fn number(&mut self, field: u32, value: u64) -> &mut Self {
        self.varint(u64::from(field << 3));
        self.varint(value);
        self
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) -> &mut Self {
        self.varint(u64::from(field << 3 | 1));
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0)
    }

    /// A `KeyValue` with a string.
    pub(super) fn attribute(&mut self, field: u32, key: &str, value: &str) -> &mut Self {
        self.message(field, |pair| {
            pair.text(1, key).message(2, |any| {
                any.text(1, value);
            });
        })
    }

    /// A `KeyValue` with a number.
    pub(super) fn count(&mut self, field: u32, key: &str, value: u64) -> &mut Self {
        self.message(field, |pair| {
            pair.text(1, key).message(2, |any| {
                any.number(3, value);
            });
        })
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// An `ExportTraceServiceRequest` of these spans.
pub(super) fn request(service: &str, spans: &[Vec<u8>]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans
            .message(1, |resource| {
                resource.attribute(1, "service.name", service);
            })
            .message(2, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.text(1, "proxy_observe").text(2, env!("CARGO_PKG_VERSION"));
                });
                for span in spans {
                    scope_spans.bytes(2, span);
                }
            });
    });
    request.done()
}
