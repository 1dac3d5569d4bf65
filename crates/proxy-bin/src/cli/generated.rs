//! `proxyd completions` and `proxyd man`: made from the same definitions as the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

const EXAMPLES: &str = "\
Examples:
  proxyd completions bash > /etc/bash_completion.d/proxyd
  proxyd completions zsh > ~/.zfunc/_proxyd";

/// `proxyd completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A script that lets a shell complete commands and options.
pub fn completions(order: &Completions) -> String {
    let mut text = Vec::new();
    clap_complete::generate(order.shell, &mut Cli::command(), "proxyd", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The pages of the manual, one after the other: of the program, and of each command.
pub fn manual() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = Vec::new();
    render(&root, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn render(command: &clap::Command, text: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command.clone()).render(text);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        render(sub, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_name_every_command() {
        let man = manual();
        for command in Cli::command().get_subcommands() {
            assert!(man.contains(command.get_name()), "{}", command.get_name());
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(&Completions { shell });
            for word in ["forward", "explain", "allow-private"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
