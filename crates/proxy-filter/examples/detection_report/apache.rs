//! The same corpora through Apache with ModSecurity and the Core Rule Set, as Debian packages them.
//!
//! Apache runs as a gateway on a free port of the loopback address, in front of an origin server of
//! ours whose answers are marked. A request is refused when the marked answer does not come back.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::cases::Case;

const MARK: &str = "marked-answer";

/// A running Apache.
pub(crate) struct Apache {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Apache {
    /// Installs the packages where they are missing, and starts it.
    pub(crate) fn start() -> Result<Self, String> {
        install()?;
        let origin = origin()?;
        let port = free_port()?;
        let directory =
            std::env::temp_dir().join(format!("detection-report-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
        let file = directory.join("apache.conf");
        std::fs::write(&file, configuration(&directory.to_string_lossy(), port, origin))
            .map_err(|e| e.to_string())?;
        let child = Command::new("apache2")
            .args(["-DFOREGROUND", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("apache2: {e}"))?;
        let apache = Self { child, port, directory };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(apache);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err("apache2 does not listen".into())
    }

    /// Whether it refuses a case.
    pub(crate) fn refuses(&self, case: &Case) -> bool {
        let Some(raw) = case.raw() else { return true };
        let answer = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(&raw)?;
            let mut answer = Vec::new();
            let mut buffer = [0; 4096];
            // A broken connection after the answer is no refusal.
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                answer.extend_from_slice(&buffer[..n]);
                if answer.len() > 64 * 1024 {
                    break;
                }
            }
            Ok(answer)
        });
        !answer.is_ok_and(|a| a.windows(MARK.len()).any(|w| w == MARK.as_bytes()))
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn install() -> Result<(), String> {
    const PACKAGES: [&str; 3] = ["apache2", "libapache2-mod-security2", "modsecurity-crs"];
    let installed = Command::new("dpkg").arg("-s").args(PACKAGES).output();
    if installed.is_ok_and(|o| o.status.success()) {
        return Ok(());
    }
    let status = Command::new("apt-get")
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(PACKAGES)
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("apt-get: {e}"))?;
    if status.success() { Ok(()) } else { Err("apt-get could not install Apache".into()) }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|a| a.port()).map_err(|e| e.to_string())
}

/// An origin server that answers every request the same way.
fn origin() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let mut head = Vec::new();
                let mut buffer = [0; 8192];
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(n @ 1..) => head.extend_from_slice(&buffer[..n]),
                        _ => return,
                    }
                }
                let length = MARK.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{MARK}"
                );
                // What is not read would reset the connection under the answer.
                while matches!(stream.read(&mut buffer), Ok(1..)) {}
            });
        }
    });
    Ok(port)
}

fn configuration(directory: &str, port: u16, origin: u16) -> String {
    let modules = "/usr/lib/apache2/modules";
    format!(
        "ServerRoot {directory}\nServerName localhost\nListen 127.0.0.1:{port}\n\
         PidFile {directory}/pid\nErrorLog {directory}/error.log\nLogLevel emerg\n\
         LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         LoadModule unique_id_module {modules}/mod_unique_id.so\n\
         LoadModule proxy_module {modules}/mod_proxy.so\n\
         LoadModule proxy_http_module {modules}/mod_proxy_http.so\n\
         LoadModule security2_module {modules}/mod_security2.so\n\
         User nobody\nGroup nogroup\nKeepAlive Off\nAllowEncodedSlashes NoDecode\n\
         SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess Off\n\
         SecAuditEngine Off\nSecDataDir {directory}\nSecTmpDir {directory}\n\
         SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
         \"id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
         \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         Include /usr/share/modsecurity-crs/owasp-crs.load\n\
         ProxyPass / http://127.0.0.1:{origin}/ nocanon disablereuse=on\n"
    )
}
