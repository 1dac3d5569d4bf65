//! A name server that keeps whoever asks waiting, in the place of that of this machine.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::proxyd::Launch;
use crate::{system_files, waiting};

/// A name server that never answers.
#[derive(Debug)]
pub struct NameServer {
    ip: Ipv4Addr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// Starts one at a loopback address of its own. `None` where this machine does not permit it:
    /// it needs port 53, and a namespace of mounts.
    #[must_use]
    pub fn silent() -> Option<Self> {
        if !system_files::may_be_replaced() {
            return None;
        }
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, 53, high, low);
        let socket = UdpSocket::bind((ip, 53)).ok()?;
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let record = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut packet = [0; 4096];
            while let Ok(length) = socket.recv(&mut packet) {
                if let Some(name) = name(&packet[..length]) {
                    record.lock().expect("names").push(name);
                }
            }
        });
        Some(Self { ip, asked })
    }

    /// Lets a program ask it, and nobody else.
    #[must_use]
    pub fn for_all_of(&self, launch: Launch) -> Launch {
        system_files::replaced(launch, "resolv.conf", &format!("nameserver {}\n", self.ip))
    }

    /// Waits until it is asked for a name.
    pub fn wait_asked(&self, name: &str) {
        waiting::until("the name server is asked", || {
            self.asked.lock().expect("names").iter().any(|own| own == name).then_some(())
        });
    }
}

/// The name that is asked for (RFC 1035 section 4.1.2).
fn name(packet: &[u8]) -> Option<String> {
    let (mut name, mut rest) = (Vec::new(), packet.get(12..)?);
    while let Some((&length @ 1.., more)) = rest.split_first() {
        let (label, after) = more.split_at_checked(length.into())?;
        name.push(String::from_utf8_lossy(label).to_lowercase());
        rest = after;
    }
    Some(name.join("."))
}
