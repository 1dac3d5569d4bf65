//! Names of commands.

/// How much a name of a command says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing but a command has this name.
    Command,
    /// A program that people also write about.
    Tool,
    /// A short word that is rather a command, but not only.
    Short,
    /// A word of English, too.
    Prose,
}

/// What a name is; in lower case.
pub(super) fn known(name: &[u8]) -> Option<Known> {
    if name.len() < 2 || name.len() > 24 {
        return None;
    }
    let letter = usize::from(name[0].wrapping_sub(b'a'));
    if letter >= 26 {
        return None;
    }
    let lengths = LENGTHS[pair(name[0], name[1])];
    if lengths == 0 {
        return None;
    }
    let listed = |name: &[u8]| {
        if lengths & 1 << name.len() == 0 { None } else { listed(name, letter) }
    };
    // Versions: `python3`, `php8.2`, `gcc10.1`; but also `base64` and `rundll32`.
    listed(name).or_else(|| match name.iter().position(u8::is_ascii_digit) {
        Some(end) if end >= 2 && name[end..].iter().all(|b| b.is_ascii_digit() || *b == b'.') => {
            listed(&name[..end])
        }
        _ => None,
    })
}

/// What a name of the lists is; `letter` is the number of its first one.
fn listed(name: &[u8], letter: usize) -> Option<Known> {
    let lists = [
        (COMMANDS, &COMMAND_LETTERS, Known::Command),
        (TOOLS, &TOOL_LETTERS, Known::Tool),
        (SHORT, &SHORT_LETTERS, Known::Short),
        (PROSE, &PROSE_LETTERS, Known::Prose),
    ];
    lists.into_iter().find_map(|(list, letters, known)| {
        let range = usize::from(letters[letter])..usize::from(letters[letter + 1]);
        list[range].contains(&name).then_some(known)
    })
}

/// By the first two letters, the lengths of the names that begin so, a bit for each: most words are
/// none of them.
static LENGTHS: [u32; PAIRS] = {
    let mut lengths = [0; PAIRS];
    let lists = [COMMANDS, TOOLS, SHORT, PROSE];
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            let name = lists[list][at];
            lengths[pair(name[0], name[1])] |= 1 << name.len();
            at += 1;
        }
        list += 1;
    }
    lengths
};

/// A first letter, and a second one or something else.
const PAIRS: usize = 26 * 27;

const fn pair(first: u8, second: u8) -> usize {
    let second = second.wrapping_sub(b'a');
    (first - b'a') as usize * 27 + if second < 26 { second as usize } else { 26 }
}

/// Where in a sorted list the names with each letter begin.
const fn letters(list: &[&[u8]]) -> [u16; 27] {
    let mut starts = [0; 27];
    let mut letter = 0;
    while letter < 27 {
        let mut at = 0;
        while at < list.len() && list[at][0] < b'a' + letter as u8 {
            at += 1;
        }
        starts[letter] = at as u16;
        letter += 1;
    }
    starts
}

static COMMAND_LETTERS: [u16; 27] = letters(COMMANDS);
static TOOL_LETTERS: [u16; 27] = letters(TOOLS);
static SHORT_LETTERS: [u16; 27] = letters(SHORT);
static PROSE_LETTERS: [u16; 27] = letters(PROSE);

/// Whether a command runs the one that is its argument.
pub(super) fn is_runner(name: &[u8]) -> bool {
    matches!(
        name,
        b"time"
            | b"sudo"
            | b"nohup"
            | b"exec"
            | b"env"
            | b"command"
            | b"builtin"
            | b"xargs"
            | b"timeout"
            | b"nice"
            | b"setsid"
            | b"strace"
            | b"ltrace"
            | b"busybox"
            | b"watch"
            | b"doas"
            | b"then"
            | b"do"
    )
}

