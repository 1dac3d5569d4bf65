//! Command lines, and whether a placeholder in them is code.

use super::*;

fn templates(words: &[&str]) -> Vec<Template> {
    words.iter().map(|arg| Template::parse(arg).unwrap()).collect()
}

/// A line with `@` for a placeholder, and the positions that are refused. Quotes hold words
/// together.
fn judge(line: &str) -> Vec<usize> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            '@' => words.last_mut().unwrap().push_str("{query.a}"),
            c => words.last_mut().unwrap().push(c),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    code_arguments(words[0], &templates(&words[1..]))
}

#[test]
fn a_placeholder_is_never_code() {
    for (line, expected) in [
        ("sh -c \"echo @\"", &[1][..]),
        ("/bin/bash -euc @", &[1]),
        ("bash -e -c @", &[2]),
        ("bash -euo pipefail -c @", &[3]),
        ("bash -o pipefail -c @", &[3]),
        ("bash -oc pipefail @", &[2]),
        ("bash --norc -c @", &[2]),
        ("bash --rcfile file -c @", &[3]),
        ("bash +O extglob -c @", &[3]),
        ("sh -- @", &[1]),
        ("sh @", &[0]),
        ("python3.12 -c print(@)", &[1]),
        ("python3 -W ignore -c @", &[3]),
        ("python3 -Ximporttime -c @", &[2]),
        ("python3 -m @", &[1]),
        ("python3 -uBc @", &[1]),
        ("python3 --check-hash-based-pycs always -c @", &[3]),
        ("perl -ne @", &[1]),
        ("perl -e@", &[0]),
        ("perl -Mstrict -e @", &[2]),
        ("perl -M@ -e 1", &[0]),
        ("perl -Ilib -e @", &[2]),
        ("perl -I lib -e @", &[3]),
        ("perl -e 1 -e @", &[3]),
        ("perl -F, -ane @", &[2]),
        ("ruby -rjson -e @", &[2]),
        ("ruby -r json @", &[2]),
        ("node --eval @", &[1]),
        ("node --eval=@", &[0]),
        ("node --require x @", &[2]),
        ("node -r x -e @", &[3]),
        ("php -d a=b -r @", &[3]),
        ("php -d@ x.php", &[0]),
        ("lua -l x -e @", &[3]),
        ("awk @ file", &[0]),
        ("awk -F , @", &[2]),
        ("awk -F, @", &[1]),
        ("awk -v x=1 @", &[2]),
        ("awk -v @", &[1]),
        ("gawk --field-separator , @", &[2]),
        ("sed -n s/@//", &[1]),
        ("sed -i.bak @ file", &[1]),
        ("sed -e p -e @", &[3]),
        ("jq --arg x @ .", &[2]),
        ("jq -r @", &[1]),
        ("env @", &[0]),
        ("env A=@ tool", &[0]),
        ("env -i sh -c @", &[3]),
        ("env -S \"bash -c\" @", &[2]),
        ("env \"-Sbash -c\" @", &[1]),
        ("env --split-string=bash @", &[1]),
        ("timeout 5 nice -n 3 bash -c \"x @\"", &[6]),
        ("flock file -c @", &[2]),
        ("xargs @", &[0]),
        ("busybox awk -F , @", &[3]),
        ("setsid -w bash -euo pipefail -c @", &[5]),
        ("ld-linux-x86-64.so.2 /bin/bash -c @", &[2]),
        ("systemd-run --user bash -c @", &[3]),
        ("tar -I @ -xf x", &[1]),
        ("tar --to-command=@ -xf x", &[0]),
        ("rsync -e @ a b", &[1]),
        ("ssh host ls @", &[2]),
        ("find . -name @", &[2]),
        ("socat - EXEC:@", &[1]),
        ("psql -c @", &[1]),
        ("sqlite3 db @", &[1]),
        ("script -c @", &[1]),
        ("npx @", &[0]),
    ] {
        assert_eq!(judge(line), expected, "{line}");
    }
}

#[test]
fn the_data_of_a_script_is_not_code() {
    for line in [
        "sh -c \"echo $1\" sh @",
        "sh script.sh @",
        "bash -euo pipefail script.sh @",
        "bash -euo pipefail -c \"echo $1\" sh @",
        "python3 -u tool.py @",
        "python3 -W ignore -m module @",
        "perl -ne print @",
        "perl -Mstrict -e 1 @",
        "ruby -rjson -e 1 @",
        "node app.js @",
        "php -r 1 -- @",
        "awk -f prog @",
        "awk -F , \"{{print}}\" @",
        "sed -n p @",
        "sed -e p @",
        "jq -r . @",
        "env A=b tool @",
        "nice -n 3 ffmpeg -c copy -i @",
        "tar -cf - @",
        "rsync -a @ /to",
        "ffmpeg -i @",
        "printf %s @",
    ] {
        assert!(judge(line).is_empty(), "{line}: {:?}", judge(line));
    }
}

#[test]
fn standard_input_of_an_interpreter_without_a_script_is_code() {
    for (program, args, expected) in [
        ("sh", &[][..], true),
        ("bash", &["-s"], true),
        ("bash", &["-es", "x"], true),
        ("bash", &["-o", "pipefail"], true),
        ("python3", &["-u"], true),
        ("python3", &["-"], true),
        ("perl", &["/dev/stdin"], true),
        ("env", &["-i", "sh"], true),
        ("sh", &["-c", "cat"], false),
        ("sh", &["script.sh", "x"], false),
        ("python3", &["tool.py"], false),
        ("awk", &["{{print}}"], false),
        ("sed", &["p"], false),
        ("jq", &["."], false),
        ("cat", &[], false),
    ] {
        assert_eq!(
            reads_code_from_stdin(program, &templates(args)),
            expected,
            "{program} {args:?}"
        );
    }
}
