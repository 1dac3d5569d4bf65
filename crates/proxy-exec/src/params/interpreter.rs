//! Arguments that are code: a placeholder there would give clients a language to write in.

use super::Template;

/// Which arguments of a program are code.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// What its options say, and the script.
    Script(&'static Options),
    /// Words of another command line: every one up to and including the program, and that
    /// program's own code.
    Command,
    /// What stands in, or after, words that begin so.
    Named(&'static [&'static str]),
    /// Every one.
    All,
}

/// The options of an interpreter, as far as they say where its code stands. A letter that is in
/// none of these lists may take the next word or not: both are reckoned with.
#[derive(Debug, Default)]
struct Options {
    /// Letters whose argument is the code.
    code: &'static str,
    /// Letters that take an argument: the rest of the word, or the next one.
    takes: &'static str,
    /// Letters whose argument is the rest of the word and never the next one.
    attached: &'static str,
    /// Letters that take none.
    flags: &'static str,
    /// Words after `--` whose argument is the code.
    long: &'static [&'static str],
    /// Whether more options may follow the code: then the first word that is none is data.
    goes_on: bool,
    /// Whether letters that take an argument always take the next word: `-euo pipefail`.
    apart: bool,
}

/// The code of a shell is its first word that is no option, with `-c` or without.
const SHELL: &Options = &Options {
    takes: "oO",
    flags: "abcefhiklmnprstuvxBCDEHPT",
    apart: true,
    code: "",
    attached: "",
    long: &[],
    goes_on: false,
};
const PYTHON: &Options = &Options {
    code: "cm",
    takes: "WX",
    flags: "bBdEhiIOPqRsSuvVx",
    attached: "",
    long: &[],
    goes_on: false,
    apart: false,
};
const PERL: &Options = &Options {
    code: "eE",
    takes: "I",
    attached: "MmFilDxC0",
    flags: "acfghnpsStTuUvVwWX",
    long: &[],
    goes_on: true,
    apart: false,
};
const RUBY: &Options = &Options {
    code: "e",
    takes: "rICEX",
    attached: "FiKTWx0",
    flags: "acdhlnpsSvwy",
    long: &[],
    goes_on: true,
    apart: false,
};
const NODE: &Options = &Options {
    code: "ep",
    takes: "rC",
    attached: "",
    flags: "chiv",
    long: &["eval", "print"],
    goes_on: true,
    apart: false,
};
const PHP: &Options = &Options {
    code: "rBREFf",
    takes: "cdStz",
    attached: "",
    flags: "aCehHilmnqsvw",
    long: &["run", "file"],
    goes_on: true,
    apart: false,
};
const LUA: &Options = &Options {
    code: "e",
    takes: "l",
    attached: "jOb",
    flags: "Eivw",
    long: &[],
    // The code of `-e` does not stand for the script.
    goes_on: false,
    apart: false,
};
const TCL: &Options = &Options {
    code: "",
    takes: "",
    attached: "",
    flags: "",
    long: &[],
    goes_on: false,
    apart: false,
};
const AWK: &Options = &Options {
    code: "fe",
    takes: "Fvilo",
    attached: "dpDLW",
    flags: "bcCghkMnNOPrsStV",
    long: &["file", "source", "exec"],
    goes_on: true,
    apart: false,
};
const SED: &Options = &Options {
    code: "ef",
    takes: "l",
    attached: "i",
    flags: "bEnrsuz",
    long: &["expression", "file"],
    goes_on: true,
    apart: false,
};
const JQ: &Options = &Options {
    code: "f",
    takes: "L",
    attached: "",
    flags: "aceghijMnrsRSC",
    long: &["from-file"],
    goes_on: true,
    apart: false,
};

const TAR: Code = Code::Named(&[
    "-I",
    "-F",
    "--to-command",
    "--use-compress-program",
    "--checkpoint-action",
    "--info-script",
    "--new-volume-script",
    "--rmt-command",
    "--rsh-command",
]);

