//! What is done to the proxy while it serves: reloads, certificates, endpoints that die.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_tests::operator;
use proxyd_tests::waiting;
use rustls::ClientConfig;

use crate::line::Line;
use crate::site::Site;
use crate::tally::Tally;

/// An endpoint dies every so many seconds, and is back after half of it.
const LIVES: u64 = 6;

pub(crate) struct Upheaval {
    site: Arc<Site>,
    tally: Arc<Tally>,
    trust: Arc<ClientConfig>,
    reloads: u64,
    slowest: Duration,
    rotations: u64,
    deaths: u64,
    down: Option<usize>,
    /// A name, and the certificate that is to be shown for it.
    due: Option<(&'static str, Vec<u8>)>,
}

impl Upheaval {
    pub(crate) fn new(site: Arc<Site>, tally: Arc<Tally>) -> Self {
        let trust = site.trust(false);
        Self {
            site,
            tally,
            trust,
            reloads: 0,
            slowest: Duration::ZERO,
            rotations: 0,
            deaths: 0,
            down: None,
            due: None,
        }
    }

    pub(crate) fn reloads(&self) -> u64 {
        self.reloads
    }

    pub(crate) fn summary(&self) -> String {
        let Self { reloads, slowest, rotations, deaths, .. } = self;
        format!(
            "{reloads} reloads, the slowest in {slowest:.3?}; {rotations} certificates; {deaths} \
             endpoints killed"
        )
    }

    /// One second of it.
    pub(crate) fn turn(&mut self, second: u32) {
        let second = u64::from(second);
        self.reload();
        match second % LIVES {
            1 => self.kill(),
            4 => self.revive(),
            _ => {}
        }
        if second.is_multiple_of(5) {
            self.shown();
            self.rotate();
        }
    }

    /// Brings back what is down, checks the last certificate, and ends with the listeners of the
    /// beginning.
    pub(crate) fn settle(&mut self) {
        while !self.reloads.is_multiple_of(10) {
            self.reload();
        }
        self.revive();
        self.shown();
        self.site.wait_in_service();
    }

    /// Another configuration, by a signal or by order in turn, until it is seen in an answer.
    fn reload(&mut self) {
        self.reloads += 1;
        let turn = self.reloads;
        self.site.configure(turn);
        let begun = Instant::now();
        if turn.is_multiple_of(2) {
            self.site.proxy.signal("HUP");
        } else {
            operator::reload(&self.site.proxy);
        }
        waiting::until_within(waiting::PATIENCE * 3, "the new configuration", || {
            (self.site.mark() == turn.to_string()).then_some(())
        });
        self.slowest = self.slowest.max(begun.elapsed());
    }

    /// One endpoint, in turn, while all others are in service.
    fn kill(&mut self) {
        self.revive();
        self.site.wait_in_service();
        let number = usize::try_from(self.deaths % 3).expect("small");
        self.deaths += 1;
        self.tally.death();
        self.site.endpoints.lock().expect("endpoints")[number].kill();
        self.down = Some(number);
    }

    fn revive(&mut self) {
        if let Some(number) = self.down.take() {
            self.site.endpoints.lock().expect("endpoints")[number].restart_after_kill();
        }
    }

    fn rotate(&mut self) {
        self.rotations += 1;
        let pki = &self.site.pki;
        self.due = Some(if self.rotations.is_multiple_of(2) {
            ("a.test", self.site.mounted.lock().expect("a secret").rotate(pki))
        } else {
            ("b.test", self.site.plain.lock().expect("files").rotate(pki))
        });
    }

    /// The certificate that was put there last is shown.
    fn shown(&mut self) {
        let Some((name, due)) = self.due.take() else { return };
        waiting::until_within(waiting::PATIENCE * 3, "the new certificate", || {
            let line = Line::tls(self.site.tls, &self.trust, name);
            line.is_ok_and(|(_, shown)| shown == due).then_some(())
        });
    }
}
