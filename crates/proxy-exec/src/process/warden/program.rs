//! The file that a program's name stands for, and whether the kernel can execute it.
//!
//! The C library gives a file that the kernel can not execute to a shell. There is no shell here,
//! so that such a file is refused before.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The largest head of a file that is looked at: an ELF header of 64 bits.
const HEAD: usize = 64;

/// The program's file: what its path says, or the first of its name in `PATH`.
///
/// # Errors
/// `ENOENT`, `EACCES`, and `ENOEXEC` for what is neither a program of this machine nor a script
/// that names its interpreter.
pub(super) fn find(
    program: &str,
    env: &[(String, String)],
    directory: &Path,
) -> io::Result<PathBuf> {
    if program.contains('/') {
        let path = directory.join(program);
        check(&path)?;
        return Ok(path);
    }
    let list = env.iter().find(|(name, _)| name == "PATH").map_or("/bin:/usr/bin", |(_, p)| p);
    let mut found = io::Error::from_raw_os_error(libc::ENOENT);
    for folder in list.split(':') {
        let path = directory.join(folder).join(program);
        match check(&path) {
            Ok(()) => return Ok(path),
            // A folder of that name, or one that is not for us: perhaps another.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => found = error,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(found)
}

fn check(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    if is_script(&head) || is_native(&head) {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc::ENOEXEC))
}

fn is_script(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"#!") else { return false };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    !line.trim_ascii().is_empty()
}

/// Whether it is ELF, a program (or one that is loaded anywhere), and for this kind of machine.
fn is_native(head: &[u8]) -> bool {
    let half = |at: usize| head.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    let machines: &[u16] = match std::env::consts::ARCH {
        "x86_64" => &[62, 3],
        "x86" => &[3],
        "aarch64" => &[183, 40],
        "arm" => &[40],
        "riscv64" => &[243],
        // Not known here: the kernel judges.
        _ => return head.starts_with(b"\x7fELF") && head.len() >= 52,
    };
    // Headers of 32 bits have 52 bytes.
    head.starts_with(b"\x7fELF")
        && head.len() >= 52
        && matches!(half(16), Some(2 | 3))
        && half(18).is_some_and(|machine| machines.contains(&machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno(program: &str, folder: &Path) -> Option<i32> {
        let env = [("PATH".to_owned(), folder.to_str().unwrap().to_owned())];
        find(program, &env, Path::new("/")).map_err(|error| error.raw_os_error().unwrap()).err()
    }

    #[test]
    fn a_file_that_a_shell_would_have_to_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, mode, expected) in [
            ("script", "#!/bin/sh\n", 0o755, None),
            ("plain", "#!/bin/sh\n", 0o644, Some(libc::EACCES)),
            ("text", "echo x\n", 0o755, Some(libc::ENOEXEC)),
            ("nobody", "#!\necho x\n", 0o755, Some(libc::ENOEXEC)),
            ("garbage", "\x7fELFxxxx", 0o755, Some(libc::ENOEXEC)),
            ("empty", "", 0o755, Some(libc::ENOEXEC)),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(errno(name, folder.path()), expected, "{name}");
            assert_eq!(errno(path.to_str().unwrap(), folder.path()), expected, "{name}");
        }
        assert_eq!(errno("none", folder.path()), Some(libc::ENOENT));
        assert_eq!(errno("/proc/self/exe", folder.path()), None);
    }
}
