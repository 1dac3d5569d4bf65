//! What is wrong with a configuration: all of it at once.

use super::variables::is_read_as_code;
use super::{Directory, ExecConfig, Stderr};

impl ExecConfig {
    /// What is wrong with it: what part, and how. Empty where it can be used.
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found: Vec<_> = self
            .params
            .check()
            .into_iter()
            .map(|(name, text)| (format!("params.{name}"), text))
            .collect();
        let words = self.args.iter().enumerate().map(|(at, word)| (format!("args[{at}]"), word));
        let env = self.env.iter().map(|(name, word)| (format!("env.{name}"), word));
        for (at, word) in words.chain(env) {
            for (source, name) in word.names() {
                if self.params.get(name).is_none_or(|param| param.source != source) {
                    let word = source.word();
                    found.push((
                        at.clone(),
                        format!("no parameter `{name}` with in = \"{word}\" is declared"),
                    ));
                }
            }
        }
        for at in crate::params::code_arguments(&self.program, &self.args) {
            let text = "a placeholder where the program reads code: a client could write it";
            found.push((format!("args[{at}]"), text.to_owned()));
        }
        let (Directory::Fixed(path) | Directory::Fresh(path)) = &self.directory;
        if path.to_str().is_none() {
            found.push(("directory".to_owned(), "the path is no UTF-8".to_owned()));
        }
        if self.uid.is_some() != self.gid.is_some() {
            let (there, missing) = if self.uid.is_some() { ("uid", "gid") } else { ("gid", "uid") };
            let text = format!(
                "`{missing}` is missing: with one of them alone the program would keep rights of the proxy"
            );
            found.push((there.to_owned(), text));
        }
        for (name, word) in &self.env {
            if word.has_placeholder() && is_read_as_code(name) {
                let text = "programs read this variable as code, or for where code is";
                found.push((format!("env.{name}"), text.to_owned()));
            }
        }
        if self.stdin && crate::params::reads_code_from_stdin(&self.program, &self.args) {
            let text = "the program would read the content as code: give it a script";
            found.push(("stdin".to_owned(), text.to_owned()));
        }
        if self.stdin && self.params.content().is_some() {
            let text = "the content is read for parameters, and can not be standard input too";
            found.push(("stdin".to_owned(), text.to_owned()));
        }
        if let Some(name) = self.params.fetched() {
            let place = format!("params.{name}.fetch");
            if self.stdin {
                let text = "what the URL names is standard input: `stdin` can not be, too";
                found.push((place.clone(), text.to_owned()));
            }
            if crate::params::reads_code_from_stdin(&self.program, &self.args) {
                let text = "the program would read what the URL names as code: give it a script";
                found.push((place, text.to_owned()));
            }
        }
        if self.cgi && self.stderr == Stderr::Frames {
            found.push(("stderr".to_owned(), "frames have no fields as CGI has".to_owned()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_no_script() {
        assert_eq!(ExecConfig::new("bash").stdin().check()[0].0, "stdin");
        assert!(ExecConfig::new("cat").stdin().check().is_empty());
        let script = ExecConfig::new("bash").arg("script.sh").unwrap().stdin();
        assert!(script.check().is_empty());
    }
}
