//! Who is served by which listener while one follows another.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::compose::compose;
use crate::config::tests::Folder;
use crate::config::{self, Overrides};
use crate::serve::offered::Offered;
use crate::serve::resources;
use crate::states::States;

/// A configuration with one listener, which says its name.
fn named(name: &str, path: &std::path::Path) -> Resolved {
    let file = format!(
        "[listeners.{name}]\naddress = \"unix:{}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"{name}\" }}\n",
        path.display()
    );
    let folder = Folder::new(&[("proxyd.toml", &file)]);
    config::load(&folder.path("proxyd.toml"), &Overrides::default()).expect("valid").resolved
}

/// A listener that is renamed has the same socket, and with it who waits there: they are judged and
/// served by the one that the configuration has now.
#[tokio::test]
async fn who_waits_in_the_queue_of_a_socket_is_served_by_the_listener_that_follows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("door");
    let (before, after) = (named("before", &path), named("after", &path));
    let resources = resources::first(&before, None, None, None, false).expect("resources");
    let workers = Arc::new(Workers::start(proxy_server::RuntimeKind::PerCore, 1).expect("workers"));
    let mut doors = Doors::default();
    let mut sockets = Sockets::default();
    let mut waiting = None;
    for config in [&before, &after] {
        sockets = Sockets::of(config, &sockets, &mut Offered::default()).expect("a socket");
        let composed = compose(config, &resources, &mut States::default());
        let serving =
            Serving { config, resources: &resources, workers: &workers, sockets: &sockets };
        doors.set(&composed.listeners, &serving);
        // Nothing has been accepted yet: nobody has awaited anything.
        waiting.get_or_insert_with(|| std::os::unix::net::UnixStream::connect(&path));
    }
    let client = waiting.expect("connected").expect("a place in the queue");
    client.set_nonblocking(true).expect("a socket");
    let mut client = UnixStream::from_std(client).expect("within a runtime");
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("\r\n\r\nafter"), "{answer}");
}
