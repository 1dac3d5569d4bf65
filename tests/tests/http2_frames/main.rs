//! RFC 9113 and RFC 7541 frame by frame: what a client may send, what it may not, and what comes of
//! it. Each case is a connection of its own to one gateway; every fault is reported at once.
//!
//! What ends a connection (RFC 9113 section 5.4.1) must say so by GOAWAY with the right code; what is
//! wrong with one stream (section 5.4.2) may end the stream or the connection. After a stream's
//! fault the connection must go on serving, and no faulty request may reach the origin.

mod case;
mod compression;
mod connection;
mod downgrade;
mod frames;
mod messages;
mod states;

use proxyd_tests::configured;
use proxyd_tests::origin::Origin;

use case::Case;

fn all() -> Vec<Case> {
    [
        connection::cases(),
        states::cases(),
        frames::cases(),
        messages::cases(),
        downgrade::cases(),
        compression::cases(),
    ]
    .concat()
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<String> = all().iter().map(Case::name).collect();
    let count = names.len();
    assert!(count >= 180, "{count} cases");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn frames_are_taken_as_the_standards_say() {
    let origin = Origin::answering(case::answer);
    let rest = "[server.limits]\nh2_streams = 8\n";
    let proxy = configured::gateway(&origin.url(), "protocols = [\"h1\", \"h2\"]", rest).start();
    let faults: Vec<String> = all()
        .iter()
        .filter_map(|case| {
            let fault = case.run(proxy.address(), &origin).err()?;
            Some(format!("{}: {fault}", case.name()))
        })
        .collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