/// The interpreters by the names of their programs, without version and folder.
const INTERPRETERS: &[(&[&str], Code)] = &[
    (
        &["sh", "ash", "bash", "rbash", "csh", "dash", "fish", "ksh", "mksh", "tcsh", "zsh"],
        Code::Script(SHELL),
    ),
    (&["python", "pypy"], Code::Script(PYTHON)),
    (&["perl"], Code::Script(PERL)),
    (&["ruby"], Code::Script(RUBY)),
    (&["node", "nodejs"], Code::Script(NODE)),
    (&["php", "php-cgi"], Code::Script(PHP)),
    (&["lua", "luajit"], Code::Script(LUA)),
    (&["tclsh", "wish"], Code::Script(TCL)),
    (&["awk", "gawk", "mawk", "nawk", "original-awk"], Code::Script(AWK)),
    (&["sed", "gsed"], Code::Script(SED)),
    (&["jq"], Code::Script(JQ)),
    (&["tar", "gtar", "bsdtar"], TAR),
    (&["rsync"], Code::Named(&["-e", "--rsh", "--rsync-path"])),
    (&["zip"], Code::Named(&["-TT", "--unzip-command"])),
    (
        &[
            "busybox",
            "toybox",
            "bwrap",
            "capsh",
            "catchsegv",
            "choom",
            "chroot",
            "chrt",
            "doas",
            "dumb-init",
            "env",
            "fakeroot",
            "firejail",
            "gosu",
            "ionice",
            "ld-linux-aarch64.so.1",
            "ld-linux-x86-64.so.2",
            "ld.so",
            "linux32",
            "linux64",
            "ltrace",
            "nice",
            "nohup",
            "nsenter",
            "numactl",
            "perf",
            "prlimit",
            "setarch",
            "setpriv",
            "setsid",
            "softlimit",
            "stdbuf",
            "strace",
            "su-exec",
            "sudo",
            "systemd-run",
            "taskset",
            "time",
            "timeout",
            "tini",
            "unbuffer",
            "unshare",
            "valgrind",
            "xargs",
        ],
        Code::Command,
    ),
    (
        &[
            "R",
            "Rscript",
            "at",
            "batch",
            "bun",
            "clojure",
            "crontab",
            "deno",
            "docker",
            "ed",
            "elixir",
            "emacs",
            "erl",
            "eval",
            "ex",
            "expect",
            "find",
            "flock",
            "gdb",
            "ghci",
            "git",
            "gnuplot",
            "groovy",
            "guile",
            "irb",
            "jshell",
            "julia",
            "kubectl",
            "lldb",
            "m4",
            "make",
            "mariadb",
            "mysql",
            "nc",
            "ncat",
            "netcat",
            "npm",
            "npx",
            "nvim",
            "ocaml",
            "octave",
            "osascript",
            "parallel",
            "podman",
            "powershell",
            "psql",
            "pwsh",
            "racket",
            "rsh",
            "runuser",
            "sbcl",
            "scala",
            "scp",
            "screen",
            "script",
            "sftp",
            "socat",
            "sqlite",
            "sqlite3",
            "ssh",
            "su",
            "tmux",
            "vi",
            "view",
            "vim",
            "watch",
            "yarn",
        ],
        Code::All,
    ),
];

fn code_of(program: &str) -> Option<Code> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let known = |name: &str| INTERPRETERS.iter().find(|(names, _)| names.contains(&name));
    // python3.12, lua5.4, perl5.36.0
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    known(name).or_else(|| known(bare)).map(|(_, code)| *code)
}

/// Whether a program, without arguments, or with options only, reads code from its standard input.
pub(crate) fn reads_code_from_stdin(program: &str, args: &[Template]) -> bool {
    match code_of(program) {
        Some(Code::Script(options)) => {
            // `sh -s` has words for its script, and reads that from there.
            let forced = |word: &Template| {
                let start = word.start();
                let is_s = start.starts_with('-') && !start.starts_with("--");
                start == "-"
                    || start == "/dev/stdin"
                    || options.apart && is_s && start.contains('s')
            };
            let is_filter =
                options.long.iter().any(|long| *long == "from-file" || *long == "source")
                    || options.long.contains(&"expression");
            let (end, found) = end_of_code(options, args);
            !is_filter && (!found || args[..end].iter().any(forced))
        }
        Some(Code::Command) => args.iter().enumerate().any(|(at, word)| {
            !word.has_placeholder()
                && matches!(code_of(word.start()), Some(Code::Script(_)))
                && reads_code_from_stdin(word.start(), &args[at + 1..])
        }),
        _ => false,
    }
}

