//! Variables of the environment that programs read as code, or for where code is.

/// Whether a variable is one by which whoever sets it has his own code run.
pub(super) fn is_read_as_code(name: &str) -> bool {
    let starts =
        ["LD_", "DYLD_", "PYTHON", "PERL5", "RUBY", "NODE_", "GIT_", "BASH_", "LUA_", "JAVA"];
    let names = [
        "PATH",
        "ENV",
        "IFS",
        "SHELL",
        "SHELLOPTS",
        "HOME",
        "CDPATH",
        "PS1",
        "PS4",
        "PROMPT_COMMAND",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "MANPAGER",
        "LESSOPEN",
        "LESSCLOSE",
        "BROWSER",
        "CLASSPATH",
        "PERLLIB",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "AWKPATH",
        "AWKLIBPATH",
        "R_PROFILE",
        "R_ENVIRON",
        "TCLLIBPATH",
        "GCONV_PATH",
        "LOCPATH",
        "NLSPATH",
        "TERMINFO",
        "MAKEFLAGS",
        "RSYNC_RSH",
        "TAR_OPTIONS",
        "SSH_ASKPASS",
        "OPENSSL_CONF",
        "XDG_CONFIG_HOME",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "MAGICK_CONFIGURE_PATH",
        "FREI0R_PATH",
        "LADSPA_PATH",
    ];
    let name = name.to_ascii_uppercase();
    names.contains(&name.as_str()) || starts.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use crate::ExecConfig;
    use crate::params::{Kind, Param, Source, Template};

    #[test]
    fn no_variable_carries_code_of_a_client() {
        for (name, expected) in [
            ("LD_PRELOAD", 1),
            ("PATH", 1),
            ("BASH_ENV", 1),
            ("PYTHONPATH", 1),
            ("GIT_SSH_COMMAND", 1),
            ("ENV", 1),
            ("QUALITY", 0),
            ("WORD", 0),
        ] {
            let mut config = ExecConfig::new("tool")
                .param("a", Param::new(Source::Query, Kind::Integer { min: 0, max: 9 }));
            config.env.retain(|(known, _)| known != name);
            config.env.push((name.to_owned(), Template::parse("x{query.a}").unwrap()));
            assert_eq!(config.check().len(), expected, "{name}: {:?}", config.check());
        }
    }
}
