//! A real nginx as the origin.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::programs;
use crate::scratch::Scratch;
use crate::waiting;

/// A running nginx; ended on drop.
pub struct Nginx {
    child: Child,
    scratch: Scratch,
    /// Its clear-text address.
    pub http: SocketAddr,
    /// Its TLS address, with a self-signed certificate for `localhost` and 127.0.0.1.
    pub https: SocketAddr,
}

impl Nginx {
    /// Starts one whose server blocks, one clear-text and one with TLS, hold `server`; `{root}`
    /// in it becomes the folder of its files.
    #[must_use]
    pub fn start(server: &str) -> Self {
        let program = programs::require("nginx");
        let scratch = Scratch::new("nginx");
        std::fs::create_dir_all(scratch.join("root")).expect("a folder");
        std::fs::create_dir_all(scratch.join("temp")).expect("a folder");
        let (cert, key) = programs::certificate(scratch.path());
        let (http, https) = (crate::ports::free(), crate::ports::free());
        let root = scratch.join("root").display().to_string();
        let server = server.replace("{root}", &root);
        let folder = scratch.path().display();
        let config = format!(
            "user root;\ndaemon off;\nmaster_process off;\npid {folder}/pid;\n\
             error_log {folder}/error.log info;\n\
             events {{ worker_connections 2048; }}\n\
             http {{\n  access_log {folder}/access.log;\n  default_type text/plain;\n\
             client_body_temp_path {folder}/temp/body;\n\
             proxy_temp_path {folder}/temp/proxy;\n  fastcgi_temp_path {folder}/temp/fastcgi;\n\
             uwsgi_temp_path {folder}/temp/uwsgi;\n  scgi_temp_path {folder}/temp/scgi;\n\
             client_max_body_size 0;\n  keepalive_requests 100000;\n\
             server {{\n listen {http};\n root {root};\n{server}\n}}\n\
             server {{\n listen {https} ssl;\n ssl_certificate {cert};\n\
             ssl_certificate_key {key};\n root {root};\n{server}\n}}\n}}\n",
            cert = cert.display(),
            key = key.display(),
        );
        scratch.write("nginx.conf", config);
        let child = spawn(&program, &scratch, &[http, https]);
        Self { child, scratch, http, https }
    }

    /// Ends it at once, by SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("nginx runs");
        self.child.wait().expect("nginx ends");
    }

    /// Ends it at once, and starts it again at the same addresses.
    pub fn restart(&mut self) {
        self.kill();
        self.restart_after_kill();
    }

    /// Starts it again at the same addresses.
    pub fn restart_after_kill(&mut self) {
        let program = programs::require("nginx");
        self.child = spawn(&program, &self.scratch, &[self.http, self.https]);
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(status.expect("kill can be started").success(), "kill -{name}");
    }

    /// Starts one that only serves files.
    #[must_use]
    pub fn serving_files() -> Self {
        Self::start("")
    }

    /// Writes a file that it serves under `/name`.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        self.scratch.write(&format!("root/{name}"), content);
    }

    /// Its folder of files.
    #[must_use]
    pub fn root(&self) -> std::path::PathBuf {
        self.scratch.join("root")
    }

    /// The certificate that a client must trust.
    #[must_use]
    pub fn certificate(&self) -> std::path::PathBuf {
        self.scratch.join("cert.pem")
    }

    /// Its clear-text URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Its access log so far.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.scratch.join("access.log"))
    }
}

/// Starts the program by the configuration in its folder, and waits until it listens.
fn spawn(program: &Path, scratch: &Scratch, due: &[SocketAddr]) -> Child {
    let mut child = Command::new(program)
        .arg("-c")
        .arg(scratch.join("nginx.conf"))
        .arg("-p")
        .arg(scratch.path())
        .arg("-e")
        .arg(scratch.join("error.log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx can be started");
    let log = scratch.join("error.log");
    waiting::until("nginx listens", || {
        if let Some(status) = child.try_wait().expect("nginx") {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("nginx ended at once, {status}: {log}");
        }
        due.iter().all(|at| TcpStream::connect(at).is_ok()).then_some(())
    });
    child
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Only fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Nginx;
    use crate::client;

    #[test]
    fn it_serves_a_file() {
        let nginx = Nginx::serving_files();
        nginx.file("a.txt", "hello");
        let answer = client::get(nginx.http, "localhost", "/a.txt");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    }
}
