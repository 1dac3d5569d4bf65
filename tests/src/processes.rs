//! Processes of this machine, by their parents.

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The number of its parent.
    pub parent: u32,
    /// The name of its program, as the kernel has it.
    pub name: String,
    /// It has ended, and its parent has not asked how.
    pub is_zombie: bool,
}

/// All of them.
pub fn all() -> Vec<Process> {
    std::fs::read_dir("/proc")
        .expect("proc")
        .flatten()
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (head, rest) = stat.rsplit_once(')')?;
            let (pid, name) = head.split_once(" (")?;
            let mut fields = rest.split_whitespace();
            let is_zombie = fields.next()? == "Z";
            let parent = fields.next()?.parse().ok()?;
            Some(Process { pid: pid.parse().ok()?, parent, name: name.to_owned(), is_zombie })
        })
        .collect()
}

/// Those below one of them.
pub fn descendants(of: u32) -> Vec<Process> {
    let all = all();
    let is_below = |process: &Process| {
        let mut at = process.parent;
        while at != of {
            match all.iter().find(|other| other.pid == at) {
                Some(other) => at = other.parent,
                None => return false,
            }
        }
        true
    };
    all.iter().filter(|process| is_below(process)).cloned().collect()
}

/// Those that have this text in their environment.
pub fn with_environment(text: &str) -> Vec<u32> {
    let has = |pid: u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(text.len()).any(|part| part == text.as_bytes())
    };
    all().iter().map(|process| process.pid).filter(|pid| has(*pid)).collect()
}

/// How many descriptors one has open.
pub fn open_descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
