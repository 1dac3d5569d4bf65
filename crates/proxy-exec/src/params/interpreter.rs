//! Arguments that are code: a placeholder there would give clients a language to write in.

use super::Template;

/// Which arguments of a program are code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// The one after an option with one of these letters; and, where there is no such option, the
    /// first that is no option: the name of a script.
    After(&'static [u8]),
    /// Words of another command line: every one up to and including the program, and that
    /// program's own code.
    Command,
    /// Every one.
    All,
}

/// The interpreters by the names of their programs, without version and folder.
const INTERPRETERS: &[(&str, Code)] = &[
    ("sh", Code::After(b"c")),
    ("ash", Code::After(b"c")),
    ("bash", Code::After(b"c")),
    ("csh", Code::After(b"c")),
    ("dash", Code::After(b"c")),
    ("fish", Code::After(b"c")),
    ("ksh", Code::After(b"c")),
    ("mksh", Code::After(b"c")),
    ("tcsh", Code::After(b"c")),
    ("zsh", Code::After(b"c")),
    ("python", Code::After(b"cm")),
    ("pypy", Code::After(b"cm")),
    ("perl", Code::After(b"eEMmI")),
    ("ruby", Code::After(b"erI")),
    ("node", Code::After(b"epr")),
    ("nodejs", Code::After(b"epr")),
    ("deno", Code::All),
    ("bun", Code::All),
    ("php", Code::After(b"rBREf")),
    ("lua", Code::After(b"el")),
    ("luajit", Code::After(b"el")),
    ("tclsh", Code::After(b"")),
    ("Rscript", Code::After(b"e")),
    ("awk", Code::After(b"ef")),
    ("gawk", Code::After(b"ef")),
    ("mawk", Code::After(b"ef")),
    ("nawk", Code::After(b"ef")),
    ("sed", Code::After(b"ef")),
    ("jq", Code::After(b"f")),
    ("m4", Code::All),
    ("make", Code::All),
    ("gdb", Code::All),
    ("vim", Code::All),
    ("ssh", Code::All),
    ("rsh", Code::All),
    ("eval", Code::All),
    ("find", Code::All),
    ("git", Code::All),
    ("parallel", Code::All),
    ("docker", Code::All),
    ("podman", Code::All),
    ("kubectl", Code::All),
    ("busybox", Code::Command),
    ("chroot", Code::Command),
    ("doas", Code::Command),
    ("env", Code::Command),
    ("flock", Code::Command),
    ("ionice", Code::Command),
    ("nice", Code::Command),
    ("nohup", Code::Command),
    ("nsenter", Code::Command),
    ("setpriv", Code::Command),
    ("setsid", Code::Command),
    ("stdbuf", Code::Command),
    ("strace", Code::Command),
    ("su", Code::All),
    ("sudo", Code::Command),
    ("taskset", Code::Command),
    ("time", Code::Command),
    ("timeout", Code::Command),
    ("unshare", Code::Command),
    ("watch", Code::All),
    ("xargs", Code::Command),
];

fn code_of(program: &str) -> Option<Code> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let known = |name: &str| INTERPRETERS.iter().find(|(known, _)| *known == name);
    // python3.12, lua5.4, perl5.36.0
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    known(name).or_else(|| known(bare)).map(|(_, code)| *code)
}

/// The positions of those arguments that an interpreter would read as code, and that hold a
/// placeholder.
pub fn code_arguments(program: &str, args: &[Template]) -> Vec<usize> {
    let Some(code) = code_of(program) else { return Vec::new() };
    let open = |at: &usize| args[*at].has_placeholder();
    match code {
        Code::All => (0..args.len()).filter(open).collect(),
        Code::After(letters) => code_after(letters, args).into_iter().filter(open).collect(),
        Code::Command => {
            // The program is the first word that is no option, assignment or number; the options
            // of these tools take arguments of their own, so any interpreter further on counts.
            let is_program = |word: &Template| {
                let start = word.start();
                !word.has_placeholder()
                    && !start.starts_with('-')
                    && !start.contains('=')
                    && !start.starts_with(|c: char| c.is_ascii_digit())
            };
            let program = args.iter().position(is_program).unwrap_or(args.len());
            let mut found: Vec<usize> = (0..program).filter(open).collect();
            for (at, word) in args.iter().enumerate().skip(program) {
                if !word.has_placeholder() && code_of(word.start()).is_some() {
                    let rest = at + 1;
                    let inner = code_arguments(word.start(), &args[rest..]);
                    found.extend(inner.into_iter().map(|inner| inner + rest));
                }
            }
            found.sort_unstable();
            found.dedup();
            found
        }
    }
}

