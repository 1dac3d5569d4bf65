//! What a run is taken for by what is heard of it, in whatever order that comes.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write as _;

use proxy_testkit::ManualClock;
use tokio::sync::mpsc::UnboundedSender;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A run without a program, the other ends of its pipes, and what tells of it.
struct Stage {
    live: Live<proxy_core::Body>,
    clock: ManualClock,
    events: UnboundedSender<Event>,
    output: File,
    errors: File,
}

impl Stage {
    fn new(timeouts: crate::Timeouts) -> Self {
        let (events, running) = Running::simulated();
        let config = Arc::new(ExecConfig { timeouts, ..ExecConfig::new("/none") });
        let ((output, to_output), (errors, to_errors)) =
            (Output::open().unwrap(), Output::open().unwrap());
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let streams = (None, output, Some(errors));
        let metrics = Arc::new(ExecMetrics::default());
        let live =
            Live::new(running, &config, streams, false, &shared, &metrics, None, Duration::ZERO);
        Self { live, clock, events, output: to_output.into(), errors: to_errors.into() }
    }

    /// How it ends; `None` where it has started, and goes on.
    async fn end(&mut self) -> Option<Why> {
        poll_fn(|cx| match self.live.poll_piece(cx) {
            Poll::Ready(Piece::End(why)) => Poll::Ready(Some(why)),
            Poll::Ready(Piece::Data(..)) => panic!("nothing was given out"),
            Poll::Pending if self.live.is_started() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

#[tokio::test]
async fn one_that_is_heard_before_its_start_is_told_has_its_time_from_then_on() {
    let timeouts = crate::Timeouts {
        start: 10 * SECOND,
        first_byte: Some(SECOND),
        ..crate::Timeouts::default()
    };
    let mut stage = Stage::new(timeouts);
    stage.clock.advance(5 * SECOND);
    stage.errors.write_all(b"loading\n").unwrap();
    assert_eq!(stage.end().await, None);
    stage.clock.advance(SECOND);
    assert_eq!(stage.end().await, Some(Why::FirstByteTimeout));
}

#[tokio::test]
async fn one_that_has_written_had_started_when_its_warden_died() {
    for (written, why) in [("", Why::NotStarted), ("x", Why::Lost)] {
        let mut stage = Stage::new(crate::Timeouts::default());
        stage.output.write_all(written.as_bytes()).unwrap();
        stage.events.send(Event::Lost).unwrap();
        assert_eq!(stage.end().await, Some(why));
        assert_eq!(stage.live.failure.is_some(), written.is_empty());
    }
}
