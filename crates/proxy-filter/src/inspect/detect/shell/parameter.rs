//! Parameters that are named for a command.

use super::commands::{Known, known};
use super::word::{self, After};
use crate::inspect::value::Value;

/// Whether a value is a command, and stands in a parameter that shells left on servers, and hasty
/// scripts, run as one.
#[inline]
pub(in crate::inspect::detect) fn is_run(value: &Value<'_>) -> bool {
    is_about_its_name(value) && is_command(value)
}

fn is_command(value: &Value<'_>) -> bool {
    let word = word::read(value.bytes, 0);
    match known(word.name()) {
        _ if word.after == After::Name => false,
        // `shell=bash`, `system=pacman`: a choice, of which shell and of which manager of packages.
        Some(_) if word.after == After::End && is_choice(value.name, word.name()) => false,
        Some(Known::Command) => true,
        Some(Known::Tool | Known::Short) => {
            word.after != After::End || matches!(word.name(), b"id" | b"ls" | b"dir" | b"ps")
        }
        Some(Known::Prose) => !matches!(word.after, After::End | After::Argument),
        None => false,
    }
}

/// Whether what a value is taken for depends on the name of its parameter.
#[inline]
pub(in crate::inspect) fn is_about_its_name(value: &Value<'_>) -> bool {
    // Most names begin otherwise.
    let begins = matches!(value.name.first(), Some(b'c' | b'e' | b'r' | b's'));
    begins && !value.is_name && names_a_command(value.name)
}

/// Whether a parameter of this name picks one of several programs by its bare name.
fn is_choice(parameter: &[u8], name: &[u8]) -> bool {
    let is_shell = matches!(
        name,
        b"bash"
            | b"sh"
            | b"zsh"
            | b"ksh"
            | b"csh"
            | b"tcsh"
            | b"rbash"
            | b"tclsh"
            | b"pwsh"
            | b"powershell"
            | b"cmd"
    );
    let is_manager = matches!(
        name,
        b"pacman" | b"apk" | b"apt-get" | b"aptitude" | b"dpkg" | b"zypper" | b"ansible"
    );
    matches!(parameter, b"shell" | b"system") && (is_shell || is_manager)
}

fn names_a_command(name: &[u8]) -> bool {
    match name {
        b"cmd" | b"exec" | b"shell" | b"system" => true,
        [b'c' | b'e' | b'r' | b's', _, _, _, _, _, _, ..] => matches!(
            name,
            b"command"
                | b"cmdline"
                | b"commandline"
                | b"cmd_exec"
                | b"command_exec"
                | b"execute"
                | b"exec_cmd"
                | b"run_command"
                | b"shell_exec"
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::value::Place;

    #[test]
    fn parameters() {
        let is = |name: &str, text: &str| {
            let (name, bytes) = (name.as_bytes(), text.as_bytes());
            is_run(&Value { place: Place::Query, name, bytes, is_name: false })
        };
        for text in ["whoami", "id", "cat x", "ipconfig /all", "find /etc -name x", "/bin/ls"] {
            assert!(is("cmd", text), "{text}");
            assert!(!is("q", text), "{text}");
        }
        for text in ["bash", "sh", "zsh", "powershell", "pwsh", "cmd", "cmd.exe", "pacman", "apk"] {
            for name in ["shell", "system"] {
                assert!(!is(name, text), "{name}={text}");
                assert!(is(name, &format!("{text} -c id")), "{name}={text} -c id");
            }
            assert!(is("cmd", text), "{text}");
        }
        assert!(is("shell", "whoami"));
        for text in ["login", "_s-xclick", "get", "find items", "ping", "id=5"] {
            assert!(!is("cmd", text), "{text}");
        }
    }
}
