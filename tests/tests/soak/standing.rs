//! What lasts for the whole time: a tunnel, and a program whose output is the content of one
//! response.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use proxyd_tests::client::Client;
use proxyd_tests::processes::descendants;
use proxyd_tests::waiting;

use crate::site::Site;

pub(crate) struct Standing {
    tunnel: Client,
    run: Client,
    pipe: File,
    written: String,
    ticks: u64,
}

impl Standing {
    pub(crate) fn begin(site: &Site) -> Self {
        let tunnel = site.tunnel();
        let mut run = Client::connect(site.web);
        run.send("GET /run HTTP/1.1\r\nHost: localhost\r\n\r\n");
        waiting::until("the program runs", || {
            descendants(site.proxy.id()).iter().any(|own| own.name == "cat").then_some(())
        });
        let pipe = OpenOptions::new().write(true).open(&site.fifo).expect("the program reads");
        Self { tunnel, run, pipe, written: String::new(), ticks: 0 }
    }

    /// Something goes through both.
    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
        let line = format!("{} ", self.ticks);
        self.tunnel.send(&line);
        assert_eq!(self.tunnel.take(line.len()), line.as_bytes(), "the tunnel");
        self.pipe.write_all(line.as_bytes()).expect("the program runs");
        self.written.push_str(&line);
    }

    /// Both end as they should: nothing is missing.
    pub(crate) fn end(mut self) {
        self.tunnel.finish();
        self.tunnel.expect_closed();
        drop(self.pipe);
        let answer = self.run.expect("GET");
        assert_eq!((answer.status(), answer.is_whole()), (200, true));
        assert_eq!(answer.text(), self.written);
    }
}