/// Commands that are nothing else.
#[rustfmt::skip]
const COMMANDS: &[&[u8]] = &[
    b"aa-disable", b"aa-enforce", b"ab", b"adduser", b"ansible", b"ansible-config",
    b"ansible-console", b"ansible-doc", b"ansible-galaxy", b"ansible-inventory",
    b"ansible-playbook", b"ansible-pull", b"ansible-vault", b"apk", b"apt-get", b"aptitude",
    b"aria2c", b"bash", b"bcdboot", b"bcdedit", b"bitsadmin", b"blkid", b"bunzip2", b"busybox",
    b"bzcat", b"bzgrep", b"bzip2", b"bzless", b"bzmore", b"c89", b"c99", b"capsh", b"certutil",
    b"chattr", b"chef-client", b"chef-shell", b"chef-vault", b"chgrp", b"chkconfig", b"chmod",
    b"chown", b"chpasswd", b"chroot", b"cmd", b"cmdkey", b"compgen", b"cowsay", b"crictl",
    b"crontab", b"cscli", b"cscript", b"csh", b"curl", b"desktopimgdownldr", b"diskpart", b"dmesg",
    b"dmidecode", b"dnsdomainname", b"dos2unix", b"dosbox", b"dpkg", b"driverquery", b"dsquery",
    b"easy_install", b"egrep", b"ethtool", b"extrac32", b"fdisk", b"fgrep", b"findmnt", b"findstr",
    b"flock", b"forfiles", b"fping", b"gawk", b"gci", b"gdb", b"get-childitem", b"get-content",
    b"get-host", b"get-item", b"get-process", b"get-service", b"get-wmiobject", b"getconf",
    b"getent", b"getfacl", b"gpasswd", b"gpresult", b"groupadd", b"groupdel", b"groupmod",
    b"gunzip", b"hostnamectl", b"hping3", b"htop", b"icacls", b"ieexec", b"iex", b"ifconfig",
    b"ifup", b"infdefaultinstall", b"insmod", b"installutil", b"invoke-command",
    b"invoke-expression", b"invoke-restmethod", b"invoke-webrequest", b"ipconfig", b"iptables",
    b"iwr", b"journalctl", b"jrunscript", b"killall", b"klist", b"ksh", b"lastlog", b"lastlogin",
    b"ldconfig", b"lftp", b"loginctl", b"logname", b"losetup", b"lsattr", b"lsblk", b"lscpu",
    b"lsmod", b"lsof", b"lspci", b"lsusb", b"ltrace", b"lwp-download", b"lwp-request", b"mailx",
    b"makecab", b"mawk", b"mkdir", b"mkfifo", b"mkfs", b"mknod", b"mkpasswd", b"mktemp",
    b"modprobe", b"msbuild", b"mshta", b"msiexec", b"mysqldump", b"nasm", b"nawk", b"nbtstat",
    b"nc.openbsd", b"nc.traditional", b"ncat", b"net1", b"netsh", b"netstat", b"new-object",
    b"nltest", b"nmap", b"nmcli", b"nproc", b"nslookup", b"odbcconf", b"pacman", b"pgrep",
    b"php-cgi", b"php-fpm", b"phpunit", b"pidof", b"pkexec", b"pkill", b"pmap", b"powershell",
    b"presentationhost", b"printenv", b"psexec", b"pstree", b"pwd", b"pwdx", b"pwsh", b"quser",
    b"qwinsta", b"rbash", b"readlink", b"realpath", b"reboot", b"redis-cli", b"regasm", b"regedit",
    b"regsvcs", b"regsvr32", b"renice", b"resolvectl", b"rmdir", b"rmt-tar", b"run-parts",
    b"runas", b"rundll32", b"schtasks", b"scp", b"sdiff", b"select-string", b"set-content",
    b"setarch", b"setfacl", b"sftp", b"sh", b"smbclient", b"socat", b"sqlcmd", b"start-process",
    b"start-sleep", b"stdbuf", b"stty", b"sudo", b"sysctl", b"systemctl", b"systemd-resolve",
    b"systeminfo", b"taskkill", b"tasklist", b"tclsh", b"tcpdump", b"tcping", b"tcsh", b"telnet",
    b"tftp", b"timedatectl", b"traceroute", b"tracert", b"ulimit", b"umask", b"umount", b"uname",
    b"unlink", b"unshare", b"unxz", b"unzstd", b"uptime", b"useradd", b"userdel", b"usermod",
    b"uudecode", b"uuencode", b"vigr", b"vipw", b"visudo", b"vmstat", b"vssadmin", b"waitfor",
    b"wbadmin", b"wevtutil", b"wget", b"whereis", b"whoami", b"wmic", b"write-host", b"wscript",
    b"xargs", b"xxd", b"xzcat", b"xzgrep", b"xzless", b"zcat", b"zcmp", b"zdiff", b"zgrep",
    b"zipgrep", b"zless", b"zmore", b"zsh", b"zstdcat", b"zypper",
];

