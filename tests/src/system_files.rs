//! Files of the system that a program sees otherwise than the rest of the machine does.

use std::process::Command;

use crate::proxyd::Launch;

/// Whether this user may do that: it needs a namespace of mounts of its own.
#[must_use]
pub fn may_be_replaced() -> bool {
    let mounts = ["--mount", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"];
    let may = Command::new("unshare").args(mounts).output();
    may.is_ok_and(|out| out.status.success())
}

/// Puts `content` over `/etc/NAME`, for this program alone.
#[must_use]
pub fn replaced(launch: Launch, name: &str, content: &str) -> Launch {
    let under = format!("mount --bind {name} /etc/{name} && exec \"$@\"");
    let launch = launch.file(name, content);
    launch.through(&["unshare", "--mount", "sh", "-c", &under, "sh"])
}