/// The positions of those arguments that an interpreter would read as code, and that hold a
/// placeholder. Where it is not known what a word is, it is taken for code.
pub fn code_arguments(program: &str, args: &[Template]) -> Vec<usize> {
    let Some(code) = code_of(program) else { return Vec::new() };
    let open = |at: &usize| args[*at].has_placeholder();
    match code {
        Code::All => (0..args.len()).filter(open).collect(),
        Code::Script(options) => (0..end_of_code(options, args).0).filter(open).collect(),
        Code::Named(names) => {
            let named = |at: usize| names.iter().any(|name| args[at].start().starts_with(name));
            (0..args.len())
                .filter(open)
                .filter(|at| named(*at) || *at > 0 && named(at - 1))
                .collect()
        }
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
            let first = args.iter().position(is_program).unwrap_or(args.len());
            let mut found: Vec<usize> = (0..first).filter(open).collect();
            for (at, word) in args.iter().enumerate() {
                let start = word.start();
                let splits = ["-S", "-vS", "--split-string"].iter().any(|s| start.starts_with(s));
                let several = start.split_whitespace().count() > 1
                    && start.split_whitespace().any(|part| code_of(part).is_some());
                if several || splits && at <= first {
                    // `env -S "bash -c" CODE`: a command line in one word.
                    found.extend((at + 1..args.len()).filter(open));
                }
                if at >= first && !word.has_placeholder() && code_of(start).is_some() {
                    let inner = code_arguments(start, &args[at + 1..]);
                    found.extend(inner.into_iter().map(|inner| inner + at + 1));
                }
            }
            found.sort_unstable();
            found.dedup();
            found
        }
    }
}

/// Where the data of a script begins: every word before it is an option, an argument of one, code,
/// or may be. And whether there is any code or script before it.
fn end_of_code(options: &Options, args: &[Template]) -> (usize, bool) {
    let (mut has_code, mut unsure, mut at) = (false, false, 0);
    while at < args.len() {
        let word = &args[at];
        let start = word.start();
        if start == "--" && !word.has_placeholder() {
            return if has_code { (at + 1, true) } else { ((at + 2).min(args.len()), true) };
        }
        let is_option = start.len() > 1 && start.starts_with(['-', '+']);
        if !is_option {
            if unsure {
                // It may be an option's argument, or the script already.
                unsure = false;
                at += 1;
                continue;
            }
            return if has_code && options.goes_on { (at, true) } else { (at + 1, true) };
        }
        let found = match start.strip_prefix("--") {
            Some(long) => long_option(options, long),
            None => short_options(options, &start[1..], word.has_placeholder()),
        };
        at += 1;
        match found {
            Found::Nothing => {}
            Found::Argument => at += 1,
            Found::Maybe => unsure = true,
            Found::Code { next } => {
                has_code = true;
                at += usize::from(next);
                if !options.goes_on {
                    return (at.min(args.len()), true);
                }
            }
        }
    }
    (args.len(), has_code)
}

/// What an option is followed by.
enum Found {
    Nothing,
    Argument,
    /// An argument, or not.
    Maybe,
    /// Code, in the next word or in the same.
    Code {
        next: bool,
    },
}

fn long_option(options: &Options, long: &str) -> Found {
    match long.split_once('=') {
        Some((name, _)) if options.long.contains(&name) => Found::Code { next: false },
        Some(_) => Found::Nothing,
        None if options.long.contains(&long) => Found::Code { next: true },
        None => Found::Maybe,
    }
}

fn short_options(options: &Options, letters: &str, has_more: bool) -> Found {
    let mut takes = false;
    for (at, letter) in letters.char_indices() {
        let has_rest = at + letter.len_utf8() < letters.len() || has_more;
        if options.code.contains(letter) {
            return Found::Code { next: !has_rest };
        }
        if options.takes.contains(letter) {
            match options.apart {
                true => takes = true,
                false if has_rest => return Found::Nothing,
                false => return Found::Argument,
            }
        } else if options.attached.contains(letter) {
            return Found::Nothing;
        } else if !options.flags.contains(letter) {
            return Found::Maybe;
        }
    }
    if takes { Found::Argument } else { Found::Nothing }
}

#[cfg(test)]
mod tests;
