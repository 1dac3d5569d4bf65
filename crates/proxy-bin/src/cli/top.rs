//! `proxyd top`: what a running process is about, from its admin listener.

mod frame;
mod page;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::Args;

use super::ask::{AdminError, AdminListener};
use super::options::Asked;
use crate::config::Diagnostics;

use page::Page;

/// `proxyd top`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:\n  proxyd top\n  proxyd top --interval 5 --once")]
pub struct Top {
    /// Seconds between two looks; rates are of that time
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    /// Print one view and end
    #[arg(long)]
    pub once: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub asked: Asked,
}

/// Whom to ask, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopOrder {
    admin: AdminListener,
    interval: Duration,
    once: bool,
}

impl Top {
    pub(super) fn order(&self, before: Option<&str>) -> Result<TopOrder, Diagnostics> {
        let admin = self.asked.admin.as_deref().or(before);
        Ok(TopOrder {
            admin: AdminListener::new("--admin", admin, None, None)?,
            interval: Duration::from_secs(self.interval.max(1)),
            once: self.once,
        })
    }
}

/// Shows view after view, until it is interrupted, the process is gone, or once.
///
/// # Errors
/// What kept the process from being asked.
pub fn top(order: &TopOrder) -> Result<(), AdminError> {
    let terminal = io::stdout().is_terminal() && !order.once;
    let mut before = look(order)?;
    loop {
        std::thread::sleep(order.interval);
        let now = look(order)?;
        let frame = frame::frame(&before, &now);
        let mut out = io::stdout().lock();
        // From the top, and what was below is cleared: no flicker.
        let clear = if terminal { "\x1b[H\x1b[2J" } else { "" };
        if write!(out, "{clear}{frame}").and_then(|()| out.flush()).is_err() || order.once {
            return Ok(());
        }
        before = now;
    }
}

/// The metrics at one moment.
struct Look {
    page: Page,
    at: Instant,
}

fn look(order: &TopOrder) -> Result<Look, AdminError> {
    let page = order.admin.get("/metrics")?;
    Ok(Look { page: Page::read(&page), at: Instant::now() })
}