/// Commands that people write about.
#[rustfmt::skip]
const TOOLS: &[&[u8]] = &[
    b"arp", b"awk", b"base32", b"base64", b"brew", b"chef", b"docker", b"expr", b"fish",
    b"ftp", b"gcc", b"git", b"grep", b"gzip", b"hexdump", b"hostname", b"hydra", b"iconv", b"irb",
    b"java", b"kubectl", b"lua", b"lynx", b"mysql", b"nano", b"netcat", b"node", b"notepad",
    b"openssl", b"passwd", b"perf", b"perl", b"php", b"pip", b"printf", b"psql", b"ptx", b"python",
    b"reg", b"rsync", b"ruby", b"sendmail", b"shutdown", b"snap", b"sqlite", b"ssh", b"strace",
    b"strings", b"su", b"tmux", b"touch", b"tty", b"uniq", b"unzip", b"vim", b"xterm",
];

/// Commands that are words, too, but rather commands.
#[rustfmt::skip]
const SHORT: &[&[u8]] = &[
    b"assoc", b"basename", b"bg", b"cat", b"cc", b"cd", b"chsh", b"cp", b"dd", b"del", b"df",
    b"diff", b"dig", b"dir", b"dirname", b"dnf", b"du", b"echo", b"ed", b"env", b"erase", b"eval",
    b"exec", b"fg", b"ftype", b"id", b"ip", b"kill", b"ldd", b"ln", b"ls", b"lsb_release", b"mv",
    b"nc", b"nl", b"nohup", b"od", b"pdksh", b"ping", b"ps", b"rc", b"ren", b"rev", b"rm", b"rmt",
    b"rmt-dump", b"rpm", b"sed", b"shuf", b"sleep", b"stat", b"tac", b"tar", b"tr", b"tsort",
    b"vi", b"wc", b"who", b"xz", b"yum", b"zip",
];

/// Commands that are rather words.
#[rustfmt::skip]
const PROSE: &[&[u8]] = &[
    b"alias", b"apt", b"arch", b"as", b"at", b"attrib", b"batch", b"bind", b"cal", b"calc", b"call",
    b"choice", b"column", b"comm", b"copy", b"cpio", b"cut", b"date", b"declare", b"exit",
    b"expand", b"export", b"false", b"fetch", b"file", b"find", b"finger", b"fmt", b"fold",
    b"free", b"function", b"get", b"groups", b"head", b"history", b"host", b"install", b"jobs",
    b"join", b"last", b"less", b"link", b"links", b"local", b"locate", b"logger", b"look", b"mail",
    b"make", b"man", b"md", b"more", b"mount", b"move", b"net", b"nice", b"open", b"paste", b"pr",
    b"quote", b"read", b"rename", b"reset", b"restart", b"route", b"run", b"sc", b"screen",
    b"script", b"seq", b"service", b"set", b"sort", b"source", b"split", b"ss", b"start", b"tail",
    b"task", b"tee", b"test", b"time", b"timeout", b"top", b"tree", b"true", b"type", b"users",
    b"ver", b"vol", b"wait", b"wall", b"watch", b"where", b"which", b"whois", b"write", b"yes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted() {
        for list in [COMMANDS, TOOLS, SHORT, PROSE] {
            for pair in list.windows(2) {
                assert!(pair[0] < pair[1], "{:?}", String::from_utf8_lossy(pair[1]));
            }
        }
    }
}
