//! An inspector of one's own: card numbers do not leave in uploads.
//!
//! ```text
//! cargo run -p proxyd-examples --bin own_inspector
//! curl -i --data 'order=4111' http://127.0.0.1:3009/
//! curl -i --data 'my card is 4111 1111 1111 1111' http://127.0.0.1:3009/
//! ```
//!
//! An inspector judges the head and may ask to see the content; an inspection gets it piece by
//! piece, and says of each: pass, hold, replace or block. What it blocks never reaches the inner
//! service. `Engine` is the built-in inspector, `InspectLayer` takes either.

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use proxy_core::{ErrorPagesLayer, RequestHead};
use proxy_filter::inspect::{
    Class, Finding, InspectLayer, Inspection, Inspector, Next, Place, Report, Start, Step,
};

/// Looks for card numbers in content.
#[derive(Clone, Copy)]
struct CardNumbers;

impl Inspector for CardNumbers {
    fn begin(&self, _: RequestHead<'_>, has_content: bool) -> Start {
        Start::new(
            Report::NONE,
            match has_content {
                true => Next::Content(Box::new(Digits::default())),
                false => Next::Pass,
            },
        )
    }
}

/// The digits that were seen last, with single spaces and dashes between them left out: a number
/// may be cut by the pieces in which content comes.
#[derive(Default)]
struct Digits {
    last: Vec<u8>,
    gap: bool,
    report: Report,
}

impl Digits {
    fn is_card(&self) -> bool {
        // Luhn's formula (ISO/IEC 7812-1).
        let digits = self.last.iter().rev().enumerate();
        let sum: u32 = digits
            .map(|(place, digit)| match (place % 2, u32::from(digit - b'0')) {
                (0, digit) => digit,
                (_, digit) => digit * 2 / 10 + digit * 2 % 10,
            })
            .sum();
        self.last.len() == 16 && sum.is_multiple_of(10)
    }

    fn take(&mut self, byte: u8) {
        match byte {
            b'0'..=b'9' => {
                if self.last.len() == 16 {
                    self.last.remove(0);
                }
                self.last.push(byte);
                self.gap = false;
            }
            b' ' | b'-' if !self.gap => self.gap = true,
            _ => self.last.clear(),
        }
    }
}

impl Inspection for Digits {
    fn chunk(&mut self, chunk: &Bytes) -> Step {
        for byte in chunk {
            self.take(*byte);
            if self.is_card() {
                let reason = "a card number is in the content";
                self.report.add(Finding::new("card-number", Class::Leak, 5, Place::Text, reason));
                self.report.is_attack = true;
                return Step::Block;
            }
        }
        // What was seen may go on; a number that began here is cut off with its end.
        Step::Pass
    }

    fn finish(&mut self) -> Step {
        Step::Pass
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn holds(&self) -> bool {
        false
    }
}

fn app() -> Router {
    Router::new()
        .route("/", post(|content: Bytes| async move { format!("{} bytes\n", content.len()) }))
        .layer(InspectLayer::new(CardNumbers))
        .layer(ErrorPagesLayer::new("own").show_rules(true))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3009").await?;
    axum::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures_util::stream;
    use http::Request;
    use tower::ServiceExt;

    async fn status(pieces: &[&'static str]) -> u16 {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece)).collect();
        let request = Request::post("/").header("host", "a.test");
        let request = request.body(Body::from_stream(stream::iter(pieces))).expect("a request");
        app().oneshot(request).await.expect("an answer").status().as_u16()
    }

    #[tokio::test]
    async fn card_numbers_are_found_however_they_come() {
        for (pieces, expected) in [
            (&["order=4111"][..], 200),
            (&["4111111111111111"], 403),
            (&["4111 1111-1111 1111"], 403),
            (&["x 41111111", "11111111 y"], 403),
            (&["4111111111111112"], 200),
            (&["4111111111111111 ", " 2"], 403),
        ] {
            assert_eq!(status(pieces).await, expected, "{pieces:?}");
        }
    }
}