/// What follows an option with one of these letters, or what stands with it in one word; the
/// script, where there is none; and every option that a placeholder could make.
fn code_after(letters: &[u8], args: &[Template]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut has_code = false;
    let mut at = 0;
    while at < args.len() {
        let start = args[at].start();
        if let Some(long) = start.strip_prefix("--") {
            // `--` ends the options; `--eval`, `--expression`, `--execute`, `--file`.
            if long.is_empty() {
                at += 1;
                break;
            }
            let code = ["e", "c", "f", "r", "p"].iter().any(|first| long.starts_with(first));
            if code {
                found.push(at);
                if !start.contains('=') {
                    found.push(at + 1);
                    at += 1;
                }
                has_code = true;
            }
        } else if let Some(option) = start.strip_prefix('-').filter(|o| !o.is_empty()) {
            // Whatever follows a letter in the same word may belong to it.
            found.push(at);
            if option.bytes().any(|letter| letters.contains(&letter)) {
                found.push(at + 1);
                has_code = true;
                at += 1;
            }
        } else {
            break;
        }
        at += 1;
    }
    if !has_code {
        found.push(at);
    }
    found.retain(|at| *at < args.len());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &[&str]) -> Vec<usize> {
        let args: Vec<_> = line[1..].iter().map(|arg| Template::parse(arg).unwrap()).collect();
        code_arguments(line[0], &args)
    }

    #[test]
    fn a_placeholder_is_never_code() {
        for (line, expected) in [
            (&["sh", "-c", "echo {query.a}"][..], &[1][..]),
            (&["sh", "-c", "echo \"$1\"", "sh", "{query.a}"], &[]),
            (&["/bin/bash", "-euc", "{query.a}"], &[1]),
            (&["bash", "-e", "-c", "{query.a}"], &[2]),
            (&["sh", "{query.a}"], &[0]),
            (&["sh", "script.sh", "{query.a}"], &[]),
            (&["python3.12", "-c", "print({query.a})"], &[1]),
            (&["python3", "-u", "tool.py", "{query.a}"], &[]),
            (&["python3", "-m", "{query.a}"], &[1]),
            (&["perl", "-ne", "{query.a}"], &[1]),
            (&["perl", "-e{query.a}"], &[0]),
            (&["node", "--eval", "{query.a}"], &[1]),
            (&["node", "--eval={query.a}"], &[0]),
            (&["awk", "{query.a}", "file"], &[0]),
            (&["awk", "-f", "prog", "{query.a}"], &[]),
            (&["awk", "-v", "{query.a}"], &[1]),
            (&["sed", "-n", "s/{query.a}//"], &[1]),
            (&["env", "{query.a}"], &[0]),
            (&["env", "A={query.a}", "tool"], &[0]),
            (&["env", "A=b", "tool", "{query.a}"], &[]),
            (&["env", "-i", "sh", "-c", "{query.a}"], &[3]),
            (&["timeout", "5", "nice", "-n", "3", "bash", "-c", "x {query.a}"], &[6]),
            (&["xargs", "{query.a}"], &[0]),
            (&["ssh", "host", "ls", "{query.a}"], &[2]),
            (&["find", ".", "-name", "{query.a}"], &[2]),
            (&["ffmpeg", "-i", "{query.a}"], &[]),
            (&["printf", "%s", "{query.a}"], &[]),
        ] {
            assert_eq!(found(line), expected, "{line:?}");
        }
    }
}
